//! The end of a tree whose shim does not answer (R2, R8).
//!
//! A shim that stands still is the subreaper of its agent's processes all the
//! same: what is orphaned becomes its child. So its children are killed in
//! rounds until none of them lives, which is an exact proof.

use std::io;
use std::time::{Duration, Instant};

use protocol::Exit;
use protocol::shim::{ProcessId, SupersededBy};
use sys::PidFd;
use sys::hook::SUP_SIGNAL;
use sys::process;

/// How long KILL is repeated. What still lives then hangs in the kernel.
const DEADLINE: Duration = Duration::from_secs(30);

/// How long the leader of a dead shim is waited for until its new parent takes
/// it away: some reap only every two seconds. Without that it ended in a way
/// that nobody knows.
const REAPED_WITHIN: Duration = Duration::from_millis(2_500);

/// First and longest pause between two rounds.
const PAUSE: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(50));

/// Looks in a row that find nobody: the kernel may leave children out of its
/// list while others of them end.
const CLEAR_LOOKS: u32 = 2;

/// Processes that one round signals; the next one takes others.
const MAX_PER_ROUND: usize = 10_000;

const KILL: i32 = 9;

/// What was seen behind a shim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The agent's leader had ended by itself.
    pub ended: Option<SupersededBy>,
    /// Descendants that live.
    pub processes: u32,
}

/// What became of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// No descendant lives.
    pub empty: bool,
    /// The most that were met in one round.
    pub met: u32,
}

/// Looks at the agent of a shim, as the shim itself would have.
#[must_use]
pub fn look(shim: (i32, &PidFd), agent: Option<&ProcessId>) -> Seen {
    Seen {
        ended: agent.and_then(ended_by_itself),
        processes: count(shim).unwrap_or(0),
    }
}

/// Nothing is concluded from a failure to look.
fn ended_by_itself(agent: &ProcessId) -> Option<SupersededBy> {
    match process::same_process(agent) {
        Ok(None) => return Some(SupersededBy::Zombie),
        Ok(Some(_)) => {}
        Err(_) => return None,
    }
    let exiting = process::is_exiting(agent.pid).unwrap_or(false);
    exiting.then_some(SupersededBy::Exiting)
}

fn count(shim: (i32, &PidFd)) -> io::Result<u32> {
    let mut count = 0;
    process::descendants_of(shim, MAX_PER_ROUND, &mut |_| count += 1)?;
    Ok(count)
}

/// Kills every descendant of a shim, and not the shim. Blocks for up to 30 s:
/// not for a thread that serves others.
#[must_use]
pub fn end(shim: (i32, &PidFd)) -> Ended {
    let deadline = Instant::now() + DEADLINE;
    let (mut pause, longest) = PAUSE;
    let (mut clear, mut most) = (0, 0);
    loop {
        match kill_round(shim) {
            Ok(0) => clear += 1,
            Ok(met) => {
                clear = 0;
                most = most.max(met);
            }
            Err(error) => {
                clear = 0;
                tracing::warn!(shim = shim.0, %error, "the processes of a shim cannot be looked at now");
            }
        }
        let empty = clear >= CLEAR_LOOKS;
        if empty || Instant::now() >= deadline {
            return Ended { empty, met: most };
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(longest);
    }
}

/// How a leader whose shim is dead ended, if the kernel tells: at once while it
/// is a zombie, else it blocks until whoever inherited it took it away, or a
/// while.
#[must_use]
pub fn told_exit(agent: &PidFd, process: &ProcessId) -> Option<Exit> {
    match process::exit_of_zombie(process) {
        Ok(None) => {}
        Ok(told) => return told,
        Err(error) => tracing::debug!(%error, "a zombie cannot be looked at"),
    }
    match agent.exit_once_reaped(REAPED_WITHIN) {
        Ok(exit) => exit,
        Err(error) => {
            tracing::warn!(%error, "how the agent ended cannot be asked");
            None
        }
    }
}

/// How many were alive.
fn kill_round(shim: (i32, &PidFd)) -> io::Result<u32> {
    let mut met = 0;
    process::descendants_of(shim, MAX_PER_ROUND, &mut |one| {
        met += 1;
        if let Err(error) = one.pidfd.send_signal(KILL, &SUP_SIGNAL) {
            tracing::warn!(pid = one.pid, %error, "a process of a shim could not be signalled");
        }
    })?;
    Ok(met)
}
