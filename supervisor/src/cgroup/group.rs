//! One task's cgroup.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sys::PidFd;
use sys::hook::SUP_SIGNAL;

pub(super) const PROCS: &str = "cgroup.procs";
const KILL_ALL: &str = "cgroup.kill";
const EVENTS: &str = "cgroup.events";

/// How long KILL is repeated. What still lives then hangs in the kernel.
const DEADLINE: Duration = Duration::from_secs(30);

/// First and longest pause between two looks.
const PAUSE: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(50));

const KILL: i32 = 9;

/// A cgroup of version 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group(PathBuf);

/// What became of its processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The kernel says that none is left.
    pub empty: bool,
    /// The most that were seen at once.
    pub met: u32,
}

impl Group {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// The one at `path`, if there is a cgroup.
    #[must_use]
    pub fn existing(path: &Path) -> Option<Self> {
        path.join(EVENTS).exists().then(|| Self(path.to_path_buf()))
    }

    /// Where.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Moves a process in; its later children are born there.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn enter(&self, pid: i32) -> io::Result<()> {
        fs::write(self.0.join(PROCS), pid.to_string())
    }

    /// Kills everything in it, and below it. Blocks for up to 30 s: not for a
    /// thread that serves others.
    #[must_use]
    pub fn end(&self) -> Ended {
        let deadline = Instant::now() + DEADLINE;
        let (mut pause, longest) = PAUSE;
        let mut met = 0;
        loop {
            match self.is_populated() {
                Ok(false) => return Ended { empty: true, met },
                Ok(true) => met = met.max(self.kill_round()),
                Err(error) => {
                    tracing::warn!(cgroup = %self.0.display(), %error, "a cgroup cannot be looked at now");
                }
            }
            if Instant::now() >= deadline {
                return Ended { empty: false, met };
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(longest);
        }
    }

    /// Does anything live in it, or below it? A cgroup that was removed is
    /// empty.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn is_populated(&self) -> io::Result<bool> {
        match fs::read_to_string(self.0.join(EVENTS)) {
            Ok(events) => Ok(!events.lines().any(|line| line == "populated 0")),
            Err(error) if is_gone(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes it and what the agent made below it; only empty ones can be.
    ///
    /// # Errors
    /// The kernel's answer, `EBUSY` above all.
    pub fn remove(&self) -> io::Result<()> {
        remove(&self.0)
    }

    /// The processes in it and below it, as far as they can be read.
    #[must_use]
    pub fn members(&self) -> Vec<i32> {
        members(&self.0)
    }

    /// Kills, and says how many were there before.
    fn kill_round(&self) -> u32 {
        let before = self.members();
        let all = SUP_SIGNAL.run(|| fs::write(self.0.join(KILL_ALL), "1"));
        if let Err(error) = all {
            // Kernels before 5.14 cannot do it at once.
            tracing::debug!(%error, "killed one by one");
            before.iter().for_each(|pid| self.end_one(*pid));
        }
        u32::try_from(before.len()).unwrap_or(u32::MAX)
    }

    /// The descriptor is opened first: if its process lives and is here
    /// afterwards, it is the one that was listed, or another of ours.
    fn end_one(&self, pid: i32) {
        let Ok(Some(pidfd)) = PidFd::open(pid) else {
            return;
        };
        if !members(&self.0).contains(&pid) {
            return;
        }
        if let Err(error) = pidfd.send_signal(KILL, &SUP_SIGNAL) {
            tracing::warn!(pid, %error, "a process of a task could not be signalled");
        }
    }
}

fn members(path: &Path) -> Vec<i32> {
    let listed = fs::read_to_string(path.join(PROCS)).unwrap_or_default();
    let mut found: Vec<i32> = listed.lines().filter_map(|pid| pid.parse().ok()).collect();
    for below in folders(path) {
        found.extend(members(&below));
    }
    found
}

fn remove(path: &Path) -> io::Result<()> {
    for below in folders(path) {
        remove(&below)?;
    }
    match fs::remove_dir(path) {
        Err(error) if is_gone(&error) => Ok(()),
        removed => removed,
    }
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.map(|entry| entry.path()).collect()
}

fn is_gone(error: &io::Error) -> bool {
    // A cgroup that is removed while it is read answers so.
    const ENODEV: i32 = nix::libc::ENODEV;
    error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(ENODEV)
}
