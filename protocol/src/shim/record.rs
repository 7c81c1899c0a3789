//! The facts that a shim establishes.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::view::Survivor;
use crate::vocab::{Exit, StopReason, Stream};

/// One fact. Append only; readers skip what they do not know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Record {
    /// The claim is won; the first record of every journal.
    Claimed {
        /// When.
        at: Timestamp,
        /// The shim.
        shim: ProcessId,
    },
    /// The agent was exec'd.
    Execd {
        /// When.
        at: Timestamp,
        /// Its leader.
        agent: ProcessId,
        /// The program that was found for the first word.
        program: String,
    },
    /// The agent was not exec'd, and never will be.
    SpawnFailed {
        /// When.
        at: Timestamp,
        /// What was tried.
        stage: SpawnStage,
        /// The kernel's answer.
        errno: i32,
        /// On which path.
        path: String,
    },
    /// A session id appeared in the output.
    SessionSeen {
        /// When.
        at: Timestamp,
        /// As printed; not checked yet.
        session_id: String,
        /// Where.
        stream: Stream,
    },
    /// The provider's own final result.
    Result(ResultRecord),
    /// The output says that the provider failed in a known way.
    ProviderError {
        /// When.
        at: Timestamp,
        /// Which way.
        error: ProviderError,
        /// The line or the text, cut.
        detail: String,
    },
    /// Usage that was reported before the end.
    Usage {
        /// When.
        at: Timestamp,
        /// The figures.
        usage: Usage,
    },
    /// A stop order is in the journal; nothing was signalled under it yet.
    Intent(IntentRecord),
    /// The agent had ended by itself before the first signal.
    Superseded {
        /// When.
        at: Timestamp,
        /// Which intent.
        intent_id: u64,
        /// How that was seen.
        by: SupersededBy,
    },
    /// A signal goes out now.
    Signalled {
        /// When.
        at: Timestamp,
        /// Under which intent; none when the shim itself was signalled, or for
        /// leftovers of an agent that ended by itself.
        intent_id: Option<u64>,
        /// Which signal.
        signal: i32,
        /// To whom.
        target: Target,
    },
    /// The shim itself was signalled: somebody ends this task.
    SignalSeen {
        /// When.
        at: Timestamp,
        /// Which signal.
        signal: i32,
        /// By whom.
        sender: SenderRecord,
    },
    /// The leader ended.
    Exited {
        /// When.
        at: Timestamp,
        /// How.
        exit: Exit,
        /// Bytes that it had printed, by stdout and stderr.
        output_bytes: (u64, u64),
    },
    /// What became of the tree.
    Swept(SweepRecord),
    /// Something that should be looked at.
    Alarm {
        /// When.
        at: Timestamp,
        /// What.
        kind: AlarmKind,
        /// In words.
        detail: String,
    },
    /// The last record: the task is over, its logs are complete.
    Finished {
        /// When.
        at: Timestamp,
        /// Bytes that the agent printed, by stdout and stderr.
        output_bytes: (u64, u64),
        /// Of these, bytes not kept in the log files.
        gap_bytes: (u64, u64),
    },
    /// The model that the output names.
    ModelSeen {
        /// When.
        at: Timestamp,
        /// The model.
        model: String,
    },
    /// First output of the agent on any stream.
    FirstOutput {
        /// When.
        at: Timestamp,
    },
    /// The kernel killed processes of the task for want of memory.
    OutOfMemory(OomRecord),
    /// A service manager signalled the shim: of this unit it is. Stands before the
    /// `SignalSeen` that it belongs to.
    UnitSeen {
        /// When.
        at: Timestamp,
        /// The name of the unit.
        unit: String,
    },
    /// A line of stdout fits a rule, and nothing else was told of it or before it.
    LineKnown {
        /// When.
        at: Timestamp,
    },
}

/// A process, identified for ever.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProcessId {
    /// The kernel's boot id.
    pub boot_id: String,
    /// Inode number of the recorder's own pid namespace.
    pub pid_ns: u64,
    /// In that namespace.
    pub pid: i32,
    /// Clock ticks since boot: field 22 of `/proc/PID/stat`.
    pub start_time: u64,
}

/// What was tried when the agent could not be started. The other spellings are
/// those of older ledgers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpawnStage {
    /// Finding the program on the task's search path.
    #[serde(alias = "Search")]
    Search,
    /// Entering the working folder.
    #[serde(alias = "Chdir")]
    Chdir,
    /// Executing the program.
    #[serde(alias = "Exec")]
    Exec,
    /// Forking.
    #[serde(alias = "Fork")]
    Fork,
    /// Pipes, log files, the private TMPDIR.
    #[serde(alias = "Prepare")]
    Prepare,
    /// Starting the task's shim: only a supervisor tries, and no shim says so.
    Shim,
    /// Limiting its memory, before the shim has its order: by a supervisor, too.
    Memory,
}

/// The ways in which a provider fails that have a meaning of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProviderError {
    /// It does not know the session that it was to resume.
    SessionNotFound,
    /// It failed for now: an API error, a time-out.
    Transient,
    /// It gave up because a skill was missing.
    MissingSkill,
}

/// The provider's own final result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResultRecord {
    /// When.
    pub at: Timestamp,
    /// Its own judgement.
    pub success: bool,
    /// Its final text, at most 64 KiB.
    pub text: Option<String>,
    /// The text was cut.
    pub truncated: bool,
    /// The figures that came with it.
    pub usage: Usage,
}

/// Figures as the provider prints them: cumulative where it counts so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Turns.
    pub turns: Option<u64>,
    /// Tokens read.
    pub input_tokens: Option<u64>,
    /// Tokens written.
    pub output_tokens: Option<u64>,
    /// US dollars.
    pub cost_usd: Option<f64>,
}

/// A stop order, as journalled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntentRecord {
    /// When it was journalled.
    pub at: Timestamp,
    /// The ledger's id.
    pub intent_id: u64,
    /// For which reason.
    pub reason: StopReason,
    /// Between TERM and KILL, in ms.
    pub grace_ms: u64,
    /// An earlier intent is the reason already; this one joined it.
    pub joined: bool,
}

/// How it was seen that the agent had ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SupersededBy {
    /// It had printed its result.
    Result,
    /// It was a zombie.
    Zombie,
    /// It was exiting.
    Exiting,
    /// Its exit was journalled before the order came.
    Exited,
}

/// To whom a signal goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// The agent's process group.
    Group,
    /// What is left of the tree, so many processes.
    Tree(u32),
}

/// The sender of a signal, looked up right after it arrived.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SenderRecord {
    /// 0 when the kernel sent it.
    pub pid: i32,
    /// The sender's user.
    pub uid: u32,
    /// Its command name, if it still lived.
    pub comm: Option<String>,
    /// Its program, if it could be read.
    pub exe: Option<String>,
}

impl SenderRecord {
    /// Is it the system's service manager, or that of a user?
    #[must_use]
    pub fn is_service_manager(&self) -> bool {
        self.pid == 1 || self.comm.as_deref() == Some("systemd")
    }
}

/// Kills by the kernel for want of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OomRecord {
    /// When it was seen.
    pub at: Timestamp,
    /// So many so far.
    pub kills: u64,
    /// There were fewer then.
    pub since: Timestamp,
    /// The leader lived on: it was another process.
    pub leader_lives: bool,
}

/// What became of the tree.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepRecord {
    /// When.
    pub at: Timestamp,
    /// The kernel says that no descendant is left.
    pub empty: bool,
    /// Processes that outlived the leader and were signalled.
    pub swept: u32,
    /// What could not be ended, or was left alone by the provider's rule.
    pub survivors: Vec<Survivor>,
    /// Only processes that carry the marker could be found.
    pub marker_only: bool,
}

/// Something that should be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlarmKind {
    /// A session id was not acknowledged for 5 s.
    SessionUnacknowledged,
    /// A log file could not be written.
    LogWriteFailed,
    /// The journal is full; only the end will still be written.
    JournalFull,
    /// The output had more session ids than are kept.
    TooManySessions,
    /// The output named a session id that the provider's rule refuses.
    InvalidSessionId,
    /// Something that does not fit what is known; the detail says what.
    Unexpected,
    /// The supervisor acted before it could record that it would.
    NotDurable,
}
