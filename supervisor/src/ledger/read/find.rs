//! The tasks that a name means (CONTRACT §2).

use protocol::TaskId;
use rusqlite::Row;

use super::Reader;
use super::fields::{Fields, bad};
use crate::ledger::LedgerError;

/// Most matches of an ambiguous prefix that are named: enough to see what went
/// wrong.
pub const MAX_MATCHES: usize = 20;

/// Behind every character that a task id may have.
const AFTER_ANY: char = '\u{7f}';

pub(super) const BY_ID: &str = "SELECT id FROM task_history WHERE id = ?1";
pub(super) const BY_PREFIX: &str =
    "SELECT id FROM task_history WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT ?3";

/// For each kind of name: its live task, and its newest. A key or a name may
/// have thousands of ended tasks; the live ones are few.
pub(super) const BY_NAMES: [[&str; 2]; 3] = [
    [
        "SELECT id FROM task_history
         WHERE session_id = ?1 AND status IN ('queued', 'running') LIMIT 1",
        "SELECT id FROM task_history WHERE session_id = ?1
         ORDER BY started_at DESC, rowid DESC LIMIT 1",
    ],
    [
        "SELECT id FROM task_history INDEXED BY task_history_live
         WHERE key = ?1 AND status IN ('queued', 'running') LIMIT 1",
        "SELECT id FROM task_history WHERE key = ?1
         ORDER BY started_at DESC, rowid DESC LIMIT 1",
    ],
    [
        "SELECT id FROM task_history INDEXED BY task_history_live
         WHERE name = ?1 AND status IN ('queued', 'running') LIMIT 1",
        "SELECT id FROM task_history WHERE name = ?1
         ORDER BY started_at DESC, rowid DESC LIMIT 1",
    ],
];

impl Reader<'_> {
    /// The task that `name` means: by its id, as a session id, a key or a name
    /// (the live task of it, else the newest), or as the prefix of ids. A whole
    /// name counts before a prefix, so that no task's id can hide a key.
    ///
    /// None: nothing is known by that name. Several (at most [`MAX_MATCHES`]):
    /// an ambiguous prefix.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn find(&self, name: &str) -> Result<Vec<TaskId>, LedgerError> {
        const OPERATION: &str = "look a task up";
        if let Some(id) = self.first(OPERATION, BY_ID, [name], task_id)? {
            return Ok(vec![id]);
        }
        for queries in BY_NAMES {
            for sql in queries {
                if let Some(id) = self.first(OPERATION, sql, [name], task_id)? {
                    return Ok(vec![id]);
                }
            }
        }
        if TaskId::new(name).is_err() {
            return Ok(Vec::new());
        }
        let end = format!("{name}{AFTER_ANY}");
        self.rows(
            OPERATION,
            BY_PREFIX,
            (name, end, MAX_MATCHES as i64),
            task_id,
        )
    }
}

pub(super) fn task_id(row: &Row<'_>) -> rusqlite::Result<TaskId> {
    Fields::of(row)
        .checked(|text| TaskId::new(text).ok())?
        .ok_or_else(|| bad("id"))
}
