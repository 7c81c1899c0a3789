//! `pruned.sessions`, beside the task folders: the sessions whose tasks retention took.
//! No folder tells of them any more, and a rebuild of the ledger must not lose them.

use std::fs;
use std::io;
use std::path::PathBuf;

use lifecycle::SessionRow;
use serde::{Deserialize, Serialize};
use sys::{atomic_file, hook};

use super::{FolderError, Folders};

/// A dot is in no task's name.
const NAME: &str = "pruned.sessions";

/// The version of the file's form.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Form {
    version: u32,
    sessions: Vec<SessionRow>,
}

impl Folders {
    /// Writes them, if that changes anything.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn keep_sessions(&self, sessions: Vec<SessionRow>) -> Result<(), FolderError> {
        let path = self.kept();
        let known = fs::read(&path).ok();
        if known.is_none() && sessions.is_empty() {
            return Ok(());
        }
        let version = VERSION;
        let mut bytes = serde_json::to_vec_pretty(&Form { version, sessions })
            .map_err(FolderError::form(&path))?;
        bytes.push(b'\n');
        if known.is_some_and(|known| known == bytes) {
            return Ok(());
        }
        atomic_file::write(&path, &bytes, &hook::SUP_SETTLED_WRITE)
            .map_err(FolderError::io("write", &path))
    }

    /// What was written last; none where nothing was.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn kept_sessions(&self) -> Result<Vec<SessionRow>, FolderError> {
        let path = self.kept();
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            read => read.map_err(FolderError::io("read", &path))?,
        };
        let form: Form = serde_json::from_slice(&bytes).map_err(FolderError::form(&path))?;
        if form.version > VERSION {
            let version = form.version;
            return Err(FolderError::Version { path, version });
        }
        Ok(form.sessions)
    }

    fn kept(&self) -> PathBuf {
        self.tasks_dir.join(NAME)
    }
}
