//! What is otherwise in every run and on every machine, in plain words: times,
//! process ids, places, sizes.

use regex_lite::Regex;
use serde_json::Value;

use crate::harness::World;

/// What a text is searched for, in this order, and what it becomes.
const TEXTS: [(&str, &str); 22] = [
    (
        r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( UTC|Z)?",
        "<time>",
    ),
    (r"\b\d\d:\d\d:\d\d(\.\d{3})?\b", "<clock>"),
    (
        r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b",
        "<uuid>",
    ),
    (r"\b[0-9a-f]{32}\b", "<hex>"),
    (r"\bpid([ =])\d+", "pid$1<pid>"),
    (r", under [^)]*\)", ", under <ancestry>)"),
    (r" under \S+\[\d+\]( ← \S+\[\d+\])*", " under <ancestry>"),
    (r"\b(supervisor|shim|agent) \d+", "$1 <pid>"),
    (r"\[\d+\] via", "[<pid>] via"),
    (r"(?m)^\d+ (\w+: left by)", "<pid> $1"),
    (r"\+\d+(\.\d+)? ms\b", "+<dur>"),
    (r"\buid([ :])\d+", "uid$1<uid>"),
    (r"\+\d+(\.\d+)?(ms|s)\b", "+<dur>"),
    (r"<time> \((now|\d+\w+ ago|in \d+\w+)\)", "<time> (<ago>)"),
    (
        r"\b(after|for|up|ran +|·|to its end in) \d+(\.\d+)?(ms|s)\b",
        "$1 <dur>",
    ),
    (r"\bran( +)\d+(\.\d+)?s\b", "ran$1<dur>"),
    (r"\b\d+\.\ds\b", "<dur>"),
    (r"(  )(now|\d+s ago)\b", "$1<ago>"),
    (r"\b\d+(\.\d+)? [KM]iB\b", "<size>"),
    (r"\b(intent_bytes|bytes)=\d+", "$1=<n>"),
    (r"agentctl-try-<hex>", "<trial>"),
    (r"/tmp/agentctl-try-[0-9a-f]+", "<trial>"),
];

/// Keys of JSON objects whose numbers are a process's or a machine's own.
const OWN: [&str; 11] = [
    "pid",
    "supervisor_pid",
    "shim_pid",
    "agent_pid",
    "start_time",
    "uid",
    "bytes",
    "boot_id",
    "tty",
    "ledger_id",
    "pid_namespace",
];

/// Makes outputs plain.
#[derive(Debug)]
pub(super) struct Plain {
    texts: Vec<(Regex, &'static str)>,
    names: Vec<(String, &'static str)>,
}

impl Plain {
    /// In a world.
    pub(super) fn of(world: &World) -> Self {
        let compiled = TEXTS
            .iter()
            .map(|(pattern, plain)| (Regex::new(pattern).expect("a good pattern"), *plain));
        let bins = world.bins().agentctl();
        let bins = bins.parent().expect("it is in a folder");
        Self {
            texts: compiled.collect(),
            names: vec![
                (world.dir().display().to_string(), "<world>"),
                (bins.display().to_string(), "<bin>"),
                (env!("CARGO_PKG_VERSION").to_string(), "<version>"),
            ],
        }
    }

    /// One output of one call.
    pub(super) fn text(&self, text: &str) -> String {
        let all: Option<Vec<Value>> = text
            .lines()
            .map(|line| serde_json::from_str(line).ok())
            .collect();
        match all {
            Some(values) if values.iter().all(Value::is_object) => values
                .into_iter()
                .map(|value| format!("{:#}\n", self.value("", value)))
                .collect(),
            Some(_) | None => self.words(text),
        }
    }

    fn words(&self, text: &str) -> String {
        let mut plain = self
            .names
            .iter()
            .fold(text.to_string(), |text, (from, to)| text.replace(from, to));
        for (pattern, to) in &self.texts {
            plain = pattern.replace_all(&plain, *to).into_owned();
        }
        if plain == text {
            return plain;
        }
        // What is plain has another width, and so have its columns.
        plain
            .lines()
            .map(|line| format!("{}\n", narrow(line)))
            .collect()
    }

    fn value(&self, key: &str, value: Value) -> Value {
        match value {
            Value::Null => Value::Null,
            _ if OWN.contains(&key) => Value::String(format!("<{key}>")),
            Value::Bool(_) | Value::Number(_) => value,
            Value::Array(_) if key == "ancestry" => Value::String("<ancestry>".to_string()),
            Value::Array(values) => Value::Array(
                values
                    .into_iter()
                    .map(|value| self.value(key, value))
                    .collect(),
            ),
            Value::String(text) => Value::String(self.words(&text).trim_end().to_string()),
            Value::Object(object) => Value::Object(
                object
                    .into_iter()
                    .map(|(key, value)| {
                        let value = self.value(&key, value);
                        (key, value)
                    })
                    .collect(),
            ),
        }
    }
}

/// Two spaces between columns, whatever their widths.
fn narrow(line: &str) -> String {
    let words = line.trim_start_matches(' ');
    let mut narrow = line[..line.len() - words.len()].to_string();
    let mut spaces = 0;
    for c in words.chars() {
        spaces = if c == ' ' { spaces + 1 } else { 0 };
        if spaces <= 2 {
            narrow.push(c);
        }
    }
    narrow
}
