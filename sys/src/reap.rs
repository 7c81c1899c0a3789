//! Looking at and taking away the caller's own dead children.
//!
//! A look (`peek`) leaves the zombie in place, so that its exit can be written
//! down first; a process id stays reserved until its zombie is taken away.
#![expect(unsafe_code, reason = "safe wrappers of waitid lose real-time signals")]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};

use protocol::Exit;

use crate::hook::Step;

/// What the kernel says about the caller's children.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Children {
    /// This one is dead and not taken away yet.
    Dead {
        /// Its process id.
        pid: i32,
        /// How it ended.
        exit: Exit,
    },
    /// There are children, and all of them live.
    AllAlive,
    /// There is no child at all: for a subreaper, no descendant either.
    None,
}

/// Looks for a dead child without taking it away.
///
/// # Errors
/// The kernel's answer.
pub fn peek_any() -> io::Result<Children> {
    match wait(libc::P_ALL, 0, libc::WNOWAIT) {
        Ok(Some((pid, exit))) => Ok(Children::Dead { pid, exit }),
        Ok(None) => Ok(Children::AllAlive),
        Err(error) if error.raw_os_error() == Some(libc::ECHILD) => Ok(Children::None),
        Err(error) => Err(error),
    }
}

/// Takes away the dead child `pid`; `None` if it is not dead.
///
/// # Errors
/// The kernel's answer; `ECHILD` if it is not ours.
pub fn reap(pid: i32, step: &Step) -> io::Result<Option<Exit>> {
    let id = libc::id_t::try_from(pid).map_err(|_| io::Error::from_raw_os_error(libc::ESRCH))?;
    step.run(|| Ok(wait(libc::P_PID, id, 0)?.map(|(_, exit)| exit)))
}

/// How the child behind `pidfd` ended; `None` while it lives. It is not taken
/// away.
pub(crate) fn peek_pidfd(pidfd: BorrowedFd<'_>) -> io::Result<Option<Exit>> {
    Ok(wait_pidfd(pidfd, libc::WNOWAIT)?.map(|(_, exit)| exit))
}

/// The same, and takes it away.
pub(crate) fn reap_pidfd(pidfd: BorrowedFd<'_>) -> io::Result<Option<Exit>> {
    Ok(wait_pidfd(pidfd, 0)?.map(|(_, exit)| exit))
}

fn wait_pidfd(pidfd: BorrowedFd<'_>, flags: i32) -> io::Result<Option<(i32, Exit)>> {
    let id = libc::id_t::try_from(pidfd.as_raw_fd())
        .map_err(|_| io::Error::from_raw_os_error(libc::EBADF))?;
    wait(libc::P_PIDFD, id, flags)
}

fn wait(kind: libc::idtype_t, id: libc::id_t, flags: i32) -> io::Result<Option<(i32, Exit)>> {
    let options = libc::WEXITED | libc::WNOHANG | libc::__WALL | flags;
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    // SAFETY: `info` is a siginfo_t that the kernel may write to.
    if unsafe { libc::waitid(kind, id, info.as_mut_ptr(), options) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: zeroed bytes are a valid siginfo_t, and so is what waitid wrote.
    let info = unsafe { info.assume_init() };
    // SAFETY: waitid fills the SIGCHLD fields, or leaves them zero.
    let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
    if pid == 0 {
        return Ok(None);
    }
    Ok(Some((pid, exit_of(info.si_code, status))))
}

fn exit_of(code: i32, status: i32) -> Exit {
    match code {
        libc::CLD_EXITED => Exit::Exited { code: status },
        libc::CLD_KILLED => Exit::Signaled {
            signal: status,
            core: false,
        },
        libc::CLD_DUMPED => Exit::Signaled {
            signal: status,
            core: true,
        },
        other => Exit::Unknown {
            why: format!("the kernel reported the end with code {other}"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_never_mixed_with_signals() {
        assert_eq!(exit_of(libc::CLD_EXITED, 143), Exit::Exited { code: 143 });
        assert_eq!(
            exit_of(libc::CLD_KILLED, 15),
            Exit::Signaled {
                signal: 15,
                core: false
            }
        );
        assert_eq!(
            exit_of(libc::CLD_KILLED, 34),
            Exit::Signaled {
                signal: 34,
                core: false
            }
        );
        assert_eq!(
            exit_of(libc::CLD_DUMPED, 11),
            Exit::Signaled {
                signal: 11,
                core: true
            }
        );
        assert!(matches!(exit_of(99, 0), Exit::Unknown { .. }));
    }
}
