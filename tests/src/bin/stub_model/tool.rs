//! A call of the shell tool that a request offers.

use serde_json::{Map, Value, json};

use crate::json::array;
use crate::plan::Plan;

/// The names of shell tools, as CLIs offer them.
const SHELLS: [&str; 6] = [
    "Bash",
    "bash",
    "exec_command",
    "run_shell_command",
    "shell",
    "shell_command",
];
/// How long a CLI may wait for a command, where it asks.
const WAIT_MS: u64 = 600_000;

/// One call.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call {
    pub(crate) name: String,
    pub(crate) input: Value,
}

/// The pieces of text, or the call, that a plan comes down to. `offered` is the
/// name and the schema of each tool.
pub(crate) fn answer<'a>(
    plan: &Plan,
    offered: impl Iterator<Item = (Option<&'a str>, &'a Value)>,
) -> (Vec<String>, Option<Call>) {
    match plan {
        Plan::Tool { command } => match shell_call(command, offered) {
            Some(call) => (Vec::new(), Some(call)),
            None => (vec!["no shell tool is offered".to_string()], None),
        },
        Plan::Text { pieces } => (pieces.clone(), None),
        Plan::Fail { .. } | Plan::Hang => (Vec::new(), None),
    }
}

fn shell_call<'a>(
    command: &str,
    mut offered: impl Iterator<Item = (Option<&'a str>, &'a Value)>,
) -> Option<Call> {
    let (name, schema) = offered.find_map(|(name, schema)| {
        let name = name.filter(|name| SHELLS.contains(name))?;
        Some((name, schema))
    })?;
    let properties = &schema["properties"];
    let mut input = Map::new();
    if properties["cmd"].is_object() {
        input.insert("cmd".into(), command.into());
    } else if properties["command"]["type"] == "array" {
        input.insert("command".into(), json!(["bash", "-lc", command]));
    } else {
        input.insert("command".into(), command.into());
    }
    if properties["description"].is_object() {
        input.insert("description".into(), "asked for by a test".into());
    }
    if properties["yield_time_ms"].is_object() {
        input.insert("yield_time_ms".into(), WAIT_MS.into());
    }
    for required in array(&schema["required"]) {
        let name = required.as_str().unwrap_or_default();
        let value = match properties[name]["type"].as_str() {
            Some("boolean") => false.into(),
            Some("number" | "integer") => 1.into(),
            Some("array") => json!([]),
            Some(_) | None => "x".into(),
        };
        input.entry(name).or_insert(value);
    }
    Some(Call {
        name: name.to_string(),
        input: input.into(),
    })
}
