//! An agent CLI of the claude kind: the same options, JSON lines and errors,
//! with a prompt of steps instead of a model.
//!
//! Steps of its own: `say:TEXT` prints an assistant's message, `result:success`
//! and `result:error:TEXT` print the result, `no-init` leaves the first line
//! out, `no-result` the last one. Words that are no steps are answered.

use std::fs;
use std::path::PathBuf;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::record::{Kind, Record};
use crate::{output, signals, steps};

/// What one turn costs, in US dollars.
const TURN_COST: f64 = 0.005;
/// The code with which the real one ends upon SIGTERM.
const TERM_CODE: i32 = 143;

/// What the command line says.
#[derive(Debug, Default)]
struct Options {
    session_id: Option<String>,
    resume: Option<String>,
    model: Option<String>,
    prompt: Option<String>,
}

/// One run.
struct Conversation {
    id: String,
    model: String,
    /// Turns of the whole conversation, this one included.
    turns: u32,
    told_result: bool,
    answer: String,
}

/// Runs it to its end.
pub(crate) fn run(words: &[String]) {
    let options = parse(words);
    let prompt = options
        .prompt
        .clone()
        .unwrap_or_else(|| String::from_utf8_lossy(&output::read_stdin()).into_owned());
    let lines: Vec<String> = prompt.lines().map(str::to_string).collect();
    let mut record = Record::new(Kind::Leader);
    if let Some(path) = lines.iter().find_map(|line| line.strip_prefix("record:")) {
        record.open(path);
    }
    signals::trap(&record, Signal::SIGTERM, TERM_CODE);
    let mut conversation = begin(&options, &record);
    if !lines.iter().any(|line| line == "no-init") {
        conversation.init();
    }
    for line in &lines {
        let code = conversation.step(&mut record, line);
        if let Some(code) = code {
            record.exit(code);
        }
    }
    if !conversation.told_result && !lines.iter().any(|line| line == "no-result") {
        conversation.result(None);
    }
    record.exit(0);
}

fn parse(words: &[String]) -> Options {
    let mut options = Options::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--session-id" => options.session_id = words.next().cloned(),
            "--resume" | "-r" => options.resume = words.next().cloned(),
            "--model" => options.model = words.next().cloned(),
            "--output-format" | "--input-format" | "--permission-mode" => {
                words.next();
            }
            "--" => options.prompt = words.next().cloned(),
            option if option.starts_with('-') => {}
            prompt => options.prompt = Some(prompt.to_string()),
        }
    }
    options
}

/// Finds or makes the conversation, or ends as the real one does.
fn begin(options: &Options, record: &Record) -> Conversation {
    let fresh = || uuid::Uuid::new_v4().to_string();
    let model = options
        .model
        .clone()
        .unwrap_or_else(|| "fake-model".to_string());
    let (id, turns) = match (&options.resume, &options.session_id) {
        (Some(id), _) => {
            let Ok(turns) = fs::read_to_string(session_file(id)) else {
                refuse(id, record);
            };
            (id.clone(), turns.trim().parse().unwrap_or(0))
        }
        (None, Some(id)) if session_file(id).exists() => {
            let words = format!("Error: Session ID {id} is already in use.\n");
            output::complain(words.as_bytes());
            record.exit(1)
        }
        (None, Some(id)) => (id.clone(), 0),
        (None, None) => (fresh(), 0),
    };
    let turns: u32 = turns + 1;
    let file = session_file(&id);
    let folder = file.parent().expect("it has a folder");
    fs::create_dir_all(folder).expect("HOME is writable");
    fs::write(file, turns.to_string()).expect("HOME is writable");
    Conversation {
        id,
        model,
        turns,
        told_result: false,
        answer: String::new(),
    }
}

fn refuse(id: &str, record: &Record) -> ! {
    // As others do, which have not looked yet.
    if std::env::var_os("FAKE_CLAUDE_ECHO").is_some() {
        print(&json!({"type": "system", "subtype": "init", "session_id": id}));
    }
    let words = format!("No conversation found with session ID: {id}");
    output::complain(format!("{words}\n").as_bytes());
    print(&json!({
        "type": "result", "subtype": "error_during_execution", "is_error": true, "num_turns": 0,
        "session_id": id, "total_cost_usd": 0, "errors": [words],
        "usage": {"input_tokens": 0, "output_tokens": 0},
    }));
    record.exit(1)
}

impl Conversation {
    fn step(&mut self, record: &mut Record, line: &str) -> Option<i32> {
        let (name, rest) = line.split_once(':').unwrap_or((line, ""));
        match name {
            "no-init" | "no-result" | "record" => None,
            "say" => {
                self.say(rest);
                None
            }
            "result" => {
                self.result(rest.strip_prefix("error:"));
                None
            }
            _ if steps::is_step(line) => steps::run_all(record, &[line.to_string()]),
            _ => {
                self.say(&format!("answer {}: {line}", self.turns));
                None
            }
        }
    }

    fn init(&self) {
        print(&json!({
            "type": "system", "subtype": "init", "session_id": self.id, "model": self.model,
            "cwd": std::env::current_dir().unwrap_or_default(), "tools": ["Bash"],
        }));
    }

    fn say(&mut self, text: &str) {
        self.answer = text.to_string();
        print(&json!({
            "type": "assistant", "session_id": self.id,
            "message": {"role": "assistant", "model": self.model,
                "content": [{"type": "text", "text": text}],
                "usage": {"input_tokens": 1000, "output_tokens": 1}},
        }));
    }

    fn result(&mut self, error: Option<&str>) {
        self.told_result = true;
        print(&json!({
            "duration_ms": 1, "session_id": self.id,
            "total_cost_usd": f64::from(self.turns) * TURN_COST,
            "usage": {"input_tokens": 1000, "output_tokens": 50},
            "is_error": error.is_some(), "num_turns": 1, "subtype": "success",
            "result": error.unwrap_or(&self.answer), "type": "result",
        }));
    }
}

fn print(value: &Value) {
    output::print(format!("{value}\n").as_bytes());
}

fn session_file(id: &str) -> PathBuf {
    let home = std::env::var("HOME").unwrap_or_default();
    // An id is one word; a slash must not lead out of the folder.
    PathBuf::from(home)
        .join(".fake-claude")
        .join(id.replace('/', "_"))
}
