//! The agent's processes: looking at them, signalling them, taking them away.

use std::io;

use protocol::shim::SupersededBy;
use protocol::view::Survivor;
use protocol::{Exit, limits};
use sys::hook::{SHIM_REAP, SHIM_SIGNAL};
use sys::process::{self, children, descendants};
use sys::reap::{self, Children};
use sys::signal::{send_to_own_child, send_to_own_group};
use sys::spawn::Spawned;

use crate::ladder::Tree;

/// Processes that one walk over the tree signals; the next round takes others.
const MAX_PER_WALK: usize = 10_000;

const SIGKILL: i32 = 9;
const SIGCONT: i32 = 18;

/// What a look at the dead children found.
#[derive(Debug, PartialEq, Eq)]
pub enum Dead {
    /// The leader, which is left for its exit to be journalled first.
    Leader(Exit),
    /// So many others, which were taken away, and what is left now.
    Others(u32, Tree),
}

/// Who counts as swept: what outlived the leader and was signalled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sweep {
    /// The leader lives, or what is left is left alone.
    NotYet,
    /// So many of them have ended.
    Ended(u32),
}

impl Sweep {
    /// From now on they count.
    pub fn begin(&mut self) {
        if *self == Self::NotYet {
            *self = Self::Ended(0);
        }
    }

    /// So many more have ended.
    pub fn count(&mut self, more: u32) {
        if let Self::Ended(count) = self {
            *count += more;
        }
    }

    /// All of them.
    #[must_use]
    pub const fn total(self) -> u32 {
        match self {
            Self::NotYet => 0,
            Self::Ended(count) => count,
        }
    }
}

/// Takes away the dead, up to the leader.
///
/// # Errors
/// The kernel's answer.
pub fn bury(leader: Option<i32>) -> io::Result<Dead> {
    let mut buried = 0;
    loop {
        match reap::peek_any()? {
            Children::Dead { pid, exit } if Some(pid) == leader => return Ok(Dead::Leader(exit)),
            Children::Dead { pid, .. } => {
                reap::reap(pid, &SHIM_REAP)?;
                buried += 1;
            }
            Children::AllAlive => return Ok(Dead::Others(buried, Tree::Populated)),
            Children::None => return Ok(Dead::Others(buried, Tree::Empty)),
        }
    }
}

/// The same without a leader: so many were taken away, and what is left.
///
/// # Errors
/// The kernel's answer.
pub fn bury_others() -> io::Result<(u32, Tree)> {
    Ok(match bury(None)? {
        Dead::Others(count, tree) => (count, tree),
        Dead::Leader(_) => (0, Tree::Populated),
    })
}

/// Whether the leader ended by itself, as the kernel sees it.
///
/// # Errors
/// The kernel's answer.
pub fn look(leader: &Spawned) -> io::Result<Option<SupersededBy>> {
    if leader.pidfd.peek_exit()?.is_some() {
        return Ok(Some(SupersededBy::Zombie));
    }
    let exiting = process::is_exiting(leader.process.pid)?;
    Ok(exiting.then_some(SupersededBy::Exiting))
}

/// Signals the group of the leader, which was not taken away yet. A stopped
/// group is continued, so that it can act on the signal.
pub fn signal_group(leader: &Spawned, signal: i32) {
    // A group that is gone is what was wanted; another user's stays and is
    // named in the end.
    let _ = send_to_own_group(leader.process.pid, signal, &SHIM_SIGNAL);
    if signal != SIGKILL {
        let _ = send_to_own_group(leader.process.pid, SIGCONT, &SHIM_SIGNAL);
    }
}

/// How many descendants live.
#[must_use]
pub fn count() -> u32 {
    let mut count = 0;
    // What could be seen counts.
    let _ = descendants(own_pid(), MAX_PER_WALK, &mut |_| count += 1);
    count
}

/// Signals every descendant.
pub fn signal_all(signal: i32) {
    if signal == SIGKILL {
        return kill_round();
    }
    let _ = descendants(own_pid(), MAX_PER_WALK, &mut |one| {
        let _ = one.pidfd.send_signal(signal, &SHIM_SIGNAL);
        let _ = one.pidfd.send_signal(SIGCONT, &SHIM_SIGNAL);
    });
}

/// Kills our children, whose children then become ours, and what can be seen
/// below them, so that a tree which grows is met at all its ends.
pub fn kill_round() {
    for pid in children(own_pid()).unwrap_or_default() {
        let _ = send_to_own_child(pid, SIGKILL, &SHIM_SIGNAL);
    }
    let _ = descendants(own_pid(), MAX_PER_WALK, &mut |one| {
        let _ = one.pidfd.send_signal(SIGKILL, &SHIM_SIGNAL);
    });
}

/// Who is left, by name.
#[must_use]
pub fn survivors() -> Vec<Survivor> {
    let mut survivors = Vec::new();
    let _ = descendants(own_pid(), limits::MAX_SURVIVORS, &mut |one| {
        if let Ok(Some(stat)) = process::stat(one.pid) {
            let (pid, start_time, comm) = (one.pid, stat.start_time, stat.comm);
            survivors.push(Survivor {
                pid,
                start_time,
                comm,
            });
        }
    });
    survivors
}

fn own_pid() -> i32 {
    nix::unistd::getpid().as_raw()
}
