//! The session table.

use lifecycle::{Event, EventBody, SessionRow, WithoutTask};
use protocol::shim::Usage;
use protocol::view::SessionView;
use protocol::vocab::SessionState;
use protocol::{Key, ProviderName, SessionId, TaskId, Timestamp};
use rusqlite::Row;

use super::Reader;
use super::fields::{Fields, bad};
use crate::ledger::LedgerError;

const OPERATION: &str = "read the session table";

/// Where the version stands in what [`sessions!`] selects.
const VERSION_COLUMN: usize = 8;

/// Why a session is quarantined whose task's row is not there.
const TASK_MISSING: &str = "task_missing";

/// Why a session is quarantined that says `live` while its task has ended.
const TASK_ENDED: &str = "unknown";

macro_rules! sessions {
    ($rest:literal) => {
        concat!(
            "SELECT s.key, s.provider, s.session_id, s.task_id, s.state, s.quarantine_reason,
                 s.last_used_at, s.totals, s.version, s.without_task
             FROM agent_sessions s ",
            $rest
        )
    };
}

const ALL: &str = sessions!("ORDER BY s.last_used_at DESC, s.key, s.session_id");
const OF_KEY: &str =
    sessions!("WHERE s.key = ?1 ORDER BY s.last_used_at DESC, s.key, s.session_id");
const WITHOUT_TASK: &str =
    sessions!("WHERE s.without_task IS NOT NULL ORDER BY s.key, s.provider, s.session_id");
pub(super) const NEWEST: &str = sessions!(
    "WHERE s.key = ?1 AND s.provider = ?2 ORDER BY s.last_used_at DESC, s.state = 'live' DESC LIMIT 1"
);
pub(super) const NAMED: &str = sessions!(
    "WHERE s.session_id = ?1
     ORDER BY s.provider = ?2 DESC, s.key = ?3 DESC, s.last_used_at DESC LIMIT 1"
);

pub(super) const OF_SESSION: &str = sessions!("WHERE s.session_id = ?1 AND s.provider = ?2");

/// Sessions that may be resumed, and of which the newest use, under another key, was
/// cut off: of ledgers in which each key had its own word on a conversation.
const CUT_OFF_ELSEWHERE: &str = sessions!(
    "WHERE s.state = 'resumable' AND (SELECT other.state FROM agent_sessions other
         WHERE other.session_id = s.session_id AND other.provider = s.provider
             AND other.last_used_at > s.last_used_at
         ORDER BY other.last_used_at DESC, other.state = 'quarantined' DESC LIMIT 1
     ) = 'quarantined'"
);

/// Why they are quarantined: the row under the other key says it.
const CUT_OFF: &str = "cut off under another key";

/// Sessions that say something about a task that is not so, and why they are
/// quarantined.
const SWEEPS: [(&str, &str); 4] = [
    (
        sessions!(
            "WHERE s.state = 'resumable' AND s.without_task IS NULL
                 AND NOT EXISTS (SELECT 1 FROM task_history t WHERE t.id = s.task_id)"
        ),
        TASK_MISSING,
    ),
    (
        sessions!(
            "WHERE s.state = 'live'
                 AND NOT EXISTS (SELECT 1 FROM task_history t WHERE t.id = s.task_id)"
        ),
        TASK_MISSING,
    ),
    (
        sessions!(
            "WHERE s.state = 'live' AND EXISTS (SELECT 1 FROM task_history t
                 WHERE t.id = s.task_id AND t.status NOT IN ('queued', 'running'))"
        ),
        TASK_ENDED,
    ),
    (CUT_OFF_ELSEWHERE, CUT_OFF),
];

impl Reader<'_> {
    /// Every session, or those of a key, the newest first.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn sessions(&self, key: Option<&str>) -> Result<Vec<SessionView>, LedgerError> {
        match key {
            None => self.rows(OPERATION, ALL, [], session_view),
            Some(key) => self.rows(OPERATION, OF_KEY, [key], session_view),
        }
    }

    /// The sessions of a key, the newest first.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn session_rows(&self, key: &str) -> Result<Vec<SessionRow>, LedgerError> {
        self.rows(OPERATION, OF_KEY, [key], session_row)
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
        let parameters = (key.as_str(), provider.as_str());
        self.first(OPERATION, NEWEST, parameters, session_row)
    }

    /// The session of this id: of this provider, else of any; of this key, else of
    /// the one that used it last.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn named_session(
        &self,
        key: Option<&Key>,
        provider: &ProviderName,
        id: &SessionId,
    ) -> Result<Option<SessionRow>, LedgerError> {
        let parameters = (id.as_str(), provider.as_str(), key.map(Key::as_str));
        self.first(OPERATION, NAMED, parameters, session_row)
    }

    /// The rows of one conversation: one for each key that has taken part in it.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn rows_of_session(
        &self,
        provider: &ProviderName,
        id: &SessionId,
    ) -> Result<Vec<SessionRow>, LedgerError> {
        let parameters = (id.as_str(), provider.as_str());
        self.rows(OPERATION, OF_SESSION, parameters, session_row)
    }

    /// The newest figures of a conversation that a task other than `but` has taken part
    /// in, as its provider printed them; none if there was no such task.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn totals_of_session(
        &self,
        provider: &ProviderName,
        id: &SessionId,
        but: &TaskId,
    ) -> Result<Option<Usage>, LedgerError> {
        let rows = self.rows_of_session(provider, id)?;
        let others = rows.into_iter().filter(|row| row.task_id != *but);
        let newest = others.max_by_key(|row| row.last_used_at);
        Ok(newest.map(|row| row.totals))
    }

    /// Those whose tasks have no row, and need none.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn sessions_without_task(&self) -> Result<Vec<SessionRow>, LedgerError> {
        self.rows(OPERATION, WITHOUT_TASK, [], session_row)
    }

    /// What to commit at `at`, so that no session stays resumable whose task is
    /// missing, and none live whose task is not.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn sweep_sessions(&self, at: Timestamp) -> Result<Vec<Event>, LedgerError> {
        let mut events = Vec::new();
        for (sql, reason) in SWEEPS {
            let found = self.rows(OPERATION, sql, [], session_row)?;
            events.extend(found.into_iter().map(|row| quarantine(row, reason, at)));
        }
        Ok(events)
    }
}

fn session_view(row: &Row<'_>) -> rusqlite::Result<SessionView> {
    let session = session_row(row)?;
    let version: i64 = row.get(VERSION_COLUMN)?;
    Ok(SessionView {
        key: session.key,
        provider: session.provider,
        session_id: session.session_id,
        task_id: session.task_id,
        state: session.state,
        quarantine_reason: session.quarantine_reason,
        last_used_at: session.last_used_at,
        version: u64::try_from(version).unwrap_or(0),
    })
}

fn session_row(row: &Row<'_>) -> rusqlite::Result<SessionRow> {
    let mut fields = Fields::of(row);
    Ok(SessionRow {
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
        without_task: {
            let _version: i64 = fields.next()?;
            without_task(fields.next::<Option<String>>()?.as_deref())
        },
    })
}

/// What cannot be read still says that the row is gone.
fn without_task(text: Option<&str>) -> Option<WithoutTask> {
    Some(serde_json::from_str(text?).unwrap_or_default())
}

/// Figures that cannot be read count as none: they only make later ones of
/// this conversation less exact.
fn totals(text: &str) -> Usage {
    serde_json::from_str(text).unwrap_or_default()
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
