//! The running set, as the ledger has it.

use std::collections::HashSet;

use lifecycle::Event;
use protocol::TaskId;
use rusqlite::Row;

use super::Reader;
use super::fields::{Fields, bad};
use super::find::task_id;
use crate::ledger::{LedgerError, TaskSecret};

/// A task that has not ended, with everything that is known of it.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveTask {
    /// By what its shim is known.
    pub secret: TaskSecret,
    /// Its events, in order: a fold over them is the task.
    pub events: Vec<Event>,
}

pub(super) const LIVE_IDS: &str = "SELECT id FROM task_history INDEXED BY task_history_live
     WHERE status IN ('queued', 'running') ORDER BY number";

pub(super) const SECRET: &str =
    "SELECT task_id, token_hash, nonce, spec_digest FROM task_secret WHERE task_id = ?1";

impl Reader<'_> {
    /// Every task that has not ended, the oldest first.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn live(&self) -> Result<Vec<LiveTask>, LedgerError> {
        let ids = self.live_ids()?;
        let mut live = Vec::with_capacity(ids.len());
        for id in ids {
            let secret = self.secret(&id)?.unwrap_or_else(|| TaskSecret::none(&id));
            live.push(LiveTask {
                events: self.task_events(&id)?,
                secret,
            });
        }
        Ok(live)
    }

    /// The ids of the tasks that have not ended, the oldest first.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn live_ids(&self) -> Result<Vec<TaskId>, LedgerError> {
        self.rows("read the running set", LIVE_IDS, [], task_id)
    }

    /// The id of every task that has a row.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn task_ids(&self) -> Result<HashSet<TaskId>, LedgerError> {
        let sql = "SELECT id FROM task_history";
        let ids = self.rows("read the ids of all tasks", sql, [], task_id)?;
        Ok(ids.into_iter().collect())
    }

    /// By what a task's shim and a repeated dispatch are known.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn secret(&self, id: &TaskId) -> Result<Option<TaskSecret>, LedgerError> {
        self.first("read a task's secret", SECRET, [id.as_str()], secret)
    }
}

fn secret(row: &Row<'_>) -> rusqlite::Result<TaskSecret> {
    let mut fields = Fields::of(row);
    Ok(TaskSecret {
        task_id: fields
            .checked(|text| TaskId::new(text).ok())?
            .ok_or_else(|| bad("task_id"))?,
        token_hash: fields.next()?,
        nonce: fields.next()?,
        spec_digest: fields.next()?,
    })
}
