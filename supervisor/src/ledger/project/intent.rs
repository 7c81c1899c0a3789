//! `stop_intent`.

use lifecycle::{Event, EventBody};
use protocol::vocab::{IntentOutcome, SignalledBy};
use protocol::{TaskId, Timestamp};
use rusqlite::Connection;

use super::integer;
use crate::ledger::error::StoreError;

/// An older ledger that was put back may have given the id of an intent that it
/// does not know to another task: that one keeps its row, and every change below
/// is one of a task's own intents.
pub(super) fn requested(db: &Connection, event: &Event) -> Result<(), StoreError> {
    let EventBody::StopRequested {
        intent_id,
        reason,
        requested_by,
        note,
        joined,
        ..
    } = &event.body
    else {
        return Ok(());
    };
    let Some(task) = &event.task_id else {
        return Ok(());
    };
    let outcome = if *joined {
        IntentOutcome::Joined
    } else {
        IntentOutcome::Pending
    };
    db.prepare_cached(
        "INSERT INTO stop_intent (id, task_id, reason, requested_by, note, requested_at, outcome)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (id) DO NOTHING",
    )?
    .execute((
        integer(*intent_id),
        task.as_str(),
        reason.as_str(),
        serde_json::to_string(requested_by)?,
        note.as_deref(),
        event.at.to_string(),
        outcome.as_str(),
    ))?;
    Ok(())
}

pub(super) fn journalled(
    db: &Connection,
    task: Option<&TaskId>,
    id: u64,
    at: Timestamp,
) -> Result<(), StoreError> {
    db.prepare_cached(
        "UPDATE stop_intent SET journalled_at = coalesce(journalled_at, ?2)
         WHERE id = ?1 AND outcome IN ('pending', 'joined') AND task_id = ?3",
    )?
    .execute((integer(id), at.to_string(), task.map(TaskId::as_str)))?;
    Ok(())
}

/// The first signal counts.
pub(super) fn signalled(
    db: &Connection,
    task: Option<&TaskId>,
    id: u64,
    at: Timestamp,
    by: SignalledBy,
) -> Result<(), StoreError> {
    db.prepare_cached(
        "UPDATE stop_intent SET signalled_at = ?2, signalled_by = ?3
         WHERE id = ?1 AND signalled_at IS NULL AND outcome IN ('pending', 'joined')
             AND task_id = ?4",
    )?
    .execute((
        integer(id),
        at.to_string(),
        by.as_str(),
        task.map(TaskId::as_str),
    ))?;
    Ok(())
}

pub(super) fn ended(
    db: &Connection,
    task: &TaskId,
    id: u64,
    outcome: IntentOutcome,
) -> Result<(), StoreError> {
    db.prepare_cached("UPDATE stop_intent SET outcome = ?2 WHERE id = ?1 AND task_id = ?3")?
        .execute((integer(id), outcome.as_str(), task.as_str()))?;
    Ok(())
}
