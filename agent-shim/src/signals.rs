//! Signals at the shim, read like any other input.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd, siginfo};
use protocol::shim::SenderRecord;

/// A signal that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caught {
    /// A child ended (one signal may stand for many).
    Child,
    /// A supervisor says that it can be reached.
    Reconnect,
    /// Somebody ends this task.
    End {
        /// Which signal.
        signal: i32,
        /// The sender, 0 for the kernel.
        pid: i32,
        /// Its user.
        uid: u32,
    },
}

/// The signals that are read instead of being delivered.
#[derive(Debug)]
pub struct Signals(SignalFd);

fn handled() -> SigSet {
    [
        Signal::SIGCHLD,
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGHUP,
        Signal::SIGUSR1,
    ]
    .into_iter()
    .collect()
}

/// Blocks what will be read later. The first thing that the shim does: a
/// signal must never kill it.
///
/// # Errors
/// The kernel's answer.
pub fn block() -> io::Result<()> {
    handled().thread_block()?;
    sys::signal::hear_of_children()
}

impl Signals {
    /// Opens the blocked signals for reading.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn open() -> io::Result<Self> {
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        Ok(Self(SignalFd::with_flags(&handled(), flags)?))
    }

    /// The next one that waits, if there is one.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn next(&self) -> io::Result<Option<Caught>> {
        let info = loop {
            match self.0.read_signal()? {
                None => return Ok(None),
                // A stopped process whose group is orphaned gets it with a
                // SIGCONT: the supervisor ended, and nobody ends this task.
                Some(info) if is_of_the_kernel(&info) => {}
                Some(info) => break info,
            }
        };
        let signal = i32::try_from(info.ssi_signo).unwrap_or_default();
        Ok(Some(match signal {
            libc_signal::CHLD => Caught::Child,
            libc_signal::USR1 => Caught::Reconnect,
            _ => Caught::End {
                signal,
                pid: i32::try_from(info.ssi_pid).unwrap_or_default(),
                uid: info.ssi_uid,
            },
        }))
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn is_of_the_kernel(info: &siginfo) -> bool {
    let signal = i32::try_from(info.ssi_signo).unwrap_or_default();
    signal == libc_signal::HUP && info.ssi_code == nix::libc::SI_KERNEL
}

mod libc_signal {
    use super::Signal;

    pub(super) const CHLD: i32 = Signal::SIGCHLD as i32;
    pub(super) const HUP: i32 = Signal::SIGHUP as i32;
    pub(super) const USR1: i32 = Signal::SIGUSR1 as i32;
}

/// Who sent a signal, looked up before it can be gone.
#[must_use]
pub fn sender(pid: i32, uid: u32) -> SenderRecord {
    let known = (pid > 0).then_some(pid);
    let comm = known.and_then(|pid| sys::process::comm(pid).ok().flatten());
    let exe = known.and_then(|pid| sys::process::exe(pid).ok().flatten());
    let exe = exe
        .as_deref()
        .map(Path::to_string_lossy)
        .map(|exe| exe.into_owned());
    SenderRecord {
        pid,
        uid,
        comm,
        exe,
    }
}
