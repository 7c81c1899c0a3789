//! Questions to a ledger, for whoever has a connection: the running
//! supervisor's threads and `agent-supervisor offline` alike.

mod admission;
mod boots;
mod events;
pub(super) mod fields;
mod find;
mod follower;
mod info;
mod intents;
mod list;
mod live;
mod past;
#[cfg(test)]
pub(super) mod plans;
mod prunable;
mod row;
mod sessions;
mod settled;

use std::path::Path;

use rusqlite::{Connection, Params, Row};

use super::error::{LedgerError, StoreError};

pub use admission::AdmissionFacts;
pub use find::{MAX_COUNTED, MAX_MATCHES};
pub use info::LedgerInfo;
pub use live::LiveTask;
pub(super) use prunable::MAY_GO;
pub use prunable::{OldEnough, Prunable};
pub use row::TaskRow;

/// A ledger that can be asked.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'c> {
    db: &'c Connection,
    path: &'c Path,
}

impl<'c> Reader<'c> {
    pub(super) const fn new(db: &'c Connection, path: &'c Path) -> Self {
        Self { db, path }
    }

    /// Sets what a test needs of its connection.
    #[cfg(test)]
    pub(super) fn pragma_for_test(&self, sql: &str) -> Result<(), LedgerError> {
        self.rows("set up a test", sql, [], |_| Ok(())).map(drop)
    }

    /// All rows of a query; its statement is kept.
    fn rows<T>(
        &self,
        operation: &'static str,
        sql: &str,
        parameters: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, LedgerError> {
        let ask = || -> rusqlite::Result<Vec<T>> {
            self.db
                .prepare_cached(sql)?
                .query_map(parameters, read)?
                .collect()
        };
        ask().map_err(|error| StoreError::Sql(error).of_read(operation))
    }

    /// The first row of a query, if it has any.
    fn first<T>(
        &self,
        operation: &'static str,
        sql: &str,
        parameters: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, LedgerError> {
        Ok(self
            .rows(operation, sql, parameters, read)?
            .into_iter()
            .next())
    }
}
