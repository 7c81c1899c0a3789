//! A cgroup for a supervisor to divide.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::process::own_user;
use super::run::Dispatched;
use super::supervisor::Supervisor;
use super::world::World;

/// A cgroup that a test may divide: what a container or a delegation gives.
#[derive(Debug)]
pub struct Delegated(PathBuf);

impl Delegated {
    /// None where cgroups of version 2 cannot be made.
    #[must_use]
    pub fn new(world: &World) -> Option<Self> {
        let path = unified_root()?.join(world.dir().file_name()?);
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

/// A [`MemoryHome`], or the end of the calling test: where version 2 counts memory,
/// only tasks in the holder of a systemd can be limited, in tests of their own.
#[macro_export]
macro_rules! memory_home {
    ($world:expr) => {
        match $crate::harness::MemoryHome::new($world) {
            Some(home) => home,
            None if $crate::harness::counts_memory() => {
                $crate::harness::elsewhere("tests/tests/systemd_memory.rs");
                return;
            }
            None => $crate::skip!(
                "only root below the root of the memory hierarchy of cgroup version 1, \
                 without systemd, can be given a limit here"
            ),
        }
    };
}

/// A cgroup in the memory hierarchy of version 1, for a supervisor to divide.
#[derive(Debug)]
pub struct MemoryHome(Delegated);

impl MemoryHome {
    /// None where memory is not counted by version 1, or somebody manages it.
    #[must_use]
    pub fn new(world: &World) -> Option<Self> {
        let own = memory_root()?.join(own_memory_path()?);
        let path = own.join(world.dir().file_name()?);
        let may = own_user() == 0 && !Path::new("/run/systemd/system").exists();
        (may && fs::create_dir(&path).is_ok()).then_some(Self(Delegated(path)))
    }

    /// A supervisor that lives in it.
    #[must_use]
    pub fn start(&self, world: &World) -> Arc<Supervisor> {
        self.0.start(world)
    }

    /// The memory cgroup of a task.
    ///
    /// # Panics
    /// When it has none.
    #[must_use]
    pub fn of(&self, world: &World, task: &str) -> PathBuf {
        let path = fs::read_link(world.task_dir(task).join("cgroup-memory")).expect("it has one");
        assert!(path.starts_with(&self.0.0), "{}", path.display());
        path
    }

    /// The limit of this task no longer counts for its shim: while the memory of
    /// the first victim is not free yet, the kernel may pick the shim as well,
    /// which is F11 and another story.
    ///
    /// # Panics
    /// When it cannot be moved.
    pub fn spare(&self, world: &World, task: &Dispatched) {
        let shim = world.shim_of(&task.id).expect("the shim lives");
        let procs = self.0.0.join("cgroup.procs");
        fs::write(procs, shim.pid.to_string()).expect("the shim moves");
    }

    /// What is below it.
    #[must_use]
    pub fn below(&self) -> Vec<PathBuf> {
        self.0.below()
    }
}

/// A cgroup that counts processes, for a supervisor to live in.
#[derive(Debug)]
pub struct PidsHome(Delegated);

impl PidsHome {
    /// None where processes are not counted.
    #[must_use]
    pub fn new(world: &World) -> Option<Self> {
        let unified = || {
            let root = unified_root().filter(|root| offers(root, "pids"))?;
            fs::write(root.join("cgroup.subtree_control"), "+pids").ok()?;
            Some(root)
        };
        let path = root_of("pids").or_else(unified)?;
        let path = path.join(world.dir().file_name()?);
        (own_user() == 0 && fs::create_dir(&path).is_ok()).then_some(Self(Delegated(path)))
    }

    /// A supervisor that lives in it.
    #[must_use]
    pub fn start(&self, world: &World) -> Arc<Supervisor> {
        self.0.start(world)
    }

    /// No process and no thread more than there are.
    ///
    /// # Panics
    /// When it cannot be limited.
    pub fn close(&self) {
        let now = fs::read(self.0.0.join("pids.current")).expect("it counts");
        fs::write(self.0.0.join("pids.max"), now).expect("it limits");
    }

    /// As many as there may be anywhere.
    ///
    /// # Panics
    /// When the limit stays.
    pub fn open(&self) {
        fs::write(self.0.0.join("pids.max"), "max").expect("it limits");
    }
}

/// The kernel's own count of kills for want of memory in a cgroup.
///
/// # Panics
/// When the kernel does not count.
#[must_use]
pub fn kernel_kills(cgroup: &Path) -> u64 {
    let text = fs::read_to_string(cgroup.join("memory.oom_control")).expect("it counts");
    let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
    count
        .expect("Linux 4.13 and later")
        .parse()
        .expect("a count")
}

/// Is memory counted by version 2 here?
#[must_use]
pub fn counts_memory() -> bool {
    unified_root().is_some_and(|root| offers(&root, "memory"))
}

/// Where the cgroups of version 2 are mounted.
#[must_use]
pub fn unified_root() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    mounts.lines().find_map(|line| {
        let mut words = line.split(' ').skip(1);
        let (point, kind) = (words.next()?, words.next()?);
        (kind == "cgroup2").then(|| PathBuf::from(point))
    })
}

fn offers(group: &Path, controller: &str) -> bool {
    let offered = fs::read_to_string(group.join("cgroup.controllers"));
    offered.is_ok_and(|names| names.split_whitespace().any(|name| name == controller))
}

/// Where the root of the memory hierarchy of version 1 is mounted.
#[must_use]
pub fn memory_root() -> Option<PathBuf> {
    root_of("memory")
}

/// Where the hierarchy of version 1 of a controller is mounted.
fn root_of(controller: &str) -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    mounts.lines().find_map(|line| {
        let mut words = line.split(' ').skip(1);
        let (point, kind, options) = (words.next()?, words.next()?, words.next()?);
        let has_it = kind == "cgroup" && options.split(',').any(|option| option == controller);
        has_it.then(|| PathBuf::from(point))
    })
}

/// Ours in it, below that.
fn own_memory_path() -> Option<PathBuf> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = own.lines().find_map(|line| line.split_once(":memory:"))?.1;
    Some(PathBuf::from(path.trim_start_matches('/')))
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
        // A supervisor that lives on in it ends with its world.
        let above = self.0.parent().map(|above| above.join("cgroup.procs"));
        let listed = fs::read_to_string(self.0.join("cgroup.procs")).unwrap_or_default();
        for (pid, above) in listed.lines().zip(above.iter().cycle()) {
            let _gone = fs::write(above, pid);
        }
        let _gone = fs::remove_dir(&self.0);
    }
}
