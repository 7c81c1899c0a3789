//! Everything that can wake the core loop, as one enum.

use protocol::shim::SweepRecord;
use protocol::{Exit, TaskId};

use super::keep::Aside;
use super::orphans::Search;
use super::placed::Placed;
use super::replace::Replacing;
use crate::control::ControlCall;
use crate::gateway::HttpCall;
use crate::ledger::LedgerError;
use crate::process::watchdog::Ended;
use crate::shim::{AttachRequest, LinkDown, OtherVersion, ShimGone, ShimMessage};

/// What became of what a dead shim left.
pub(super) struct Swept {
    /// Of the tree.
    pub(super) sweep: SweepRecord,
    /// Why nothing is proven, where that is not plain.
    pub(super) unproven: Option<String>,
    /// So the leader had ended, if the kernel tells.
    pub(super) exit: Option<Exit>,
}

/// One input of the loop.
pub(super) enum CoreInput {
    /// A client asks.
    Control(ControlCall),
    /// A client of the gateway asks.
    Http(HttpCall),
    /// A shim says something.
    Shim(ShimMessage),
    /// A shim of another link wants to be accepted.
    Attach(AttachRequest),
    /// A shim cannot be accepted: it speaks another protocol.
    OtherVersion(OtherVersion),
    /// The service manager has answered where a shim belongs.
    Placed(Box<Placed>),
    /// A link ended.
    LinkDown(LinkDown),
    /// A shim's process is gone.
    ShimGone(ShimGone),
    /// The sweep after a shim's death is done.
    Swept(TaskId, Swept),
    /// The machine was booted again, as this tells, and what had outlived that in
    /// the task's container was ended.
    Rebooted(TaskId, Swept, String),
    /// What became of the tree of a shim that does not answer.
    TreeEnded(TaskId, Ended),
    /// Processes that carry a marker were looked for.
    OrphansFound(Box<Search>),
    /// What could not be found out about a task's shim may be known now.
    LookAgain(TaskId),
    /// Folders from before the start in which no start was decided.
    Undecided(Vec<TaskId>),
    /// A task that was to be put aside has ended.
    Archive(Box<Aside>),
    /// A task that was to make room for another one has ended.
    Replace(Box<Replacing>),
    /// It is time to look which ended tasks the configuration lets go.
    Retain,
    /// The ledger failed where nobody commits.
    LedgerFailed(LedgerError),
    /// SIGTERM or SIGINT.
    Leave,
    /// The machine goes down while we drain.
    MachineStops,
}

macro_rules! input_from {
    ($($source:ident => $variant:ident),+ $(,)?) => {
        $(impl From<$source> for CoreInput {
            fn from(source: $source) -> Self {
                Self::$variant(source)
            }
        })+
    };
}

input_from!(
    ControlCall => Control,
    HttpCall => Http,
    ShimMessage => Shim,
    AttachRequest => Attach,
    OtherVersion => OtherVersion,
    LinkDown => LinkDown,
    ShimGone => ShimGone,
);
