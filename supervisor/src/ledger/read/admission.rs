//! What a dispatch has to know, in one look.

use lifecycle::SessionRow;
use lifecycle::crash_loop::Past;
use protocol::{Key, ProviderName, SessionId, TaskId};

use super::Reader;
use crate::ledger::LedgerError;

/// What a dispatch has to know.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AdmissionFacts {
    /// The digest of the dispatch that used this id, if one did.
    pub known_digest: Option<String>,
    /// No task has this id any more, and the log still tells of one.
    pub pruned: bool,
    /// The newest session of key and provider.
    pub newest_session: Option<SessionRow>,
    /// The session that the caller names: of this provider, else of any;
    /// of this key, else of the one that used it last.
    pub named_session: Option<SessionRow>,
    /// The last ended tasks of the key, or of that of the named session; the
    /// newest first.
    pub past: Vec<Past>,
}

impl Reader<'_> {
    /// Looks up what a dispatch has to know.
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
        let named_session = match named {
            Some(named) => self.named_session(key, provider, named)?,
            None => None,
        };
        let whose = key.or(named_session.as_ref().map(|row| &row.key));
        let past = match whose {
            Some(key) => self.past_of_key(key)?,
            None => Vec::new(),
        };
        let known_digest = self.secret(id)?.map(|secret| secret.spec_digest);
        Ok(AdmissionFacts {
            pruned: known_digest.is_none() && self.tells_of(id)?,
            known_digest,
            newest_session: match key {
                Some(key) => self.newest_session(key, provider)?,
                None => None,
            },
            named_session,
            past,
        })
    }
}
