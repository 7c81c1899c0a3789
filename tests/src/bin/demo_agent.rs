//! The bundled agent of `cargo xtask demo`: reads a prompt, says what it is
//! doing for a few seconds, and gives a result. JSON lines, one per step; its
//! provider file is `tests/demo/demo.toml`.

use std::io::{Read, Write};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

/// How long one step takes.
const PACE: Duration = Duration::from_millis(500);
/// Steps of a run, unless `--steps=N` says otherwise.
const STEPS: usize = 5;
const DOING: [&str; 5] = [
    "reading the prompt",
    "looking at the files",
    "thinking about it",
    "writing an answer",
    "checking the answer",
];

fn main() {
    let mut session = None;
    let mut steps = STEPS;
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--session-id" | "--resume" => session = words.next(),
            other => {
                if let Some(count) = other.strip_prefix("--steps=") {
                    steps = count.parse().unwrap_or(STEPS);
                }
            }
        }
    }
    let mut prompt = String::new();
    if let Err(error) = std::io::stdin().read_to_string(&mut prompt) {
        eprintln!("demo_agent: cannot read the prompt: {error}");
        std::process::exit(2);
    }
    let session = session.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    print(&json!({"type": "begin", "session_id": session, "model": "demo-1"}));
    for step in 0..steps {
        let doing = DOING[step % DOING.len()];
        print(&json!({"type": "doing", "text": format!("{doing} ({}/{steps})", step + 1)}));
        thread::sleep(PACE);
    }
    let text = format!("Hello! Hallo! ¡Hola!  (asked: {})", prompt.trim());
    print(&json!({
        "type": "result", "ok": true, "text": text, "turns": 1,
        "usage": {"input_tokens": prompt.len(), "output_tokens": text.len()},
    }));
}

fn print(value: &Value) {
    // A reader that is gone ends the demo.
    if writeln!(std::io::stdout(), "{value}").is_err() {
        std::process::exit(1);
    }
}
