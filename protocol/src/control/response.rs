//! What the supervisor answers.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::shim::ScanFormat;
use crate::view::{
    ChainLink, EventView, OrphansView, ProviderView, PruneView, SessionView, StatusView,
    StopResult, TaskDetail, TaskView,
};

/// An answer, or one piece of it. Append only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Response {
    /// It was refused or failed.
    Error(ErrorBody),
    /// To `Run`. `existing`: the id was known and nothing new was started.
    Task {
        /// The task.
        task: Box<TaskView>,
        /// The id was known.
        existing: bool,
        /// What the user should know, in words, e.g. a session not resumed.
        warnings: Vec<String>,
    },
    /// To `List` and `Wait`.
    Tasks(Vec<TaskView>),
    /// To `Show`.
    Detail(Box<TaskDetail>),
    /// To `Why`.
    Why {
        /// The task.
        task: Box<TaskView>,
        /// What happened, in order.
        chain: Vec<ChainLink>,
    },
    /// To `Stop`: one result per task, then the names that matched nothing.
    Stopped {
        /// In the order of the request.
        results: Vec<StopResult>,
        /// One error per name that could not be used.
        failed: Vec<(String, ErrorBody)>,
    },
    /// To `Logs`.
    Log(LogChunk),
    /// The end of `Logs`: everything up to this offset was sent.
    LogEnd {
        /// The next byte would have this offset.
        offset: u64,
        /// Bytes that the agent wrote and that were not kept, if any.
        gap_bytes: u64,
    },
    /// To `Events`.
    Event(EventView),
    /// The end of `Events`: everything before this seq was sent.
    EventsEnd {
        /// The next event will have at least this seq.
        next_seq: u64,
    },
    /// To `Sessions` and `ChangeSession`.
    Sessions(Vec<SessionView>),
    /// To `Status`.
    Status(Box<StatusView>),
    /// To `Providers`.
    Providers(Vec<ProviderView>),
    /// To `Providers(Check)`: nothing wrong if empty.
    ProviderChecked {
        /// Each with line and key, in words.
        problems: Vec<String>,
    },
    /// To `Orphans`.
    Orphans(OrphansView),
    /// To `Keep`.
    Kept {
        /// The task as it is now.
        task: Box<TaskView>,
        /// It was not so before.
        changed: bool,
    },
    /// Refused because of the state that a task is in.
    Conflict {
        /// Why, in words.
        refusal: ErrorBody,
        /// The task as it is now: its `version` is what the next try may name.
        task: Box<TaskView>,
    },
    /// To `Prune`.
    Pruned(PruneView),
    /// To `Status` and `Drain`, where more is to be said than `Status` has
    /// fields for.
    StatusWith(Box<StatusView>, Vec<StatusNote>),
    /// To a forced `Stop` while nothing could be recorded: it was done from memory,
    /// and is recorded when there is room. Else as `Stopped`.
    StoppedFromMemory {
        /// In the order of the request.
        results: Vec<StopResult>,
        /// One error per name that could not be used.
        failed: Vec<(String, ErrorBody)>,
    },
    /// To `Orphans`, where not everything could be looked into.
    OrphansPartly {
        /// What was found elsewhere.
        view: OrphansView,
        /// What could not be looked into, and why, in words.
        unseen: Vec<String>,
    },
    /// To `Providers(Output)`.
    ProviderOutput(ScanFormat),
}

/// What a status has no field for. Append only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StatusNote {
    /// Every dispatch is refused with these words.
    Refusing(ErrorBody),
}

impl Response {
    /// The answer to `Status`, as every version understands it where nothing
    /// more is to be said.
    #[must_use]
    pub fn of_status(view: StatusView, refusing: Option<ErrorBody>) -> Self {
        let view = Box::new(view);
        match refusing {
            None => Self::Status(view),
            Some(refusal) => Self::StatusWith(view, alloc::vec![StatusNote::Refusing(refusal)]),
        }
    }

    /// The status in it, and with which words a dispatch would be refused; none
    /// if it is another answer.
    #[must_use]
    pub fn into_status(self) -> Option<(StatusView, Option<ErrorBody>)> {
        if let Self::StatusWith(view, notes) = self {
            let refusing = notes
                .into_iter()
                .map(|StatusNote::Refusing(why)| why)
                .next();
            Some((*view, refusing))
        } else if let Self::Status(view) = self {
            Some((*view, None))
        } else {
            None
        }
    }
}

/// A piece of an agent's output.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogChunk {
    /// Where it stands in the file.
    pub offset: u64,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// Output may hold secrets: only its place is shown.
impl fmt::Debug for LogChunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogChunk({}+{})", self.offset, self.bytes.len())
    }
}

/// A refusal or a failure: what, where, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// Which kind: decides the exit code.
    pub code: ErrorCode,
    /// What and where.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl ErrorBody {
    /// An error without a hint.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            hint: None,
        }
    }

    /// The same with a hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// The kinds of errors. Append only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// Something that should not happen.
    Internal,
    /// The request makes no sense.
    Usage,
    /// No such task, session or key.
    NotFound,
    /// An id prefix that fits several tasks.
    Ambiguous,
    /// The key has a live task.
    KeyBusy,
    /// The session is in use, or quarantined, or another key's.
    SessionRefused,
    /// The same id was used for another spec.
    IdConflict,
    /// It has moved on: another version, or not in a state for this.
    Conflict,
    /// Too many tasks.
    Limit,
    /// No new work: the supervisor is going away.
    Draining,
    /// The peer may not do this.
    NotPermitted,
    /// Not proven gone.
    NotGone,
    /// The time that the caller gave is over.
    Timeout,
    /// The ledger could not be written.
    Storage,
    /// This supervisor cannot do that yet.
    Unsupported,
    /// The last tasks of the key ended as soon as they had begun.
    CrashLoop,
}

impl ErrorCode {
    /// The exit code of `agentctl` for this kind of error.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Internal | Self::Storage => 1,
            Self::Usage | Self::Unsupported => 2,
            Self::NotFound => 3,
            Self::Ambiguous
            | Self::KeyBusy
            | Self::SessionRefused
            | Self::IdConflict
            | Self::Conflict
            | Self::Limit
            | Self::CrashLoop => 4,
            Self::Draining => 6,
            Self::NotPermitted => 7,
            Self::NotGone | Self::Timeout => 8,
        }
    }

    /// The word of the JSON error object.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::Usage => "usage",
            Self::NotFound => "not_found",
            Self::Ambiguous => "ambiguous",
            Self::KeyBusy => "key_busy",
            Self::SessionRefused => "session_refused",
            Self::IdConflict => "id_conflict",
            Self::Conflict => "conflict",
            Self::Limit => "limit",
            Self::Draining => "draining",
            Self::NotPermitted => "not_permitted",
            Self::NotGone => "not_gone",
            Self::Timeout => "timeout",
            Self::Storage => "storage",
            Self::Unsupported => "unsupported",
            Self::CrashLoop => "crash_loop",
        }
    }
}
