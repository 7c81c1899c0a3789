//! A live shim whose task is lost: of the task, nothing but its claim is left to know
//! it by. The shim is the subreaper of all that its agent started, so that whoever
//! descends from it is the task's, marker or not.
//!
//! ```text
//!            ends its tree, and then itself
//! TERM ───────────────────────────────────────▶ looked for again ──▶ survivors
//!   │ does not, for 8 s                              ▲
//!   └──▶ KILL to its tree in rounds ──▶ KILL to it ──┘
//! ```

use std::io;
use std::time::Duration;

use protocol::TaskId;
use protocol::limits::MAX_SURVIVORS;
use protocol::shim::ProcessId;
use protocol::view::Survivor;
use sys::PidFd;
use sys::hook::SUP_SIGNAL;
use sys::process;

use super::{orphans, watchdog};

/// A shim that is signalled gives its agent a grace of at most 5 s, what is left half
/// a second, and its last report one second.
const ENDS_WITHIN: Duration = Duration::from_secs(8);

/// How long a KILL is waited for.
const KILLED_WITHIN: Duration = Duration::from_secs(2);

/// Most processes that are named, and held by a descriptor each while they are ended.
/// The shim ends the others as well.
const MOST_HELD: usize = 1024;

const TERM: i32 = 15;
const KILL: i32 = 9;

/// A shim, and all that descends from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    /// The shim first.
    pub members: Vec<Survivor>,
    /// The value of the task's marker, as its agent carries it.
    pub nonce: Option<String>,
}

struct Held {
    pidfd: PidFd,
    process: Survivor,
}

/// Looks at the shim that the claim of `task` names; none if it has ended.
///
/// # Errors
/// The kernel's answer; nothing may be concluded then.
pub fn look(task: &TaskId, shim: &ProcessId) -> io::Result<Option<Tree>> {
    let Some(held) = hold(shim)? else {
        return Ok(None);
    };
    // The agent comes before what it started, which may have a marker of its own.
    let nonce = held.iter().find_map(|one| {
        let marker = orphans::marker_in(one.process.pid)?;
        let is_its = marker.0 == *task && !one.pidfd.has_ended().unwrap_or(true);
        is_its.then_some(marker.1)
    });
    let members = held.into_iter().map(|one| one.process).collect();
    Ok(Some(Tree { members, nonce }))
}

/// Ends the shim's tree, and the shim; what lives on. Blocks for as long as that
/// takes: not for a thread that serves others.
#[must_use]
pub fn end(shim: &ProcessId) -> Vec<Survivor> {
    match try_to_end(shim) {
        Ok(survivors) => survivors,
        Err(error) => {
            tracing::error!(shim = shim.pid, %error, "the shim of a lost task could not be ended");
            vec![Survivor {
                pid: shim.pid,
                start_time: shim.start_time,
                comm: String::new(),
            }]
        }
    }
}

fn try_to_end(shim: &ProcessId) -> io::Result<Vec<Survivor>> {
    let Some(pidfd) = process::same_process(shim)? else {
        return Ok(Vec::new());
    };
    let Some(mut held) = hold(shim)? else {
        return Ok(Vec::new());
    };
    pidfd.send_signal(TERM, &SUP_SIGNAL)?;
    if !pidfd.wait_ended(ENDS_WITHIN)? {
        tracing::warn!(
            shim = shim.pid,
            "the shim of a lost task does not heed a SIGTERM; its processes are ended without it"
        );
        if !watchdog::end((shim.pid, &pidfd)).empty {
            // It stays: without it nobody would know what is the task's.
            let left = hold(shim)?.unwrap_or_default();
            return Ok(named(left));
        }
        pidfd.send_signal(KILL, &SUP_SIGNAL)?;
        pidfd.wait_ended(KILLED_WITHIN)?;
    }
    // What the shim let be, and what was killed and is not gone yet.
    let mut left = Vec::new();
    held.retain(|one| !one.pidfd.has_ended().unwrap_or(false));
    for one in held {
        one.pidfd.send_signal(KILL, &SUP_SIGNAL)?;
        if !one.pidfd.wait_ended(KILLED_WITHIN)? {
            left.push(one);
        }
    }
    Ok(named(left))
}

fn named(left: Vec<Held>) -> Vec<Survivor> {
    let named = left.into_iter().map(|one| one.process);
    named.take(MAX_SURVIVORS).collect()
}

/// The shim and its descendants, each held; none if the shim has ended.
fn hold(shim: &ProcessId) -> io::Result<Option<Vec<Held>>> {
    let Some(pidfd) = process::same_process(shim)? else {
        return Ok(None);
    };
    let Some(own) = PidFd::open(shim.pid)? else {
        return Ok(None);
    };
    let mut held = Vec::new();
    held.extend(held_with(shim.pid, own));
    process::descendants_of((shim.pid, &pidfd), MOST_HELD, &mut |one| {
        if let Ok(Some(own)) = PidFd::open(one.pid) {
            // It has the number for as long as it lives.
            let is_it = !one.pidfd.has_ended().unwrap_or(true);
            held.extend(is_it.then(|| held_with(one.pid, own)).flatten());
        }
    })?;
    let lives = !pidfd.has_ended()?;
    Ok(lives.then_some(held))
}

/// None if it has ended: all of it was read of what is held, then.
fn held_with(pid: i32, pidfd: PidFd) -> Option<Held> {
    let process = orphans::identified(pid)?;
    let lives = !pidfd.has_ended().unwrap_or(true);
    lives.then_some(Held { pidfd, process })
}
