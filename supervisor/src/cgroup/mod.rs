//! A cgroup for each task, where one can be had: what is in it is the task's,
//! whatever it did to its environment, and `populated 0` is the kernel's word
//! that nothing is left.
//!
//! ```text
//! <a cgroup that is ours>/agent-supervisor-<state folder>/<task id>/
//! ```
//!
//! No controller is enabled in a cgroup that holds processes: a service manager
//! could not start the unit again (`219/CGROUP`).

mod group;
mod place;

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use protocol::TaskId;

pub use group::{Ended, Group};

/// What the name of our cgroup begins with.
const NAME: &str = "agent-supervisor";

/// Tries to make a task's cgroup: an empty parent may be removed in between.
const TRIES: u32 = 3;

/// Where the cgroups of our tasks are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base(PathBuf);

impl Base {
    /// Below the cgroup that this process lives in, if it may be divided.
    #[must_use]
    pub fn find(state_dir: &Path) -> Option<Self> {
        let own = place::own_and_ours()?;
        match Self::below(&own, state_dir) {
            Ok(base) => Some(base),
            Err(error) => {
                tracing::debug!(%error, cgroup = %own.display(), "no cgroups for tasks here");
                None
            }
        }
    }

    /// Below the cgroup that a service manager calls `group`, and that is ours.
    ///
    /// # Errors
    /// When none can be made there.
    pub fn in_group(group: &str, state_dir: &Path) -> io::Result<Self> {
        let folder = place::folder_of_group(group).ok_or(io::ErrorKind::NotFound)?;
        Self::below(&folder, state_dir)
    }

    /// Below a cgroup that is known to be ours. Several supervisors may share
    /// it: their state folders tell them apart.
    ///
    /// # Errors
    /// When none can be made there.
    pub fn below(ours: &Path, state_dir: &Path) -> io::Result<Self> {
        let state = fs::metadata(state_dir)?;
        let name = format!("{NAME}-{:x}-{:x}", state.dev(), state.ino());
        let base = Self(ours.join(name));
        base.make_parent()?;
        // Writable, too: processes can be moved there.
        fs::OpenOptions::new()
            .write(true)
            .open(base.0.join(group::PROCS))?;
        Ok(base)
    }

    /// Where.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A cgroup for `task`, empty.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn make(&self, task: &TaskId) -> io::Result<Group> {
        let path = self.0.join(task.as_str());
        let mut tries = TRIES;
        loop {
            tries -= 1;
            self.make_parent()?;
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Group::new(path)),
                Err(error) if error.kind() == io::ErrorKind::NotFound && tries > 0 => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Removes every cgroup of ended tasks that is empty, and our own if none
    /// is left. `lives` tells which tasks are not to be touched.
    pub fn remove_empty(&self, lives: impl Fn(&TaskId) -> bool) {
        let Ok(entries) = fs::read_dir(&self.0) else {
            return;
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let Some(Ok(task)) = name.to_str().map(TaskId::new) else {
                continue;
            };
            if !lives(&task) && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                // Busy means that something lives on in it.
                let _ = Group::new(entry.path()).remove();
            }
        }
        let _ = fs::remove_dir(&self.0);
    }

    /// The cgroups in which something lives, with their tasks.
    #[must_use]
    pub fn populated(&self) -> Vec<(TaskId, Group)> {
        let entries = fs::read_dir(&self.0).into_iter().flatten().flatten();
        let of_tasks = entries.filter_map(|entry| {
            let task = TaskId::new(entry.file_name().to_str()?).ok()?;
            Some((task, Group::existing(&entry.path())?))
        });
        // What cannot be looked at may be populated.
        of_tasks
            .filter(|(_, group)| group.is_populated().unwrap_or(true))
            .collect()
    }

    fn make_parent(&self) -> io::Result<()> {
        match fs::create_dir(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            made => made,
        }
    }
}
