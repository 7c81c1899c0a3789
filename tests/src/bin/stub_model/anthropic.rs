//! The Messages API, streamed and whole.

use std::io;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::http::Connection;
use crate::json::{array, text_of};
use crate::plan::{Part, Plan, Turn};
use crate::tool;

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
            turns.push(Turn::new(said, text));
        }
        for part in array(content) {
            match part["type"].as_str() {
                Some("text") => {
                    turns.push(Turn::new(said, part["text"].as_str().unwrap_or_default()));
                }
                Some("tool_use") => turns.push(Turn::new(Part::Model, "")),
                Some("tool_result") => {
                    turns.push(Turn::new(Part::ToolResult, &text_of(&part["content"])));
                }
                Some(_) | None => {}
            }
        }
    }
    turns
}

/// Writes the answer that was planned.
pub(crate) fn write(plan: &Plan, body: &Value, connection: &mut Connection) -> io::Result<()> {
    let offered = array(&body["tools"])
        .iter()
        .map(|tool| (tool["name"].as_str(), &tool["input_schema"]));
    let (pieces, call) = tool::answer(plan, offered);
    let call = call.map(|call| {
        json!({
            "type": "tool_use", "id": format!("toolu_{}", Uuid::new_v4().simple()),
            "name": call.name, "input": call.input,
        })
    });
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
        crate::plan::pace(pieces, |piece| {
            send(delta(json!({"type": "text_delta", "text": piece})))
        })?;
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
