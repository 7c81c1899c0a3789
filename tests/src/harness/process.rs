//! Processes, as `/proc` shows them. A process is its pid and its start time.

use std::fs;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid};

/// What the name of every marker variable begins with (R8).
const MARKER_PREFIX: &str = "AGENT_TASK_";

/// One process, identified for ever within a boot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Process {
    /// Its pid.
    pub pid: i32,
    /// Field 22 of its `stat`.
    pub start_time: u64,
}

impl Process {
    /// The process that has this pid now; `None` if there is none, or a zombie.
    #[must_use]
    pub fn now(pid: i32) -> Option<Self> {
        start_time(pid).map(|start_time| Self { pid, start_time })
    }

    /// Is it the process that a namespace inside of ours knows as `inner`?
    #[must_use]
    pub fn is_known_inside_as(&self, inner: &Self) -> bool {
        self.start_time == inner.start_time && self.innermost_pid() == Some(inner.pid)
    }

    /// Its pid in its own namespace.
    fn innermost_pid(&self) -> Option<i32> {
        let status = fs::read_to_string(self.file("status")).ok()?;
        let pids = status
            .lines()
            .find_map(|line| line.strip_prefix("NSpid:"))?;
        pids.split_whitespace().last()?.parse().ok()
    }

    /// Does it live? A zombie does not.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        start_time(self.pid) == Some(self.start_time)
    }

    /// Its state letter, if it is still there.
    #[must_use]
    pub fn state(&self) -> Option<char> {
        stat(self.pid)
            .filter(|stat| stat.start_time == self.start_time)
            .map(|stat| stat.state)
    }

    /// Is it on its way out, by the flag that the kernel sets first?
    #[must_use]
    pub fn is_exiting(&self) -> bool {
        const PF_EXITING: u64 = 4;
        stat(self.pid)
            .filter(|stat| stat.start_time == self.start_time)
            .is_some_and(|stat| stat.flags & PF_EXITING != 0)
    }

    /// Its parent.
    #[must_use]
    pub fn parent(&self) -> Option<i32> {
        stat(self.pid).map(|stat| stat.parent)
    }

    /// Its command name.
    #[must_use]
    pub fn comm(&self) -> Option<String> {
        stat(self.pid).map(|stat| stat.comm)
    }

    /// Its argument vector.
    #[must_use]
    pub fn argv(&self) -> Vec<String> {
        words(&self.file("cmdline"))
    }

    /// The names and values of its environment, as far as they can be read.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        words(&self.file("environ"))
            .into_iter()
            .filter_map(|word| {
                word.split_once('=')
                    .map(|(name, value)| (name.to_string(), value.to_string()))
            })
            .collect()
    }

    /// The marker variable of the task that it belongs to.
    #[must_use]
    pub fn marker(&self) -> Option<String> {
        self.environment()
            .into_iter()
            .map(|(name, _)| name)
            .find(|name| name.starts_with(MARKER_PREFIX))
    }

    /// Does its working folder, program or an open file lie below `folder`?
    #[must_use]
    pub fn is_in(&self, folder: &Path) -> bool {
        let links = ["cwd", "exe"].map(|link| self.file(link));
        let targets = links
            .into_iter()
            .filter_map(|link| fs::read_link(link).ok());
        let mut targets = targets.chain(self.open_files());
        targets.any(|target| target.starts_with(folder))
    }

    /// Has it opened anything but devices and sockets?
    #[must_use]
    pub fn has_files(&self) -> bool {
        let mut files = self.open_files();
        files.any(|target| target.starts_with("/") && !target.starts_with("/dev"))
    }

    fn open_files(&self) -> impl Iterator<Item = PathBuf> {
        let entries = fs::read_dir(self.file("fd"))
            .into_iter()
            .flatten()
            .flatten();
        entries.filter_map(|entry| fs::read_link(entry.path()).ok())
    }

    /// Sends a signal, if it is still the same process.
    ///
    /// # Panics
    /// When the kernel does not allow it.
    pub fn signal(&self, signal: Signal) {
        if self.is_alive() {
            match kill(Pid::from_raw(self.pid), signal) {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(error) => panic!("cannot send {signal} to {self:?}: {error}"),
            }
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.pid))
    }
}

/// The name of the marker variable of a task (R8).
#[must_use]
pub(in crate::harness) fn marker_name(task: &str) -> String {
    let mut name = String::from(MARKER_PREFIX);
    for byte in task.bytes() {
        if byte.is_ascii_alphanumeric() {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("_{byte:02x}"));
        }
    }
    name
}

/// All processes that live now and belong to us.
#[must_use]
pub fn processes() -> Vec<Process> {
    let own = std::process::id();
    fs::read_dir("/proc")
        .expect("/proc is mounted")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| u32::try_from(*pid) != Ok(own))
        .filter_map(Process::now)
        .collect()
}

/// The start time of a live process; `None` for zombies and unknown pids.
#[must_use]
pub fn start_time(pid: i32) -> Option<u64> {
    stat(pid)
        .filter(|stat| !matches!(stat.state, 'Z' | 'X'))
        .map(|stat| stat.start_time)
}

/// The user that runs the tests.
#[must_use]
pub fn own_user() -> u32 {
    Uid::current().as_raw()
}

struct Stat {
    comm: String,
    state: char,
    parent: i32,
    flags: u64,
    start_time: u64,
}

fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let text = String::from_utf8_lossy(&text);
    // The name stands in parentheses and may itself contain some.
    let (head, tail) = text.rsplit_once(')')?;
    let comm = head.split_once('(')?.1.to_string();
    let fields: Vec<&str> = tail.split_whitespace().collect();
    Some(Stat {
        comm,
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        flags: fields.get(6)?.parse().ok()?,
        start_time: fields.get(19)?.parse().ok()?,
    })
}

fn words(path: &Path) -> Vec<String> {
    let bytes = fs::read(path).unwrap_or_default();
    bytes
        .split(|byte| *byte == 0)
        .filter(|word| !word.is_empty())
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_is_a_legal_shell_name() {
        assert_eq!(marker_name("a-B_9"), "AGENT_TASK_a_2dB_5f9");
    }

    #[test]
    fn this_process_lives() {
        let pid = i32::try_from(std::process::id()).expect("a pid");
        let this = Process::now(pid).expect("it runs");
        assert!(this.is_alive());
        assert!(!this.argv().is_empty());
    }
}
