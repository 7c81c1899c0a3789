//! Every process that carries a marker of any task: one look over `/proc`.

use std::fs;
use std::io;

use protocol::TaskId;
use sys::process;

use super::marker;

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

/// Looks at every process once. What cannot be looked into is passed over.
///
/// # Errors
/// `/proc` cannot be listed.
pub fn marked() -> io::Result<Vec<Marked>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.parse::<i32>().ok());
        found.extend(pid.and_then(examine));
    }
    Ok(found)
}

/// The start time is read on both sides of the environment, so that all of it
/// is of one process.
fn examine(pid: i32) -> Option<Marked> {
    let stat = process::stat(pid).ok()??;
    if stat.is_dead() {
        return None;
    }
    let environment = process::environ(pid).ok()??;
    let (task, nonce) = environment.iter().find_map(|entry| {
        let (name, value) = entry.to_str()?.split_once('=')?;
        Some((marker::parse_marker_name(name)?, value.to_owned()))
    })?;
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
