//! A provider's resumable conversation.

use alloc::string::String;

use serde::{Deserialize, Serialize};

use crate::vocab::SessionState;
use crate::{Key, ProviderName, SessionId, TaskId, Timestamp};

/// One row of the session table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionView {
    /// The conversation.
    pub key: Key,
    /// The kind of agent.
    pub provider: ProviderName,
    /// The provider's id.
    pub session_id: SessionId,
    /// The task that used it last.
    pub task_id: TaskId,
    /// May it be resumed?
    pub state: SessionState,
    /// Why not.
    pub quarantine_reason: Option<String>,
    /// The newest of a key and provider is the one that the next task resumes.
    pub last_used_at: Timestamp,
    /// Counts the changes of this row.
    pub version: u64,
}
