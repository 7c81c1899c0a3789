//! A task and what is known about its end.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::vocab::{
    ArchiveReason, Basis, Exit, FinishedBasis, IntentOutcome, Phase, Presence, SignalledBy, Status,
    StopOutcome, StopReason, Via,
};
use crate::{Key, ProviderName, SessionId, TaskId, Timestamp};

/// The task object of every answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskView {
    /// Its id.
    pub id: TaskId,
    /// Its conversation.
    pub key: Key,
    /// The kind of agent.
    pub provider: ProviderName,
    /// The caller's word for the agent.
    pub agent: Option<String>,
    /// The caller's word for the kind of work.
    pub agent_type: Option<String>,
    /// The model asked for, or the one that the agent reported.
    pub model: Option<String>,
    /// The repository it works on.
    pub repo: Option<String>,
    /// The issue it works on.
    pub issue_number: Option<i64>,
    /// On whose behalf.
    pub user: Option<String>,
    /// A name for people.
    pub name: Option<String>,
    /// Its working folder.
    pub cwd: Option<String>,
    /// As started, with `<prompt>` and `<arg>` in place of what may be secret.
    pub argv: Vec<String>,
    /// What its row says.
    pub status: Status,
    /// Where it is in its life.
    pub phase: Phase,
    /// Is a shim connected?
    pub presence: Presence,
    /// Why it ended.
    pub archive_reason: Option<ArchiveReason>,
    /// The same in words.
    pub archive_label: Option<String>,
    /// How that is known.
    pub archive_basis: Option<Basis>,
    /// `uid:N comm:C`, `agent`, `kernel` or `supervisor`.
    pub ended_by: Option<String>,
    /// Hidden from lists by the operator.
    pub archived: bool,
    /// Who set that flag.
    pub archived_by: Option<String>,
    /// When.
    pub archived_at: Option<Timestamp>,
    /// The provider's id of its conversation.
    pub session_id: Option<SessionId>,
    /// The session that it resumed.
    pub resumed: Option<SessionId>,
    /// The supervisor that runs it; none once ended.
    pub supervisor_pid: Option<i32>,
    /// Its shim; none once ended.
    pub shim_pid: Option<i32>,
    /// Its agent; none once ended.
    pub agent_pid: Option<i32>,
    /// When it began to wait for a place.
    pub queued_at: Option<Timestamp>,
    /// When its row became `running`.
    pub started_at: Option<Timestamp>,
    /// When the end was established.
    pub finished_at: Option<Timestamp>,
    /// When it was last known to be alive.
    pub last_seen_at: Option<Timestamp>,
    /// How well `finished_at` is known.
    pub finished_basis: Option<FinishedBasis>,
    /// What the provider itself reported.
    pub result: Option<ResultView>,
    /// Other tasks it is related to.
    pub links: Links,
    /// How the agent's process ended.
    pub exit: Option<Exit>,
    /// As the provider counts them.
    pub turns: Option<u64>,
    /// Of this task alone.
    pub input_tokens: Option<u64>,
    /// Of this task alone.
    pub output_tokens: Option<u64>,
    /// US dollars, of this task alone.
    pub cost_usd: Option<f64>,
    /// The last thing that it said it was doing.
    pub last_progress: Option<ProgressView>,
    /// Counts the changes of this row, for `--if-version`.
    pub version: u64,
}

/// What the provider itself reported at its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultView {
    /// Its own judgement.
    pub success: bool,
    /// Its final text, cut at 64 KiB.
    pub text: Option<String>,
    /// The text was cut.
    pub truncated: bool,
}

/// Other tasks that a task is related to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Links {
    /// The task that it does again.
    pub retry_of: Option<TaskId>,
    /// The task whose session was not found, before it.
    pub fresh_after: Option<TaskId>,
    /// The task whose conversation it continues.
    pub reopened_from: Option<TaskId>,
}

/// The last thing that an agent said it was doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgressView {
    /// When.
    pub at: Timestamp,
    /// What.
    pub text: String,
}

/// A task whole: `show`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskDetail {
    /// The task object.
    pub task: TaskView,
    /// Every intent, in the order of commitment.
    pub intents: Vec<IntentView>,
    /// What was seen, in order.
    pub evidence: Vec<EvidenceView>,
}

/// One durable statement «stop this task».
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntentView {
    /// Unique in its ledger.
    pub id: u64,
    /// For which reason.
    pub reason: StopReason,
    /// Who asked.
    pub requested_by: Requester,
    /// In their words.
    pub note: Option<String>,
    /// When it was committed.
    pub requested_at: Timestamp,
    /// When the shim had it in its journal.
    pub journalled_at: Option<Timestamp>,
    /// When the first signal went out under it.
    pub signalled_at: Option<Timestamp>,
    /// From whom.
    pub signalled_by: Option<SignalledBy>,
    /// What became of it.
    pub outcome: IntentOutcome,
}

/// Who asked for something, as the kernel tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requester {
    /// User id of the peer.
    pub uid: Option<u32>,
    /// Process id of the peer.
    pub pid: Option<i32>,
    /// Its command name.
    pub comm: Option<String>,
    /// Through which door.
    pub via: Via,
    /// Its parents, nearest first, at most five.
    pub ancestry: Vec<Ancestor>,
    /// Its terminal, e.g. `pts/3`.
    pub tty: Option<String>,
    /// The task that it runs inside of.
    pub from_task: Option<TaskId>,
}

impl Requester {
    /// Somebody of whom only the door is known.
    #[must_use]
    pub const fn through(via: Via) -> Self {
        Self {
            uid: None,
            pid: None,
            comm: None,
            via,
            ancestry: Vec::new(),
            tty: None,
            from_task: None,
        }
    }

    /// Is there a word on who it was? None is left where a ledger lost a stop that a
    /// shim's journal still has.
    #[must_use]
    pub const fn is_known(&self) -> bool {
        match self.via {
            Via::Supervisor | Via::Http => true,
            Via::Control | Via::Signal => self.uid.is_some(),
        }
    }
}

/// One parent of a requester.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ancestor {
    /// Its process id.
    pub pid: i32,
    /// Its command name.
    pub comm: String,
}

/// One thing that was seen: `exit`, `result`, `signal`, `oom`, `sweep`,
/// `shim`, `supervisor` or `not_durable`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceView {
    /// Which kind.
    pub kind: String,
    /// When it was seen.
    pub at: Timestamp,
    /// In plain words.
    pub detail: String,
}

/// One step of `why`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainLink {
    /// When.
    pub at: Timestamp,
    /// A short name of the step, e.g. `stop requested`.
    pub what: String,
    /// Who did it, in words.
    pub who: String,
    /// The rest, in words.
    pub detail: String,
}

/// A process that could not be ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Survivor {
    /// Its process id.
    pub pid: i32,
    /// Clock ticks since boot: field 22 of `/proc/PID/stat`.
    pub start_time: u64,
    /// Its command name.
    pub comm: String,
}

/// What a stop achieved for one task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopResult {
    /// The task.
    pub id: TaskId,
    /// What was achieved.
    pub outcome: StopOutcome,
    /// What its row says now.
    pub status: Status,
    /// Why it ended.
    pub archive_reason: Option<ArchiveReason>,
    /// What lives on.
    pub survivors: Vec<Survivor>,
}
