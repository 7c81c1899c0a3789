//! Folders that no row can be made of: of what they were, too little can be read.
//! They are kept, and never stand in the way of a start: moved aside to
//! `<state>/tasks-lost/`, or, where an agent may live in one, marked with a file
//! `lost`.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use protocol::TaskId;
use sys::atomic_file;
use sys::hook::{SUP_PRUNE_MOVE, SUP_SETTLED_WRITE};

use super::{FOLDER_MODE, FolderError, Folders};

/// The mark in a folder.
const MARK: &str = "lost";
/// Where lost folders are kept, beside that of the tasks.
const LOST_DIR: &str = "tasks-lost";

impl Folders {
    /// Moves a lost folder out of the way; tells where it is now.
    ///
    /// # Errors
    /// [`FolderError::Io`]; it is where it was then.
    pub fn move_to_lost(&self, id: &TaskId) -> Result<PathBuf, FolderError> {
        let folder = self.task_dir(id);
        let moved = self.lost_dir().and_then(|lost| {
            let place = free_name(&lost, id);
            SUP_PRUNE_MOVE.run(|| fs::rename(&folder, &place))?;
            Ok(place)
        });
        moved.map_err(FolderError::io("move aside", &folder))
    }

    /// Marks a lost folder that stays where it is, because `why`.
    ///
    /// # Errors
    /// [`FolderError::Io`].
    pub fn mark_lost(&self, id: &TaskId, why: &str) -> Result<(), FolderError> {
        let path = self.task_dir(id).join(MARK);
        atomic_file::write(&path, format!("{why}\n").as_bytes(), &SUP_SETTLED_WRITE)
            .map_err(FolderError::io("write", &path))
    }

    /// Is it known to be lost? The mark counts for as long as the `spec` cannot be
    /// read: a newer program may read it again.
    #[must_use]
    pub fn is_lost(&self, id: &TaskId) -> bool {
        self.task_dir(id).join(MARK).exists() && !matches!(self.spec(id), Ok(Some(_)))
    }

    /// All that are, in no order.
    ///
    /// # Errors
    /// [`FolderError::Io`].
    pub fn lost(&self) -> Result<Vec<TaskId>, FolderError> {
        let mut all = self.all()?;
        all.retain(|id| self.is_lost(id));
        Ok(all)
    }

    fn lost_dir(&self) -> io::Result<PathBuf> {
        let lost = self.tasks_dir.with_file_name(LOST_DIR);
        match DirBuilder::new().mode(FOLDER_MODE).create(&lost) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(lost),
            made => made.map(|()| lost),
        }
    }
}

/// Nothing that was kept before is ever replaced.
fn free_name(lost: &Path, id: &TaskId) -> PathBuf {
    let numbered = (1..).map(|count| lost.join(format!("{id}.{count}")));
    let mut names = std::iter::once(lost.join(id.as_str())).chain(numbered);
    let is_free = |name: &PathBuf| fs::symlink_metadata(name).is_err();
    names
        .find(is_free)
        .unwrap_or_else(|| lost.join(id.as_str()))
}
