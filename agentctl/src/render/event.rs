//! One event as one line.

use protocol::view::EventView;
use serde_json::Value;

use crate::render::style::{Colour, Ink};
use crate::render::text::{clean, fit};
use crate::render::time;

/// `11:26:42.766  17  task.ended  019a…  status=success`.
pub(crate) fn line(event: &EventView, colour: Colour) -> String {
    let seq = event
        .seq
        .map_or_else(|| "·".to_owned(), |seq| seq.to_string());
    let task = event.task_id.as_ref().map_or("-", |id| id.as_str());
    let line = format!(
        "{}  {seq:>6}  {}  {task}  {}",
        colour.paint(Ink::Dim, &time::clock(event.at)),
        colour.paint(Ink::Bold, &format!("{:<20}", clean(&event.kind))),
        fields(&event.payload),
    );
    line.trim_end().to_owned()
}

/// What an attached run says while its agent works: progress and the few
/// events that its user should see; nothing for the others.
pub(crate) fn progress(event: &EventView, limit: Option<usize>, colour: Colour) -> Option<String> {
    let payload: Value = serde_json::from_str(&event.payload).unwrap_or(Value::Null);
    let text = |name: &str| payload.get(name).and_then(Value::as_str).map(clean);
    let said = match event.kind.as_str() {
        "task.progress" => text("text")?,
        // That one was told when it was chosen or resumed.
        "session.bound" if text("how").as_deref() == Some("confirmed") => return None,
        "session.bound" => format!("session {}", text("session_id")?),
        "task.adopted" => "adopted by a new supervisor".to_owned(),
        "task.stop_requested" => format!("stop requested ({})", text("reason")?),
        _ => return None,
    };
    let clock = time::clock(event.at);
    let clock = clock
        .split_once('.')
        .map_or(clock.as_str(), |(seconds, _)| seconds);
    let room = limit.map_or(usize::MAX, |limit| limit.saturating_sub(clock.len() + 1));
    Some(format!(
        "{} {}",
        colour.paint(Ink::Dim, clock),
        fit(&said, room)
    ))
}

/// Which session the task does not go on with, and why, if the event tells it.
pub(crate) fn passed_over(event: &EventView) -> Option<String> {
    if event.kind != "session.passed_over" {
        return None;
    }
    let payload: Value = serde_json::from_str(&event.payload).ok()?;
    payload.get("detail").and_then(Value::as_str).map(clean)
}

/// The fields of a payload as `name=value`; `--json` has what is too long.
fn fields(payload: &str) -> String {
    let Ok(Value::Object(fields)) = serde_json::from_str(payload) else {
        return clean(payload);
    };
    let words = fields
        .iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| format!("{}={}", clean(name), short(value)));
    words.collect::<Vec<_>>().join(" ")
}

fn short(value: &Value) -> String {
    /// A process id with its boot does not fit; an exit does.
    const NESTED: usize = 60;
    let nested = |none: &str| {
        let text = value.to_string();
        if text.len() <= NESTED {
            clean(&text)
        } else {
            none.to_owned()
        }
    };
    match value {
        Value::String(text) => clean(text),
        Value::Object(fields) => match fields.get("pid") {
            Some(pid) => format!("pid {pid}"),
            None => nested("{…}"),
        },
        Value::Array(_) => nested("[…]"),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::task::tests::NOW;
    use protocol::TaskId;

    fn event(kind: &str, payload: &str) -> EventView {
        EventView {
            seq: Some(17),
            at: NOW,
            kind: kind.into(),
            task_id: Some(TaskId::new("t1").expect("a valid id")),
            payload: payload.into(),
        }
    }

    #[test]
    fn an_event_is_one_line() {
        let ended = event(
            "task.ended",
            r#"{"status":"success","exit":{"code":0},"note":null}"#,
        );
        assert_eq!(
            line(&ended, Colour::Off),
            "11:26:42.766      17  task.ended            t1  status=success exit={\"code\":0}"
        );
    }

    #[test]
    fn nested_fields_are_short() {
        let payload = format!(
            r#"{{"agent":{{"boot_id":"b","pid":7}},"spec":{{"id":"{}"}}}}"#,
            "x".repeat(60)
        );
        assert_eq!(fields(&payload), "agent=pid 7 spec={…}");
    }

    #[test]
    fn progress_is_short() {
        let reading = event(
            "task.progress",
            "{\"text\":\"Reading\\u001b[2J src/main.rs\"}",
        );
        assert_eq!(
            progress(&reading, None, Colour::Off).as_deref(),
            Some("11:26:42 Reading src/main.rs")
        );
        assert_eq!(
            progress(&reading, Some(16), Colour::Off).as_deref(),
            Some("11:26:42 Readin…")
        );
        assert_eq!(
            progress(&event("task.queued", "{}"), None, Colour::Off),
            None
        );
        let bound = |how: &str| {
            let payload = format!(r#"{{"session_id":"s-1","how":"{how}"}}"#);
            progress(&event("session.bound", &payload), None, Colour::Off)
        };
        assert_eq!(bound("chosen").as_deref(), Some("11:26:42 session s-1"));
        assert_eq!(bound("confirmed"), None, "once is enough");
    }
}
