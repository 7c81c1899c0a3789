//! One task's cgroup.

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sys::PidFd;
use sys::hook::SUP_SIGNAL;

pub(super) const PROCS: &str = "cgroup.procs";
const KILL_ALL: &str = "cgroup.kill";
const EVENTS: &str = "cgroup.events";
/// Version 2.
const LIMIT: &str = "memory.max";
const SWAP_LIMIT: &str = "memory.swap.max";
const KILL_GROUP: &str = "memory.oom.group";
/// Version 1; the second one counts memory and swap together, and cannot be
/// below the first.
const LIMIT_1: &str = "memory.limit_in_bytes";
const SWAP_LIMIT_1: &str = "memory.memsw.limit_in_bytes";

/// How long KILL is repeated. What still lives then hangs in the kernel.
const DEADLINE: Duration = Duration::from_secs(30);

/// How long an empty one is tried to be removed. What is left then goes at the
/// next start.
const REMOVED_WITHIN: Duration = Duration::from_secs(2);

/// First and longest pause between two looks.
const PAUSE: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(50));

const KILL: i32 = 9;

/// A cgroup of either version: what only version 2 has is done without.
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
        path.join(PROCS).exists().then(|| Self(path.to_path_buf()))
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

    /// Limits the memory, swap included, of what is in it and below it. Which
    /// process has to go beyond that is the kernel's choice, one at a time.
    ///
    /// # Errors
    /// The kernel's answer; without a memory controller there is no limit.
    pub fn limit_memory(&self, bytes: u64) -> io::Result<()> {
        let bytes = bytes.to_string();
        let (required, optional) = if self.0.join(LIMIT).exists() {
            (LIMIT, vec![(SWAP_LIMIT, "0"), (KILL_GROUP, "0")])
        } else {
            (LIMIT_1, vec![(SWAP_LIMIT_1, bytes.as_str())])
        };
        self.set(required, &bytes)?;
        for (file, value) in optional {
            match self.set(file, value) {
                // A kernel without swap, or an older one.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                set => set?,
            }
        }
        Ok(())
    }

    fn set(&self, file: &str, value: &str) -> io::Result<()> {
        let mut file = fs::OpenOptions::new().write(true).open(self.0.join(file))?;
        file.write_all(value.as_bytes())
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
            Err(error) if is_gone(&error) => self.has_processes(),
            Err(error) => Err(error),
        }
    }

    /// Version 1 says it only by the list. Whoever forks while it is read is in it
    /// before its child is, so that an empty one is a proof.
    fn has_processes(&self) -> io::Result<bool> {
        match fs::read_to_string(self.0.join(PROCS)) {
            Ok(listed) => Ok(!listed.is_empty() || !members(&self.0).is_empty()),
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

    /// The same for one that is known to be empty: the kernel may call it busy
    /// while it takes the last process apart. Blocks for up to 2 s.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn remove_empty(&self) -> io::Result<()> {
        let deadline = Instant::now() + REMOVED_WITHIN;
        loop {
            match self.remove() {
                Err(error)
                    if error.kind() == ErrorKind::ResourceBusy
                        && Instant::now() < deadline
                        && self.is_populated().is_ok_and(|populated| !populated) =>
                {
                    std::thread::sleep(PAUSE.1);
                }
                removed => return removed,
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use sys::temp_folder::TempFolder;

    /// A folder with these files, as if the kernel had made them.
    fn group(files: &[&str]) -> (TempFolder, Group) {
        let folder = TempFolder::create(&[std::env::temp_dir()]).expect("a folder");
        for file in files {
            fs::write(folder.path().join(file), "").expect("a file");
        }
        let group = Group::new(folder.path().to_owned());
        (folder, group)
    }

    fn written(folder: &TempFolder, file: &str) -> String {
        fs::read_to_string(folder.path().join(file)).expect("it is there")
    }

    #[test]
    fn a_limit_is_written_where_the_version_has_it() {
        let (folder, unified) = group(&[LIMIT, SWAP_LIMIT, KILL_GROUP]);
        unified.limit_memory(4096).expect("writable");
        assert_eq!(written(&folder, LIMIT), "4096");
        assert_eq!(written(&folder, SWAP_LIMIT), "0");
        assert_eq!(written(&folder, KILL_GROUP), "0");
        let (folder, first) = group(&[LIMIT_1, SWAP_LIMIT_1]);
        first.limit_memory(4096).expect("writable");
        assert_eq!(written(&folder, LIMIT_1), "4096");
        assert_eq!(written(&folder, SWAP_LIMIT_1), "4096");
    }

    #[test]
    fn only_swap_may_be_missing() {
        for limit in [LIMIT, LIMIT_1] {
            let (folder, without_swap) = group(&[limit]);
            without_swap.limit_memory(4096).expect("nothing to swap to");
            assert_eq!(written(&folder, limit), "4096");
            assert!(!folder.path().join(SWAP_LIMIT).exists());
        }
        let (_folder, without_controller) = group(&[PROCS]);
        let refusal = without_controller.limit_memory(4096);
        assert!(refusal.is_err_and(|error| error.kind() == ErrorKind::NotFound));
    }

    #[test]
    fn a_group_of_version_one_is_populated_by_its_list() {
        let (folder, first) = group(&[PROCS]);
        assert!(!first.is_populated().expect("readable"));
        fs::write(folder.path().join(PROCS), "7\n").expect("ours");
        assert!(first.is_populated().expect("readable"));
        fs::remove_file(folder.path().join(PROCS)).expect("ours");
        assert!(!first.is_populated().expect("gone"));
    }
}
