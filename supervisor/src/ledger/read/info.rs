//! The ledger itself: its place, size and counts.

use std::fs;

use protocol::view::{LedgerView, TaskCounts};

use super::Reader;
use crate::ledger::error::StoreError;
use crate::ledger::{LedgerError, inspect, meta};

/// The ledger itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerInfo {
    /// Place, schema and size.
    pub view: LedgerView,
    /// Its random id: seq is unique within it.
    pub ledger_id: String,
    /// How many tasks.
    pub tasks: TaskCounts,
}

// The first condition is that of the index.
pub(super) const QUEUED: &str = "SELECT count(*) FROM task_history INDEXED BY task_history_live
     WHERE status IN ('queued', 'running') AND status = 'queued'";
pub(super) const RUNNING: &str = "SELECT count(*) FROM task_history INDEXED BY task_history_live
     WHERE status IN ('queued', 'running') AND status = 'running'";

const FIGURES: &str = "SELECT status, coalesce(archive_reason, ''), provider, count(*)
     FROM task_history GROUP BY 1, 2, 3";

impl Reader<'_> {
    /// The ledger itself.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn info(&self) -> Result<LedgerInfo, LedgerError> {
        let read = |name| {
            meta::read(self.db, name)
                .map_err(|error| StoreError::Sql(error).of_read("read the ledger's own facts"))
        };
        let size = |path| fs::metadata(path).map_or(0, |metadata| metadata.len());
        Ok(LedgerInfo {
            view: LedgerView {
                path: self.path.to_string_lossy().into_owned(),
                schema: read(meta::SCHEMA)?
                    .and_then(|text| text.parse().ok())
                    .unwrap_or(0),
                bytes: size(self.path.to_owned()) + size(inspect::wal_of(self.path)),
            },
            ledger_id: read(meta::LEDGER_ID)?.unwrap_or_default(),
            tasks: self.counts()?,
        })
    }

    /// How many tasks there are by status, reason (empty: none yet) and
    /// provider. Looks at every row: for the thread that only reads.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn task_figures(&self) -> Result<Vec<([String; 3], u64)>, LedgerError> {
        self.rows("count the tasks", FIGURES, [], |row| {
            let count: i64 = row.get(3)?;
            let labels = [row.get(0)?, row.get(1)?, row.get(2)?];
            Ok((labels, u64::try_from(count).unwrap_or(0)))
        })
    }

    /// How many tasks there are.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn counts(&self) -> Result<TaskCounts, LedgerError> {
        let count = |sql: &str| -> Result<u64, LedgerError> {
            let rows = self.first("count the tasks", sql, [], |row| row.get::<_, i64>(0))?;
            Ok(rows
                .and_then(|count| u64::try_from(count).ok())
                .unwrap_or(0))
        };
        // Of all tasks the ones that live are few: the others are the rest.
        let all = count("SELECT count(*) FROM task_history")?;
        let (queued, running) = (count(QUEUED)?, count(RUNNING)?);
        Ok(TaskCounts {
            queued,
            running,
            ended: all.saturating_sub(queued + running),
        })
    }
}
