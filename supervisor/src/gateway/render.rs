//! The JSON of `agentctl --json`, with an error that HTTP can tell.

use hyper::header::HeaderValue;
use protocol::control::ErrorBody;
use protocol::json::{OnDisk, StopGoal};
use protocol::view::{StatusView, StopResult, TaskDetail, TaskView};
use serde::Serialize;
use serde_json::{Value, json};

use super::error::HttpError;

/// A view as JSON.
pub(super) fn value(view: &impl Serialize) -> Result<Value, HttpError> {
    protocol::json::value(view).map_err(internal)
}

/// The task object, its intents and its evidence in one.
pub(super) fn detail(detail: &TaskDetail) -> Result<Value, HttpError> {
    protocol::json::detail(detail).map_err(internal)
}

/// `status`, and whether new work is welcome.
pub(super) fn status(view: &StatusView, refusing: Option<&ErrorBody>) -> Result<Value, HttpError> {
    protocol::json::status(view, refusing).map_err(internal)
}

/// What a stop achieved.
pub(super) fn stopped(
    results: &[StopResult],
    goal: StopGoal,
    on_disk: OnDisk,
) -> Result<Value, HttpError> {
    protocol::json::stopped(results, goal, on_disk).map_err(internal)
}

/// The task object of `archive`, and whether it was so before.
pub(super) fn archived(task: &TaskView, changed: bool) -> Result<Value, HttpError> {
    let mut object = value(task)?;
    object["already_archived"] = json!(!changed);
    Ok(object)
}

/// What an `If-Match` may name, where the answer is one task.
pub(super) fn version_of(task: &Value) -> Option<HeaderValue> {
    let version = task["version"].as_u64()?;
    HeaderValue::from_str(&format!("\"{version}\"")).ok()
}

fn internal(error: serde_json::Error) -> HttpError {
    HttpError::internal(error.to_string())
}
