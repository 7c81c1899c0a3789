//! The messages of a link.

use alloc::boxed::Box;
use alloc::string::String;

use serde::{Deserialize, Serialize};

use super::record::{ProcessId, Record, Usage};
use super::start::{AgentUser, Start, Token};
use crate::vocab::StopReason;
use crate::{TaskId, Timestamp};

/// Supervisor → shim. Append only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToShim {
    /// The first message of the first link.
    Start(Box<Start>),
    /// The answer to [`FromShim::Attach`]: the ledger has everything up to
    /// and including this record.
    Attached {
        /// 0 = nothing yet.
        acknowledged: u64,
    },
    /// The answer to an attach that is not accepted; the supervisor hangs up.
    Rejected(RejectReason),
    /// Stop the task.
    Stop(StopOrder),
    /// The ledger has everything up to and including this record.
    Ack {
        /// The record's number.
        upto: u64,
    },
    /// The first message of the first link, for an agent of another user. A
    /// shim that does not know it starts nothing.
    StartAs(Box<Start>, AgentUser),
}

/// Why a shim is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RejectReason {
    /// The ledger has no such task. The shim goes on, and tries again later.
    UnknownTask,
    /// The token or the process does not fit. It tries again later.
    NotYou,
    /// The task is terminal in the ledger: the shim ends what is left of its
    /// tree and exits.
    Ended,
}

/// A committed intent, on its way to the shim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopOrder {
    /// The ledger's id. Repeated orders with the same id are one.
    pub intent_id: u64,
    /// For which reason.
    pub reason: StopReason,
    /// Between TERM and KILL, in ms; 0 = KILL at once. A later order may
    /// shorten the grace of an earlier one, never lengthen it.
    pub grace_ms: u64,
}

/// Shim → supervisor. Append only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum FromShim {
    /// The first message of a later link.
    Attach(Attach),
    /// A journalled fact.
    Record {
        /// Its number: 1, 2, 3 …
        number: u64,
        /// The fact.
        record: Record,
    },
    /// Volatile: at most one per second.
    Progress(ProgressReport),
}

/// A shim introduces itself again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attach {
    /// Its task.
    pub task_id: TaskId,
    /// Its proof.
    pub token: Token,
    /// Itself; must fit the claim and the peer's credentials.
    pub shim: ProcessId,
    /// How many records its journal has.
    pub records: u64,
    /// When the agent last printed something.
    pub last_output_at: Option<Timestamp>,
}

/// What the agent is doing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ProgressReport {
    /// When the agent last printed something.
    pub at: Timestamp,
    /// For people; none when it only printed.
    pub text: Option<String>,
    /// The figures so far.
    pub usage: Usage,
}
