//! By what a task's shim and a repeated dispatch are known.

use std::fmt;

use protocol::TaskId;
use rusqlite::Connection;

use super::error::StoreError;

/// One row of `task_secret`.
#[derive(Clone, PartialEq, Eq)]
pub struct TaskSecret {
    /// The task.
    pub task_id: TaskId,
    /// The hash of the shim's token.
    pub token_hash: String,
    /// The value of the task's marker.
    pub nonce: String,
    /// The digest of the dispatch.
    pub spec_digest: String,
}

impl TaskSecret {
    /// For a task without a row: no token has this hash, no process this nonce.
    #[must_use]
    pub fn none(task: &TaskId) -> Self {
        Self {
            task_id: task.clone(),
            token_hash: String::new(),
            nonce: String::new(),
            spec_digest: String::new(),
        }
    }

    /// A queued task gets its token when its turn comes.
    pub(super) fn write(&self, db: &Connection) -> Result<(), StoreError> {
        db.prepare_cached(
            "INSERT INTO task_secret (task_id, token_hash, nonce, spec_digest)
             VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (task_id) DO UPDATE SET token_hash = excluded.token_hash,
                 nonce = excluded.nonce",
        )?
        .execute((
            self.task_id.as_str(),
            &self.token_hash,
            &self.nonce,
            &self.spec_digest,
        ))?;
        Ok(())
    }
}

impl fmt::Debug for TaskSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskSecret")
            .field("task_id", &self.task_id)
            .finish_non_exhaustive()
    }
}
