//! Processes by file descriptor: a pidfd names one process for ever, whatever
//! becomes of its number.
#![expect(unsafe_code, reason = "the pidfd system calls have no safe wrappers")]

use std::ffi::{c_int, c_long};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use protocol::Exit;

use crate::hook::Step;
use crate::reap;

/// A process that is held by descriptor.
#[derive(Debug)]
pub struct PidFd(OwnedFd);

/// What became of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// It was sent (a zombie takes it, too, without a trace).
    Sent,
    /// The process is gone.
    Gone,
}

impl PidFd {
    /// Holds the process that has the number `pid` now; `None` if there is
    /// none. Whether it is the one that was meant must be asked afterwards.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn open(pid: i32) -> io::Result<Option<Self>> {
        // SAFETY: plain integers; the result is checked below.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        match check(fd) {
            Ok(fd) => Ok(Some(Self::from_fresh(fd))),
            Err(error) => match error.raw_os_error() {
                // EINVAL is a number that no process can have, or that of a
                // thread; newer kernels say ENOENT for a thread.
                Some(libc::ESRCH | libc::EINVAL | libc::ENOENT) => Ok(None),
                _ => Err(error),
            },
        }
    }

    /// Takes over a descriptor that the kernel just handed out.
    pub(crate) fn from_fresh(fd: RawFd) -> Self {
        // SAFETY: the caller got `fd` from the kernel and has no other owner.
        Self(unsafe { OwnedFd::from_raw_fd(fd) })
    }

    /// Sends `signal`.
    ///
    /// # Errors
    /// The kernel's answer, `EPERM` above all.
    pub fn send_signal(&self, signal: i32, step: &Step) -> io::Result<Delivery> {
        step.run(|| {
            let none: *const libc::siginfo_t = std::ptr::null();
            // SAFETY: a null siginfo asks the kernel to fill in its own.
            let sent = unsafe {
                libc::syscall(
                    libc::SYS_pidfd_send_signal,
                    self.0.as_raw_fd(),
                    signal,
                    none,
                    0,
                )
            };
            match check(sent) {
                Ok(_) => Ok(Delivery::Sent),
                Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(Delivery::Gone),
                Err(error) => Err(error),
            }
        })
    }

    /// The process has ended: it is a zombie, or gone.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn has_ended(&self) -> io::Result<bool> {
        self.wait_ended(Duration::ZERO)
    }

    /// Waits until it has ended, or for `at_most`; says whether it has.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn wait_ended(&self, at_most: Duration) -> io::Result<bool> {
        let timeout = PollTimeout::try_from(at_most).unwrap_or(PollTimeout::MAX);
        let mut fds = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        Ok(poll(&mut fds, timeout)? > 0)
    }

    /// How this child of the caller ended, without taking it away; `None`
    /// while it lives.
    ///
    /// # Errors
    /// The kernel's answer; `ECHILD` if it is not the caller's child.
    pub fn peek_exit(&self) -> io::Result<Option<Exit>> {
        reap::peek_pidfd(self.0.as_fd())
    }

    /// How this child of the caller ended, and takes it away; `None` while it
    /// lives.
    ///
    /// # Errors
    /// The kernel's answer; `ECHILD` if it is not the caller's child.
    pub fn reap(&self, step: &Step) -> io::Result<Option<Exit>> {
        step.run(|| reap::reap_pidfd(self.0.as_fd()))
    }

    /// How this process of another parent ended, where the kernel tells
    /// (Linux 6.15 and later), and only once its parent took it away.
    #[must_use]
    pub fn exit_of_a_stranger(&self) -> Option<Exit> {
        self.told_exit().ok().flatten()
    }

    /// The same, after waiting for that for at most so long. `None` at once
    /// where the kernel would never tell.
    ///
    /// # Errors
    /// The kernel's answer to a wait.
    pub fn exit_once_reaped(&self, at_most: Duration) -> io::Result<Option<Exit>> {
        match self.told_exit() {
            Ok(None) => {}
            Ok(told) => return Ok(told),
            Err(_) => return Ok(None),
        }
        let timeout = PollTimeout::try_from(at_most).unwrap_or(PollTimeout::MAX);
        // Only POLLHUP, which is always waited for, comes with the reaping.
        let mut fds = [PollFd::new(self.0.as_fd(), PollFlags::empty())];
        poll(&mut fds, timeout)?;
        Ok(self.exit_of_a_stranger())
    }

    /// `None` while it is not reaped.
    fn told_exit(&self) -> io::Result<Option<Exit>> {
        if is_forced_off() {
            return Err(io::Error::from_raw_os_error(libc::ENOTTY));
        }
        let mut info = PidFdInfo {
            mask: PIDFD_INFO_EXIT,
            ..PidFdInfo::default()
        };
        // SAFETY: `info` has the size that is encoded in the request, and the
        // kernel writes no more than that.
        let answer = unsafe { libc::ioctl(self.0.as_raw_fd(), PIDFD_GET_INFO, &raw mut info) };
        if answer != 0 {
            let error = io::Error::last_os_error();
            // A process that is gone, of which a kernel before 6.15 knows nothing.
            return match error.raw_os_error() {
                Some(libc::ESRCH) => Ok(None),
                _ => Err(error),
            };
        }
        if info.mask & PIDFD_INFO_EXIT == 0 {
            return Ok(None);
        }
        Ok(Some(exit_of(info.exit_code)))
    }
}

/// What a status, as `wait` tells it of the dead, means.
pub(crate) fn exit_of(status: i32) -> Exit {
    if libc::WIFEXITED(status) {
        Exit::Exited {
            code: libc::WEXITSTATUS(status),
        }
    } else {
        Exit::Signaled {
            signal: libc::WTERMSIG(status),
            core: libc::WCOREDUMP(status),
        }
    }
}

impl AsFd for PidFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for PidFd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl From<PidFd> for OwnedFd {
    fn from(pidfd: PidFd) -> Self {
        pidfd.0
    }
}

/// The first published layout of the kernel's answer (64 bytes); later ones
/// only grow at the end.
#[repr(C)]
#[derive(Default)]
struct PidFdInfo {
    mask: u64,
    cgroup_id: u64,
    ids: [u32; 11],
    exit_code: i32,
}

const PIDFD_INFO_EXIT: u64 = 1 << 3;
/// `_IOWR(0xFF, 11, struct pidfd_info)`.
const PIDFD_GET_INFO: libc::Ioctl = ((3u32 << 30) | (64 << 16) | (0xFF << 8) | 11) as libc::Ioctl;
const _: () = assert!(size_of::<PidFdInfo>() == 64);

/// A test wants to see what happens on a kernel that does not tell exits.
#[cfg(feature = "hooks")]
pub(crate) fn is_forced_off() -> bool {
    std::env::var_os("AGENT_SUPERVISOR_NO_PIDFD_EXIT").is_some()
}

#[cfg(not(feature = "hooks"))]
pub(crate) const fn is_forced_off() -> bool {
    false
}

fn check(result: c_long) -> io::Result<RawFd> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    c_int::try_from(result).map_err(|_| io::Error::from_raw_os_error(libc::EBADF))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hook::{SHIM_REAP, SHIM_SIGNAL};
    use std::process::Command;

    fn pid_of(child: &std::process::Child) -> i32 {
        i32::try_from(child.id()).expect("a pid")
    }

    #[test]
    #[expect(clippy::zombie_processes, reason = "it is taken away by its pidfd")]
    fn a_child_is_signalled_looked_at_and_taken_away() {
        let child = Command::new("sleep")
            .arg("100")
            .spawn()
            .expect("sleep exists");
        let pidfd = PidFd::open(pid_of(&child))
            .expect("allowed")
            .expect("it lives");
        assert!(!pidfd.has_ended().expect("poll"));
        assert_eq!(pidfd.peek_exit().expect("ours"), None);
        assert_eq!(
            pidfd.send_signal(9, &SHIM_SIGNAL).expect("allowed"),
            Delivery::Sent
        );
        assert!(pidfd.wait_ended(Duration::from_secs(10)).expect("poll"));
        let killed = Some(Exit::Signaled {
            signal: 9,
            core: false,
        });
        assert_eq!(pidfd.peek_exit().expect("ours"), killed);
        assert_eq!(pidfd.reap(&SHIM_REAP).expect("ours"), killed);
        assert_eq!(
            pidfd.send_signal(9, &SHIM_SIGNAL).expect("allowed"),
            Delivery::Gone
        );
        // Where the kernel keeps the status, it is the same one.
        assert!(matches!(
            pidfd.exit_of_a_stranger(),
            None | Some(Exit::Signaled { signal: 9, .. })
        ));
    }

    #[test]
    fn numbers_without_a_process_are_none() {
        for pid in [0, -1, i32::MAX] {
            assert!(PidFd::open(pid).expect("no error").is_none(), "{pid}");
        }
    }

    /// The number of a process that is gone may have passed on to a thread.
    #[test]
    fn the_number_of_a_thread_is_no_process() {
        std::thread::spawn(|| {
            let thread = nix::unistd::gettid().as_raw();
            assert_ne!(thread, nix::unistd::getpid().as_raw());
            assert!(PidFd::open(thread).expect("no error").is_none());
        })
        .join()
        .expect("no panic");
    }
}
