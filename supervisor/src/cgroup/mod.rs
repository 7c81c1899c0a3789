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
mod memory;
pub mod place;

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use protocol::TaskId;

pub use group::{Ended, Group};
pub use memory::{Memory, SMALLEST};

/// What the name of our cgroup begins with.
const NAME: &str = "agent-supervisor";

/// Tries to make a task's cgroup: an empty parent may be removed in between.
const TRIES: u32 = 3;

/// Says which controllers the cgroups below have.
const ENABLED: &str = "cgroup.subtree_control";

/// Where the cgroups of our tasks are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    path: PathBuf,
    controllers: Controllers,
}

/// Which controllers the tasks' cgroups have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Controllers {
    /// As they are found.
    Inherited,
    /// That of memory is enabled by us (version 2).
    Memory,
}

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
        let base = Self {
            path: ours.join(name),
            controllers: Controllers::Inherited,
        };
        base.make_parent()?;
        // Writable, too: processes can be moved there.
        fs::OpenOptions::new()
            .write(true)
            .open(base.path.join(group::PROCS))?;
        Ok(base)
    }

    /// Where.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A cgroup for `task`, empty.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn make(&self, task: &TaskId) -> io::Result<Group> {
        let path = self.path.join(task.as_str());
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
        let Ok(entries) = fs::read_dir(&self.path) else {
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
        let _ = fs::remove_dir(&self.path);
    }

    /// The cgroups in which something lives, with their tasks.
    #[must_use]
    pub fn populated(&self) -> Vec<(TaskId, Group)> {
        let entries = fs::read_dir(&self.path).into_iter().flatten().flatten();
        let of_tasks = entries.filter_map(|entry| {
            let task = TaskId::new(entry.file_name().to_str()?).ok()?;
            Some((task, Group::existing(&entry.path())?))
        });
        // What cannot be looked at may be populated.
        of_tasks
            .filter(|(_, group)| group.is_populated().unwrap_or(true))
            .collect()
    }

    /// From now on tasks' cgroups have the memory controller of version 2.
    ///
    /// # Errors
    /// In words, why they cannot. It can be only where no process lives beside
    /// us in the cgroup above.
    fn enable_memory(&mut self) -> Result<(), String> {
        let above = self.path.parent().unwrap_or(&self.path);
        let shown = above.display();
        let offered = fs::read_to_string(above.join("cgroup.controllers")).unwrap_or_default();
        if !offered.split_whitespace().any(|name| name == "memory") {
            return Err(format!("the cgroup {shown} has no memory controller"));
        }
        enable(above).map_err(|error| {
            let busy = error.kind() == io::ErrorKind::ResourceBusy;
            let why = if busy {
                "processes live in it".to_owned()
            } else {
                error.to_string()
            };
            format!("the memory controller cannot be passed on by the cgroup {shown}: {why}")
        })?;
        self.controllers = Controllers::Memory;
        self.make_parent()
            .and_then(|()| self.pass_memory_on())
            .map_err(|error| format!("cgroups cannot be made in {shown}: {error}"))
    }

    fn make_parent(&self) -> io::Result<()> {
        match fs::create_dir(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made?,
        }
        if let Err(error) = self.pass_memory_on() {
            // A task with a limit is told so itself.
            tracing::warn!(cgroup = %self.path.display(), %error, "tasks get no memory controller now");
        }
        Ok(())
    }

    /// Tasks have the memory controller, if that was found possible at the start:
    /// the cgroup above may be another one since then, of a holder that was
    /// started again, and pass nothing on by itself.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn pass_memory_on(&self) -> io::Result<()> {
        match self.controllers {
            Controllers::Inherited => return Ok(()),
            Controllers::Memory => {}
        }
        let above = self.path.parent().unwrap_or(&self.path);
        match enable(&self.path) {
            // So it says that the one above does not offer it.
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.is_held() => {
                enable(above)?;
                enable(&self.path)
            }
            enabled => enabled,
        }
    }

    /// Does anything live beside us? Before the holder's process does, systemd has
    /// yet to start it in the cgroup above, and cannot in one that passes a
    /// controller on (`219/CGROUP`).
    fn is_held(&self) -> bool {
        let above = self.path.parent().unwrap_or(&self.path);
        let beside = fs::read_dir(above).into_iter().flatten().flatten();
        beside
            .map(|entry| entry.path())
            .filter(|path| *path != self.path)
            .filter_map(|path| Group::existing(&path))
            .any(|group| group.is_populated().unwrap_or(false))
    }
}

/// The cgroups below `path` get the memory controller.
fn enable(path: &Path) -> io::Result<()> {
    fs::write(path.join(ENABLED), "+memory")
}

#[cfg(test)]
mod tests {
    use super::*;
    use sys::temp_folder::TempFolder;

    fn base_in(offered: &str) -> (TempFolder, Base) {
        let folder = TempFolder::create(&[std::env::temp_dir()]).expect("a folder");
        fs::write(folder.path().join("cgroup.controllers"), offered).expect("ours");
        let base = Base {
            path: folder.path().join("ours"),
            controllers: Controllers::Inherited,
        };
        (folder, base)
    }

    #[test]
    fn the_memory_controller_is_passed_on_to_the_tasks_wherever_their_parent_is_made_anew() {
        let (folder, mut base) = base_in("cpu memory pids\n");
        base.enable_memory().expect("offered");
        let read = |path: &Path| fs::read_to_string(path.join(ENABLED)).expect("written");
        assert_eq!(read(folder.path()), "+memory");
        assert_eq!(read(&folder.path().join("ours")), "+memory");
        fs::remove_dir_all(folder.path().join("ours")).expect("ours");
        let task = TaskId::new("t1").expect("a legal id");
        base.make(&task).expect("a folder can be made");
        assert_eq!(read(&folder.path().join("ours")), "+memory");
    }

    #[test]
    fn the_holder_is_there_once_something_lives_beside_us() {
        let (folder, base) = base_in("memory\n");
        base.make_parent().expect("a folder can be made");
        let put = |name: &str, events: &str| {
            let group = folder.path().join(name);
            fs::create_dir_all(&group).expect("ours");
            fs::write(group.join(group::PROCS), "").expect("ours");
            fs::write(group.join("cgroup.events"), events).expect("ours");
        };
        assert!(!base.is_held());
        put("ours", "populated 1\n");
        put("holder", "populated 0\nfrozen 0\n");
        assert!(!base.is_held());
        put("holder", "populated 1\nfrozen 0\n");
        assert!(base.is_held());
    }

    #[test]
    fn a_task_without_a_limit_does_without_the_controller() {
        let (folder, mut base) = base_in("memory\n");
        base.enable_memory().expect("offered");
        let ours = folder.path().join("ours").join(ENABLED);
        fs::remove_file(&ours).expect("ours");
        fs::create_dir(&ours).expect("what cannot be written");
        assert!(base.pass_memory_on().is_err());
        let task = TaskId::new("t1").expect("a legal id");
        base.make(&task).expect("it has a cgroup all the same");
    }

    #[test]
    fn without_the_controller_nothing_is_written_and_it_is_said() {
        let (folder, mut base) = base_in("cpu pids\n");
        let why = base.enable_memory().expect_err("not offered");
        assert!(why.ends_with("has no memory controller"), "{why}");
        assert!(!folder.path().join(ENABLED).exists());
        let task = TaskId::new("t1").expect("a legal id");
        base.make(&task).expect("a folder can be made");
        assert!(!folder.path().join("ours").join(ENABLED).exists());
    }
}
