//! What a dispatch has to know, looked up where it is asked: without a way to
//! another thread and back, and not behind the commit under way.

use std::path::PathBuf;

use protocol::shim::Usage;
use protocol::{Key, ProviderName, SessionId, TaskId};
use rusqlite::Connection;

use super::error::LedgerError;
use super::read::{AdmissionFacts, Reader};

/// Pages that are kept, in KiB: the looks are by index, at one row each.
const CACHE_KIB: i64 = 256;

/// A connection of the loop's own. It sees every commit that was answered.
#[derive(Debug)]
pub struct Front {
    db: Connection,
    path: PathBuf,
}

impl Front {
    pub(super) fn new(db: Connection, path: PathBuf) -> rusqlite::Result<Self> {
        db.pragma_update(None, "cache_size", -CACHE_KIB)?;
        Ok(Self { db, path })
    }

    /// See [`Reader::admission_facts`]. Looks at the disk where its pages are not in
    /// memory.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn admission_facts(
        &self,
        id: &TaskId,
        key: Option<&Key>,
        provider: &ProviderName,
        named: Option<&SessionId>,
    ) -> Result<AdmissionFacts, LedgerError> {
        Reader::new(&self.db, &self.path).admission_facts(id, key, provider, named)
    }

    /// See [`Reader::totals_of_session`].
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn totals_of_session(
        &self,
        provider: &ProviderName,
        id: &SessionId,
        but: &TaskId,
    ) -> Result<Option<Usage>, LedgerError> {
        Reader::new(&self.db, &self.path).totals_of_session(provider, id, but)
    }
}
