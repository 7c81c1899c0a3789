//! The end of what a dead shim left behind (R8), found by the task's marker.
//!
//! ```text
//!            grace over, or all gone
//!   TERM ───────────────────────────▶ KILL in rounds ──▶ clear looks ──▶ empty
//!    ▲ │ newcomers get theirs, too        │  ▲
//!    └─┘                                  └──┘ until the deadline ──▶ survivors
//! ```
//!
//! The marker cannot see a process that wiped its environment: the record says
//! `marker_only`, and claims no more than that.

use std::collections::HashSet;
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use protocol::limits::MAX_SURVIVORS;
use protocol::shim::{ProcessId, SweepRecord};
use protocol::view::Survivor;
use protocol::{TaskId, Timestamp};
use sys::clock;
use sys::hook::SUP_SIGNAL;
use sys::process;

use super::marker;
use super::scan::{Carrier, Found, HIDDEN_PAUSE, Hidden, Look, Round, Wanted};
use crate::text::command_name;

/// How long KILL is repeated before what still lives is called a survivor: a
/// process in state D may come back from a slow disk in that time.
const DEADLINE: Duration = Duration::from_secs(30);

/// How long one round of KILL is waited for. An agent of 500 MB takes 23 ms to
/// be a zombie.
const ROUND: Duration = Duration::from_millis(500);

/// Clear looks in a row that count as the end: where numbers have begun again at the
/// lowest one, a child may have one that the list of a look has passed already.
const CLEAR_LOOKS: u32 = 2;

/// Pause before the look that confirms another: what was in between two programs is in
/// the next one then.
const CONFIRM_PAUSE: Duration = Duration::from_millis(5);

/// So many rounds follow each other at once, and each further one after a pause: a
/// machine that builds something has processes all the time that are gone at once.
const QUICK_ROUNDS: u32 = 10;

/// That pause.
const ROUND_PAUSE: Duration = Duration::from_millis(1);

/// So many looks at the same process before it is let be: one that has wiped its
/// environment looks like that for ever.
const HIDDEN_LOOKS: u32 = 50;

/// Pause before the next look after one that failed, for lack of descriptors
/// or memory.
const FAILED_PAUSE: Duration = Duration::from_millis(100);

/// SIGTERM and SIGKILL.
const TERM: i32 = 15;
const KILL: i32 = 9;

/// What is to be ended.
#[derive(Clone, Debug)]
pub struct SweepOrder {
    /// The task.
    pub task: TaskId,
    /// Its marker's value.
    pub nonce: String,
    /// Its shim, which is dead. Every process of the task is younger.
    pub shim: Option<ProcessId>,
    /// The user that the agent ran as.
    pub uid: u32,
    /// Between TERM and KILL; 0 = KILL at once.
    pub grace_ms: u64,
    /// So many were ended while the shim was still their subreaper, and none was
    /// left: an exact proof, which this sweep only completes.
    pub proven: Option<u32>,
}

/// Ends every process that carries the task's marker. Blocks, for up to the
/// grace and 30 s: not for a thread that serves others.
#[must_use]
pub fn run(order: &SweepOrder) -> SweepRecord {
    let wanted = match wanted(order) {
        Ok(Some(wanted)) => wanted,
        // Another boot: none of its processes can live.
        Ok(None) => {
            return SweepRecord {
                empty: true,
                ..unproven(clock::now())
            };
        }
        Err(error) => {
            tracing::error!(task = %order.task, %error, "no sweep without /proc");
            return unproven(clock::now());
        }
    };
    let grace = Duration::from_millis(order.grace_ms);
    let mut sweep = Sweep {
        wanted,
        ended: HashSet::new(),
        let_be: HashSet::new(),
        dying: Vec::new(),
    };
    let result = sweep
        .ask(Instant::now() + grace)
        .and_then(|()| sweep.end(Instant::now() + DEADLINE));
    match result {
        Ok(left) => SweepRecord {
            at: clock::now(),
            empty: left.is_empty(),
            swept: sweep.count().saturating_add(order.proven.unwrap_or(0)),
            survivors: left,
            marker_only: order.proven.is_none(),
        },
        Err(error) => {
            tracing::error!(task = %order.task, %error, "the sweep could not go on");
            SweepRecord {
                swept: sweep.count(),
                ..unproven(clock::now())
            }
        }
    }
}

/// The record of a sweep that could not be done: nothing is claimed.
#[must_use]
pub fn unproven(at: Timestamp) -> SweepRecord {
    SweepRecord {
        at,
        empty: false,
        swept: 0,
        survivors: Vec::new(),
        marker_only: true,
    }
}

/// What to look for; `None` if nothing of this boot can be it.
fn wanted(order: &SweepOrder) -> io::Result<Option<Wanted>> {
    let here = process::here()?;
    let since_ticks = match &order.shim {
        Some(shim) if shim.boot_id != here.boot_id => return Ok(None),
        Some(shim) => shim.start_time,
        None => 0,
    };
    let entry = format!("{}={}", marker::marker_name(&order.task), order.nonce);
    Ok(Some(Wanted {
        entry: entry.into_bytes(),
        uid: order.uid,
        since_ticks,
    }))
}

struct Sweep {
    wanted: Wanted,
    /// Those that were signalled, by number and start time.
    ended: HashSet<(i32, u64)>,
    /// Those that hide their environment for good.
    let_be: HashSet<Hidden>,
    /// Those that were killed and have not ended: what is large takes its time, and
    /// shows no environment meanwhile.
    dying: Vec<Carrier>,
}

impl Sweep {
    fn count(&self) -> u32 {
        u32::try_from(self.ended.len()).unwrap_or(u32::MAX)
    }

    /// A look that fails is tried again until the deadline: what is not looked
    /// for lives on.
    fn look(&mut self, deadline: Instant) -> io::Result<Found> {
        loop {
            match self.look_at_all(deadline) {
                Err(error) if Instant::now() < deadline => {
                    tracing::warn!(%error, "left-over processes cannot be looked for now");
                    std::thread::sleep(FAILED_PAUSE);
                }
                looked => return looked,
            }
        }
    }

    /// Ends when everybody was looked at, or somebody is to be ended. Where somebody is
    /// always gone too early until the deadline, nothing is known.
    fn look_at_all(&mut self, deadline: Instant) -> io::Result<Found> {
        let mut look = Look::new(&self.wanted);
        let mut rounds = 0_u32;
        loop {
            rounds = rounds.saturating_add(1);
            match look.round(&mut self.let_be, HIDDEN_LOOKS)? {
                Round::Done => return Ok(look.found()),
                Round::Missed | Round::Hidden if Instant::now() >= deadline => {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                Round::Missed if rounds <= QUICK_ROUNDS => {}
                Round::Missed => std::thread::sleep(ROUND_PAUSE),
                Round::Hidden => std::thread::sleep(HIDDEN_PAUSE),
            }
        }
    }

    /// TERM for each, once, until none is left or the time is over.
    fn ask(&mut self, until: Instant) -> io::Result<()> {
        while Instant::now() < until {
            let found = self.look(until + DEADLINE)?;
            if found.carriers.is_empty() {
                return Ok(());
            }
            for carrier in &found.carriers {
                if self.ended.insert((carrier.pid, carrier.start_time)) {
                    signal(carrier, TERM);
                }
            }
            let _deaf = wait_for(found.carriers, until)?;
        }
        Ok(())
    }

    /// KILL in rounds; what is left at the deadline.
    fn end(&mut self, deadline: Instant) -> io::Result<Vec<Survivor>> {
        let mut clear_looks = 0;
        loop {
            let found = self.look(deadline)?;
            let round = deadline.min(Instant::now() + ROUND);
            let is_found = |pid: i32| found.carriers.iter().any(|carrier| carrier.pid == pid);
            self.dying.retain(|dying| !is_found(dying.pid));
            if found.carriers.is_empty() {
                self.dying = wait_for(std::mem::take(&mut self.dying), round)?;
            }
            let is_clear = found.carriers.is_empty() && self.dying.is_empty();
            clear_looks = if is_clear { clear_looks + 1 } else { 0 };
            if clear_looks >= CLEAR_LOOKS || !is_clear && Instant::now() >= deadline {
                return Ok(survivors(&found, &self.dying));
            }
            if is_clear {
                std::thread::sleep(CONFIRM_PAUSE);
                continue;
            }
            for carrier in &found.carriers {
                self.ended.insert((carrier.pid, carrier.start_time));
                signal(carrier, KILL);
            }
            self.dying.extend(wait_for(found.carriers, round)?);
        }
    }
}

/// A failure shows as a survivor.
fn signal(carrier: &Carrier, number: i32) {
    if let Err(error) = carrier.pidfd.send_signal(number, &SUP_SIGNAL) {
        tracing::warn!(pid = carrier.pid, signal = number, %error, "a left-over process could not be signalled");
    }
}

/// Waits until all have ended, or until then; gives those that have not.
fn wait_for(mut carriers: Vec<Carrier>, until: Instant) -> io::Result<Vec<Carrier>> {
    while !carriers.is_empty() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(carriers);
        }
        // Rounded up, so that it does not spin in the last millisecond.
        let timeout = PollTimeout::try_from(left + Duration::from_millis(1));
        let mut fds: Vec<PollFd<'_>> = carriers
            .iter()
            .map(|carrier| PollFd::new(carrier.pidfd.as_fd(), PollFlags::POLLIN))
            .collect();
        match poll(&mut fds, timeout.unwrap_or(PollTimeout::MAX)) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let over: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(false)).collect();
        let mut over = over.into_iter();
        carriers.retain(|_| !over.next().unwrap_or(false));
    }
    Ok(carriers)
}

fn survivors(found: &Found, dying: &[Carrier]) -> Vec<Survivor> {
    found
        .carriers
        .iter()
        .chain(dying)
        .chain(&found.of_others)
        .take(MAX_SURVIVORS)
        .map(|carrier| Survivor {
            pid: carrier.pid,
            start_time: carrier.start_time,
            comm: command_name(&carrier.comm),
        })
        .collect()
}

#[cfg(test)]
#[path = "marker_sweep_tests.rs"]
mod tests;
