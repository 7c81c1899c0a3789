//! The session table.

use lifecycle::{Event, EventBody, SessionRow};
use protocol::shim::Usage;
use protocol::view::SessionView;
use protocol::vocab::SessionState;
use protocol::{Key, ProviderName, SessionId, TaskId, Timestamp};
use rusqlite::{Params, Row};

use super::Reader;
use super::fields::{Fields, bad};
use crate::ledger::LedgerError;

const COLUMNS: &str = "s.key, s.provider, s.session_id, s.task_id, s.state, \
    s.quarantine_reason, s.last_used_at, s.totals, s.version";

const OPERATION: &str = "read the session table";

/// Why a session is quarantined whose task's row is not there.
const TASK_MISSING: &str = "task_missing";

/// Why a session is quarantined that says `live` while its task has ended.
const TASK_ENDED: &str = "unknown";

impl Reader<'_> {
    /// Every session, or those of a key, the newest first.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn sessions(&self, key: Option<&str>) -> Result<Vec<SessionView>, LedgerError> {
        let order = "ORDER BY s.last_used_at DESC, s.rowid DESC";
        let rows = match key {
            None => self.session_query(order, []),
            Some(key) => self.session_query(&format!("WHERE s.key = ?1 {order}"), [key]),
        }?;
        Ok(rows
            .into_iter()
            .map(|(row, version)| view(row, version))
            .collect())
    }

    /// The sessions of a key, the newest first.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn session_rows(&self, key: &str) -> Result<Vec<SessionRow>, LedgerError> {
        let rest = "WHERE s.key = ?1 ORDER BY s.last_used_at DESC, s.rowid DESC";
        Ok(self
            .session_query(rest, [key])?
            .into_iter()
            .map(|(row, _)| row)
            .collect())
    }

    /// The newest session of key and provider: the one that counts.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn newest_session(
        &self,
        key: &Key,
        provider: &ProviderName,
    ) -> Result<Option<SessionRow>, LedgerError> {
        let rest = "WHERE s.key = ?1 AND s.provider = ?2
            ORDER BY s.last_used_at DESC, s.rowid DESC LIMIT 1";
        let rows = self.session_query(rest, (key.as_str(), provider.as_str()))?;
        Ok(rows.into_iter().next().map(|(row, _)| row))
    }

    /// The session of this id: of this provider, else of any.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn named_session(
        &self,
        provider: &ProviderName,
        id: &SessionId,
    ) -> Result<Option<SessionRow>, LedgerError> {
        let rest = "WHERE s.session_id = ?1
            ORDER BY s.provider = ?2 DESC, s.last_used_at DESC, s.rowid DESC LIMIT 1";
        let rows = self.session_query(rest, (id.as_str(), provider.as_str()))?;
        Ok(rows.into_iter().next().map(|(row, _)| row))
    }

    /// What to commit at `at`, so that no session stays resumable whose task is
    /// missing, and none live whose task is not.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn sweep_sessions(&self, at: Timestamp) -> Result<Vec<Event>, LedgerError> {
        let missing = "WHERE s.state = 'resumable'
            AND NOT EXISTS (SELECT 1 FROM task_history t WHERE t.id = s.task_id)";
        let missing_live = "WHERE s.state = 'live'
            AND NOT EXISTS (SELECT 1 FROM task_history t WHERE t.id = s.task_id)";
        let ended = "WHERE s.state = 'live' AND EXISTS (SELECT 1 FROM task_history t
            WHERE t.id = s.task_id AND t.status NOT IN ('queued', 'running'))";
        let mut events = Vec::new();
        for (rest, reason) in [
            (missing, TASK_MISSING),
            (missing_live, TASK_MISSING),
            (ended, TASK_ENDED),
        ] {
            let found = self.session_query(rest, [])?;
            events.extend(
                found
                    .into_iter()
                    .map(|(row, _)| quarantine(row, reason, at)),
            );
        }
        Ok(events)
    }

    fn session_query(
        &self,
        rest: &str,
        parameters: impl Params,
    ) -> Result<Vec<(SessionRow, u64)>, LedgerError> {
        let sql = format!("SELECT {COLUMNS} FROM agent_sessions s {rest}");
        self.rows(OPERATION, &sql, parameters, session_row)
    }
}

fn session_row(row: &Row<'_>) -> rusqlite::Result<(SessionRow, u64)> {
    let mut fields = Fields::of(row);
    let session = SessionRow {
        key: fields
            .checked(|text| Key::new(text).ok())?
            .ok_or_else(|| bad("key"))?,
        provider: fields
            .checked(|text| ProviderName::new(text).ok())?
            .ok_or_else(|| bad("provider"))?,
        session_id: fields
            .checked(|text| SessionId::new(text).ok())?
            .ok_or_else(|| bad("session_id"))?,
        task_id: fields
            .checked(|text| TaskId::new(text).ok())?
            .ok_or_else(|| bad("task_id"))?,
        state: fields
            .checked(SessionState::parse)?
            .ok_or_else(|| bad("state"))?,
        quarantine_reason: fields.next()?,
        last_used_at: fields.time()?.ok_or_else(|| bad("last_used_at"))?,
        totals: totals(&fields.next::<String>()?),
    };
    Ok((session, fields.count()?.unwrap_or(0)))
}

/// Figures that cannot be read count as none: they only make later ones of
/// this conversation less exact.
fn totals(text: &str) -> Usage {
    serde_json::from_str(text).unwrap_or_default()
}

fn view(row: SessionRow, version: u64) -> SessionView {
    SessionView {
        key: row.key,
        provider: row.provider,
        session_id: row.session_id,
        task_id: row.task_id,
        state: row.state,
        quarantine_reason: row.quarantine_reason,
        last_used_at: row.last_used_at,
        version,
    }
}

fn quarantine(row: SessionRow, reason: &str, at: Timestamp) -> Event {
    Event {
        at,
        task_id: None,
        record: None,
        body: EventBody::SessionQuarantined {
            key: row.key,
            provider: row.provider,
            session_id: row.session_id,
            reason: reason.to_owned(),
            totals: None,
        },
    }
}
