//! One look over `/proc` for the carriers of a marker.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

use sys::PidFd;
use sys::process::{self, Census, Stat};

/// Most carriers that are held at once, each with a descriptor. More are found
/// in the next look, when these are gone.
const MOST_HELD: usize = 1024;

/// Pause before a process that hides its environment is looked at again: an exec is
/// over in far less, the end of a large process in 20 of them.
pub(super) const HIDDEN_PAUSE: Duration = Duration::from_millis(2);

/// `PF_KTHREAD` of the kernel: no program, and never an environment.
const PF_KTHREAD: u32 = 0x0020_0000;

/// What is looked for. All three must fit (R8).
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// `NAME=nonce`.
    pub(super) entry: Vec<u8>,
    /// Real user id.
    pub(super) uid: u32,
    /// No older than this, in clock ticks since boot.
    pub(super) since_ticks: u64,
}

/// A living process that carries the marker, held by descriptor.
#[derive(Debug)]
pub(super) struct Carrier {
    pub(super) pid: i32,
    pub(super) start_time: u64,
    pub(super) comm: String,
    pub(super) pidfd: PidFd,
}

/// What one look found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// To be ended.
    pub(super) carriers: Vec<Carrier>,
    /// Of another user: named, and left alone.
    pub(super) of_others: Vec<Carrier>,
}

/// A process whose environment shows nothing now, by number and start time.
pub(super) type Hidden = (i32, u64);

/// One look at every process, until none of the new ones was gone before it could be
/// looked at: a carrier that lives has a parent that was a carrier, up to one that was
/// there when the list was read, and that one was looked at, too.
#[derive(Debug)]
pub(super) struct Look<'w> {
    wanted: &'w Wanted,
    census: Census,
    /// In the middle of an exec or of their end, and how often they were: while there
    /// are any, nothing is proven.
    hidden: HashMap<Hidden, u32>,
    /// When they were looked at again.
    looked_at_hidden: Option<Instant>,
    /// Somebody was gone before it was looked at, in this round.
    missed: bool,
    found: Found,
}

/// What a round of a look came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Round {
    /// Everybody was looked at, or there is somebody to end.
    Done,
    /// Somebody was gone before it was looked at: a child of it may be new.
    Missed,
    /// Somebody hides its environment.
    Hidden,
}

impl<'w> Look<'w> {
    pub(super) fn new(wanted: &'w Wanted) -> Self {
        Self {
            wanted,
            census: Census::default(),
            hidden: HashMap::new(),
            looked_at_hidden: None,
            missed: false,
            found: Found::default(),
        }
    }

    pub(super) fn found(self) -> Found {
        self.found
    }

    /// Looks at whoever was not looked at yet, and again at who hides, but at none of
    /// `let_be`; who hides for the `most`th time is one of them from then on.
    ///
    /// # Errors
    /// `/proc` cannot be listed, or there are no descriptors left.
    pub(super) fn round(&mut self, let_be: &mut HashSet<Hidden>, most: u32) -> io::Result<Round> {
        let ourselves = i32::try_from(std::process::id()).unwrap_or(0);
        // Not at every round: with newcomers there are many of them in a moment.
        let due = self
            .looked_at_hidden
            .is_none_or(|at| at.elapsed() >= HIDDEN_PAUSE);
        if due && !self.hidden.is_empty() {
            self.looked_at_hidden = Some(Instant::now());
            for (who, times) in std::mem::take(&mut self.hidden) {
                self.add(examine(who.0, self.wanted)?, let_be, (times, most));
            }
        }
        self.missed = false;
        let newcomers = self.census.newcomers()?.into_iter();
        for pid in newcomers.filter(|pid| *pid != ourselves) {
            self.add(examine(pid, self.wanted)?, let_be, (0, most));
            if self.found.carriers.len() >= MOST_HELD {
                break;
            }
        }
        Ok(if !self.found.carriers.is_empty() {
            Round::Done
        } else if self.missed {
            Round::Missed
        } else if !self.hidden.is_empty() {
            Round::Hidden
        } else {
            Round::Done
        })
    }

    fn add(&mut self, verdict: Verdict, let_be: &mut HashSet<Hidden>, (times, most): (u32, u32)) {
        match verdict {
            Verdict::NotIt => {}
            Verdict::Missed => self.missed = true,
            Verdict::Hidden(who) if let_be.contains(&who) => {}
            Verdict::Hidden(who) if times >= most => {
                let_be.insert(who);
            }
            Verdict::Hidden(who) => {
                self.hidden.insert(who, times + 1);
            }
            Verdict::Carrier(carrier) => self.found.carriers.push(carrier),
            Verdict::OfAnother(carrier) => self.found.of_others.push(carrier),
        }
    }
}

enum Verdict {
    NotIt,
    /// It has ended, or is about to: what it carried cannot be told.
    Missed,
    Hidden(Hidden),
    Carrier(Carrier),
    OfAnother(Carrier),
}

/// The descriptor is opened first. If it still names a living process after
/// everything was read by number, all of it was read of that process.
fn examine(pid: i32, wanted: &Wanted) -> io::Result<Verdict> {
    // Cheap, and true of almost every process: too old.
    match age(pid, wanted) {
        Age::Gone => return Ok(Verdict::Missed),
        Age::TooOld => return Ok(Verdict::NotIt),
        Age::Fits(stat) if stat.flags & PF_KTHREAD != 0 => return Ok(Verdict::NotIt),
        Age::Fits(_) => {}
    }
    let Some(pidfd) = PidFd::open(pid)? else {
        return Ok(Verdict::Missed);
    };
    let Age::Fits(stat) = age(pid, wanted) else {
        return Ok(Verdict::Missed);
    };
    let marked = carries(pid, &stat, &wanted.entry)?;
    let uid = real_uid(pid);
    if pidfd.has_ended()? {
        return Ok(Verdict::Missed);
    }
    let carrier = || Carrier {
        pid,
        start_time: stat.start_time,
        comm: stat.comm.clone(),
        pidfd,
    };
    Ok(match (marked, uid == Some(wanted.uid)) {
        (Marked::Yes, true) => Verdict::Carrier(carrier()),
        (Marked::Yes, false) => Verdict::OfAnother(carrier()),
        (Marked::Hidden, true) => Verdict::Hidden((pid, stat.start_time)),
        (Marked::Hidden, false) | (Marked::No | Marked::Unknown, _) => Verdict::NotIt,
    })
}

enum Age {
    Gone,
    /// It was there before the task.
    TooOld,
    Fits(Stat),
}

fn age(pid: i32, wanted: &Wanted) -> Age {
    match process::stat(pid) {
        Ok(Some(stat)) if stat.start_time < wanted.since_ticks => Age::TooOld,
        Ok(Some(stat)) => Age::Fits(stat),
        Ok(None) | Err(_) => Age::Gone,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Marked {
    Yes,
    No,
    /// It has no environment now: it is in the middle of an exec or of its end, where
    /// its arguments may show already, or still; or it has wiped it for good.
    Hidden,
    /// It has ended, or is not ours to look into.
    Unknown,
}

fn carries(pid: i32, stat: &Stat, entry: &[u8]) -> io::Result<Marked> {
    if !stat.is_dead() {
        return carries_by_number(pid, entry);
    }
    // The first thread is dead; the process may run on in others.
    let threads = match fs::read_dir(format!("/proc/{pid}/task")) {
        Ok(threads) => threads,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Marked::Unknown),
        Err(error) => return Err(error),
    };
    let threads = threads
        .flatten()
        .filter_map(|thread| thread.file_name().to_str()?.parse::<i32>().ok());
    for thread in threads.filter(|thread| *thread != pid) {
        if carries_by_number(thread, entry)? == Marked::Yes {
            return Ok(Marked::Yes);
        }
    }
    Ok(Marked::Unknown)
}

/// What is lacking for the look itself (descriptors, memory) is an error: it says
/// nothing of the process.
fn carries_by_number(pid: i32, entry: &[u8]) -> io::Result<Marked> {
    Ok(match process::environ(pid) {
        Ok(Some(environment)) if environment.is_empty() => Marked::Hidden,
        Ok(Some(environment)) => {
            let marked = environment.iter().any(|found| found.as_bytes() == entry);
            if marked { Marked::Yes } else { Marked::No }
        }
        Ok(None) => Marked::Unknown,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Marked::Unknown,
        Err(error) => return Err(error),
    })
}

/// The real user id.
fn real_uid(pid: i32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    ids.split_ascii_whitespace().next()?.parse().ok()
}
