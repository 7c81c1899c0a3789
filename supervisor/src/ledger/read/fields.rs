//! Columns of a row, one after the other.

use protocol::Timestamp;
use rusqlite::Row;
use rusqlite::types::{FromSql, Type};

/// Reads the columns of a row in their order.
pub(in crate::ledger) struct Fields<'r, 's> {
    row: &'r Row<'s>,
    at: usize,
}

impl<'r, 's> Fields<'r, 's> {
    pub(in crate::ledger) fn of(row: &'r Row<'s>) -> Self {
        Self { row, at: 0 }
    }

    /// The next column.
    pub(in crate::ledger) fn next<T: FromSql>(&mut self) -> rusqlite::Result<T> {
        let value = self.row.get(self.at);
        self.at += 1;
        value
    }

    /// The next column as what `parse` makes of its text.
    pub(in crate::ledger) fn checked<T>(
        &mut self,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> rusqlite::Result<Option<T>> {
        let text: Option<String> = self.next()?;
        match text {
            None => Ok(None),
            Some(text) => match parse(&text) {
                Some(value) => Ok(Some(value)),
                None => Err(bad(&text)),
            },
        }
    }

    /// The next column as a time.
    pub(in crate::ledger) fn time(&mut self) -> rusqlite::Result<Option<Timestamp>> {
        self.checked(|text| Timestamp::parse(text).ok())
    }

    /// The next column as a count.
    pub(in crate::ledger) fn count(&mut self) -> rusqlite::Result<Option<u64>> {
        let number: Option<i64> = self.next()?;
        Ok(number.and_then(|number| u64::try_from(number).ok()))
    }
}

/// A value that should not be there: `what`.
pub(in crate::ledger) fn bad(what: &str) -> rusqlite::Error {
    let source = format!("{what:?} has no meaning here");
    rusqlite::Error::FromSqlConversionFailure(0, Type::Text, source.into())
}
