//! The mark that the row of a task which waits is committed. A `spec` is written
//! before, so that without the ledger it tells nothing of that.

use std::fs;
use std::io;

use protocol::TaskId;
use sys::atomic_file;
use sys::hook::SUP_QUEUE_MARK;

use super::{FolderError, Folders, SpecFile};

/// The mark in a folder.
const QUEUED: &str = "queued";

impl Folders {
    /// The row of a task that waits is committed: a rebuild of the ledger begins
    /// only such a one. Not synced: after a power cut nobody asks for it.
    ///
    /// # Errors
    /// [`FolderError::Io`].
    pub fn mark_queued(&self, id: &TaskId) -> Result<(), FolderError> {
        let path = self.task_dir(id).join(QUEUED);
        atomic_file::write(&path, b"", &SUP_QUEUE_MARK).map_err(FolderError::io("write", &path))
    }

    /// Makes the folder of a task whose row is to come. See [`Folders::create`].
    ///
    /// # Errors
    /// [`FolderError::Io`], [`FolderError::Taken`].
    pub fn create_new(&self, id: &TaskId, spec: &SpecFile) -> Result<(), FolderError> {
        self.unmark_queued(id)?;
        self.create(id, spec)
    }

    /// Takes back what an attempt of an earlier ledger left: its row is to come.
    ///
    /// # Errors
    /// [`FolderError::Io`]. None to take back is no error.
    fn unmark_queued(&self, id: &TaskId) -> Result<(), FolderError> {
        let path = self.task_dir(id).join(QUEUED);
        match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(FolderError::io("remove", &path)),
        }
    }

    /// Is it known that its row was committed when it began to wait?
    #[must_use]
    pub fn is_marked_queued(&self, id: &TaskId) -> bool {
        self.task_dir(id).join(QUEUED).exists()
    }
}
