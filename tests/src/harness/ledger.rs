//! Read-only looks at the ledger, by its public names (CONTRACT §3).

use std::path::PathBuf;
use std::time::Duration;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use serde_json::{Map, Value};

/// How long a reader waits for a lock; only a checkpoint holds one.
const BUSY: Duration = Duration::from_secs(5);

/// One row, by column name.
#[derive(Clone, Debug, PartialEq)]
pub struct Row(pub Map<String, Value>);

impl Row {
    /// A text column; `None` for NULL.
    ///
    /// # Panics
    /// When there is no such column, or it is no text.
    #[must_use]
    pub fn text(&self, column: &str) -> Option<&str> {
        match self.column(column) {
            Value::Null => None,
            Value::String(text) => Some(text),
            other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
                panic!("column {column} is {other}, not text")
            }
        }
    }

    /// An integer column; `None` for NULL.
    ///
    /// # Panics
    /// When there is no such column.
    #[must_use]
    pub fn integer(&self, column: &str) -> Option<i64> {
        self.column(column).as_i64()
    }

    /// A column that holds JSON.
    ///
    /// # Panics
    /// When there is no such column, or it does not hold JSON.
    #[must_use]
    pub fn json(&self, column: &str) -> Value {
        let text = self.text(column).expect("the column is not NULL");
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{column}: {error}: {text}"))
    }

    /// Is it NULL?
    ///
    /// # Panics
    /// When there is no such column.
    #[must_use]
    pub fn is_null(&self, column: &str) -> bool {
        self.column(column).is_null()
    }

    fn column(&self, column: &str) -> &Value {
        self.0
            .get(column)
            .unwrap_or_else(|| panic!("no column {column} in {:?}", self.0))
    }
}

/// The ledger file.
#[derive(Clone, Debug)]
pub struct Ledger {
    path: PathBuf,
}

impl Ledger {
    /// Of this file.
    #[must_use]
    pub const fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// Any query with text parameters; nothing while there is no ledger.
    ///
    /// # Panics
    /// When the query fails.
    #[must_use]
    pub fn rows(&self, sql: &str, parameters: &[&str]) -> Vec<Row> {
        if !self.path.exists() {
            return Vec::new();
        }
        self.query(sql, parameters)
            .unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// The task's row.
    #[must_use]
    pub fn task(&self, id: &str) -> Option<Row> {
        self.rows("SELECT * FROM task_history WHERE id = ?1", &[id])
            .pop()
    }

    /// Every task, oldest first.
    #[must_use]
    pub fn tasks(&self) -> Vec<Row> {
        self.rows("SELECT * FROM task_history ORDER BY rowid", &[])
    }

    /// The sessions of a key, the newest last.
    #[must_use]
    pub fn sessions_of(&self, key: &str) -> Vec<Row> {
        self.rows(
            "SELECT * FROM agent_sessions WHERE key = ?1 ORDER BY last_used_at",
            &[key],
        )
    }

    /// Every session.
    #[must_use]
    pub fn sessions(&self) -> Vec<Row> {
        self.rows("SELECT * FROM agent_sessions", &[])
    }

    /// The intents of a task, in the order of their commitment.
    #[must_use]
    pub fn intents(&self, task: &str) -> Vec<Row> {
        self.rows(
            "SELECT * FROM stop_intent WHERE task_id = ?1 ORDER BY id",
            &[task],
        )
    }

    /// The events of a task, in order.
    #[must_use]
    pub fn events(&self, task: &str) -> Vec<Row> {
        self.rows(
            "SELECT * FROM agent_run_event WHERE task_id = ?1 ORDER BY seq",
            &[task],
        )
    }

    /// The types of a task's events, in order.
    #[must_use]
    pub fn event_types(&self, task: &str) -> Vec<String> {
        self.events(task)
            .iter()
            .filter_map(|event| event.text("type").map(str::to_string))
            .collect()
    }

    fn query(&self, sql: &str, parameters: &[&str]) -> rusqlite::Result<Vec<Row>> {
        let connection = Connection::open_with_flags(
            &self.path,
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        connection.busy_timeout(BUSY)?;
        let mut statement = connection.prepare(sql)?;
        let names: Vec<String> = statement.column_names().map(str::to_string).collect();
        let rows = statement.query_map(rusqlite::params_from_iter(parameters), |row| {
            let mut map = Map::new();
            for (at, name) in names.iter().enumerate() {
                map.insert(name.clone(), value(row.get_ref(at)?));
            }
            Ok(Row(map))
        })?;
        rows.collect()
    }
}

fn value(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => number.into(),
        ValueRef::Real(number) => number.into(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into(),
        ValueRef::Blob(bytes) => format!("<{} bytes>", bytes.len()).into(),
    }
}
