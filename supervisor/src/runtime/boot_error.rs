//! Why there is no supervisor.

use std::path::PathBuf;

use super::rebuild::RebuildError;
use crate::cli;
use crate::config::ConfigError;
use crate::folder::FolderError;
use crate::gateway::TokenError;
use crate::ledger::{self, OpenError};
use crate::places::PlacesError;
use crate::shim::ProgramError;
use crate::socket::BindError;
use crate::telemetry::TelemetryError;

/// Why a supervisor did not start, or stopped serving.
#[derive(Debug, thiserror::Error)]
pub(super) enum BootError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("there is no group {0:?}, which `[control] group` names")]
    NoGroup(String),
    #[error(transparent)]
    Places(#[from] PlacesError),
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    #[error(transparent)]
    Program(#[from] ProgramError),
    #[error("{0}; {hint}", hint = .0.hint())]
    Ledger(#[from] OpenError),
    #[error(
        "the ledger {} is older than the tasks: it knows nothing of {folder}, or not of its end \
         ({count} such folders in all, whose agents may live); `agent-supervisor recover` rebuilds \
         it from the folders",
        path.display()
    )]
    RolledBack {
        path: PathBuf,
        folder: protocol::TaskId,
        count: usize,
    },
    #[error("the ledger was not rebuilt, and is as it was")]
    Rebuild(#[from] RebuildError),
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error("`[http] listen` names {}, {what}: name another path, or take that away", path.display())]
    Taken { path: PathBuf, what: &'static str },
    #[error("{operation}")]
    System {
        operation: &'static str,
        source: std::io::Error,
    },
    #[error(
        "the ledger failed: agents go on under their shims, and the next supervisor adopts them"
    )]
    LedgerFailed(#[source] ledger::LedgerError),
}

impl BootError {
    /// What this process ends with.
    pub(super) const fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::NoGroup(_) | Self::Token(_) | Self::Taken { .. } => {
                cli::EXIT_USAGE
            }
            Self::Telemetry(error) => match error {
                TelemetryError::Level { .. } => cli::EXIT_USAGE,
                TelemetryError::File { .. } | TelemetryError::Twice => cli::EXIT_ERROR,
            },
            Self::Places(error) => error.exit_code(),
            // Another start goes well when there is room, or the lock is gone.
            Self::Ledger(OpenError::Full { .. } | OpenError::Locked { .. }) => cli::EXIT_ERROR,
            Self::Ledger(_) | Self::RolledBack { .. } | Self::Rebuild(_) => cli::EXIT_LEDGER,
            Self::Program(_)
            | Self::Folder(_)
            | Self::Bind(_)
            | Self::System { .. }
            | Self::LedgerFailed(_) => cli::EXIT_ERROR,
        }
    }

    pub(super) fn system(operation: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::System { operation, source }
    }
}
