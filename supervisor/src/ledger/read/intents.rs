//! The intents of a task.

use protocol::view::{IntentView, Requester};
use protocol::vocab::{IntentOutcome, SignalledBy};
use protocol::{StopReason, TaskId};
use rusqlite::Row;

use super::Reader;
use super::fields::{Fields, bad};
use crate::ledger::LedgerError;

pub(super) const OF_TASK: &str = "SELECT id, reason, requested_by, note, requested_at,
         journalled_at, signalled_at, signalled_by, outcome
     FROM stop_intent WHERE task_id = ?1 ORDER BY id";

impl Reader<'_> {
    /// Every intent of a task, in the order of commitment.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn intents(&self, task: &TaskId) -> Result<Vec<IntentView>, LedgerError> {
        self.rows("read a task's intents", OF_TASK, [task.as_str()], intent)
    }
}

fn intent(row: &Row<'_>) -> rusqlite::Result<IntentView> {
    let mut fields = Fields::of(row);
    Ok(IntentView {
        id: fields.count()?.ok_or_else(|| bad("id"))?,
        reason: fields
            .checked(StopReason::parse)?
            .ok_or_else(|| bad("reason"))?,
        requested_by: fields
            .checked(|text| serde_json::from_str::<Requester>(text).ok())?
            .ok_or_else(|| bad("requested_by"))?,
        note: fields.next()?,
        requested_at: fields.time()?.ok_or_else(|| bad("requested_at"))?,
        journalled_at: fields.time()?,
        signalled_at: fields.time()?,
        signalled_by: fields.checked(SignalledBy::parse)?,
        outcome: fields
            .checked(IntentOutcome::parse)?
            .ok_or_else(|| bad("outcome"))?,
    })
}
