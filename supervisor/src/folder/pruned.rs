//! Folders that retention takes: `<id>`, moved aside as `<id>.pruned`, then
//! removed. A dot is in no task's name, so nobody takes what was moved aside for
//! a task's folder.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use protocol::TaskId;
use sys::hook::{SUP_PRUNE_MOVE, SUP_PRUNE_PUT_BACK, SUP_PRUNE_REMOVE, SUP_PRUNE_SYNC};

use super::{FolderError, Folders};

/// Behind the id of a task whose folder was moved aside.
const SUFFIX: &str = ".pruned";

impl Folders {
    /// Moves folders aside, and lets that reach the disk: their rows may go
    /// then. One that is not there is aside already, or was never made.
    ///
    /// # Errors
    /// [`FolderError::Io`]; some may be aside then.
    pub fn move_aside(&self, ids: &[TaskId]) -> Result<(), FolderError> {
        for id in ids {
            let folder = self.task_dir(id);
            SUP_PRUNE_MOVE
                .run(|| self.move_one(&folder, id))
                .map_err(FolderError::io("move aside", &folder))?;
        }
        SUP_PRUNE_SYNC
            .run(|| self.sync())
            .map_err(FolderError::io("sync", &self.tasks_dir))
    }

    fn move_one(&self, folder: &Path, id: &TaskId) -> io::Result<()> {
        let aside = self.aside(id);
        match fs::rename(folder, &aside) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            // What an earlier task of this id left, which could not be removed.
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                fs::remove_dir_all(&aside)?;
                fs::rename(folder, &aside)
            }
            moved => moved,
        }
    }

    fn sync(&self) -> io::Result<()> {
        match File::open(&self.tasks_dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            folder => folder?.sync_all(),
        }
    }

    /// The row of a task whose folder was moved aside is still there: nothing
    /// has happened.
    ///
    /// # Errors
    /// [`FolderError::Io`]. None to put back is no error.
    pub fn put_back(&self, id: &TaskId) -> Result<(), FolderError> {
        let aside = self.aside(id);
        let put = SUP_PRUNE_PUT_BACK.run(|| fs::rename(&aside, self.task_dir(id)));
        or_gone(put).map_err(FolderError::io("put back", &aside))
    }

    /// Removes a folder that was moved aside.
    ///
    /// # Errors
    /// [`FolderError::Io`]. None to remove is no error.
    pub fn remove_aside(&self, id: &TaskId) -> Result<(), FolderError> {
        let aside = self.aside(id);
        let removed = SUP_PRUNE_REMOVE.run(|| fs::remove_dir_all(&aside));
        or_gone(removed).map_err(FolderError::io("remove", &aside))
    }

    /// Tasks whose folders were moved aside and not removed: a supervisor was
    /// killed in between.
    ///
    /// # Errors
    /// [`FolderError::Io`].
    pub fn left_aside(&self) -> Result<Vec<TaskId>, FolderError> {
        let failed = || FolderError::io("look through", &self.tasks_dir);
        let entries = match fs::read_dir(&self.tasks_dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed())?,
        };
        let mut left = Vec::new();
        for entry in entries {
            let name = entry.map_err(failed())?.file_name();
            let id = name.to_str().and_then(|name| name.strip_suffix(SUFFIX));
            left.extend(id.and_then(|id| TaskId::new(id).ok()));
        }
        Ok(left)
    }

    /// What a task's folder holds, in bytes of its files; what cannot be looked
    /// at counts as nothing.
    #[must_use]
    pub fn bytes(&self, id: &TaskId) -> u64 {
        bytes_in(&self.task_dir(id))
    }

    fn aside(&self, id: &TaskId) -> PathBuf {
        self.tasks_dir.join(format!("{id}{SUFFIX}"))
    }
}

fn or_gone(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn bytes_in(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(found) if found.is_dir() => bytes_in(&entry.path()),
            Ok(found) => found.len(),
            Err(_) => 0,
        })
        .sum()
}
