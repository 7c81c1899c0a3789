//! The Chat Completions API, streamed and whole.

use std::io;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::http::Connection;
use crate::json::{array, text_of};
use crate::plan::{Part, Plan, Turn};
use crate::tool::{self, Call};

/// The conversation of a request.
pub(crate) fn turns(body: &Value) -> Vec<Turn> {
    let mut turns = Vec::new();
    for message in array(&body["messages"]) {
        let text = text_of(&message["content"]);
        match message["role"].as_str() {
            Some("user") => turns.push(Turn::new(Part::User, &text)),
            Some("assistant") => turns.push(Turn::new(Part::Model, &text)),
            Some("tool") => turns.push(Turn::new(Part::ToolResult, &text)),
            Some(_) | None => {}
        }
    }
    turns
}

/// Writes the answer that was planned.
pub(crate) fn write(plan: &Plan, body: &Value, connection: &mut Connection) -> io::Result<()> {
    let offered = array(&body["tools"]).iter().map(|tool| {
        let function = &tool["function"];
        (function["name"].as_str(), &function["parameters"])
    });
    let (pieces, call) = tool::answer(plan, offered);
    let call = call.as_ref().map(tool_call);
    let finish = if call.is_some() { "tool_calls" } else { "stop" };
    let id = format!("chatcmpl-{}", Uuid::new_v4().simple());
    let usage = json!({
        "prompt_tokens": 1000, "completion_tokens": 50, "total_tokens": 1050,
        "prompt_tokens_details": {"cached_tokens": 300},
    });
    if body["stream"] != true {
        let mut message = json!({"role": "assistant", "content": pieces.concat()});
        if let Some(call) = call {
            message["tool_calls"] = json!([call]);
        }
        return connection.json(
            200,
            &json!({
                "id": id, "object": "chat.completion", "created": 0, "model": body["model"],
                "choices": [{"index": 0, "message": message, "finish_reason": finish}],
                "usage": usage,
            }),
        );
    }
    connection.start_events()?;
    let chunk = |choices: Value| {
        json!({
            "id": id, "object": "chat.completion.chunk", "created": 0, "model": body["model"],
            "choices": choices,
        })
    };
    let delta = |delta: Value| json!([{"index": 0, "delta": delta, "finish_reason": null}]);
    connection.data(&chunk(delta(json!({"role": "assistant", "content": ""}))))?;
    if let Some(call) = call {
        connection.data(&chunk(delta(json!({"tool_calls": [call]}))))?;
    }
    crate::plan::pace(&pieces, |piece| {
        connection.data(&chunk(delta(json!({"content": piece}))))
    })?;
    connection.data(&chunk(
        json!([{"index": 0, "delta": {}, "finish_reason": finish}]),
    ))?;
    let mut last = chunk(json!([]));
    last["usage"] = usage;
    connection.data(&last)?;
    connection.done()
}

fn tool_call(call: &Call) -> Value {
    json!({
        "index": 0, "id": format!("call_{}", Uuid::new_v4().simple()), "type": "function",
        "function": {"name": call.name, "arguments": call.input.to_string()},
    })
}
