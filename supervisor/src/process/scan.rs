//! One look over `/proc` for the carriers of a marker.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;

use sys::PidFd;
use sys::process::{self, Stat};

/// Most carriers that are held at once, each with a descriptor. More are found
/// in the next look, when these are gone.
const MOST_HELD: usize = 1024;

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
    /// Processes in the middle of an exec or of their end, whose environment
    /// cannot be read at this moment. While there are any, nothing is proven.
    pub(super) unreadable: usize,
}

impl Found {
    /// No carrier of ours, for certain.
    pub(super) const fn is_clear(&self) -> bool {
        self.carriers.is_empty() && self.unreadable == 0
    }
}

/// Looks at every process once. A child that is born behind our back may be
/// missed if its parent ends before we come to it: look twice.
///
/// # Errors
/// `/proc` cannot be listed, or there are no descriptors left.
pub(super) fn look(wanted: &Wanted) -> io::Result<Found> {
    let ourselves = i32::try_from(std::process::id()).unwrap_or(0);
    let mut found = Found::default();
    for entry in fs::read_dir("/proc")? {
        let Ok(entry) = entry else { continue };
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        if pid == ourselves {
            continue;
        }
        match examine(pid, wanted)? {
            Verdict::NotIt => {}
            Verdict::Unreadable => found.unreadable += 1,
            Verdict::Carrier(carrier) => found.carriers.push(carrier),
            Verdict::OfAnother(carrier) => found.of_others.push(carrier),
        }
        if found.carriers.len() >= MOST_HELD {
            break;
        }
    }
    Ok(found)
}

enum Verdict {
    NotIt,
    Unreadable,
    Carrier(Carrier),
    OfAnother(Carrier),
}

/// The descriptor is opened first. If it still names a living process after
/// everything was read by number, all of it was read of that process.
fn examine(pid: i32, wanted: &Wanted) -> io::Result<Verdict> {
    // Cheap, and true of almost every process: too old.
    if young(pid, wanted).is_none_or(|stat| stat.flags & PF_KTHREAD != 0) {
        return Ok(Verdict::NotIt);
    }
    let Some(pidfd) = PidFd::open(pid)? else {
        return Ok(Verdict::NotIt);
    };
    let Some(stat) = young(pid, wanted) else {
        return Ok(Verdict::NotIt);
    };
    let marked = carries(pid, &stat, &wanted.entry);
    let uid = real_uid(pid);
    if pidfd.has_ended()? {
        return Ok(Verdict::NotIt);
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
        (Marked::Unreadable, true) => Verdict::Unreadable,
        (Marked::Unreadable, false) | (Marked::No, _) => Verdict::NotIt,
    })
}

fn young(pid: i32, wanted: &Wanted) -> Option<Stat> {
    process::stat(pid)
        .ok()
        .flatten()
        .filter(|stat| stat.start_time >= wanted.since_ticks)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Marked {
    Yes,
    No,
    Unreadable,
}

fn carries(pid: i32, stat: &Stat, entry: &[u8]) -> Marked {
    if !stat.is_dead() {
        return carries_by_number(pid, entry);
    }
    // The first thread is dead; the process may run on in others.
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Marked::No;
    };
    let marked = threads
        .flatten()
        .filter_map(|thread| thread.file_name().to_str()?.parse::<i32>().ok())
        .filter(|thread| *thread != pid)
        .any(|thread| carries_by_number(thread, entry) == Marked::Yes);
    if marked { Marked::Yes } else { Marked::No }
}

fn carries_by_number(pid: i32, entry: &[u8]) -> Marked {
    match process::environ(pid) {
        Ok(Some(environment)) if environment.is_empty() => {
            // A wiped environment leaves the arguments; in the middle of an
            // exec, and of an exit, there is neither.
            match fs::read(format!("/proc/{pid}/cmdline")) {
                Ok(arguments) if arguments.is_empty() => Marked::Unreadable,
                Ok(_) | Err(_) => Marked::No,
            }
        }
        Ok(Some(environment)) => {
            let marked = environment.iter().any(|found| found.as_bytes() == entry);
            if marked { Marked::Yes } else { Marked::No }
        }
        // Gone, or not ours to look into.
        Ok(None) | Err(_) => Marked::No,
    }
}

/// The real user id.
fn real_uid(pid: i32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    ids.split_ascii_whitespace().next()?.parse().ok()
}
