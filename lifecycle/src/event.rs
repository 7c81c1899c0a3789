//! What happened, durably. `docs`: EVENTS.md.

use protocol::{TaskId, Timestamp};
use serde::{Deserialize, Serialize};

mod body;
mod kind;

pub use body::EventBody;

pub use crate::ending::{BindKind, Ending};

/// One event of the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When it happened (not when it was committed).
    pub at: Timestamp,
    /// The task; none for events of the supervisor and of a session alone.
    pub task_id: Option<TaskId>,
    /// The journal record that it came from.
    pub record: Option<u64>,
    /// The rest.
    pub body: EventBody,
}
