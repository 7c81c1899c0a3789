//! The JSON of the contract, field by field: names and order.

use protocol::vocab::StopOutcome;
use serde::Serialize;
use serde_json::Value;

use crate::samples;

/// The fields in order; a nested object's in braces behind its name.
fn shape(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let named = fields.iter().map(|(name, value)| match value {
                Value::Object(_) => format!("{name}:{{{}}}", shape(value)),
                Value::Array(_) => format!("{name}:[{}]", shape(value)),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => name.clone(),
            });
            named.collect::<Vec<_>>().join(" ")
        }
        Value::Array(values) => values.first().map(shape).unwrap_or_default(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => String::new(),
    }
}

fn json(view: &impl Serialize) -> Value {
    serde_json::to_value(view).expect("plain data")
}

#[test]
fn the_task_object() {
    let task = json(&samples::task());
    let fields = "id key provider agent agent_type model repo issue_number user name cwd argv:[] \
                  status phase presence archive_reason archive_label archive_basis ended_by \
                  archived archived_by archived_at session_id resumed supervisor_pid shim_pid \
                  agent_pid queued_at started_at finished_at last_seen_at finished_basis \
                  result:{success text truncated} links:{retry_of fresh_after reopened_from} \
                  exit:{kind signal core} turns input_tokens output_tokens cost_usd \
                  last_progress:{at text} version";
    assert_eq!(shape(&task), fields);
    assert_eq!(task["status"], "cancelled");
    assert_eq!(task["exit"]["signal"], "SIGKILL");
    assert_eq!(task["started_at"], "2026-11-20T11:26:42.766Z");
    assert_eq!(task["finished_at"], "2026-11-20T11:26:44.266Z");
    assert_eq!(task["resumed"], Value::Null);
    assert_eq!(task["cost_usd"], 0.125);
}

#[test]
fn intents_and_evidence() {
    let detail = json(&samples::detail());
    assert_eq!(
        shape(&detail["intents"]),
        "id reason requested_by:{uid pid comm via ancestry:[pid comm] tty from_task} note \
         requested_at journalled_at signalled_at signalled_by outcome"
    );
    assert_eq!(shape(&detail["evidence"]), "kind at detail");
    assert_eq!(detail["intents"][0]["requested_by"]["via"], "control");
    assert_eq!(detail["intents"][0]["signalled_by"], "shim");
    assert_eq!(detail["intents"][0]["outcome"], "effective");
}

#[test]
fn the_chain_of_why() {
    let link = protocol::view::ChainLink {
        at: samples::AT,
        what: "exit".into(),
        who: "agent".into(),
        detail: String::new(),
    };
    assert_eq!(shape(&json(&link)), "at what who detail");
}

#[test]
fn what_a_stop_achieved() {
    let result = json(&samples::stop_result());
    let fields = "id outcome status archive_reason survivors:[pid start_time comm]";
    assert_eq!(shape(&result), fields);
    let outcomes: Vec<_> = StopOutcome::ALL.iter().map(|word| word.as_str()).collect();
    assert_eq!(outcomes, ["stopped", "already_gone", "still_alive"]);
}

#[test]
fn a_session() {
    let fields = "key provider session_id task_id state quarantine_reason last_used_at version";
    assert_eq!(shape(&json(&samples::session())), fields);
    assert_eq!(json(&samples::session())["state"], "quarantined");
}

#[test]
fn the_status() {
    let fields = "version protocol:{min max} pid boot_id started_at tasks:{queued running ended} \
                  adopted phase unit:{name kill_mode survives_restart} \
                  ledger:{path schema bytes} drain:{reason since deadline busy:[]}";
    let shown = shape(&json(&samples::status()));
    assert!(
        shown.starts_with(fields),
        "fields are appended, never moved: {shown}"
    );
}

#[test]
fn an_event_line() {
    // `kind` is printed as `type`, and the payload's fields beside the others.
    let fields = "seq at kind task_id payload";
    assert_eq!(shape(&json(&samples::event())), fields);
}

#[test]
fn a_provider() {
    let fields = "name source description command found resumes chooses_session tested text";
    assert_eq!(shape(&json(&samples::provider())), fields);
}

#[test]
fn exit_codes_of_errors() {
    use protocol::control::ErrorCode;
    for (code, exit, word) in [
        (ErrorCode::Internal, 1, "internal"),
        (ErrorCode::Storage, 1, "storage"),
        (ErrorCode::Usage, 2, "usage"),
        (ErrorCode::Unsupported, 2, "unsupported"),
        (ErrorCode::CrashLoop, 4, "crash_loop"),
        (ErrorCode::NotFound, 3, "not_found"),
        (ErrorCode::Ambiguous, 4, "ambiguous"),
        (ErrorCode::KeyBusy, 4, "key_busy"),
        (ErrorCode::SessionRefused, 4, "session_refused"),
        (ErrorCode::IdConflict, 4, "id_conflict"),
        (ErrorCode::Conflict, 4, "conflict"),
        (ErrorCode::Limit, 4, "limit"),
        (ErrorCode::Draining, 6, "draining"),
        (ErrorCode::NotPermitted, 7, "not_permitted"),
        (ErrorCode::NotGone, 8, "not_gone"),
        (ErrorCode::Timeout, 8, "timeout"),
    ] {
        assert_eq!((code.exit_code(), code.as_str()), (exit, word));
        assert_eq!(json(&code), word);
    }
}
