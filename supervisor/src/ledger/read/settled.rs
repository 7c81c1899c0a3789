//! What a task's folder keeps of its end, so that a lost ledger can be rebuilt.

use protocol::TaskId;
use rusqlite::types::ValueRef;
use rusqlite::{Params, Row};
use serde::Serialize;

use super::Reader;
use crate::ledger::{LedgerError, log};

const READ: &str = "read what is kept of a task";

/// The version of the file's form; see [`Reader::settled`].
const VERSION: u32 = 1;

pub(super) const IN_THE_SAME_SESSION: &str = "SELECT other.id FROM task_history t
     JOIN agent_sessions s ON s.session_id = t.session_id AND s.provider = t.provider
         AND s.key <> t.key
     JOIN task_history other ON other.id = s.task_id AND other.status NOT IN ('queued', 'running')
     WHERE t.id = ?1";

impl Reader<'_> {
    /// The task's row, its intents and its session's row, each as an object of
    /// column names and values, and its events: a text of JSON, with a line for each of
    /// them. None if there is no such task.
    ///
    /// Written from the columns as they are: every task that ends is kept like this.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn settled(&self, task: &TaskId) -> Result<Option<String>, LedgerError> {
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
        let events = self.rows(READ, super::events::OF_TASK, id, log::text_of)?;
        let [intents, sessions, events] =
            [intents, sessions, events.into_iter().flatten().collect()].map(|rows| list(&rows));
        Ok(Some(format!(
            "{{\n\"version\": {VERSION},\n\"task_history\": {row},\n\"stop_intent\": {intents},\n\
             \"agent_sessions\": {sessions},\n\"events\": {events}\n}}\n"
        )))
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

    fn objects(&self, sql: &str, parameters: impl Params) -> Result<Vec<String>, LedgerError> {
        self.rows(READ, sql, parameters, object)
    }
}

/// A line for each.
fn list(objects: &[String]) -> String {
    match objects {
        [] => "[]".to_owned(),
        objects => format!("[\n{}\n]", objects.join(",\n")),
    }
}

fn object(row: &Row<'_>) -> rusqlite::Result<String> {
    let mut object = Vec::with_capacity(1 << 10);
    for (at, name) in row.as_ref().column_names().enumerate() {
        object.push(if at == 0 { b'{' } else { b',' });
        push(&mut object, name)?;
        object.push(b':');
        match row.get_ref(at)? {
            ValueRef::Null => push(&mut object, &())?,
            ValueRef::Integer(number) => push(&mut object, &number)?,
            ValueRef::Real(number) => push(&mut object, &number)?,
            // No table has a BLOB column.
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
                push(&mut object, &*String::from_utf8_lossy(bytes))?;
            }
        }
    }
    object.push(b'}');
    String::from_utf8(object).map_err(|_| super::fields::bad("a row"))
}

fn push(text: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) -> rusqlite::Result<()> {
    serde_json::to_writer(text, value).map_err(|_| super::fields::bad("a value"))
}
