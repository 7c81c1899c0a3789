//! A task's folder, `<state>/tasks/<id>/`: 0700, and what the supervisor
//! writes into it.
//!
//! | file | by | what |
//! |---|---|---|
//! | `spec` | supervisor, before the row is committed | the dispatch, secrets included |
//! | `queued` | supervisor, after the row of a task that waits is committed | that it is |
//! | `claim` | shim or supervisor | who decided the start |
//! | `stdout.log`, `stderr.log`, `journal` | shim | |
//! | `settled` | supervisor, after the end | what the ledger says of it |
//!
//! Retention moves the folder aside (`<id>.pruned`) before its row goes, and keeps its
//! sessions in a file for all ([`kept`]). A folder that
//! no rebuild of the ledger understands is moved aside or marked ([`lost`]).
//!
//! None of the supervisor's files is synced, but for the `spec` of a task that
//! waits: the ledger is what counts, and both matter only together with it.

mod kept;
mod lost;
mod pruned;
mod queued;
mod settled;
mod spec;
#[cfg(test)]
mod tests;

use std::fs::{self, DirBuilder};
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use protocol::{TaskId, Timestamp};

pub use settled::{KeptSession, Settled};
pub use spec::{KnownBy, Shown, SpecFile};

/// The files' names.
const SPEC: &str = "spec";
const SETTLED: &str = "settled";
const STDOUT: &str = "stdout.log";
const STDERR: &str = "stderr.log";

/// Only the owner may look into a task's folder: its `spec` has secrets.
const FOLDER_MODE: u32 = 0o700;

/// A task's folder could not be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The file system refused.
    #[error("{operation} {}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On which path.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// The file is not what it should be.
    #[error("read {}", path.display())]
    Form {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A task had the folder, and had a shim.
    #[error("{} is the folder of an earlier task, which the ledger does not know", .0.display())]
    Taken(PathBuf),
    /// The file is from a newer program.
    #[error("{} has the unknown version {version}", path.display())]
    Version {
        /// Which file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
}

impl FolderError {
    fn io(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            operation,
            path,
            source,
        }
    }

    fn form(path: &Path) -> impl FnOnce(serde_json::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Form { path, source }
    }
}

/// Every task's folder. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Folders {
    tasks_dir: Arc<Path>,
}

impl Folders {
    /// The folders in `<state>/tasks`.
    #[must_use]
    pub fn new(tasks_dir: &Path) -> Self {
        Self {
            tasks_dir: tasks_dir.into(),
        }
    }

    /// `<state>/tasks`.
    #[must_use]
    pub fn tasks_dir(&self) -> &Path {
        &self.tasks_dir
    }

    /// A task's folder, whether it is there or not.
    #[must_use]
    pub fn task_dir(&self, id: &TaskId) -> PathBuf {
        self.tasks_dir.join(id.as_str())
    }

    /// What the agent printed.
    #[must_use]
    pub fn stdout(&self, id: &TaskId) -> PathBuf {
        self.task_dir(id).join(STDOUT)
    }

    /// What the agent printed on its other stream.
    #[must_use]
    pub fn stderr(&self, id: &TaskId) -> PathBuf {
        self.task_dir(id).join(STDERR)
    }

    /// The shim's journal.
    #[must_use]
    pub fn journal(&self, id: &TaskId) -> PathBuf {
        self.task_dir(id).join(sys::journal::FILE_NAME)
    }

    /// Makes a task's folder and its `spec`, whole or not at all. A folder of
    /// an attempt whose row was never committed is used again; one in which a
    /// start was decided is not: its agent may live, and only the ledger was
    /// put back.
    ///
    /// # Errors
    /// [`FolderError::Io`], [`FolderError::Taken`].
    pub fn create(&self, id: &TaskId, spec: &SpecFile) -> Result<(), FolderError> {
        let folder = self.task_dir(id);
        if is_decided(&folder) {
            return Err(FolderError::Taken(folder));
        }
        let made = match make(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make(&self.tasks_dir)
                    .map_err(FolderError::io("make the folder", &self.tasks_dir))?;
                make(&folder)
            }
            made => made,
        }
        .map_err(FolderError::io("make the folder", &folder))?;
        if made == Made::Before {
            // It may tell of the end of a task that the ledger has forgotten.
            let settled = folder.join(SETTLED);
            match fs::remove_file(&settled) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                removed => removed.map_err(FolderError::io("remove", &settled))?,
            }
        }
        spec.write(&folder.join(SPEC))
    }

    /// Makes the dispatch survive a power cut, as a task that may wait for long
    /// needs it.
    ///
    /// # Errors
    /// [`FolderError::Io`].
    pub fn sync_spec(&self, id: &TaskId) -> Result<(), FolderError> {
        let folder = self.task_dir(id);
        sys::atomic_file::sync(&folder.join(SPEC), &sys::hook::SUP_SPEC_SYNC)
            .map_err(FolderError::io("sync the spec in", &folder))
    }

    /// The dispatch; none if the folder is gone.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn spec(&self, id: &TaskId) -> Result<Option<SpecFile>, FolderError> {
        SpecFile::read(&self.task_dir(id).join(SPEC))
    }

    /// What of the command may be shown; nothing where it cannot be read.
    #[must_use]
    pub fn shown(&self, id: &TaskId) -> Shown {
        Shown::read(&self.task_dir(id).join(SPEC))
    }

    /// The search path of the task's command, if it had one.
    #[must_use]
    pub fn search_path(&self, id: &TaskId) -> Option<String> {
        self.spec(id).ok().flatten()?.search_path
    }

    /// The task has ended: its environment is not kept any longer. Nothing to
    /// do where there is no `spec`.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn wipe_env(&self, id: &TaskId) -> Result<(), FolderError> {
        SpecFile::wipe_env(&self.task_dir(id).join(SPEC))
    }

    /// The ledger has no row of it, and no start was decided: its environment is
    /// not kept, and a rebuild does not begin it.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn wipe_rowless(&self, id: &TaskId) -> Result<(), FolderError> {
        SpecFile::wipe_rowless(&self.task_dir(id).join(SPEC))
    }

    /// Keeps what the ledger says of a task that has ended, so that a lost
    /// ledger can be rebuilt: a text of JSON. Nothing to do where the folder is gone.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn settle(&self, id: &TaskId, rows: &str) -> Result<(), FolderError> {
        settled::write(&self.task_dir(id).join(SETTLED), rows)
    }

    /// Tasks whose folders were last changed before `before`, and in which no
    /// start was ever decided: no claim, no journal. Folders that cannot be
    /// looked at are left out.
    ///
    /// # Errors
    /// [`FolderError::Io`].
    pub fn undecided(&self, before: SystemTime) -> Result<Vec<TaskId>, FolderError> {
        let mut found = Vec::new();
        self.each(|id| {
            let folder = self.task_dir(&id);
            let changed = fs::metadata(&folder).and_then(|folder| folder.modified());
            if changed.is_ok_and(|changed| changed < before) && !is_decided(&folder) {
                found.push(id);
            }
            ControlFlow::Continue(())
        })?;
        Ok(found)
    }

    /// Is there a private folder, of a shim that may be dead?
    #[must_use]
    pub fn has_temp(&self, id: &TaskId) -> bool {
        // Why it cannot be told is said when it is to be removed.
        sys::temp_folder::find(&self.task_dir(id)).map_or(true, |found| found.is_some())
    }

    /// Removes the private folder that a dead shim left.
    ///
    /// # Errors
    /// [`FolderError::Io`]. None to remove is no error.
    pub fn clear_temp(&self, id: &TaskId) -> Result<(), FolderError> {
        let folder = self.task_dir(id);
        sys::temp_folder::remove_of(&folder)
            .map_err(FolderError::io("remove the private folder of", &folder))
    }

    /// Was that kept?
    #[must_use]
    pub fn is_settled(&self, id: &TaskId) -> bool {
        self.task_dir(id).join(SETTLED).exists()
    }

    /// Are these the rows that were kept?
    #[must_use]
    pub fn is_settled_as(&self, id: &TaskId, rows: &str) -> bool {
        settled::is(&self.task_dir(id).join(SETTLED), rows)
    }

    /// What was kept; none if nothing was, or nothing that a rebuild can use.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn settled(&self, id: &TaskId) -> Result<Option<Settled>, FolderError> {
        settled::read(&self.task_dir(id).join(SETTLED))
    }

    /// When the dispatch was written down.
    ///
    /// # Errors
    /// [`FolderError::Io`].
    pub fn written_at(&self, id: &TaskId) -> Result<Timestamp, FolderError> {
        let path = self.task_dir(id).join(SPEC);
        let written = fs::metadata(&path).and_then(|file| file.modified());
        let since = written
            .map_err(FolderError::io("look at", &path))?
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        Ok(Timestamp(
            i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        ))
    }

    /// Every task folder, in no order.
    ///
    /// # Errors
    /// [`FolderError::Io`].
    pub fn all(&self) -> Result<Vec<TaskId>, FolderError> {
        let mut all = Vec::new();
        self.each(|id| {
            all.push(id);
            ControlFlow::Continue(())
        })?;
        Ok(all)
    }

    /// Was it decided whether the task starts?
    #[must_use]
    pub fn is_decided(&self, id: &TaskId) -> bool {
        is_decided(&self.task_dir(id))
    }

    /// A task folder that exists, if there is any.
    ///
    /// # Errors
    /// [`FolderError::Io`].
    pub fn any(&self) -> Result<Option<TaskId>, FolderError> {
        let mut any = None;
        self.each(|id| {
            any = Some(id);
            ControlFlow::Break(())
        })?;
        Ok(any)
    }

    /// Visits every folder that has the name of a task.
    fn each(&self, mut visit: impl FnMut(TaskId) -> ControlFlow<()>) -> Result<(), FolderError> {
        let failed = || FolderError::io("look through", &self.tasks_dir);
        let entries = match fs::read_dir(&self.tasks_dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(failed()(error)),
        };
        for entry in entries {
            let entry = entry.map_err(failed())?;
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let name = entry.file_name();
            if let (true, Some(Ok(id))) = (is_folder, name.to_str().map(TaskId::new))
                && visit(id).is_break()
            {
                break;
            }
        }
        Ok(())
    }
}

/// Somebody decided there whether an agent is started.
fn is_decided(folder: &Path) -> bool {
    [sys::claim::FILE_NAME, sys::journal::FILE_NAME]
        .iter()
        .any(|name| fs::symlink_metadata(folder.join(name)).is_ok())
}

/// When a folder was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Made {
    /// Right now.
    Now,
    /// Earlier.
    Before,
}

fn make(folder: &Path) -> io::Result<Made> {
    match DirBuilder::new().mode(FOLDER_MODE).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Made::Before),
        made => made.map(|()| Made::Now),
    }
}
