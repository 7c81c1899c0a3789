//! The Gemini API: `models/NAME:generateContent` and `:streamGenerateContent`.

use std::io;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::http::Connection;
use crate::json::array;
use crate::plan::{Part, Plan, Turn};
use crate::tool;

/// The conversation of a request.
pub(crate) fn turns(body: &Value) -> Vec<Turn> {
    let mut turns = Vec::new();
    for content in array(&body["contents"]) {
        let said = if content["role"] == "model" {
            Part::Model
        } else {
            Part::User
        };
        for part in array(&content["parts"]) {
            if part["functionResponse"].is_object() {
                let output = part["functionResponse"]["response"].to_string();
                turns.push(Turn::new(Part::ToolResult, &output));
            } else if part["functionCall"].is_object() {
                turns.push(Turn::new(Part::Model, ""));
            } else if let Some(text) = part["text"].as_str() {
                turns.push(Turn::new(said, text));
            }
        }
    }
    turns
}

/// Writes the answer that was planned.
pub(crate) fn write(
    plan: &Plan,
    path: &str,
    body: &Value,
    connection: &mut Connection,
) -> io::Result<()> {
    let settings = &body["generationConfig"];
    // Questions of the CLI itself (which model to ask, who speaks next).
    let (pieces, call) = if settings["responseMimeType"] == "application/json" {
        (vec![by_schema(settings).to_string()], None)
    } else {
        let declared = array(&body["tools"])
            .iter()
            .flat_map(|tool| array(&tool["functionDeclarations"]))
            .map(|function| {
                let plain = &function["parameters"];
                let schema = &function["parametersJsonSchema"];
                let schema = if schema.is_object() { schema } else { plain };
                (function["name"].as_str(), schema)
            });
        tool::answer(plan, declared)
    };
    let call = call.map(|call| json!({"functionCall": {"name": call.name, "args": call.input}}));
    if !path.contains("stream") {
        let part = call.unwrap_or_else(|| json!({"text": pieces.concat()}));
        return connection.json(200, &chunk(&part, Some("STOP")));
    }
    connection.start_events()?;
    if let Some(call) = call {
        return connection.data(&chunk(&call, Some("STOP")));
    }
    crate::plan::pace(&pieces, |piece| {
        connection.data(&chunk(&json!({"text": piece}), None))
    })?;
    connection.data(&chunk(&json!({"text": ""}), Some("STOP")))
}

/// A failure as this API tells it: with a word for its kind (google.rpc.Code).
pub(crate) fn failure(status: u16) -> Value {
    let kind = match status {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        503 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        500.. => "INTERNAL",
        _ => "INVALID_ARGUMENT",
    };
    json!({"error": {"code": status, "message": "stub failure", "status": kind}})
}

fn chunk(part: &Value, finish: Option<&str>) -> Value {
    let mut candidate = json!({"content": {"role": "model", "parts": [part]}, "index": 0});
    if let Some(finish) = finish {
        candidate["finishReason"] = finish.into();
    }
    json!({
        "candidates": [candidate], "modelVersion": "stub",
        "responseId": Uuid::new_v4().simple().to_string(),
        "usageMetadata": {"promptTokenCount": 1000, "candidatesTokenCount": 50,
            "totalTokenCount": 1050, "cachedContentTokenCount": 300},
    })
}

/// Some object that fits the schema that was asked for.
fn by_schema(settings: &Value) -> Value {
    let schema = ["responseJsonSchema", "responseSchema"]
        .map(|name| &settings[name])
        .into_iter()
        .find(|schema| schema.is_object());
    let properties = schema.and_then(|schema| schema["properties"].as_object());
    let mut object = Map::new();
    for (name, wanted) in properties.into_iter().flatten() {
        let kind = wanted["type"].as_str().unwrap_or_default().to_lowercase();
        let value = match (array(&wanted["enum"]).last(), kind.as_str()) {
            (Some(choice), _) => choice.clone(),
            (None, "number" | "integer") => 10.into(),
            (None, "boolean") => false.into(),
            (None, _) => "stub".into(),
        };
        object.insert(name.clone(), value);
    }
    Value::Object(object)
}
