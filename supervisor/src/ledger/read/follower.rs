//! The task that goes on for another one.

use protocol::TaskId;

use super::Reader;
use super::fields::{Fields, bad};
use crate::ledger::LedgerError;

/// It has the key of the other one, and there is an index of keys.
pub(super) const FRESH_AFTER: &str = "SELECT id FROM task_history
     WHERE key = (SELECT key FROM task_history WHERE id = ?1) AND fresh_after = ?1 LIMIT 1";

impl Reader<'_> {
    /// The task that goes on in a fresh session for `id`, whose own was not found.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn fresh_after(&self, id: &TaskId) -> Result<Option<TaskId>, LedgerError> {
        self.first("look for who goes on", FRESH_AFTER, [id.as_str()], |row| {
            let found = Fields::of(row).checked(|text| TaskId::new(text).ok())?;
            found.ok_or_else(|| bad("id"))
        })
    }
}
