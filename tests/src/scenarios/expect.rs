//! What a task object should say.

use serde_json::{Value, json};

/// Its status, reason and basis are these.
///
/// # Panics
/// When they are not.
#[track_caller]
pub fn assert_ended(task: &Value, status: &str, reason: &str, basis: &str) {
    let found = ["status", "archive_reason", "archive_basis"].map(|name| task[name].clone());
    assert_eq!(
        found,
        [json!(status), json!(reason), json!(basis)],
        "{task:#}"
    );
    for gone in ["supervisor_pid", "shim_pid", "agent_pid"] {
        assert!(task[gone].is_null(), "{gone} of an ended task: {task:#}");
    }
    assert_eq!(task["phase"], "ended", "{task:#}");
    assert!(task["finished_at"].is_string(), "{task:#}");
}

/// The code of an exit that is one.
#[must_use]
pub fn exit_code_of(task: &Value) -> Option<i64> {
    (task["exit"]["kind"] == "exited").then(|| task["exit"]["code"].as_i64())?
}

/// The signal of an exit by one.
#[must_use]
pub fn signal_of(task: &Value) -> Option<&str> {
    (task["exit"]["kind"] == "signaled").then(|| task["exit"]["signal"].as_str())?
}
