//! `/proc/PID/stat`.

use std::io::{self, Read};
use std::path::Path;

use protocol::Exit;
use protocol::shim::ProcessId;

use super::if_there;
use crate::pidfd::exit_of;

/// The fields of `/proc/PID/stat` that matter here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// The command name; any byte but NUL may be in it.
    pub comm: String,
    /// One letter; `Z` is a zombie.
    pub state: char,
    /// Its parent.
    pub ppid: i32,
    /// Its process group.
    pub pgrp: i32,
    /// Its session.
    pub session: i32,
    /// Its terminal, 0 for none.
    pub tty_nr: i32,
    /// `PF_*` flags (field 9).
    pub flags: u32,
    /// Its threads, a first one that ended alone included (field 20).
    threads: u32,
    /// Clock ticks since boot (field 22).
    pub start_time: u64,
    /// Signals that wait for this thread alone (field 31), the first 31.
    pending: u64,
    /// Of a zombie, as `wait` would tell it (field 52); 0 for whom it is none of
    /// their business.
    exit_code: i32,
}

/// Set from the moment at which a thread begins to exit.
const PF_EXITING: u32 = 0x4;
/// Set by fork and cleared by exec.
const PF_FORKNOEXEC: u32 = 0x40;
/// SIGKILL in a mask of pending signals.
const KILL_PENDING: u64 = 1 << (libc::SIGKILL - 1);

impl Stat {
    /// A zombie, or on its way out of the process table.
    #[must_use]
    pub const fn is_dead(&self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x')
    }

    /// It began to exit without ever having exec'd.
    #[must_use]
    pub const fn died_before_exec(&self) -> bool {
        self.flags & PF_EXITING != 0 && self.flags & PF_FORKNOEXEC != 0
    }

    /// This thread will run no more code of its program: it is exiting, or the
    /// kernel gave it the private SIGKILL by which it ends all threads of a
    /// process that exits or was hit by a fatal signal.
    const fn is_ending(&self) -> bool {
        self.flags & PF_EXITING != 0 || self.pending & KILL_PENDING != 0
    }
}

/// The state of process `pid` (of its first thread); `None` if it is gone.
///
/// # Errors
/// The file system's answer; `InvalidData` for a line of another form.
pub fn stat(pid: i32) -> io::Result<Option<Stat>> {
    read(Path::new(&format!("/proc/{pid}/stat")))
}

/// How a process ended that its parent has not taken away yet; `None` while it
/// runs, when it is gone, or where the kernel does not tell this user.
///
/// # Errors
/// The file system's answer.
pub fn exit_of_zombie(process: &ProcessId) -> io::Result<Option<Exit>> {
    use std::os::unix::fs::MetadataExt;

    let folder = format!("/proc/{}", process.pid);
    let Some(owner) = if_there(std::fs::metadata(folder))? else {
        return Ok(None);
    };
    let us = nix::unistd::geteuid().as_raw();
    // To others the kernel says 0, which would be a lie of ours.
    if crate::pidfd::is_forced_off() || (us != 0 && us != owner.uid()) {
        return Ok(None);
    }
    // A first thread that ended alone is a zombie, too.
    if !is_exiting(process.pid)? {
        return Ok(None);
    }
    let stat = stat(process.pid)?;
    let same = |stat: &Stat| stat.state == 'Z' && stat.start_time == process.start_time;
    Ok(stat.filter(same).map(|stat| exit_of(stat.exit_code)))
}

/// The process runs no more code of its own: every thread is exiting, or it is
/// dead or gone. It takes milliseconds from there to the zombie while the
/// kernel takes its memory apart. A first thread that ended alone (`Z`) while
/// others run does not count.
///
/// # Errors
/// The file system's answer.
pub fn is_exiting(pid: i32) -> io::Result<bool> {
    match stat(pid)? {
        None => return Ok(true),
        // What stands there is the only thread's.
        Some(alone) if alone.threads == 1 => return Ok(alone.is_ending()),
        Some(_) => {}
    }
    let Some(threads) = if_there(std::fs::read_dir(format!("/proc/{pid}/task")))? else {
        return Ok(true);
    };
    for thread in threads {
        let Some(thread) = if_there(thread)? else {
            continue;
        };
        match read(&thread.path().join("stat"))? {
            Some(stat) if !stat.is_ending() => return Ok(false),
            Some(_) | None => {}
        }
    }
    Ok(true)
}

fn read(path: &Path) -> io::Result<Option<Stat>> {
    let mut line = [0; LONGEST];
    let Some(length) = if_there(read_line(path, &mut line))? else {
        return Ok(None);
    };
    match parse(line.get(..length).unwrap_or_default()) {
        Some(stat) => Ok(Some(stat)),
        None => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a stat line of another form",
        )),
    }
}

/// 52 numbers of at most 20 digits and a name of 64 bytes fit.
const LONGEST: usize = 2048;

/// The kernel gives the whole line at once; its end saves another look.
fn read_line(path: &Path, line: &mut [u8; LONGEST]) -> io::Result<usize> {
    let mut file = std::fs::File::open(path)?;
    let mut length = 0;
    while !line[..length].ends_with(b"\n") {
        match file.read(&mut line[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

/// The name stands in parentheses and may contain any of them: it ends at the
/// last one.
fn parse(line: &[u8]) -> Option<Stat> {
    let from = line.iter().position(|byte| *byte == b'(')?;
    let to = line.iter().rposition(|byte| *byte == b')')?;
    let comm = String::from_utf8_lossy(line.get(from + 1..to)?).into_owned();
    let rest = std::str::from_utf8(line.get(to + 1..)?).ok()?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    // The first field behind the name is number 3.
    let field = |number: usize| fields.get(number - 3).copied();
    Some(Stat {
        comm,
        state: field(3)?.chars().next()?,
        ppid: field(4)?.parse().ok()?,
        pgrp: field(5)?.parse().ok()?,
        session: field(6)?.parse().ok()?,
        tty_nr: field(7)?.parse().ok()?,
        flags: field(9)?.parse().ok()?,
        threads: field(20)?.parse().ok()?,
        start_time: field(22)?.parse().ok()?,
        pending: field(31)?.parse().ok()?,
        exit_code: field(52)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(comm: &str, state: char, flags: u32, pending: u64) -> Vec<u8> {
        format!(
            "12 ({comm}) {state} 7 12 12 34816 12 {flags} 1 2 3 4 5 6 7 8 20 0 1 0 98765 4096 \
             10 18446744073709551615 1 1 0 0 0 {pending} 0 0 0 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
        )
        .into_bytes()
    }

    /// Whoever is not its parent may look as well: the pidfd tells only later.
    #[test]
    fn a_zombie_says_how_it_ended() {
        for (script, wanted) in [
            ("exit 7", Exit::Exited { code: 7 }),
            (
                "kill -9 $$",
                Exit::Signaled {
                    signal: 9,
                    core: false,
                },
            ),
        ] {
            let mut shell = std::process::Command::new("sh");
            let child = shell.args(["-c", &format!("read go; {script}")]);
            let mut child = child
                .stdin(std::process::Stdio::piped())
                .spawn()
                .expect("a shell");
            let pid = i32::try_from(child.id()).expect("a pid");
            let process = crate::process::identity(pid).expect("read").expect("alive");
            assert_eq!(exit_of_zombie(&process).expect("read"), None, "it runs");
            drop(child.stdin.take());
            let pidfd = crate::PidFd::open(pid)
                .expect("opened")
                .expect("not reaped");
            let ended = pidfd.wait_ended(std::time::Duration::from_secs(30));
            assert!(ended.expect("waited"));
            assert_eq!(exit_of_zombie(&process).expect("read"), Some(wanted));
            child.wait().expect("our child");
            assert_eq!(exit_of_zombie(&process).expect("read"), None, "it is gone");
        }
    }

    #[test]
    fn a_name_may_look_like_anything() {
        for comm in [
            "sh",
            "a b",
            ") R 1 1",
            "(x) Z (",
            "",
            "((((",
            "tmux: server",
        ] {
            let stat = parse(&line(comm, 'S', 0x40, 0)).expect(comm);
            assert_eq!((stat.comm.as_str(), stat.state, stat.ppid), (comm, 'S', 7));
            assert_eq!(
                (stat.tty_nr, stat.flags, stat.start_time),
                (34816, 0x40, 98765)
            );
        }
    }

    #[test]
    fn exiting_dead_and_unborn_are_told_apart() {
        let of = |state, flags, pending| parse(&line("x", state, flags, pending)).expect("a line");
        assert!(of('R', 0x40_0004, 0).is_ending());
        assert!(of('R', 0, 1 << 8).is_ending());
        assert!(!of('R', 0x40_0000, 1 << 14).is_ending());
        assert!(of('Z', 0x4, 0).is_dead());
        assert!(!of('D', 0, 0).is_dead());
        assert!(of('Z', 0x44, 0).died_before_exec());
        assert!(!of('R', 0x40, 0).died_before_exec());
        assert!(!of('Z', 0x4, 0).died_before_exec());
    }

    #[test]
    fn we_are_not_exiting_and_nobody_is_gone() {
        let own = i32::try_from(std::process::id()).expect("a pid");
        assert!(!is_exiting(own).expect("readable"));
        assert!(!stat(own).expect("readable").expect("alive").is_dead());
        assert_eq!(stat(i32::MAX).expect("no error"), None);
        assert!(is_exiting(i32::MAX).expect("no error"));
    }

    proptest! {
        #[test]
        fn any_line_is_read_or_refused(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }

        #[test]
        fn any_cut_is_read_alike_or_refused(comm in "[a-z ()]{0,15}", cut in 0usize..200) {
            let whole = line(&comm, 'S', 4, 0);
            if let Some(stat) = parse(&whole[..cut.min(whole.len())]) {
                prop_assert_eq!(stat.start_time, 98765);
            }
        }
    }
}
