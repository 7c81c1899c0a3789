//! The Responses API, streamed and whole.

use std::io;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::http::Connection;
use crate::json::{array, text_of};
use crate::plan::{Part, Plan, Turn};
use crate::tool::{self, Call};

/// What a CLI says in the user's name before the user's own words.
const CONTEXT: &str = "<environment_context>";

/// The conversation of a request.
pub(crate) fn turns(body: &Value) -> Vec<Turn> {
    let mut turns = Vec::new();
    for item in array(&body["input"]) {
        let kind = item["type"].as_str().unwrap_or("message");
        if kind.ends_with("_output") {
            turns.push(Turn::new(Part::ToolResult, &text_of(&item["output"])));
        } else if kind.ends_with("_call") {
            turns.push(Turn::new(Part::Model, ""));
        } else if kind == "message" {
            let text = text_of(&item["content"]);
            match item["role"].as_str() {
                Some("user") if !text.trim_start().starts_with(CONTEXT) => {
                    turns.push(Turn::new(Part::User, &text));
                }
                Some("assistant") => turns.push(Turn::new(Part::Model, &text)),
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
        .map(|tool| (tool["name"].as_str(), &tool["parameters"]));
    let (pieces, call) = tool::answer(plan, offered);
    let response = json!({
        "id": format!("resp_{}", Uuid::new_v4().simple()), "object": "response", "created_at": 0,
        "status": "in_progress", "model": body["model"], "output": [],
    });
    let item = match &call {
        Some(call) => function_call(call),
        None => message(&pieces.concat()),
    };
    let mut done = response.clone();
    done["status"] = "completed".into();
    done["output"] = json!([item]);
    done["usage"] = json!({
        "input_tokens": 1000, "input_tokens_details": {"cached_tokens": 300},
        "output_tokens": 50, "output_tokens_details": {"reasoning_tokens": 7},
        "total_tokens": 1050,
    });
    if body["stream"] != true {
        return connection.json(200, &done);
    }
    connection.start_events()?;
    let mut number = 0;
    let mut send = |mut event: Value| {
        event["sequence_number"] = number.into();
        number += 1;
        let kind = event["type"].as_str().unwrap_or_default().to_string();
        connection.event(&kind, &event)
    };
    send(json!({"type": "response.created", "response": response}))?;
    let mut begun = item.clone();
    begun["status"] = "in_progress".into();
    let emptied = if call.is_some() {
        "arguments"
    } else {
        "content"
    };
    begun[emptied] = if call.is_some() { json!("") } else { json!([]) };
    send(json!({"type": "response.output_item.added", "output_index": 0, "item": begun}))?;
    if call.is_none() {
        let at = json!({"item_id": item["id"], "output_index": 0, "content_index": 0});
        send(with(
            &at,
            json!({"type": "response.content_part.added",
            "part": {"type": "output_text", "text": "", "annotations": []}}),
        ))?;
        crate::plan::pace(&pieces, |piece| {
            send(with(
                &at,
                json!({"type": "response.output_text.delta", "delta": piece}),
            ))
        })?;
        send(with(
            &at,
            json!({"type": "response.output_text.done", "text": pieces.concat()}),
        ))?;
        send(with(
            &at,
            json!({"type": "response.content_part.done", "part": item["content"][0]}),
        ))?;
    }
    send(json!({"type": "response.output_item.done", "output_index": 0, "item": item}))?;
    send(json!({"type": "response.completed", "response": done}))
}

fn with(at: &Value, mut event: Value) -> Value {
    for field in ["item_id", "output_index", "content_index"] {
        event[field] = at[field].clone();
    }
    event
}

fn message(text: &str) -> Value {
    json!({
        "type": "message", "id": format!("msg_{}", Uuid::new_v4().simple()),
        "role": "assistant", "status": "completed",
        "content": [{"type": "output_text", "text": text, "annotations": []}],
    })
}

fn function_call(call: &Call) -> Value {
    json!({
        "type": "function_call", "id": format!("fc_{}", Uuid::new_v4().simple()),
        "call_id": format!("call_{}", Uuid::new_v4().simple()), "name": call.name,
        "arguments": call.input.to_string(), "status": "completed",
    })
}
