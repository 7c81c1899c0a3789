//! Folders of which a rebuild can make no row: moved aside once nothing of the task
//! lives, else marked, so that neither stands in the way of the next start.

use std::fmt;

use protocol::TaskId;
use protocol::shim::{ProcessId, Record};
use sys::claim::{self, ClaimedBy};
use sys::process;

use crate::folder::{FolderError, Folders};
use crate::process::orphans::{self, Marked};
use crate::text::in_words;

/// A folder of which no row can be made.
pub(super) struct Lost {
    pub(super) id: TaskId,
    pub(super) why: Why,
}

/// Why no row can be made of a folder.
pub(super) enum Why {
    /// What is missing comes back at no time.
    ForGood(String),
    /// Another program, or another day, may read it.
    ForNow(String),
}

impl fmt::Display for Why {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::ForGood(words) | Self::ForNow(words)) = self;
        formatter.write_str(words)
    }
}

impl From<FolderError> for Why {
    fn from(error: FolderError) -> Self {
        let words = in_words(&error);
        match error {
            FolderError::Form { .. } | FolderError::Taken(_) => Self::ForGood(words),
            FolderError::Io { .. } | FolderError::Version { .. } => Self::ForNow(words),
        }
    }
}

/// What is known of the task's processes.
enum Living {
    /// None of them lives.
    Nothing,
    /// This much does, or may.
    Maybe(String),
}

/// Puts them out of the way; what became of each, in words.
pub(super) fn put_aside(folders: &Folders, lost: &[Lost]) -> Vec<String> {
    if lost.is_empty() {
        return Vec::new();
    }
    let marked = orphans::marked();
    let all = lost.iter();
    all.map(|one| {
        let what = match &marked {
            Ok(marked) => put_one(folders, one, living(folders, &one.id, marked)),
            Err(error) => {
                let why = format!("the processes cannot be looked at ({error})");
                put_one(folders, one, Living::Maybe(why))
            }
        };
        format!("task {} is lost: {}; {what}", one.id, one.why)
    })
    .collect()
}

fn put_one(folders: &Folders, lost: &Lost, living: Living) -> String {
    let id = &lost.id;
    if !folders.is_decided(id) {
        return "it was never started".to_owned();
    }
    let stays = match (living, &lost.why) {
        (Living::Maybe(what), _) => {
            format!(
                "its agent may be alive, and no stop knows it: {what}. When nothing \
                 of it is left, `agent-supervisor recover` moves its folder aside"
            )
        }
        (Living::Nothing, Why::ForNow(_)) => "nothing of it lives".to_owned(),
        (Living::Nothing, Why::ForGood(_)) => match folders.move_to_lost(id) {
            Ok(place) => {
                return format!(
                    "nothing of it lives, and its folder is kept as {}",
                    place.display()
                );
            }
            Err(error) => format!("nothing of it lives, but: {}", in_words(&error)),
        },
    };
    match folders.mark_lost(id, &stays) {
        Ok(()) => format!("{stays}; its folder stays, and no start is refused for it"),
        Err(error) => format!(
            "{stays}; its folder could not be marked as lost ({}): no supervisor starts before it \
             is moved out of {}",
            in_words(&error),
            folders.tasks_dir().display()
        ),
    }
}

/// The shim by its claim, and whoever carries the task's marker.
fn living(folders: &Folders, id: &TaskId, marked: &[Marked]) -> Living {
    let mut pids: Vec<i32> = Vec::new();
    let of_task = marked.iter().filter(|found| found.task == *id);
    pids.extend(of_task.map(|found| found.pid));
    let mut named: Vec<String> = pids.iter().map(|pid| format!("process {pid}")).collect();
    match shim_of(folders, id) {
        Ok(None) => {}
        Ok(Some(shim)) => match lives(&shim) {
            Ok(true) => {
                let pid = shim.pid;
                named.insert(
                    0,
                    format!("its shim is process {pid} (`agentctl orphans kill` ends both, and so does `kill {pid}`)"),
                );
            }
            Ok(false) => {}
            Err(why) => named.push(format!("its shim was process {}, and {why}", shim.pid)),
        },
        Err(why) => named.push(why),
    }
    if named.is_empty() {
        Living::Nothing
    } else {
        Living::Maybe(named.join(", "))
    }
}

/// # Errors
/// In words; nothing may be concluded then.
pub(super) fn lives(shim: &ProcessId) -> Result<bool, String> {
    let here = process::here().map_err(|error| error.to_string())?;
    if shim.boot_id == here.boot_id && shim.pid_ns != here.pid_ns {
        return Err("it is of another pid namespace".to_owned());
    }
    let held = process::same_process(shim);
    held.map(|held| held.is_some())
        .map_err(|error| format!("it cannot be looked at ({error})"))
}

/// The shim that may have started it; none if a supervisor decided against it.
///
/// # Errors
/// In words, where nothing tells.
pub(super) fn shim_of(folders: &Folders, id: &TaskId) -> Result<Option<ProcessId>, String> {
    let claim = claim::read(&folders.task_dir(id));
    if let Ok(Some(claim)) = &claim {
        return Ok(match claim.by {
            ClaimedBy::Shim => Some(claim.process.clone()),
            ClaimedBy::Supervisor => None,
        });
    }
    let replay = sys::journal::read_from(&folders.journal(id), 0);
    let entries = replay.map(|replay| replay.entries).unwrap_or_default();
    let claimed = entries.into_iter().find_map(|entry| match entry.record {
        Some(Record::Claimed { shim, .. }) => Some(shim),
        Some(_) | None => None,
    });
    match claimed {
        Some(shim) => Ok(Some(shim)),
        None => {
            Err("neither its claim nor its journal tells which process its shim was".to_owned())
        }
    }
}
