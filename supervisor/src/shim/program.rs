//! The shim's program file: found once, held for ever (DESIGN §9).

use std::env;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

/// Names another program file than the one beside the supervisor.
pub const SHIM_PROGRAM_VAR: &str = "AGENT_SHIM_BIN";

/// Its file name, and the name that it has in lists of processes.
pub(super) const SHIM_NAME: &str = "agent-shim";

/// Why there is no program to start shims with.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// It is nowhere.
    #[error("there is no {SHIM_NAME} in {}; `{SHIM_PROGRAM_VAR}` can name it", list(.tried))]
    Missing {
        /// Where it was looked for.
        tried: Vec<PathBuf>,
    },
    /// It is there and cannot be used.
    #[error("open the shim's program {path}")]
    Open {
        /// Where.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// It is not a program.
    #[error("the shim's program {path} is not an executable file")]
    NotExecutable {
        /// Where.
        path: PathBuf,
    },
}

/// The program file, by descriptor: when it is replaced or deleted, shims go
/// on being started from the one that this supervisor was started with.
#[derive(Debug)]
pub struct ShimProgram {
    file: File,
    path: PathBuf,
}

impl ShimProgram {
    /// Looks where `AGENT_SHIM_BIN` says, else beside this program, else in
    /// `PATH`.
    ///
    /// # Errors
    /// [`ProgramError`] says where it was looked for.
    pub fn find() -> Result<Self, ProgramError> {
        if let Some(named) = env::var_os(SHIM_PROGRAM_VAR).filter(|name| !name.is_empty()) {
            return Self::open(Path::new(&named));
        }
        let tried = candidates();
        match tried.iter().find(|path| path.is_file()) {
            Some(path) => Self::open(path),
            None => Err(ProgramError::Missing { tried }),
        }
    }

    /// Holds the program at `path`.
    ///
    /// # Errors
    /// [`ProgramError`] names the path.
    pub fn open(path: &Path) -> Result<Self, ProgramError> {
        let failed = |source| ProgramError::Open {
            path: path.to_owned(),
            source,
        };
        // O_PATH needs no permission to read, as exec needs none.
        let flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(flags.bits())
            .open(path)
            .map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() || metadata.permissions().mode() & 0o111 == 0 {
            return Err(ProgramError::NotExecutable {
                path: path.to_owned(),
            });
        }
        Ok(Self {
            file,
            path: path.to_owned(),
        })
    }

    /// Where it was found.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A path that names this file for a child, whatever happened to its name.
    pub(super) fn exec_path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.file.as_raw_fd()))
    }
}

fn candidates() -> Vec<PathBuf> {
    let beside = env::current_exe()
        .ok()
        .and_then(|own| own.parent().map(Path::to_owned));
    let search = env::var_os("PATH").unwrap_or_default();
    let folders = beside.into_iter().chain(env::split_paths(&search));
    // An empty word of PATH would mean the current folder.
    folders
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(SHIM_NAME))
        .collect()
}

fn list(paths: &[PathBuf]) -> String {
    let folders: Vec<_> = paths
        .iter()
        .filter_map(|path| path.parent())
        .map(|folder| folder.display().to_string())
        .collect();
    folders.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_program_is_said() {
        let missing = ShimProgram::open(Path::new("/nowhere/agent-shim"));
        assert!(matches!(missing, Err(ProgramError::Open { .. })));
        let folder = ShimProgram::open(Path::new("/"));
        assert!(matches!(folder, Err(ProgramError::NotExecutable { .. })));
        let error = ProgramError::Missing {
            tried: vec![PathBuf::from("/opt/x/agent-shim")],
        };
        assert_eq!(
            error.to_string(),
            "there is no agent-shim in /opt/x; `AGENT_SHIM_BIN` can name it"
        );
    }
}
