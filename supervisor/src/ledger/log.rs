//! The event log: how an event stands in its row.
//!
//! An event's JSON is `{"type": T, "payload": P}`; T and P have a column each,
//! so that other programs can read both.

use lifecycle::{Event, EventBody};
use protocol::view::EventView;
use protocol::{TaskId, Timestamp};
use rusqlite::{Connection, Row};

use super::error::StoreError;
use super::read::fields::{Fields, bad};

/// Writes one event under `seq`; returns what subscribers see of it.
pub(super) fn append(db: &Connection, seq: u64, event: &Event) -> Result<EventView, StoreError> {
    let payload = payload_of(&event.body)?;
    let record = event.record.map(super::project::integer);
    db.prepare_cached(
        "INSERT INTO agent_run_event (seq, at, task_id, type, payload, record)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute((
        super::project::integer(seq),
        event.at.to_string(),
        event.task_id.as_ref().map(TaskId::as_str),
        event.body.kind(),
        &payload,
        record,
    ))?;
    Ok(EventView {
        seq: Some(seq),
        at: event.at,
        kind: event.body.kind().to_owned(),
        task_id: event.task_id.clone(),
        payload,
    })
}

/// The text of the payload object.
pub(super) fn payload_of(body: &EventBody) -> Result<String, StoreError> {
    let mut text = serde_json::to_string(body)?;
    let kind = body.kind();
    let head = format!(r#"{{"type":"{kind}","payload":"#);
    if !text.starts_with(&head) || text.pop() != Some('}') {
        return Err(StoreError::Payload(kind));
    }
    text.drain(..head.len());
    Ok(text)
}

/// The body that a type and a payload tell.
pub(super) fn body_of(kind: &str, payload: &str) -> serde_json::Result<EventBody> {
    let kind = serde_json::to_string(kind)?;
    serde_json::from_str(&format!(r#"{{"type":{kind},"payload":{payload}}}"#))
}

/// What subscribers see of a stored event.
pub(super) fn view_of(row: &Row<'_>) -> rusqlite::Result<EventView> {
    let stored = Stored::of(row)?;
    Ok(EventView {
        seq: Some(stored.seq),
        at: stored.at,
        kind: stored.kind,
        task_id: stored.task_id,
        payload: stored.payload,
    })
}

/// A stored event; none if this program does not know its type, because a
/// newer one wrote it.
pub(super) fn event_of(row: &Row<'_>) -> rusqlite::Result<Option<Event>> {
    let stored = Stored::of(row)?;
    match body_of(&stored.kind, &stored.payload) {
        Ok(body) => Ok(Some(Event {
            at: stored.at,
            task_id: stored.task_id,
            record: stored.record,
            body,
        })),
        Err(error) => {
            tracing::warn!(
                seq = stored.seq, kind = %stored.kind, %error,
                "an event of the ledger is not understood; it is left out"
            );
            Ok(None)
        }
    }
}

/// The JSON of a stored event, as [`Event`] writes it; none where the payload is none.
pub(super) fn text_of(row: &Row<'_>) -> rusqlite::Result<Option<String>> {
    let stored = Stored::of(row)?;
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    if let Err(error) = serde_json::from_str::<serde_json::Value>(&stored.payload) {
        tracing::warn!(seq = stored.seq, kind = %stored.kind, %error, "an event of the ledger is no JSON; it is left out");
        return Ok(None);
    }
    Ok(Some(format!(
        r#"{{"at":{},"task_id":{},"record":{},"body":{{"type":{},"payload":{}}}}}"#,
        quoted(&stored.at.to_string()),
        stored
            .task_id
            .map_or("null".into(), |id| quoted(id.as_str())),
        stored
            .record
            .map_or("null".into(), |number| number.to_string()),
        quoted(&stored.kind),
        stored.payload,
    )))
}

struct Stored {
    seq: u64,
    at: Timestamp,
    task_id: Option<TaskId>,
    kind: String,
    payload: String,
    record: Option<u64>,
}

impl Stored {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        let mut fields = Fields::of(row);
        Ok(Self {
            seq: fields.count()?.ok_or_else(|| bad("seq"))?,
            at: fields.time()?.ok_or_else(|| bad("at"))?,
            task_id: fields.checked(|text| TaskId::new(text).ok())?,
            kind: fields.next()?,
            payload: fields.next()?,
            record: fields.count()?,
        })
    }
}
