//! Every process that carries a marker of any task: one look over `/proc`, and one
//! into each container that had tasks.

use std::io;

use protocol::TaskId;
use protocol::view::Survivor;
use sys::container::{Carrier, Container};
use sys::hook::SUP_SIGNAL;
use sys::process::{self, Census};

use super::marker;
use crate::text::command_name;

/// A living process that carries a marker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marked {
    /// Of this task.
    pub task: TaskId,
    /// The marker's value.
    pub nonce: String,
    /// Its number.
    pub pid: i32,
    /// With the number, itself.
    pub start_time: u64,
    /// Its command name.
    pub comm: String,
}

/// Looks at every process. What cannot be looked into is passed over.
///
/// # Errors
/// `/proc` cannot be listed.
pub fn marked() -> io::Result<Vec<Marked>> {
    let mut found = Vec::new();
    Census::take(|pid| found.extend(examine(pid)))?;
    Ok(found)
}

/// The start time is read on both sides of the environment, so that all of it
/// is of one process.
fn examine(pid: i32) -> Option<Marked> {
    let stat = process::stat(pid).ok()??;
    if stat.is_dead() {
        return None;
    }
    let (task, nonce) = marker_in(pid)?;
    let again = process::stat(pid).ok()??;
    let same = again.start_time == stat.start_time;
    same.then_some(Marked {
        task,
        nonce,
        pid,
        start_time: stat.start_time,
        comm: again.comm,
    })
}

/// The first marker that the process with this number carries, and its value.
#[must_use]
pub fn marker_in(pid: i32) -> Option<(TaskId, String)> {
    let environment = process::environ(pid).ok()??;
    let mut entries = environment.iter();
    entries.find_map(|entry| marker_of(entry.to_str()?))
}

/// The living process with this number, as it is named in answers.
#[must_use]
pub fn identified(pid: i32) -> Option<Survivor> {
    let stat = process::stat(pid).ok()??;
    (!stat.is_dead()).then(|| Survivor {
        pid,
        start_time: stat.start_time,
        comm: command_name(&stat.comm),
    })
}

fn marker_of(entry: &str) -> Option<(TaskId, String)> {
    let (name, value) = entry.split_once('=')?;
    Some((marker::parse_marker_name(name)?, value.to_owned()))
}

/// Every process in the containers of `places` that carries a marker of any
/// task; and, in words, which of them could not be looked into. Blocks, for as long
/// as the engines take.
#[must_use]
pub fn inside(places: Vec<Container>) -> (Vec<Marked>, Vec<String>) {
    let (running, silent) = Container::running(places, &SUP_SIGNAL);
    let unseen = silent.into_iter().map(|why| format!("containers: {why}"));
    let mut unseen: Vec<String> = unseen.collect();
    let mut found = Vec::new();
    for container in running {
        match container.carriers(&SUP_SIGNAL) {
            Ok(carriers) => found.extend(carriers.into_iter().filter_map(in_container)),
            Err(why) if why.contains(container.id()) => unseen.push(why),
            Err(why) => unseen.push(format!("container {}: {why}", container.id())),
        }
    }
    for why in &unseen {
        tracing::warn!(why, "not everything can be looked into for orphans");
    }
    (found, unseen)
}

fn in_container(carrier: Carrier) -> Option<Marked> {
    let (task, nonce) = marker_of(&carrier.entry)?;
    let Survivor {
        pid,
        start_time,
        comm,
    } = carrier.process;
    Some(Marked {
        task,
        nonce,
        pid,
        start_time,
        comm,
    })
}
