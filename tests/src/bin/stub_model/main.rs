//! A stand-in for the model APIs, on loopback, so that real agent CLIs run in
//! tests without a network and without a key.
//!
//! ```text
//! stub_model LOGFILE        prints "PORT n" and serves until it is killed
//! ```
//!
//! What it answers is chosen by a word in the last text of the user:
//!
//! | word | answer |
//! |---|---|
//! | `SLOW n` | one piece of text a second, n of them |
//! | `TOOL command` | a call of the CLI's own shell tool; after its result, text |
//! | `FAIL [status]` | an HTTP error, 500 by default |
//! | `HANG` | none at all |
//! | anything else | `stub answer <turn>: <prompt>` |
//!
//! Every request is one JSON line of the log file, with its whole body. An API
//! is one file like `anthropic.rs`, with the same two functions: one reads a
//! request into turns, one writes an answer. [`plan`] is the same for all.

mod anthropic;
mod chat;
mod gemini;
mod http;
mod json;
mod log;
mod plan;
mod responses;
mod tool;

use std::io::Write;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use serde_json::{Value, json};

use http::Request;
use log::Log;
use plan::Plan;

/// The APIs that are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Api {
    Anthropic,
    Chat,
    Gemini,
    Responses,
}

impl Api {
    /// The API that this path belongs to.
    fn of(path: &str) -> Option<Self> {
        let ends = [
            ("/messages", Self::Anthropic),
            ("/chat/completions", Self::Chat),
            ("/responses", Self::Responses),
            (":generateContent", Self::Gemini),
            (":streamGenerateContent", Self::Gemini),
        ];
        let api = ends.into_iter().find(|(end, _)| path.ends_with(end));
        api.map(|(_, api)| api)
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Anthropic => "anthropic",
            Self::Chat => "chat",
            Self::Gemini => "gemini",
            Self::Responses => "responses",
        }
    }

    fn turns(self, body: &Value) -> Vec<plan::Turn> {
        match self {
            Self::Anthropic => anthropic::turns(body),
            Self::Chat => chat::turns(body),
            Self::Gemini => gemini::turns(body),
            Self::Responses => responses::turns(body),
        }
    }
}

fn main() {
    let log = std::env::args().nth(1).map(PathBuf::from);
    let log = Arc::new(Log::open(log));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port on loopback");
    let port = listener.local_addr().expect("it is bound").port();
    println!("PORT {port}");
    std::io::stdout().flush().expect("somebody reads the port");
    let count = Arc::new(AtomicU64::new(0));
    for stream in listener.incoming().flatten() {
        let (log, count) = (Arc::clone(&log), Arc::clone(&count));
        thread::spawn(move || serve(&log, &count, stream));
    }
}

/// One connection: requests until the client closes it.
fn serve(log: &Log, count: &AtomicU64, stream: TcpStream) {
    let mut connection = http::Connection::new(stream);
    while let Ok(Some(request)) = connection.read() {
        let number = count.fetch_add(1, Ordering::Relaxed) + 1;
        let answered = answer(log, number, &request, &mut connection);
        match answered {
            Ok(()) => log.write(&json!({"kind": "done", "n": number})),
            Err(error) => {
                let gone = error.to_string();
                log.write(&json!({"kind": "client_gone", "n": number, "error": gone}));
                return;
            }
        }
        if connection.is_over() {
            return;
        }
    }
}

fn answer(
    log: &Log,
    number: u64,
    request: &Request,
    connection: &mut http::Connection,
) -> std::io::Result<()> {
    let body: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
    let path = request.path.split('?').next().unwrap_or_default();
    let api = Api::of(path).filter(|_| request.method == "POST");
    let turns = api.map(|api| api.turns(&body));
    let plan = turns.as_deref().map_or(Plan::text("stub"), plan::decide);
    log.write(&json!({
        "kind": "request", "n": number, "method": request.method, "path": request.path,
        "api": api.map(Api::name), "plan": format!("{plan:?}"), "body": body,
    }));
    match (api, request.method.as_str()) {
        (Some(api), _) => act(api, path, &plan, &body, connection),
        (None, "POST") if path.ends_with("/count_tokens") => {
            connection.json(200, &json!({"input_tokens": 100}))
        }
        (None, "POST") if path.ends_with(":countTokens") => {
            connection.json(200, &json!({"totalTokens": 100}))
        }
        (None, "GET") if path.ends_with("/models") => connection.json(
            200,
            &json!({"data": [{"id": "stub-model", "type": "model", "display_name": "stub",
                "created_at": "2026-01-01T00:00:00Z"}], "has_more": false}),
        ),
        (None, "HEAD") => connection.head(200),
        (None, "GET") if path == "/" => connection.json(200, &json!({"ok": true})),
        (None, _) => connection.json(404, &error("not_found_error", "the stub has no such path")),
    }
}

fn act(
    api: Api,
    path: &str,
    plan: &Plan,
    body: &Value,
    connection: &mut http::Connection,
) -> std::io::Result<()> {
    match plan {
        Plan::Fail { status } => {
            let failure = match api {
                Api::Gemini => gemini::failure(*status),
                Api::Anthropic | Api::Chat | Api::Responses => error("api_error", "stub failure"),
            };
            connection.json(*status, &failure)
        }
        Plan::Hang => connection.wait_for_close(),
        Plan::Text { .. } | Plan::Tool { .. } => match api {
            Api::Anthropic => anthropic::write(plan, body, connection),
            Api::Chat => chat::write(plan, body, connection),
            Api::Gemini => gemini::write(plan, path, body, connection),
            Api::Responses => responses::write(plan, body, connection),
        },
    }
}

fn error(kind: &str, message: &str) -> Value {
    json!({"type": "error", "error": {"type": kind, "message": message}})
}
