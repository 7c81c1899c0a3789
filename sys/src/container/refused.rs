//! Why no agent can be started in a container.

use std::io;
use std::path::{Path, PathBuf};

use protocol::shim::SpawnStage;

use crate::spawn::SpawnError;

/// Why no agent can be started in a container.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// No engine knows it.
    #[error("no engine knows container {0}")]
    Unknown(String),
    /// It does not run; in which state it is.
    #[error("container {0} is {1}")]
    NotRunning(String, String),
    /// No engine knows it, and one could not say; why.
    #[error("container {0} was not found: {1}")]
    Silent(String, String),
    /// What is known of it cannot be kept.
    #[error("write {0}")]
    Write(PathBuf, #[source] io::Error),
}

impl From<ContainerError> for SpawnError {
    fn from(error: ContainerError) -> Self {
        let (errno, place) = match error {
            ContainerError::Unknown(name) => (libc::ENOENT, format!("container {name}")),
            ContainerError::NotRunning(name, state) => {
                (libc::ENOTCONN, format!("container {name}: {state}"))
            }
            ContainerError::Silent(name, why) => {
                (libc::ETIMEDOUT, format!("container {name}: {why}"))
            }
            ContainerError::Write(path, error) => {
                return Self::from_io(SpawnStage::Prepare, &error, &path);
            }
        };
        let error = io::Error::from_raw_os_error(errno);
        Self::from_io(SpawnStage::Prepare, &error, Path::new(&place))
    }
}
