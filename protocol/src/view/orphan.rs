//! What lives on of tasks that have ended.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::Survivor;
use crate::TaskId;

/// `orphans`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrphansView {
    /// What was found, by process id.
    pub orphans: Vec<OrphanView>,
    /// What could not be ended; absent where nothing was to be ended.
    pub survivors: Option<Vec<Survivor>>,
}

/// One process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrphanView {
    /// The task that left it.
    pub task_id: TaskId,
    /// Its process id.
    pub pid: i32,
    /// Clock ticks since boot: field 22 of `/proc/PID/stat`.
    pub start_time: u64,
    /// Its command name.
    pub comm: String,
    /// By what it is known.
    pub found_by: FoundBy,
}

/// By what a process is known to be of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FoundBy {
    /// It carries the task's marker.
    Marker,
    /// It sits in the task's cgroup.
    Cgroup,
    /// It carries the task's marker in a container that the host cannot see into;
    /// its number is that of the container.
    Container,
    /// The task is lost (a rebuild of the ledger could make no row of it), and it is the
    /// shim that the task's claim names, or descends from it.
    Shim,
}
