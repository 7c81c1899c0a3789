//! The documented JSON shapes where they are more than one [`view`](crate::view):
//! what `agentctl --json` prints and the gateway answers.

use alloc::string::String;
use alloc::vec::Vec;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::control::{ErrorBody, LogChunk};
use crate::view::{EventView, StatusView, StopResult, TaskDetail};
use crate::vocab::{StopOutcome, Stream};

/// A view as JSON.
///
/// # Errors
/// Never for the views of the protocol; said rather than hidden.
pub fn value(view: &impl Serialize) -> serde_json::Result<Value> {
    serde_json::to_value(view)
}

/// The task object, its intents and its evidence in one.
///
/// # Errors
/// See [`value`].
pub fn detail(detail: &TaskDetail) -> serde_json::Result<Value> {
    let mut object = value(&detail.task)?;
    object["intents"] = value(&detail.intents)?;
    object["evidence"] = value(&detail.evidence)?;
    Ok(object)
}

/// An event line: the fields of its payload stand beside the others; `seq` is
/// absent where there is none.
#[must_use]
pub fn event(event: &EventView) -> Value {
    let mut line = Map::new();
    if let Some(seq) = event.seq {
        line.insert("seq".into(), json!(seq));
    }
    line.insert("at".into(), json!(event.at));
    line.insert("type".into(), json!(event.kind));
    line.insert("task_id".into(), json!(event.task_id));
    match serde_json::from_str(&event.payload) {
        Ok(Value::Object(fields)) => {
            for (name, field) in fields {
                line.entry(name).or_insert(field);
            }
        }
        // An older ledger may hold what we do not know: shown, not dropped.
        Ok(other) if other.is_null() => {}
        Ok(other) => {
            line.insert("payload".into(), other);
        }
        Err(_) if event.payload.is_empty() => {}
        Err(_) => {
            line.insert("payload".into(), json!(event.payload));
        }
    }
    Value::Object(line)
}

/// A piece of output: `{"stream","offset","text"}`.
#[must_use]
pub fn log_chunk(stream: Stream, chunk: &LogChunk) -> Value {
    json!({
        "stream": stream,
        "offset": chunk.offset,
        "text": String::from_utf8_lossy(&chunk.bytes),
    })
}

/// `status`, and whether new work is welcome: `refusing` is null, or the error
/// that every dispatch meets.
///
/// # Errors
/// See [`value`].
pub fn status(view: &StatusView, refusing: Option<&ErrorBody>) -> serde_json::Result<Value> {
    let mut object = value(view)?;
    object["refusing"] = refusing.map_or(Value::Null, |body| refusal(body)["error"].take());
    Ok(object)
}

/// What a stop was to achieve before it was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopGoal {
    /// The tree is gone.
    Gone,
    /// The wish is on record (`no_wait`).
    OnRecord,
}

/// Is what was done in the ledger?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDisk {
    /// Yes.
    Yes,
    /// It was done from memory, because nothing could be recorded.
    NotYet,
}

/// `{"results":[…]}`. `pending`: the stop is on record and goes on behind the
/// answer, so that `still_alive` is no failure. `not_durable` is there where the
/// stop was sent from memory.
///
/// # Errors
/// See [`value`].
pub fn stopped(
    results: &[StopResult],
    goal: StopGoal,
    on_disk: OnDisk,
) -> serde_json::Result<Value> {
    let with_pending = |result: &StopResult| -> serde_json::Result<Value> {
        let mut object = value(result)?;
        object["pending"] = json!(is_pending(result, goal));
        Ok(object)
    };
    let results: serde_json::Result<Vec<_>> = results.iter().map(with_pending).collect();
    let mut object = json!({ "results": results? });
    match on_disk {
        OnDisk::Yes => {}
        OnDisk::NotYet => object["not_durable"] = true.into(),
    }
    Ok(object)
}

/// Does the stop go on behind its answer? Of a task that has ended it does not.
#[must_use]
pub fn is_pending(result: &StopResult, goal: StopGoal) -> bool {
    goal == StopGoal::OnRecord
        && result.outcome == StopOutcome::StillAlive
        && !result.status.is_terminal()
}

/// `{"error":{"code","message","hint"}}`.
#[must_use]
pub fn error(code: &str, message: &str, hint: Option<&str>) -> Value {
    json!({ "error": { "code": code, "message": message, "hint": hint } })
}

/// [`error`] of a refusal.
#[must_use]
pub fn refusal(body: &ErrorBody) -> Value {
    error(body.code.as_str(), &body.message, body.hint.as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;
    use alloc::string::ToString;

    #[test]
    fn events_are_flat_and_volatile_ones_have_no_seq() {
        let mut view = EventView {
            seq: Some(7),
            at: Timestamp(1_795_174_002_766),
            kind: "task.ended".into(),
            task_id: None,
            payload: r#"{"status":"success","type":"no","n":1}"#.into(),
        };
        assert_eq!(
            event(&view).to_string(),
            r#"{"seq":7,"at":"2026-11-20T11:26:42.766Z","type":"task.ended","task_id":null,"status":"success","n":1}"#
        );
        view.seq = None;
        let bare = r#"{"at":"2026-11-20T11:26:42.766Z","type":"task.ended","task_id":null}"#;
        for nothing in ["", "null"] {
            view.payload = nothing.into();
            assert_eq!(event(&view).to_string(), bare);
        }
        view.payload = "{cut".into();
        assert_eq!(event(&view)["payload"], "{cut");
    }
}
