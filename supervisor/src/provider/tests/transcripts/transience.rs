//! Which failures may be better later.

use agent_shim::scan::Finding;
use protocol::shim::ProviderError;
use protocol::vocab::Stream;

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

/// Which failures pass: those of the API's own, too much to do, and nobody there.
#[test]
fn only_what_may_be_better_later_is_transient() {
    let claude = |status: &str| {
        format!(
            r#"{{"type":"result","is_error":true,"terminal_reason":"api_error"{status},"result":"x"}}"#
        )
    };
    let codex =
        |words: &str| format!(r#"{{"type":"turn.failed","error":{{"message":"{words}"}}}}"#);
    let google = |code: u16, kind: &str| {
        let words =
            format!(r#"[API Error: {{\"error\":{{\"code\":{code},\"status\":\"{kind}\"}}}}]"#);
        format!(r#"{{"type":"result","status":"error","error":{{"message":"{words}"}}}}"#)
    };
    let opencode = |code: u16, again: bool| {
        format!(
            r#"{{"type":"error","error":{{"name":"APIError","data":{{"message":"x","statusCode":{code},"isRetryable":{again}}}}}}}"#
        )
    };
    let qwen = |words: &str| {
        format!(
            r#"{{"type":"result","is_error":true,"error":{{"message":"[API Error: {words}]"}}}}"#
        )
    };
    let cases = [
        ("claude", claude(r#","api_error_status":529"#), true),
        ("claude", claude(r#","api_error_status":500"#), true),
        ("claude", claude(r#","api_error_status":429"#), true),
        ("claude", claude(r#","api_error_status":null"#), true),
        ("claude", claude(""), true),
        ("claude", claude(r#","api_error_status":401"#), false),
        ("claude", claude(r#","api_error_status":404"#), false),
        ("claude", claude(r#","api_error_status":400"#), false),
        (
            "codex",
            codex("unexpected status 503 Service Unavailable: x"),
            true,
        ),
        (
            "codex",
            codex("exceeded retry limit, last status: 429 Too Many Requests"),
            true,
        ),
        (
            "codex",
            codex("exceeded retry limit, last status: 502 Bad Gateway"),
            true,
        ),
        (
            "codex",
            codex("stream disconnected before completion: x"),
            true,
        ),
        (
            "codex",
            codex("Connection failed: error sending request"),
            true,
        ),
        (
            "codex",
            codex("unexpected status 401 Unauthorized: x"),
            false,
        ),
        ("codex", codex("unexpected status 404 Not Found: x"), false),
        (
            "codex",
            codex("exceeded retry limit, last status: 401 Unauthorized"),
            false,
        ),
        (
            "codex",
            codex("Quota exceeded. Check your plan and billing details."),
            false,
        ),
        ("gemini", google(503, "UNAVAILABLE"), true),
        ("gemini", google(429, "RESOURCE_EXHAUSTED"), true),
        ("gemini", google(500, "INTERNAL"), true),
        ("gemini", google(401, "UNAUTHENTICATED"), false),
        ("gemini", google(404, "NOT_FOUND"), false),
        ("gemini", google(400, "INVALID_ARGUMENT"), false),
        ("opencode", opencode(500, true), true),
        ("opencode", opencode(401, false), false),
        ("qwen", qwen("500 x"), true),
        ("qwen", qwen("429 x"), true),
        (
            "qwen",
            qwen("Connection error. (cause: connect ECONNREFUSED)"),
            true,
        ),
        ("qwen", qwen("401 x"), false),
        ("qwen", qwen("400 at most 500 of it"), false),
    ];
    for (provider, line, passes) in cases {
        let lines = vec![(Stream::Stdout, line.clone())];
        let (findings, _) = scan(&built_in(provider), &bytes(&lines), usize::MAX);
        let errors = findings.iter().filter_map(|finding| match finding {
            Finding::Error { error, .. } => Some(*error),
            Finding::Session { .. }
            | Finding::Model(_)
            | Finding::Result { .. }
            | Finding::KnownLine
            | Finding::TooManySessions => None,
        });
        let wanted = if passes {
            vec![ProviderError::Transient]
        } else {
            vec![]
        };
        assert_eq!(errors.collect::<Vec<_>>(), wanted, "{provider}: {line}");
    }
}
