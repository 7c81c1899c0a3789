//! Which failures may be better later.

use agent_shim::scan::Finding;
use protocol::shim::ProviderError;
use protocol::vocab::Stream;
use serde_json::{Value, json};

use super::{built_in, bytes, read, scan};

/// A wrong key stays wrong, whoever tries again: no failure of the API that passes. Its
/// words are those of the result.
#[test]
fn a_wrong_key_is_a_failure_that_does_not_pass() {
    for provider in ["claude", "codex", "gemini", "opencode", "qwen"] {
        let refused = read(provider, "wrong_key");
        assert_eq!(refused.error, None, "{provider}");
        let (success, text) = refused.result.expect("a result");
        assert!(!success, "{provider}");
        assert!(text.contains("stub failure"), "{provider}: {text}");
    }
}

/// The last line of a failed run of `claude`; none: it knows no status.
fn claude(status: Option<Value>) -> Value {
    let mut line =
        json!({"type": "result", "is_error": true, "terminal_reason": "api_error", "result": "x"});
    if let Some(status) = status {
        line["api_error_status"] = status;
    }
    line
}

fn codex(words: &str) -> Value {
    json!({"type": "turn.failed", "error": {"message": words}})
}

fn gemini(code: u16, kind: &str) -> Value {
    let told = json!({"error": {"code": code, "message": "x", "status": kind}});
    let words = format!("[API Error: {told}]");
    json!({"type": "result", "status": "error", "error": {"message": words}})
}

fn opencode(again: bool) -> Value {
    let data = json!({"message": "x", "isRetryable": again});
    json!({"type": "error", "error": {"name": "APIError", "data": data}})
}

fn qwen(words: &str) -> Value {
    let words = format!("[API Error: {words}]");
    json!({"type": "result", "is_error": true, "error": {"message": words}})
}

/// Which failures pass: those of the API's own, too much to do, and nobody there.
#[test]
fn only_what_may_be_better_later_is_transient() {
    for status in [json!(529), json!(500), json!(429), json!(408), Value::Null] {
        assert_transient("claude", &claude(Some(status)));
    }
    assert_transient("claude", &claude(None));
    for words in [
        "unexpected status 503 Service Unavailable: x",
        "exceeded retry limit, last status: 429 Too Many Requests",
        "exceeded retry limit, last status: 502 Bad Gateway",
        "stream disconnected before completion: x",
        "Connection failed: error sending request",
        "You’ve hit your usage limit.",
    ] {
        assert_transient("codex", &codex(words));
    }
    for (code, kind) in [
        (503, "UNAVAILABLE"),
        (429, "RESOURCE_EXHAUSTED"),
        (500, "INTERNAL"),
    ] {
        assert_transient("gemini", &gemini(code, kind));
    }
    assert_transient("opencode", &opencode(true));
    for words in ["500 x", "429 x", "Connection error. (cause: connect)"] {
        assert_transient("qwen", &qwen(words));
    }
}

#[test]
fn what_stays_wrong_is_not_transient() {
    for status in [401, 403, 404, 400] {
        assert_eq!(
            errors("claude", &claude(Some(json!(status)))),
            [],
            "{status}"
        );
    }
    for words in [
        "unexpected status 401 Unauthorized: x",
        "unexpected status 404 Not Found: x",
        "exceeded retry limit, last status: 401 Unauthorized",
        "Quota exceeded. Check your plan and billing details.",
    ] {
        assert_eq!(errors("codex", &codex(words)), [], "{words}");
    }
    for (code, kind) in [
        (401, "UNAUTHENTICATED"),
        (404, "NOT_FOUND"),
        (400, "INVALID_ARGUMENT"),
    ] {
        assert_eq!(errors("gemini", &gemini(code, kind)), [], "{kind}");
    }
    assert_eq!(errors("opencode", &opencode(false)), []);
    for words in ["401 x", "404 x", "400 at most 500 of it"] {
        assert_eq!(errors("qwen", &qwen(words)), [], "{words}");
    }
}

fn assert_transient(provider: &str, line: &Value) {
    assert_eq!(
        errors(provider, line),
        [ProviderError::Transient],
        "{provider}: {line}"
    );
}

fn errors(provider: &str, line: &Value) -> Vec<ProviderError> {
    let lines = vec![(Stream::Stdout, line.to_string())];
    let (findings, _) = scan(&built_in(provider), &bytes(&lines), usize::MAX);
    let error = |finding: &Finding| match finding {
        Finding::Error { error, .. } => Some(*error),
        Finding::Session { .. }
        | Finding::Model(_)
        | Finding::Result { .. }
        | Finding::KnownLine
        | Finding::TooManySessions => None,
    };
    findings.iter().filter_map(error).collect()
}
