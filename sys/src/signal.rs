//! Signals by number, for the two cases in which a number is safe: the caller's
//! own child that it has not taken away yet, and the process group of such a
//! child that leads its session. Their numbers cannot name anybody else.
#![expect(unsafe_code, reason = "safe wrappers of kill refuse real-time signals")]

use std::io;

use crate::hook::Step;
use crate::pidfd::Delivery;

/// Signals the caller's own child `pid`, dead or alive but not taken away yet.
///
/// # Errors
/// The kernel's answer.
pub fn send_to_own_child(pid: i32, signal: i32, step: &Step) -> io::Result<Delivery> {
    if pid <= 1 {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    step.run(|| kill(pid, signal))
}

/// Signals the process group of the caller's own child `leader`, which leads
/// its group and was not taken away yet.
///
/// # Errors
/// The kernel's answer.
pub fn send_to_own_group(leader: i32, signal: i32, step: &Step) -> io::Result<Delivery> {
    if leader <= 1 {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    step.run(|| kill(-leader, signal))
}

/// Ends of children are told and their zombies wait, whatever the program was
/// started with: where SIGCHLD is ignored (exec hands that down), the kernel
/// takes every zombie away, and its exit with it.
///
/// # Errors
/// The kernel's answer.
pub fn hear_of_children() -> io::Result<()> {
    // SAFETY: the default action is no function.
    if unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) } == libc::SIG_ERR {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

fn kill(target: i32, signal: i32) -> io::Result<Delivery> {
    // SAFETY: plain integers.
    if unsafe { libc::kill(target, signal) } == 0 {
        return Ok(Delivery::Sent);
    }
    let error = io::Error::last_os_error();
    if error.raw_os_error() == Some(libc::ESRCH) {
        Ok(Delivery::Gone)
    } else {
        Err(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hook::SHIM_SIGNAL;

    #[test]
    fn nobody_is_signalled_by_an_empty_number() {
        for pid in [-1, 0, 1] {
            assert!(send_to_own_child(pid, 0, &SHIM_SIGNAL).is_err());
            assert!(send_to_own_group(pid, 0, &SHIM_SIGNAL).is_err());
        }
    }
}
