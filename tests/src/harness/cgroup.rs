//! A cgroup for a supervisor to divide.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::process::own_user;
use super::supervisor::Supervisor;
use super::world::World;

/// A cgroup that a test may divide: what a container or a delegation gives.
#[derive(Debug)]
pub struct Delegated(PathBuf);

impl Delegated {
    /// None where cgroups of version 2 cannot be made.
    #[must_use]
    pub fn new(world: &World) -> Option<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
        let point = mounts.lines().find_map(|line| {
            let mut words = line.split(' ').skip(1);
            let (point, kind) = (words.next()?, words.next()?);
            (kind == "cgroup2").then(|| PathBuf::from(point))
        })?;
        let path = point.join(world.dir().file_name()?);
        (own_user() == 0 && fs::create_dir(&path).is_ok()).then_some(Self(path))
    }

    /// A supervisor that lives in it.
    #[must_use]
    pub fn start(&self, world: &World) -> Arc<Supervisor> {
        let enter = format!("echo $$ > {}/cgroup.procs && exec \"$0\"", self.0.display());
        world.start_by("sh", &["-c", &enter])
    }

    /// Where.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The cgroup of a task.
    ///
    /// # Panics
    /// When it has none.
    #[must_use]
    pub fn of(&self, world: &World, task: &str) -> PathBuf {
        let path = fs::read_link(world.task_dir(task).join("cgroup")).expect("it has one");
        assert!(path.starts_with(&self.0), "{}", path.display());
        path
    }

    /// What is below it.
    #[must_use]
    pub fn below(&self) -> Vec<PathBuf> {
        folders(&self.0)
            .flat_map(|path| folders(&path).collect::<Vec<_>>())
            .collect()
    }
}

fn folders(path: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
}

impl Drop for Delegated {
    fn drop(&mut self) {
        for task in self.below() {
            let _gone = fs::remove_dir(&task);
            let _gone = task.parent().map(fs::remove_dir);
        }
        let _gone = fs::remove_dir(&self.0);
    }
}
