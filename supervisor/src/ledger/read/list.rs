//! Ended tasks, newest first.

use protocol::control::ListFilter;
use protocol::limits::MAX_LIST;
use rusqlite::types::Value;

use super::Reader;
use super::row::{COLUMNS, FROM, TaskRow, task_row};
use crate::ledger::LedgerError;

impl Reader<'_> {
    /// The ended tasks that fit `filter` (whatever it says of `all`), newest
    /// first, at most as many as it wants.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn ended(&self, filter: &ListFilter) -> Result<Vec<TaskRow>, LedgerError> {
        let (sql, parameters) = ended_query(filter);
        self.rows(
            "list tasks",
            &sql,
            rusqlite::params_from_iter(parameters),
            task_row,
        )
    }
}

/// The statement and its parameters. An index gives the order, so that only
/// the rows that are wanted are read.
pub(in crate::ledger) fn ended_query(filter: &ListFilter) -> (String, Vec<Value>) {
    let mut wanted = vec!["t.status NOT IN ('queued', 'running')".to_owned()];
    let mut parameters: Vec<Value> = Vec::new();
    let mut one = |condition: &str, value: &str| {
        parameters.push(Value::Text(value.to_owned()));
        wanted.push(format!("{condition} ?{}", parameters.len()));
    };
    if let Some(key) = &filter.key {
        one("t.key =", key);
    }
    if let Some(provider) = &filter.provider {
        one("t.provider =", provider);
    }
    if let Some(since) = &filter.since {
        one("coalesce(t.started_at, t.queued_at) >=", &since.to_string());
    }
    let words = |column: &str, words: Vec<&str>| {
        (!words.is_empty()).then(|| format!("{column} IN ('{}')", words.join("', '")))
    };
    let status = filter.status.iter().map(|status| status.as_str()).collect();
    wanted.extend(words("t.status", status));
    let reason = filter.reason.iter().map(|reason| reason.as_str()).collect();
    wanted.extend(words("t.archive_reason", reason));
    let limit = filter.limit.unwrap_or(MAX_LIST).min(MAX_LIST);
    let sql = format!(
        "SELECT {COLUMNS} FROM {FROM} WHERE {} ORDER BY t.number DESC LIMIT {limit}",
        wanted.join(" AND ")
    );
    (sql, parameters)
}
