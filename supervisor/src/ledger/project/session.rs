//! `agent_sessions`.

use lifecycle::{Event, EventBody, SessionRow};
use protocol::shim::Usage;
use protocol::vocab::SessionState;
use protocol::{Key, ProviderName, SessionId};
use rusqlite::Connection;

use crate::ledger::error::StoreError;

/// A live task uses it from now on.
pub(super) fn bound(db: &Connection, event: &Event) -> Result<(), StoreError> {
    let EventBody::SessionBound {
        key,
        provider,
        session_id,
        ..
    } = &event.body
    else {
        return Ok(());
    };
    let Some(task) = &event.task_id else {
        return Ok(());
    };
    db.prepare_cached(
        "INSERT INTO agent_sessions (key, provider, session_id, task_id, state,
             quarantine_reason, last_used_at, version)
         VALUES (?1, ?2, ?3, ?4, 'live', NULL, ?5, 1)
         ON CONFLICT (key, provider, session_id) DO UPDATE SET task_id = excluded.task_id,
             state = 'live', quarantine_reason = NULL, last_used_at = excluded.last_used_at,
             without_task = NULL, version = version + 1",
    )?
    .execute((
        key.as_str(),
        provider.as_str(),
        session_id.as_str(),
        task.as_str(),
        event.at.to_string(),
    ))?;
    Ok(())
}

/// No live task uses it any more, or the operator spoke.
pub(super) fn settled(db: &Connection, event: &Event) -> Result<(), StoreError> {
    let Some(change) = Change::of(event) else {
        return Ok(());
    };
    let totals = change.totals.map(serde_json::to_string).transpose()?;
    db.prepare_cached(
        "UPDATE agent_sessions SET state = ?4, quarantine_reason = ?5,
             totals = coalesce(?6, totals), last_used_at = coalesce(?7, last_used_at),
             version = version + 1
         WHERE key = ?1 AND provider = ?2 AND session_id = ?3",
    )?
    .execute((
        change.key.as_str(),
        change.provider.as_str(),
        change.session_id.as_str(),
        change.state.as_str(),
        change.reason,
        totals,
        change.used_now.then(|| event.at.to_string()),
    ))?;
    if change.released {
        // Who releases a session whose task is missing does not mean the next start.
        db.prepare_cached(
            "UPDATE agent_sessions SET without_task = '{}'
             WHERE key = ?1 AND provider = ?2 AND session_id = ?3 AND without_task IS NULL
                 AND NOT EXISTS (SELECT 1 FROM task_history t WHERE t.id = task_id)",
        )?
        .execute((
            change.key.as_str(),
            change.provider.as_str(),
            change.session_id.as_str(),
        ))?;
    }
    Ok(())
}

/// What an event makes of a session.
struct Change<'e> {
    key: &'e Key,
    provider: &'e ProviderName,
    session_id: &'e SessionId,
    state: SessionState,
    reason: Option<&'e str>,
    totals: Option<&'e Usage>,
    /// It was in use until now, or counts as such.
    used_now: bool,
    /// By the operator's word.
    released: bool,
}

impl<'e> Change<'e> {
    fn of(event: &'e Event) -> Option<Self> {
        let change = |key, provider, session_id, state| Change {
            key,
            provider,
            session_id,
            state,
            reason: None,
            totals: None,
            used_now: true,
            released: false,
        };
        if let EventBody::SessionResumable {
            key,
            provider,
            session_id,
            totals,
        } = &event.body
        {
            let base = change(key, provider, session_id, SessionState::Resumable);
            return Some(Self {
                totals: Some(totals),
                ..base
            });
        }
        if let EventBody::SessionReleased {
            key,
            provider,
            session_id,
            ..
        } = &event.body
        {
            let base = change(key, provider, session_id, SessionState::Resumable);
            return Some(Self {
                released: true,
                ..base
            });
        }
        if let EventBody::SessionQuarantined {
            key,
            provider,
            session_id,
            reason,
            totals,
        } = &event.body
        {
            let base = change(key, provider, session_id, SessionState::Quarantined);
            // Without figures no task ended: it is the operator's word, or the
            // place of a newer session.
            let used_now = totals.is_some();
            return Some(Self {
                reason: Some(reason),
                totals: totals.as_ref(),
                used_now,
                ..base
            });
        }
        None
    }
}

/// Its row is as it was before a task that never used it.
pub(super) fn restored(db: &Connection, row: &SessionRow) -> Result<(), StoreError> {
    let totals = serde_json::to_string(&row.totals)?;
    let without_task = row.without_task.as_ref().map(serde_json::to_string);
    let without_task = without_task.transpose()?;
    db.prepare_cached(
        "INSERT INTO agent_sessions (key, provider, session_id, task_id, state,
             quarantine_reason, last_used_at, version, totals, without_task)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 1, ?8, ?9)
         ON CONFLICT (key, provider, session_id) DO UPDATE SET task_id = excluded.task_id,
             state = excluded.state, quarantine_reason = excluded.quarantine_reason,
             last_used_at = excluded.last_used_at, totals = excluded.totals,
             without_task = excluded.without_task, version = version + 1",
    )?
    .execute((
        row.key.as_str(),
        row.provider.as_str(),
        row.session_id.as_str(),
        row.task_id.as_str(),
        row.state.as_str(),
        row.quarantine_reason.as_deref(),
        row.last_used_at.to_string(),
        totals,
        without_task,
    ))?;
    Ok(())
}

/// It was chosen and never used.
pub(super) fn removed(db: &Connection, event: &Event) -> Result<(), StoreError> {
    let EventBody::SessionRemoved {
        key,
        provider,
        session_id,
    } = &event.body
    else {
        return Ok(());
    };
    db.prepare_cached(
        "DELETE FROM agent_sessions WHERE key = ?1 AND provider = ?2 AND session_id = ?3",
    )?
    .execute((key.as_str(), provider.as_str(), session_id.as_str()))?;
    Ok(())
}
