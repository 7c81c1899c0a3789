//! The Messages API, streamed and whole.

use std::io;
use std::thread;
use std::time::Duration;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::http::Connection;
use crate::plan::{Part, Plan, Turn};

/// Between two pieces of a slow answer.
const PACE: Duration = Duration::from_secs(1);
/// The names of shell tools, as CLIs offer them.
const SHELLS: [&str; 2] = ["Bash", "bash"];

/// The conversation of a request.
pub(crate) fn turns(body: &Value) -> Vec<Turn> {
    let mut turns = Vec::new();
    for message in array(&body["messages"]) {
        let said = match message["role"].as_str() {
            Some("user") => Part::User,
            Some("assistant") => Part::Model,
            // A system message may even come last; nobody says anything in it.
            Some(_) | None => continue,
        };
        let content = &message["content"];
        if let Some(text) = content.as_str() {
            turns.push(turn(said, text));
        }
        for part in array(content) {
            match part["type"].as_str() {
                Some("text") => turns.push(turn(said, part["text"].as_str().unwrap_or_default())),
                Some("tool_use") => turns.push(turn(Part::Model, "")),
                Some("tool_result") => {
                    turns.push(turn(Part::ToolResult, &text_of(&part["content"])));
                }
                Some(_) | None => {}
            }
        }
    }
    turns
}

/// Writes the answer that was planned.
pub(crate) fn write(plan: &Plan, body: &Value, connection: &mut Connection) -> io::Result<()> {
    let (pieces, call) = match plan {
        Plan::Tool { command } => match shell_call(body, command) {
            Some(call) => (Vec::new(), Some(call)),
            None => (vec!["no shell tool is offered".to_string()], None),
        },
        Plan::Text { pieces } => (pieces.clone(), None),
        Plan::Fail { .. } | Plan::Hang => (Vec::new(), None),
    };
    let stop = if call.is_some() {
        "tool_use"
    } else {
        "end_turn"
    };
    if body["stream"] == true {
        stream(&pieces, call.as_ref(), stop, body, connection)
    } else {
        let mut whole = message(body);
        whole["content"] = match call {
            Some(call) => json!([call]),
            None => json!([{"type": "text", "text": pieces.concat()}]),
        };
        whole["stop_reason"] = stop.into();
        whole["usage"]["output_tokens"] = 50.into();
        connection.json(200, &whole)
    }
}

fn stream(
    pieces: &[String],
    call: Option<&Value>,
    stop: &str,
    body: &Value,
    connection: &mut Connection,
) -> io::Result<()> {
    connection.start_events()?;
    let mut send = |value: Value| {
        let kind = value["type"].as_str().unwrap_or_default().to_string();
        connection.event(&kind, &value)
    };
    send(json!({"type": "message_start", "message": message(body)}))?;
    send(json!({"type": "ping"}))?;
    let delta = |delta: Value| json!({"type": "content_block_delta", "index": 0, "delta": delta});
    let start =
        |block: Value| json!({"type": "content_block_start", "index": 0, "content_block": block});
    if let Some(call) = call {
        let mut empty = call.clone();
        empty["input"] = json!({});
        send(start(empty))?;
        let input = call["input"].to_string();
        send(delta(
            json!({"type": "input_json_delta", "partial_json": input}),
        ))?;
    } else {
        send(start(json!({"type": "text", "text": ""})))?;
        for (at, piece) in pieces.iter().enumerate() {
            if at > 0 {
                thread::sleep(PACE);
            }
            send(delta(json!({"type": "text_delta", "text": piece})))?;
        }
    }
    send(json!({"type": "content_block_stop", "index": 0}))?;
    send(
        json!({"type": "message_delta", "usage": {"output_tokens": 50},
        "delta": {"stop_reason": stop, "stop_sequence": null}}),
    )?;
    send(json!({"type": "message_stop"}))
}

/// An assistant's message without content.
fn message(body: &Value) -> Value {
    json!({
        "id": format!("msg_{}", Uuid::new_v4().simple()), "type": "message",
        "role": "assistant", "model": body["model"], "content": [],
        "stop_reason": null, "stop_sequence": null,
        "usage": {"input_tokens": 1000, "cache_creation_input_tokens": 20,
            "cache_read_input_tokens": 300, "output_tokens": 1},
    })
}

/// A call of the shell tool that the request offers.
fn shell_call(body: &Value, command: &str) -> Option<Value> {
    let tool = array(&body["tools"]).iter().find(|tool| {
        tool["name"]
            .as_str()
            .is_some_and(|name| SHELLS.contains(&name))
    })?;
    let mut input = Map::new();
    input.insert("command".into(), command.into());
    if tool["input_schema"]["properties"]["description"].is_object() {
        input.insert("description".into(), "asked for by a test".into());
    }
    Some(json!({
        "type": "tool_use", "id": format!("toolu_{}", Uuid::new_v4().simple()),
        "name": tool["name"], "input": input,
    }))
}

fn turn(part: Part, text: &str) -> Turn {
    Turn {
        part,
        text: text.to_string(),
    }
}

fn text_of(content: &Value) -> String {
    content.as_str().map_or_else(
        || {
            array(content)
                .iter()
                .filter_map(|part| part["text"].as_str())
                .collect::<Vec<_>>()
                .join("\n")
        },
        str::to_string,
    )
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
