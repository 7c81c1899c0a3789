//! What a client can ask.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use super::providers::ProvidersRequest;
use crate::vocab::{ArchiveReason, Status, StopReason, Stream};
use crate::{ProviderName, SessionId, TaskId, Timestamp};

/// A question or a command. Append only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// Dispatch a task → `Task` once its agent is exec'd or could not be.
    Run(alloc::boxed::Box<RunRequest>),
    /// → `Tasks`, newest first.
    List(ListFilter),
    /// By id, prefix, session id, key or name → `Detail`.
    Show {
        /// Any name of the task.
        id: String,
    },
    /// → `Why`.
    Why {
        /// Any name of the task.
        id: String,
    },
    /// → `Stopped` when every tree is proven gone, or at once with `no_wait`.
    Stop(StopRequest),
    /// → `Tasks` in the order of the request, when all have ended.
    Wait(WaitRequest),
    /// → `Log` chunks, then `LogEnd`.
    Logs(LogsRequest),
    /// → `Event`s, then `EventsEnd`.
    Events(EventsRequest),
    /// → `Sessions`.
    Sessions(SessionsRequest),
    /// The operator's word on a session → `Sessions` with the changed row.
    ChangeSession(SessionChange),
    /// → `Status`.
    Status,
    /// → `Providers` or `ProviderChecked`.
    Providers(ProvidersRequest),
    /// → `Orphans`.
    Orphans(OrphansRequest),
    /// → `Status`, when it is done, or at once with `no_wait`.
    Drain(DrainRequest),
    /// A word on how a task is kept, live or ended → `Kept`.
    Keep(KeepRequest),
    /// An ended task again → `Task`, as for `Run`.
    Again(alloc::boxed::Box<AgainRequest>),
    /// `Run` with options that it has no field for → `Task`.
    RunWith(alloc::boxed::Box<RunRequest>, Vec<RunOption>),
    /// Ended tasks that are old enough go → `Pruned`.
    Prune(PruneRequest),
}

/// An option of a dispatch. Append only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RunOption {
    /// A live task of the key is stopped first, for `superseded_by_task`.
    Replace,
    /// The agent runs inside this container.
    Container(String),
    /// Most memory of all its processes, in bytes.
    Memory(u64),
    /// The dispatch waits for a live task of the key.
    Queue,
    /// What follows when its session is not found.
    OnNotFound(OnNotFound),
    /// It is stopped when it has cost more than this, in millionths of a US
    /// dollar.
    MaxCost(u64),
    /// The agent runs as this user of the machine: a name, or a number.
    As(String),
    /// The prompt is left out where the provider takes none.
    PromptIfTaken,
}

/// What follows when the provider does not know the session that a task was to
/// resume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnNotFound {
    /// One task like it, in a fresh session.
    #[default]
    Fresh,
    /// Nothing.
    Fail,
}

/// One dispatch.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRequest {
    /// Chosen by the caller; repeated, it names the same task.
    pub id: TaskId,
    /// The kind of agent; the configured default, else `exec`, if absent.
    pub provider: Option<ProviderName>,
    /// The command of provider `exec`; more arguments for others.
    pub argv: Vec<String>,
    /// The conversation; the task id if absent.
    pub key: Option<String>,
    /// The prompt.
    pub prompt: Option<String>,
    /// A model, by the provider's name for it.
    pub model: Option<String>,
    /// A name for people.
    pub name: Option<String>,
    /// Absolute. The caller's own folder if `None` was asked for.
    pub cwd: String,
    /// The caller's whole environment: used by a user's own supervisor only.
    pub client_env: Vec<(String, String)>,
    /// `--env` and `--env-file`, in order; the later one wins.
    pub env: Vec<(String, String)>,
    /// The caller's word for the agent.
    pub agent: Option<String>,
    /// The caller's word for the kind of work.
    pub agent_type: Option<String>,
    /// The repository.
    pub repo: Option<String>,
    /// The issue.
    pub issue_number: Option<i64>,
    /// On whose behalf.
    pub user: Option<String>,
    /// Which conversation.
    pub session: SessionChoice,
    /// Resume although quarantined.
    pub unsafe_resume: bool,
    /// End it after this time.
    pub timeout_ms: Option<u64>,
    /// End it after this much silence.
    pub idle_timeout_ms: Option<u64>,
    /// End it if no session id or output appears in time.
    pub start_timeout_ms: Option<u64>,
    /// Between TERM and KILL, for any stop of it.
    pub grace_ms: Option<u64>,
    /// Output kept per stream, in bytes.
    pub max_log_bytes: Option<u64>,
    /// Further arguments for the provider's command; shown as `<arg>`.
    pub provider_args: Vec<String>,
    /// Answer once the row is durable and the agent is exec'd; `false` would
    /// answer with the row alone (for callers that only queue).
    pub wait_for_exec: bool,
}

/// Which conversation a task takes part in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SessionChoice {
    /// The newest resumable session of the key, else a fresh one.
    Auto,
    /// A fresh one.
    Fresh,
    /// A fresh one with this id.
    Chosen(SessionId),
    /// Exactly this one.
    Resume(SessionId),
}

/// The environment and the prompt never appear in `Debug`.
impl fmt::Debug for RunRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunRequest")
            .field("id", &self.id)
            .field("provider", &self.provider)
            .field("key", &self.key)
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

/// What to do about what lives on of tasks that have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OrphansRequest {
    /// Name it.
    List,
    /// End it.
    Kill,
}

/// The orderly end of all tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DrainRequest {
    /// No new work; running tasks may finish, then they are stopped.
    Begin {
        /// How long they may, in ms; as configured if absent.
        deadline_ms: Option<u64>,
        /// Answer at once.
        no_wait: bool,
    },
    /// New work is welcome again.
    Cancel,
}

/// A new task from one that has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgainRequest {
    /// Any name of the task that has ended.
    pub of: String,
    /// In which conversation.
    pub how: Again,
    /// What is to be otherwise; absent and empty fields (`cwd`, too) are as they
    /// were. Its id is the new task's.
    pub run: RunRequest,
    /// As of `RunWith`.
    pub options: Vec<RunOption>,
}

/// In which conversation an ended task is done again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Again {
    /// In a fresh one.
    Retry,
    /// In its own; the task that has ended is no longer put aside.
    Reopen,
}

/// How a task is kept: nothing of this changes why it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeepRequest {
    /// Any name of the task.
    pub id: String,
    /// What to do.
    pub act: KeepAct,
}

/// What is done to the record of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeepAct {
    /// Put aside; a live one is stopped first, for `user`.
    Archive,
    /// Taken out again.
    Unarchive,
    /// Another name for people.
    Rename {
        /// The name.
        name: String,
        /// Refused if the row has another version by now.
        if_version: Option<u64>,
    },
    /// The same where several versions will do.
    RenameIfOneOf {
        /// The name.
        name: String,
        /// Refused if the row has none of these by now; of none at all, always.
        versions: Vec<u64>,
    },
}

/// Which ended tasks go, with their folders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PruneRequest {
    /// Those that ended so long ago; as configured if absent.
    pub older_than_ms: Option<u64>,
    /// Remove them; `false` only tells which would go.
    pub apply: bool,
}

/// Which tasks to list. Empty filters match everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListFilter {
    /// Ended tasks as well.
    pub all: bool,
    /// Any of these.
    pub status: Vec<Status>,
    /// Any of these.
    pub reason: Vec<ArchiveReason>,
    /// This one.
    pub provider: Option<String>,
    /// This one.
    pub key: Option<String>,
    /// Started (or queued) at or after.
    pub since: Option<Timestamp>,
    /// At most so many, newest first.
    pub limit: Option<u32>,
}

/// Stop tasks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopRequest {
    /// Any names of tasks.
    pub ids: Vec<String>,
    /// Every live and queued task, in addition.
    pub all: bool,
    /// `user` or `runner_stop`; others are refused.
    pub reason: StopReason,
    /// In the caller's words.
    pub note: Option<String>,
    /// Between TERM and KILL; the task's own if absent.
    pub grace_ms: Option<u64>,
    /// No grace.
    pub force: bool,
    /// Answer once the intents are committed.
    pub no_wait: bool,
}

/// Wait until tasks have ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitRequest {
    /// Any names of tasks.
    pub ids: Vec<String>,
    /// Give up after this time → error `Timeout`.
    pub timeout_ms: Option<u64>,
}

/// Read an agent's output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogsRequest {
    /// Any name of the task.
    pub id: String,
    /// Which stream.
    pub stream: Stream,
    /// From this byte on.
    pub from_offset: u64,
    /// Only the last so many lines from there on.
    pub last_lines: Option<u64>,
    /// Go on until the task has ended and everything was sent.
    pub follow: bool,
}

/// Read the event log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventsRequest {
    /// The first seq wanted; only what comes from now on if absent.
    pub from_seq: Option<u64>,
    /// Only this task's; any name of it.
    pub task: Option<String>,
    /// Go on for ever, or with `task` until it has ended.
    pub follow: bool,
    /// Volatile progress as well.
    pub progress: bool,
}

/// Which sessions to show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionsRequest {
    /// Only this key's; an unknown one is an error.
    pub key: Option<String>,
}

/// The operator's word on a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionChange {
    /// Its key.
    pub key: String,
    /// An older one of the key; the newest if absent.
    pub session_id: Option<SessionId>,
    /// What to do.
    pub act: SessionAct,
}

/// What the operator decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SessionAct {
    /// It may be resumed again.
    Release,
    /// It must not be resumed.
    Quarantine,
    /// Nothing about a session: the key may have tasks again, although the last
    /// ones ended as soon as they had begun.
    ReleaseKey,
}
