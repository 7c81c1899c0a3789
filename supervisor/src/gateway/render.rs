//! JSON where it is more than one view of the protocol: as `agentctl --json`
//! has it, which a system test compares.

use protocol::view::{EventView, TaskDetail, TaskView};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::error::HttpError;

/// A view as JSON.
pub(super) fn value(view: &impl Serialize) -> Result<Value, HttpError> {
    serde_json::to_value(view).map_err(|error| HttpError::internal(error.to_string()))
}

/// The task object, its intents and its evidence in one.
pub(super) fn detail(detail: &TaskDetail) -> Result<Value, HttpError> {
    let mut object = value(&detail.task)?;
    object["intents"] = value(&detail.intents)?;
    object["evidence"] = value(&detail.evidence)?;
    Ok(object)
}

/// `archive`, `unarchive`, `rename`: the task object, and of an archived one
/// whether it was so before.
pub(super) fn kept(task: &TaskView, changed: bool) -> Result<Value, HttpError> {
    let mut object = value(task)?;
    if task.archived {
        object["already_archived"] = json!(!changed);
    }
    Ok(object)
}

/// An event line: the fields of its payload stand beside the others.
pub(super) fn event(event: &EventView) -> Value {
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
