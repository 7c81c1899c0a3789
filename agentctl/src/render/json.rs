//! The documented JSON shapes (CONTRACT §2) where they are more than one
//! view of the protocol.

use protocol::control::LogChunk;
use protocol::view::{EventView, TaskDetail};
use protocol::vocab::Stream;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::errors::CliError;

/// A view as JSON.
///
/// # Errors
/// Never for the views of the protocol; said rather than hidden.
pub(crate) fn value(view: &impl Serialize) -> Result<Value, CliError> {
    serde_json::to_value(view).map_err(|error| CliError::Misunderstood(Box::new(error)))
}

/// `show --json`: the task object, its intents and its evidence in one.
///
/// # Errors
/// See [`value`].
pub(crate) fn detail(detail: &TaskDetail) -> Result<Value, CliError> {
    let mut object = value(&detail.task)?;
    object["intents"] = value(&detail.intents)?;
    object["evidence"] = value(&detail.evidence)?;
    Ok(object)
}

/// An event line: the fields of its payload stand beside the others; `seq` is
/// absent where there is none.
pub(crate) fn event(event: &EventView) -> Value {
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
pub(crate) fn log_chunk(stream: Stream, chunk: &LogChunk) -> Value {
    json!({
        "stream": stream,
        "offset": chunk.offset,
        "text": String::from_utf8_lossy(&chunk.bytes),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::task::tests::ended_task;
    use protocol::Timestamp;

    #[test]
    fn a_task_object_has_every_documented_field() {
        let object = value(&ended_task()).expect("plain data");
        let names: Vec<&str> = object
            .as_object()
            .expect("an object")
            .keys()
            .map(String::as_str)
            .collect();
        let documented = "id key provider agent agent_type model repo issue_number user name cwd argv \
            status phase presence archive_reason archive_label archive_basis ended_by archived \
            archived_by archived_at session_id resumed supervisor_pid shim_pid agent_pid queued_at \
            started_at finished_at last_seen_at finished_basis result links exit turns input_tokens \
            output_tokens cost_usd last_progress version";
        assert_eq!(names, documented.split_whitespace().collect::<Vec<_>>());
        assert_eq!(object["status"], "cancelled");
        assert_eq!(object["archive_reason"], "user");
        assert_eq!(object["archive_basis"], "declared");
        assert_eq!(object["agent_pid"], Value::Null);
        assert_eq!(object["finished_at"], "2026-11-20T11:26:42.766Z");
        assert_eq!(
            object["exit"],
            json!({"kind":"signaled","signal":"SIGTERM","core":false})
        );
        assert_eq!(
            object["links"],
            json!({"retry_of":null,"fresh_after":null,"reopened_from":null})
        );
        assert_eq!(object["result"], Value::Null);
        assert_eq!(object["cost_usd"], json!(0.031));
    }

    #[test]
    fn show_is_the_task_plus_two_lists() {
        let whole = TaskDetail {
            task: ended_task(),
            intents: vec![],
            evidence: vec![],
        };
        let object = detail(&whole).expect("plain data");
        assert_eq!(object["id"], "019a3f2c-4d5e-7000-8000-000000000001");
        assert_eq!(object["intents"], json!([]));
        assert_eq!(object["evidence"], json!([]));
    }

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
        view.payload = String::new();
        assert_eq!(
            event(&view).to_string(),
            r#"{"at":"2026-11-20T11:26:42.766Z","type":"task.ended","task_id":null}"#
        );
    }
}
