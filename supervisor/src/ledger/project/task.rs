//! `task_history` while a task lives.

use lifecycle::{Event, EventBody, TaskSpec};
use protocol::{SessionId, Status, TaskId, Timestamp};
use rusqlite::Connection;

use super::integer;
use crate::ledger::error::StoreError;

/// A queued task's turn has come, or the row is new.
pub(super) fn admitted(db: &Connection, at: Timestamp, spec: &TaskSpec) -> Result<(), StoreError> {
    let waited = db
        .prepare_cached(
            "UPDATE task_history SET status = 'running', started_at = ?2, session_id = ?3,
                 resumed_session_id = ?4,
                 version = (SELECT count(*) FROM agent_run_event WHERE task_id = ?1)
             WHERE id = ?1 AND status = 'queued'",
        )?
        .execute((
            spec.id.as_str(),
            at.to_string(),
            spec.session.known_id().map(SessionId::as_str),
            spec.session.resumed().map(SessionId::as_str),
        ))?;
    if waited == 0 {
        insert(db, spec, Status::Running, (None, Some(at)))?;
    }
    Ok(())
}

pub(super) fn queued(db: &Connection, at: Timestamp, spec: &TaskSpec) -> Result<(), StoreError> {
    insert(db, spec, Status::Queued, (Some(at), None))
}

fn insert(
    db: &Connection,
    spec: &TaskSpec,
    status: Status,
    (queued_at, started_at): (Option<Timestamp>, Option<Timestamp>),
) -> Result<(), StoreError> {
    let links = &spec.links;
    db.prepare_cached(
        "INSERT INTO task_history (id, key, repo, issue_number, user, agent, agent_type, model,
             provider, status, queued_at, started_at, session_id, resumed_session_id, name,
             retry_of, fresh_after, reopened_from)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)",
    )?
    .execute(rusqlite::params![
        spec.id.as_str(),
        spec.key.as_str(),
        spec.repo,
        spec.issue_number,
        spec.user,
        spec.agent,
        spec.agent_type,
        spec.model,
        spec.provider.as_str(),
        status.as_str(),
        queued_at.map(|at| at.to_string()),
        started_at.map(|at| at.to_string()),
        spec.session.known_id().map(SessionId::as_str),
        spec.session.resumed().map(SessionId::as_str),
        spec.name,
        links.retry_of.as_ref().map(TaskId::as_str),
        links.fresh_after.as_ref().map(TaskId::as_str),
        links.reopened_from.as_ref().map(TaskId::as_str),
    ])?;
    Ok(())
}

pub(super) fn model_seen(db: &Connection, event: &Event, model: &str) -> Result<(), StoreError> {
    change(
        db,
        event,
        "UPDATE task_history SET model = ?2,
             version = (SELECT count(*) FROM agent_run_event WHERE task_id = ?1)
         WHERE id = ?1 AND status IN ('queued', 'running')",
        model,
    )
}

pub(super) fn session_bound(db: &Connection, event: &Event) -> Result<(), StoreError> {
    let EventBody::SessionBound { session_id, .. } = &event.body else {
        return Ok(());
    };
    change(
        db,
        event,
        "UPDATE task_history SET session_id = ?2,
             version = (SELECT count(*) FROM agent_run_event WHERE task_id = ?1)
         WHERE id = ?1 AND status IN ('queued', 'running')",
        session_id.as_str(),
    )
}

/// The text of a result may be long: the row only says where it stands.
pub(super) fn result_seen(db: &Connection, event: &Event, seq: u64) -> Result<(), StoreError> {
    change(
        db,
        event,
        "UPDATE task_history SET result_seq = ?2,
             version = (SELECT count(*) FROM agent_run_event WHERE task_id = ?1)
         WHERE id = ?1 AND status IN ('queued', 'running')",
        integer(seq),
    )
}

/// The name is for people: an ended task may get another one, too.
pub(super) fn renamed(db: &Connection, event: &Event, name: &str) -> Result<(), StoreError> {
    change(
        db,
        event,
        "UPDATE task_history SET name = ?2,
             version = (SELECT count(*) FROM agent_run_event WHERE task_id = ?1)
         WHERE id = ?1",
        name,
    )
}

/// Put aside by `set_by`, or with none taken out again. Only an ended task can
/// be put aside.
pub(super) fn archived(
    db: &Connection,
    event: &Event,
    set_by: Option<&str>,
) -> Result<(), StoreError> {
    let Some(task) = &event.task_id else {
        return Ok(());
    };
    db.prepare_cached(
        "UPDATE task_history SET archived = ?2, archived_by = ?3, archived_at = ?4,
             version = (SELECT count(*) FROM agent_run_event WHERE task_id = ?1)
         WHERE id = ?1 AND status NOT IN ('queued', 'running')",
    )?
    .execute((
        task.as_str(),
        set_by.is_some(),
        set_by,
        set_by.map(|_| event.at.to_string()),
    ))?;
    Ok(())
}

fn change(
    db: &Connection,
    event: &Event,
    sql: &str,
    value: impl rusqlite::ToSql,
) -> Result<(), StoreError> {
    let Some(task) = &event.task_id else {
        return Ok(());
    };
    db.prepare_cached(sql)?.execute((task.as_str(), value))?;
    Ok(())
}
