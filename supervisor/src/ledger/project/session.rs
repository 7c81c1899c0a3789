//! `agent_sessions`: one row per key, provider and id.
//!
//! One conversation may have rows under several keys: an agent that is told in its own
//! words which one to go on with reports an id that another key has. How its last use
//! ended is true of the conversation, and so of all of them (R6); only when it was used
//! last is each key's own, because that tells which one the key goes on with.

use lifecycle::{Event, EventBody, SessionRow};
use protocol::shim::Usage;
use protocol::vocab::SessionState;
use protocol::{Key, ProviderName, SessionId};
use rusqlite::{Connection, OptionalExtension};

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
    // What the conversation has cost so far is the same under every key.
    db.prepare_cached(
        "INSERT INTO agent_sessions (key, provider, session_id, task_id, state,
             quarantine_reason, last_used_at, version, totals)
         VALUES (?1, ?2, ?3, ?4, 'live', NULL, ?5, 1, coalesce((
             SELECT totals FROM agent_sessions WHERE session_id = ?3 AND provider = ?2
             ORDER BY last_used_at DESC LIMIT 1), '{}'))
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
    let of = (change.key, change.provider, change.session_id);
    let cut_off = if matches!(event.body, EventBody::SessionResumable { .. }) {
        cut_off_meanwhile(db, of)?
    } else {
        None
    };
    let (state, reason) = match &cut_off {
        Some(reason) => (SessionState::Quarantined, Some(reason.as_str())),
        None => (change.state, change.reason),
    };
    let at = event.at.to_string();
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
        state.as_str(),
        reason,
        totals.as_deref(),
        change.used_now.then_some(at.as_str()),
    ))?;
    // Not those that were used since, nor those that a live task uses: its end tells.
    db.prepare_cached(
        "UPDATE agent_sessions SET state = ?4,
             quarantine_reason = CASE WHEN ?4 = 'quarantined'
                 THEN coalesce(quarantine_reason, ?5) END,
             totals = coalesce(?6, totals), version = version + 1
         WHERE session_id = ?3 AND provider = ?2 AND key <> ?1
             AND state <> 'live' AND last_used_at <= ?7",
    )?
    .execute((
        change.key.as_str(),
        change.provider.as_str(),
        change.session_id.as_str(),
        state.as_str(),
        reason,
        totals.as_deref(),
        at.as_str(),
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

/// Why the same conversation was quarantined under another key after this row was
/// used last: two tasks were in it at once, and one of them was cut off.
fn cut_off_meanwhile(
    db: &Connection,
    (key, provider, session_id): (&Key, &ProviderName, &SessionId),
) -> Result<Option<String>, StoreError> {
    let mut statement = db.prepare_cached(
        "SELECT other.quarantine_reason FROM agent_sessions other
         WHERE other.session_id = ?3 AND other.provider = ?2 AND other.key <> ?1
             AND other.state = 'quarantined'
             AND other.last_used_at > (SELECT own.last_used_at FROM agent_sessions own
                 WHERE own.key = ?1 AND own.provider = ?2 AND own.session_id = ?3)
         ORDER BY other.last_used_at DESC LIMIT 1",
    )?;
    let of = (key.as_str(), provider.as_str(), session_id.as_str());
    Ok(statement.query_row(of, |row| row.get(0)).optional()?)
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
    // As it was before; but its conversation may have been cut off since.
    let of = (&row.key, &row.provider, &row.session_id);
    if row.state == SessionState::Resumable
        && let Some(reason) = cut_off_meanwhile(db, of)?
    {
        db.prepare_cached(
            "UPDATE agent_sessions SET state = 'quarantined', quarantine_reason = ?4
             WHERE key = ?1 AND provider = ?2 AND session_id = ?3",
        )?
        .execute((
            row.key.as_str(),
            row.provider.as_str(),
            row.session_id.as_str(),
            reason,
        ))?;
    }
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
