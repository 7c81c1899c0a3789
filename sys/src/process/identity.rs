//! Which process is meant: boot, pid namespace, number and start time.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;

use protocol::shim::ProcessId;

use super::stat::stat;
use crate::pidfd::PidFd;

/// What all identities that this process records have in common. Neither can
/// change while it lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Here {
    /// The kernel's boot id.
    pub boot_id: String,
    /// Inode number of our own pid namespace.
    pub pid_ns: u64,
}

/// The boot and the namespace that we live in.
///
/// # Errors
/// The file system's answer, where `/proc` is missing.
pub fn here() -> io::Result<&'static Here> {
    static HERE: OnceLock<Here> = OnceLock::new();
    if let Some(here) = HERE.get() {
        return Ok(here);
    }
    let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?
        .trim()
        .to_owned();
    let pid_ns = std::fs::metadata("/proc/self/ns/pid")?.ino();
    Ok(HERE.get_or_init(|| Here { boot_id, pid_ns }))
}

/// The identity of the process that has the number `pid` now, a zombie
/// included; `None` if there is none.
///
/// # Errors
/// The file system's answer.
pub fn identity(pid: i32) -> io::Result<Option<ProcessId>> {
    let here = here()?;
    Ok(stat(pid)?.map(|stat| ProcessId {
        boot_id: here.boot_id.clone(),
        pid_ns: here.pid_ns,
        pid,
        start_time: stat.start_time,
    }))
}

/// Holds exactly the process that `wanted` names, if it lives: not one with
/// its number, not one of another boot or namespace, no zombie.
///
/// The pidfd is opened first and the identity compared afterwards, so that
/// what was compared is what is held.
///
/// # Errors
/// The kernel's answer; nothing may be concluded from it.
pub fn same_process(wanted: &ProcessId) -> io::Result<Option<PidFd>> {
    let here = here()?;
    if (&wanted.boot_id, wanted.pid_ns) != (&here.boot_id, here.pid_ns) {
        return Ok(None);
    }
    let Some(pidfd) = PidFd::open(wanted.pid)? else {
        return Ok(None);
    };
    let Some(stat) = stat(wanted.pid)? else {
        return Ok(None);
    };
    // A number that passed on between the two reads would show as an end of
    // what is held. The letter of its state would not do: it is that of the
    // first thread, and the process may run on in others.
    let same = stat.start_time == wanted.start_time && !pidfd.has_ended()?;
    Ok(same.then_some(pidfd))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn only_the_very_process_is_the_same() {
        let mut child = Command::new("sleep")
            .arg("100")
            .spawn()
            .expect("sleep exists");
        let pid = i32::try_from(child.id()).expect("a pid");
        let known = identity(pid).expect("readable").expect("alive");
        assert!(same_process(&known).expect("no error").is_some());
        let strangers = [
            ProcessId {
                start_time: known.start_time + 1,
                ..known.clone()
            },
            ProcessId {
                boot_id: "another".into(),
                ..known.clone()
            },
            ProcessId {
                pid_ns: known.pid_ns + 1,
                ..known.clone()
            },
            ProcessId {
                pid: 1,
                ..known.clone()
            },
            ProcessId {
                pid: 0,
                ..known.clone()
            },
            ProcessId {
                pid: -1,
                ..known.clone()
            },
        ];
        for stranger in strangers {
            assert!(
                same_process(&stranger).expect("no error").is_none(),
                "{stranger:?}"
            );
        }
        child.kill().expect("ours");
        let zombie = PidFd::open(pid)
            .expect("allowed")
            .expect("not taken away yet");
        assert!(
            zombie
                .wait_ended(std::time::Duration::from_secs(10))
                .expect("poll")
        );
        assert!(
            same_process(&known).expect("no error").is_none(),
            "a zombie is dead"
        );
        child.wait().expect("ours");
        assert!(same_process(&known).expect("no error").is_none());
        assert_eq!(identity(pid).expect("no error"), None);
    }
}
