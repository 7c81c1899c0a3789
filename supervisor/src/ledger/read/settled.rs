//! What a task's folder keeps of its end, so that a lost ledger can be rebuilt.

use protocol::TaskId;
use rusqlite::types::ValueRef;
use rusqlite::{Params, Row};
use serde_json::{Map, Value, json};

use super::Reader;
use crate::ledger::LedgerError;

/// The version of the file's form; see [`Reader::settled`].
const VERSION: u32 = 1;

pub(super) const IN_THE_SAME_SESSION: &str = "SELECT other.id FROM task_history t
     JOIN agent_sessions s ON s.session_id = t.session_id AND s.provider = t.provider
         AND s.key <> t.key
     JOIN task_history other ON other.id = s.task_id AND other.status NOT IN ('queued', 'running')
     WHERE t.id = ?1";

impl Reader<'_> {
    /// The task's row, its intents and its session's row, each as an object of
    /// column names and values, and its events. None if there is no such task.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn settled(&self, task: &TaskId) -> Result<Option<Value>, LedgerError> {
        let id = [task.as_str()];
        let rows = self.objects("SELECT * FROM task_history WHERE id = ?1", id)?;
        let Some(row) = rows.into_iter().next() else {
            return Ok(None);
        };
        let intents = self.objects(
            "SELECT * FROM stop_intent WHERE task_id = ?1 ORDER BY id",
            id,
        )?;
        let sessions = self.objects(
            "SELECT s.* FROM agent_sessions s JOIN task_history t
             ON s.key = t.key AND s.provider = t.provider AND s.session_id = t.session_id
             WHERE t.id = ?1",
            id,
        )?;
        let events = self.task_events(task)?;
        Ok(Some(json!({
            "version": VERSION,
            "task_history": row,
            "stop_intent": intents,
            "agent_sessions": sessions,
            "events": events,
        })))
    }

    /// The ended tasks of other keys that used its conversation last.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn in_the_same_session(&self, task: &TaskId) -> Result<Vec<TaskId>, LedgerError> {
        self.rows(
            "look for other keys of a conversation",
            IN_THE_SAME_SESSION,
            [task.as_str()],
            super::find::task_id,
        )
    }

    fn objects(&self, sql: &str, parameters: impl Params) -> Result<Vec<Value>, LedgerError> {
        self.rows("read what is kept of a task", sql, parameters, object)
    }
}

fn object(row: &Row<'_>) -> rusqlite::Result<Value> {
    let mut object = Map::new();
    for (at, name) in row.as_ref().column_names().enumerate() {
        let value = match row.get_ref(at)? {
            ValueRef::Null => Value::Null,
            ValueRef::Integer(number) => number.into(),
            ValueRef::Real(number) => number.into(),
            // No table has a BLOB column.
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
                String::from_utf8_lossy(bytes).into_owned().into()
            }
        };
        object.insert(name.to_owned(), value);
    }
    Ok(Value::Object(object))
}
