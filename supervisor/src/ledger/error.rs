//! What can go wrong with the ledger.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use protocol::TaskId;
use rusqlite::ErrorCode;

/// The ledger cannot be used. Whatever is there was left as it was.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no ledger, but there are tasks.
    #[error("the ledger {} is missing, while task folders like {folder} exist", path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
        /// One of the folders.
        folder: TaskId,
    },
    /// There is nothing to read.
    #[error("there is no ledger at {}", .0.display())]
    Absent(PathBuf),
    /// The file is of another kind.
    #[error("{} is not a ledger: {detail}", path.display())]
    NotALedger {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        detail: &'static str,
    },
    /// The file is a ledger, and damaged.
    #[error("the ledger {} is damaged: {detail}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// A newer program made it unusable for this one.
    #[error(
        "the ledger {} is from a newer program: it needs one that knows schema {compat}, and this one knows {known}",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The oldest schema number that a program must know to use it.
        compat: u32,
        /// The newest schema number that this program knows.
        known: u32,
    },
    /// An older program made it, and it was opened only to read.
    #[error("the ledger {} has schema {schema}, and this program reads {known}", path.display())]
    Older {
        /// The file.
        path: PathBuf,
        /// Its schema number.
        schema: u32,
        /// The schema number that this program reads.
        known: u32,
    },
    /// There is no room on its disk.
    #[error("cannot {operation} the ledger {}: its disk is full", path.display())]
    Full {
        /// What was tried.
        operation: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// Another program holds it. Nothing is wrong with it.
    #[error("cannot {operation} the ledger {}: another program has locked it", path.display())]
    Locked {
        /// What was tried.
        operation: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// The file system refused.
    #[error("cannot {operation} {}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On which path.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// The database refused.
    #[error("cannot {operation} the ledger {}", path.display())]
    Sql {
        /// What was tried.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// What it said.
        source: Box<dyn Error + Send + Sync>,
    },
}

/// The exit code of `agent-supervisor` when the ledger cannot be used.
pub const EXIT_LEDGER_UNUSABLE: u8 = 4;

impl OpenError {
    /// What can be done about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Missing { .. } => {
                "put the ledger back from a backup; `agent-supervisor recover` \
                rebuilds it from the task folders; a ledger is never \
                started empty over tasks that exist"
                    .to_owned()
            }
            Self::Damaged { .. } => "the file was left as it is; put a backup back, or rebuild it \
                from the task folders with `agent-supervisor recover`"
                .to_owned(),
            Self::NotALedger { .. } => "the file was left as it is; move it away, or name another \
                state folder with --state-dir; `agent-supervisor recover` rebuilds a ledger from the task folders"
                .to_owned(),
            Self::Newer { .. } => "the file was left as it is; run the newer program, or put back \
                the copy that it kept beside the ledger; `agent-supervisor recover` cannot read it \
                either"
                .to_owned(),
            Self::Older { .. } => {
                "start the supervisor once: it brings the ledger up to date".to_owned()
            }
            Self::Full { path, .. } => format!(
                "nothing is wrong with it: make room beside {}, and start again",
                path.display()
            ),
            Self::Locked { .. } => "nothing is wrong with it: end that program (a backup? an \
                `sqlite3` in a transaction?), and start again"
                .to_owned(),
            Self::Absent(_) => "nothing was ever dispatched here; check --state-dir".to_owned(),
            Self::Io { path, .. } | Self::Sql { path, .. } => format!(
                "check the permissions and the file system of {}; if the file itself is the \
                 trouble, `agent-supervisor recover` rebuilds it",
                path.parent().unwrap_or(path).display()
            ),
        }
    }

    pub(super) fn io(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            operation,
            path,
            source,
        }
    }

    /// Damage has its own words, whichever statement met it.
    pub(super) fn sql(operation: &'static str, path: &Path) -> impl Fn(rusqlite::Error) -> Self {
        let path = path.to_owned();
        move |source| match source.sqlite_error_code() {
            _ if lacks_room_for_index(&source) => Self::Full {
                operation,
                path: path.clone(),
            },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged {
                path: path.clone(),
                detail: source.to_string(),
            },
            Some(ErrorCode::DiskFull) => Self::Full {
                operation,
                path: path.clone(),
            },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked {
                operation,
                path: path.clone(),
            },
            Some(_) | None => Self::Sql {
                operation,
                path: path.clone(),
                source: Box::new(source),
            },
        }
    }
}

/// The file beside the log, which is made at each start, found no room.
fn lacks_room_for_index(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error().map(|error| error.extended_code);
    code == Some(rusqlite::ffi::SQLITE_IOERR_SHMSIZE)
}

/// A running ledger could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// No room on the disk. Nothing was written, and it may be tried again.
    #[error("{operation}: the disk is full")]
    Full {
        /// What was tried.
        operation: &'static str,
        /// What SQLite said.
        source: Box<StoreError>,
    },
    /// Another program holds the ledger's write lock. Nothing was written, and it
    /// may be tried again.
    #[error("{operation}: another program has locked the ledger")]
    Locked {
        /// What was tried.
        operation: &'static str,
        /// What SQLite said.
        source: Box<StoreError>,
    },
    /// The file cannot be trusted to hold what is written from now on.
    #[error("{operation}: the ledger cannot be trusted any more")]
    Fatal {
        /// What was tried.
        operation: &'static str,
        /// What SQLite said.
        source: Box<StoreError>,
    },
    /// The folders of tasks whose rows were to go could not be moved aside.
    /// Nothing was written.
    #[error("{operation}")]
    Aside {
        /// What was tried.
        operation: &'static str,
        /// What the file system said.
        source: Box<StoreError>,
    },
    /// A question could not be answered; the ledger itself is fine.
    #[error("{operation}")]
    Read {
        /// What was tried.
        operation: &'static str,
        /// What SQLite said.
        source: Box<StoreError>,
    },
    /// An earlier write failed; nothing is written after that.
    #[error("an earlier write to the ledger failed")]
    Poisoned,
    /// What came before waits to be committed, and so does this.
    #[error("what came before is not committed yet")]
    Waiting,
    /// The ledger was closed.
    #[error("the ledger is closed")]
    Closed,
}

impl LedgerError {
    /// Does the file itself say what cannot be?
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Fatal { source, .. } => source.is_damage(),
            Self::Full { .. }
            | Self::Locked { .. }
            | Self::Read { .. }
            | Self::Aside { .. }
            | Self::Poisoned
            | Self::Waiting
            | Self::Closed => false,
        }
    }

    /// Has nothing happened, and may it go well a little later?
    #[must_use]
    pub const fn passes(&self) -> bool {
        match self {
            Self::Full { .. } | Self::Locked { .. } | Self::Waiting => true,
            Self::Fatal { .. }
            | Self::Read { .. }
            | Self::Aside { .. }
            | Self::Poisoned
            | Self::Closed => false,
        }
    }
}

/// What SQLite or the encoding said.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite.
    #[error(transparent)]
    Sql(#[from] rusqlite::Error),
    /// An event has no JSON form, or a stored one is none.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// An event's JSON does not have the form that the log needs.
    #[error("event {0} has no payload of its own")]
    Payload(&'static str),
    /// A folder could not be moved aside.
    #[error(transparent)]
    Aside(Box<dyn Error + Send + Sync>),
}

impl StoreError {
    fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Sql(error) => error.sqlite_error_code(),
            Self::Json(_) | Self::Payload(_) | Self::Aside(_) => None,
        }
    }

    fn is_damage(&self) -> bool {
        matches!(
            self.code(),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
        )
    }

    /// There was no room on the disk: nothing was written.
    pub(super) fn is_full(&self) -> bool {
        matches!(self.code(), Some(ErrorCode::DiskFull))
    }

    /// The verdict on a failed write.
    pub(super) fn of_write(self, operation: &'static str) -> LedgerError {
        let aside = matches!(self, Self::Aside(_));
        let source = Box::new(self);
        if aside {
            return LedgerError::Aside { operation, source };
        }
        match source.code() {
            Some(ErrorCode::DiskFull) => LedgerError::Full { operation, source },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                LedgerError::Locked { operation, source }
            }
            Some(_) | None => LedgerError::Fatal { operation, source },
        }
    }

    /// The verdict on a failed read.
    pub(super) fn of_read(self, operation: &'static str) -> LedgerError {
        let source = Box::new(self);
        match source.code() {
            Some(
                ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::SystemIoFailure,
            ) => LedgerError::Fatal { operation, source },
            Some(_) | None => LedgerError::Read { operation, source },
        }
    }
}
