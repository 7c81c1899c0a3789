//! What was seen of a CLI, for its table in docs/PROVIDERS.md: each scene adds
//! a line, and the test of the CLI compares the whole. `WRITE_SEEN=1` writes it.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde_json::Value;

/// The variable that has what was seen written.
const WRITE: &str = "WRITE_SEEN";
/// Bytes of what a CLI says that are shown.
const SHOWN: usize = 90;
/// The CLIs' tests are threads, and the document is one.
static DOCUMENT: Mutex<()> = Mutex::new(());

/// What was seen of one CLI.
#[derive(Debug, Default)]
pub struct Seen {
    facts: RefCell<Vec<String>>,
    rows: RefCell<Vec<String>>,
}

impl Seen {
    /// A sentence above the table.
    pub(super) fn fact(&self, fact: String) {
        self.facts.borrow_mut().push(fact);
    }

    /// How a scene ended: the task's row, the state of its session, what the
    /// CLI said.
    pub(super) fn ended(&self, scene: &str, task: &Value, session: &str, said: &str) {
        let row = format!(
            "| {scene} | {} | `{}`: `{}` | {session} | {} | {} |",
            exit(&task["exit"]),
            task["status"].as_str().unwrap_or("?"),
            task["archive_reason"].as_str().unwrap_or("?"),
            usage(task),
            cell(said),
        );
        self.rows.borrow_mut().push(row);
    }

    /// The whole of it.
    fn text(&self) -> String {
        let mut text = String::new();
        for fact in self.facts.borrow().iter() {
            let _ = writeln!(text, "- {fact}");
        }
        text.push_str("\n| scene | exit | verdict | session after it | usage | it said |\n");
        text.push_str("|---|---|---|---|---|---|\n");
        for row in self.rows.borrow().iter() {
            let _ = writeln!(text, "{row}");
        }
        text
    }

    /// The document has exactly this of the CLI.
    ///
    /// # Panics
    /// When it has something else.
    pub fn compare(&self, name: &str) {
        let _alone = DOCUMENT.lock().expect("no test panicked with it");
        let path = document();
        let whole = fs::read_to_string(&path).expect("docs/PROVIDERS.md can be read");
        let (begin, end) = (format!("<!-- seen: {name} -->\n"), "<!-- end -->");
        let (before, rest) = whole.split_once(&begin).expect("it has a place there");
        let (kept, after) = rest.split_once(end).expect("the place ends");
        let text = self.text();
        if std::env::var_os(WRITE).is_some() {
            let whole = format!("{before}{begin}{text}{end}{after}");
            fs::write(path, whole).expect("the repository can be written");
            return;
        }
        assert!(
            kept == text,
            "docs/PROVIDERS.md says of {name} what was not seen; if the change is meant, write it \
             with `{WRITE}=1 cargo xtask test agent_clis` and look at the difference\n\
             kept:\n{kept}\nseen:\n{text}"
        );
    }
}

fn document() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/PROVIDERS.md")
}

fn exit(exit: &Value) -> String {
    match exit["kind"].as_str() {
        Some("exited") => format!("{}", exit["code"]),
        Some("signaled") => exit["signal"].as_str().unwrap_or("?").to_string(),
        Some(_) | None => "?".to_string(),
    }
}

fn usage(task: &Value) -> String {
    let mut parts = Vec::new();
    if let Some(turns) = task["turns"].as_u64() {
        parts.push(format!("turns {turns}"));
    }
    let (input, output) = (&task["input_tokens"], &task["output_tokens"]);
    if !(input.is_null() && output.is_null()) {
        parts.push(format!("tokens {input}→{output}"));
    }
    if let Some(cost) = task["cost_usd"].as_f64() {
        parts.push(format!("${cost:.4}"));
    }
    if parts.is_empty() {
        "–".to_string()
    } else {
        parts.join(", ")
    }
}

/// One line that fits into a table.
fn cell(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = line.replace('|', "\\|");
    match line.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

/// The path of the value that is this text, from the top of a JSON line; one
/// that speaks of a session before others.
pub(super) fn path_of(value: &Value, wanted: &str) -> Option<String> {
    let mut paths = paths_of(value, wanted);
    let speaks = |path: &String| path.to_lowercase().contains("session");
    let at = paths.iter().position(speaks).unwrap_or(0);
    (at < paths.len()).then(|| paths.swap_remove(at))
}

fn paths_of(value: &Value, wanted: &str) -> Vec<String> {
    match value {
        Value::String(text) if text == wanted => vec![String::new()],
        Value::Object(object) => object
            .iter()
            .flat_map(|(key, value)| {
                let rests = paths_of(value, wanted);
                rests.into_iter().map(move |rest| join(key, &rest))
            })
            .collect(),
        Value::Array(values) => values
            .iter()
            .flat_map(|value| paths_of(value, wanted))
            .map(|rest| join("[]", &rest))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

fn join(key: &str, rest: &str) -> String {
    if rest.is_empty() {
        key.to_string()
    } else if rest.starts_with("[]") {
        format!("{key}{rest}")
    } else {
        format!("{key}.{rest}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_scene_is_a_line() {
        let seen = Seen::default();
        seen.fact("version 1".to_string());
        let task = json!({
            "status": "failure", "archive_reason": "failed",
            "exit": {"kind": "exited", "code": 1}, "turns": 1, "input_tokens": 2,
            "output_tokens": 3, "cost_usd": 0.5,
        });
        seen.ended("API: 500", &task, "quarantined (transient)", "a|b\nc");
        assert!(seen.text().starts_with("- version 1\n\n| scene |"));
        let row = "| API: 500 | 1 | `failure`: `failed` | quarantined (transient) | turns 1, tokens \
                   2→3, $0.5000 | a\\|b c |\n";
        assert!(seen.text().ends_with(row), "{}", seen.text());
    }

    #[test]
    fn a_value_is_found_by_its_path() {
        let line = json!({"a": [{"b": "x"}, {"c": {"d": "id"}}], "e": "y"});
        assert_eq!(path_of(&line, "id").as_deref(), Some("a[].c.d"));
        assert_eq!(path_of(&line, "y").as_deref(), Some("e"));
        assert_eq!(path_of(&line, "z"), None);
        let twice = json!({"uuid": "id", "session_id": "id"});
        assert_eq!(path_of(&twice, "id").as_deref(), Some("session_id"));
    }
}
