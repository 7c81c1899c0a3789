//! What retention takes.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::{Key, Status, TaskId, Timestamp};

/// `prune`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PruneView {
    /// They are gone; else they would go.
    pub applied: bool,
    /// How many tasks.
    pub count: u64,
    /// What their folders hold, in bytes.
    pub bytes: u64,
    /// The tasks, the oldest first; not all of them where there are very many.
    pub tasks: Vec<PrunedTask>,
    /// Tasks that are old enough, and stay because something needs them.
    pub kept: u64,
    /// Events that left the beginning of the log; absent where nothing was done.
    pub events: Option<u64>,
}

/// One task that goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrunedTask {
    /// Its id.
    pub id: TaskId,
    /// Its conversation.
    pub key: Key,
    /// What became of it.
    pub status: Status,
    /// When it ended.
    pub finished_at: Timestamp,
    /// What its folder holds, in bytes.
    pub bytes: u64,
}
