//! The tasks that a name means (CONTRACT §2).

use protocol::TaskId;
use rusqlite::Row;

use super::Reader;
use super::fields::{Fields, bad};
use crate::ledger::LedgerError;

/// Most matches of an ambiguous prefix that are named: enough to see what went
/// wrong.
pub const MAX_MATCHES: usize = 20;

/// Most matches that are counted: a look-up must not read a whole index.
pub const MAX_COUNTED: usize = 10_000;

/// Behind every character that a task id may have.
const AFTER_ANY: char = '\u{7f}';

pub(super) const BY_ID: &str = "SELECT id FROM task_history WHERE id = ?1";
pub(super) const BY_PREFIX: &str =
    "SELECT id FROM task_history WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT ?3";

pub(super) const COUNT_BY_PREFIX: &str = "SELECT COUNT(*) FROM
     (SELECT 1 FROM task_history WHERE id >= ?1 AND id < ?2 LIMIT ?3)";

/// A session's row names the task that used it last.
pub(super) const BY_SESSION: &str =
    "SELECT t.id FROM agent_sessions s JOIN task_history t ON t.id = s.task_id
     WHERE s.session_id = ?1 ORDER BY s.last_used_at DESC LIMIT 1";

// A key or a name may have thousands of ended tasks; the live ones are few.
pub(super) const LIVE_OF_KEY: &str = "SELECT id FROM task_history INDEXED BY task_history_live
     WHERE key = ?1 AND status IN ('queued', 'running')
     ORDER BY status = 'running' DESC, number DESC LIMIT 1";
pub(super) const NEWEST_OF_KEY: &str =
    "SELECT id FROM task_history WHERE key = ?1 ORDER BY number DESC LIMIT 1";
pub(super) const LIVE_OF_NAME: &str = "SELECT id FROM task_history INDEXED BY task_history_live
     WHERE name = ?1 AND status IN ('queued', 'running')
     ORDER BY status = 'running' DESC, number DESC LIMIT 1";
pub(super) const NEWEST_OF_NAME: &str =
    "SELECT id FROM task_history WHERE name = ?1 ORDER BY number DESC LIMIT 1";

/// In this order.
const WHOLE_NAMES: [&str; 6] = [
    BY_ID,
    BY_SESSION,
    LIVE_OF_KEY,
    NEWEST_OF_KEY,
    LIVE_OF_NAME,
    NEWEST_OF_NAME,
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
        for sql in WHOLE_NAMES {
            if let Some(id) = self.first(OPERATION, sql, [name], task_id)? {
                return Ok(vec![id]);
            }
        }
        if TaskId::new(name).is_err() {
            return Ok(Vec::new());
        }
        self.rows(
            OPERATION,
            BY_PREFIX,
            (name, behind(name), MAX_MATCHES as i64),
            task_id,
        )
    }

    /// How many ids begin so, counted to [`MAX_COUNTED`].
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn count_by_prefix(&self, prefix: &str) -> Result<usize, LedgerError> {
        let count = self.first(
            "count the tasks of a prefix",
            COUNT_BY_PREFIX,
            (prefix, behind(prefix), MAX_COUNTED as i64),
            |row| row.get::<_, i64>(0),
        )?;
        Ok(count
            .and_then(|count| usize::try_from(count).ok())
            .unwrap_or(0))
    }
}

/// What sorts behind every id that begins so.
fn behind(prefix: &str) -> String {
    format!("{prefix}{AFTER_ANY}")
}

pub(super) fn task_id(row: &Row<'_>) -> rusqlite::Result<TaskId> {
    Fields::of(row)
        .checked(|text| TaskId::new(text).ok())?
        .ok_or_else(|| bad("id"))
}
