//! One line of the event log.

use alloc::string::String;

use serde::{Deserialize, Serialize};

use crate::{TaskId, Timestamp};

/// The type of the notice that a subscriber missed events.
pub const GAP_EVENT: &str = "gap";

/// The type of the event that says what an agent is doing. It is never stored.
pub const PROGRESS_EVENT: &str = "task.progress";

/// One event. As NDJSON the fields of `payload` stand beside the others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventView {
    /// Unique in its ledger, without holes; none for volatile events.
    pub seq: Option<u64>,
    /// When.
    pub at: Timestamp,
    /// Which kind, e.g. `task.ended`.
    pub kind: String,
    /// The task; none for events of the supervisor.
    pub task_id: Option<TaskId>,
    /// The other fields: the text of a JSON object.
    pub payload: String,
}
