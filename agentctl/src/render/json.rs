//! The documented JSON shapes (CONTRACT §2), with an error that we can tell.

use protocol::control::ErrorBody;
use protocol::json::{OnDisk, StopGoal};
use protocol::view::{StatusView, StopResult, TaskDetail};
use serde::Serialize;
use serde_json::Value;

use crate::errors::CliError;

pub(crate) use protocol::json::{event, log_chunk};

/// A view as JSON.
///
/// # Errors
/// Never for the views of the protocol; said rather than hidden.
pub(crate) fn value(view: &impl Serialize) -> Result<Value, CliError> {
    protocol::json::value(view).map_err(misunderstood)
}

/// `show --json`: the task object, its intents and its evidence in one.
///
/// # Errors
/// See [`value`].
pub(crate) fn detail(detail: &TaskDetail) -> Result<Value, CliError> {
    protocol::json::detail(detail).map_err(misunderstood)
}

/// `status --json`.
///
/// # Errors
/// See [`value`].
pub(crate) fn status(view: &StatusView, refusing: Option<&ErrorBody>) -> Result<Value, CliError> {
    protocol::json::status(view, refusing).map_err(misunderstood)
}

/// `stop-session --json`.
///
/// # Errors
/// See [`value`].
pub(crate) fn stopped(
    results: &[StopResult],
    goal: StopGoal,
    on_disk: OnDisk,
) -> Result<Value, CliError> {
    protocol::json::stopped(results, goal, on_disk).map_err(misunderstood)
}

fn misunderstood(error: serde_json::Error) -> CliError {
    CliError::Misunderstood(Box::new(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::task::tests::ended_task;
    use serde_json::json;

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
}
