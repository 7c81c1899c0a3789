//! What the CLIs print, read by the scanner of the shim with their files: whole,
//! cut anywhere, merged and damaged.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use agent_shim::scan::{Finding, Scanner};
use protocol::SessionId;
use protocol::shim::{ProviderError, Usage};
use protocol::vocab::Stream;
use serde_json::Value;

use super::super::Provider;
use super::built_in::built_in;

mod props;
mod transience;

type Lines = Vec<(Stream, String)>;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("providers/transcripts")
}

fn transcript(path: &Path) -> Lines {
    let text = fs::read_to_string(path).expect("a transcript");
    let line = |line: &str| {
        let entry: Value = serde_json::from_str(line).expect("a line of JSON");
        let stream = match entry["s"].as_str() {
            Some("out") => Stream::Stdout,
            Some("err") => Stream::Stderr,
            other => panic!("no stream: {other:?}"),
        };
        (stream, entry["line"].as_str().expect("a text").to_owned())
    };
    text.lines().map(line).collect()
}

/// Every transcript with its provider and its name, read once.
static ALL: LazyLock<Vec<(Provider, String, Lines)>> = LazyLock::new(|| {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder()).expect("the transcripts") {
        let path = entry.expect("readable").path();
        if !path.is_dir() {
            continue;
        }
        let provider = built_in(&file_name(&path));
        for file in fs::read_dir(&path).expect("a folder") {
            let file = file.expect("readable").path();
            found.push((provider.clone(), file_name(&file), transcript(&file)));
        }
    }
    found
});

fn file_name(path: &Path) -> String {
    let name = path.file_stem().expect("named");
    name.to_string_lossy().into_owned()
}

/// The bytes of each stream, as they come.
fn bytes(lines: &Lines) -> Vec<(Stream, Vec<u8>)> {
    let line = |(stream, text): &(Stream, String)| (*stream, format!("{text}\n").into_bytes());
    lines.iter().map(line).collect()
}

fn scan(provider: &Provider, bytes: &[(Stream, Vec<u8>)], piece: usize) -> (Vec<Finding>, Usage) {
    let mut scanner = Scanner::new(provider.scan());
    for (stream, line) in bytes {
        for piece in line.chunks(piece) {
            scanner.feed(*stream, piece);
        }
    }
    scanner.end_of_input();
    (scanner.take_findings(), scanner.usage())
}

/// What a transcript comes down to.
#[derive(Debug, PartialEq)]
struct Read {
    sessions: Vec<String>,
    /// The last result: its success and its text.
    result: Option<(bool, String)>,
    error: Option<ProviderError>,
    usage: (Option<u64>, Option<u64>, Option<u64>, Option<f64>),
}

fn read(provider: &str, name: &str) -> Read {
    let path = folder().join(provider).join(format!("{name}.jsonl"));
    let provider = built_in(provider);
    let (findings, usage) = scan(&provider, &bytes(&transcript(&path)), usize::MAX);
    let mut read = Read {
        sessions: Vec::new(),
        result: None,
        error: None,
        usage: (
            usage.turns,
            usage.input_tokens,
            usage.output_tokens,
            usage.cost_usd,
        ),
    };
    for finding in findings {
        match finding {
            Finding::Session { id, .. } => {
                let known = SessionId::new(id.clone()).expect("a legal id");
                assert!(provider.accepts_session_id(&known), "{id} is refused");
                read.sessions.push(id);
            }
            Finding::Result { success, text, .. } => {
                read.result = Some((success, text.unwrap_or_default()));
            }
            Finding::Error { error, .. } => read.error = read.error.or(Some(error)),
            Finding::Model(_) | Finding::KnownLine => {}
            Finding::TooManySessions => panic!("a flood of ids"),
        }
    }
    read
}

#[test]
fn a_fresh_run_is_a_success_with_one_session() {
    for (provider, text) in [
        ("claude", "stub answer 1: hello first ALPHA"),
        ("codex", "stub answer 1: hello first ALPHA"),
        (
            "cursor",
            "I'll read the README.md fileDone! I've created the summary",
        ),
        ("gemini", "stub answer 1: hello first ALPHA"),
        ("kimi", "The directory exports the following functions: ..."),
        ("opencode", "stub answer 1: \"hello first ALPHA\""),
    ] {
        let fresh = read(provider, "fresh");
        assert_eq!(fresh.result, Some((true, text.to_owned())), "{provider}");
        assert_eq!((fresh.sessions.len(), fresh.error), (1, None), "{provider}");
    }
    let qwen = read("qwen", "fresh");
    assert!(
        qwen.result
            .is_some_and(|(success, text)| success && text.ends_with("ALPHA"))
    );
}

#[test]
fn figures_are_those_that_are_printed() {
    let usage = |provider: &str, name: &str| read(provider, name).usage;
    assert_eq!(usage("codex", "fresh"), (None, Some(1000), Some(50), None));
    assert_eq!(
        usage("codex", "resumed"),
        (None, Some(2000), Some(100), None),
        "cumulative"
    );
    assert_eq!(
        usage("gemini", "fresh"),
        (None, Some(2000), Some(100), None)
    );
    assert_eq!(
        usage("gemini", "resumed"),
        (None, Some(2000), Some(100), None)
    );
    assert_eq!(
        usage("qwen", "fresh"),
        (Some(1), Some(2000), Some(100), None)
    );
    assert_eq!(
        usage("qwen", "resumed"),
        (Some(1), Some(4000), Some(200), None),
        "cumulative"
    );
    assert_eq!(
        usage("opencode", "fresh"),
        (None, Some(700), Some(50), Some(0.00285))
    );
    assert_eq!(
        usage("opencode", "tool"),
        (None, Some(1400), Some(100), Some(0.0057))
    );
    assert_eq!(usage("cursor", "fresh"), (None, None, None, None));
    assert_eq!(usage("kimi", "fresh"), (None, None, None, None));
    for (provider, tokens, cost) in [
        ("claude", false, true),
        ("codex", true, false),
        ("gemini", false, false),
        ("opencode", false, false),
        ("qwen", true, false),
    ] {
        let policy = built_in(provider).policy();
        let said = (policy.cumulative_tokens, policy.cumulative_cost);
        assert_eq!(said, (tokens, cost), "{provider}");
    }
}

#[test]
fn a_resumed_session_keeps_its_id_and_a_tool_its_answer() {
    for provider in ["claude", "codex", "gemini", "opencode", "qwen"] {
        let (fresh, resumed) = (read(provider, "fresh"), read(provider, "resumed"));
        assert_eq!(fresh.sessions, resumed.sessions, "{provider}");
        let tool = read(provider, "tool");
        let (success, text) = tool.result.expect("a result");
        assert!(
            success && text.starts_with("tool done;"),
            "{provider}: {text}"
        );
    }
}

#[test]
fn an_unknown_id_is_not_found_and_not_believed() {
    for provider in ["claude", "codex", "gemini", "opencode", "qwen"] {
        let unknown = read(provider, "unknown_id");
        assert_eq!(
            unknown.error,
            Some(ProviderError::SessionNotFound),
            "{provider}"
        );
        assert_eq!(unknown.sessions, Vec::<String>::new(), "{provider}");
        assert!(
            unknown.result.is_none_or(|(success, _)| !success),
            "{provider}"
        );
    }
    // It takes a word for a new conversation: the pattern refuses such an id,
    // and the one that it tells is another.
    let word = read("codex", "unknown_word");
    assert_eq!(word.sessions, ["01a1f8b2-6464-7062-978e-f50743071af8"]);
    let id = SessionId::new("nosuchsession").expect("legal");
    assert!(!built_in("codex").accepts_session_id(&id));
}

#[test]
fn a_failure_of_the_api_may_pass_and_a_cut_answer_is_no_success() {
    for provider in ["claude", "codex", "gemini", "opencode", "qwen"] {
        let failed = read(provider, "api_failure");
        // That of `qwen` is a refused request (400).
        let passes = Some(ProviderError::Transient).filter(|_| provider != "qwen");
        assert_eq!(failed.error, passes, "{provider}");
        assert_eq!(
            failed.result.map(|(success, _)| success),
            Some(false),
            "{provider}"
        );
        assert_eq!(failed.sessions.len(), 1, "{provider}");
        let cut = read(provider, "terminated");
        assert_eq!(
            (cut.result, cut.error, cut.sessions.len()),
            (None, None, 1),
            "{provider}"
        );
        assert!(built_in(provider).policy().promises_result);
    }
    let cut = read("cursor", "terminated");
    assert_eq!((cut.result, cut.error, cut.sessions.len()), (None, None, 1));
}

#[test]
fn an_id_may_stand_on_stderr_alone_or_at_the_end() {
    assert_eq!(read("kimi", "fresh").sessions, ["session_01HZABCDEF"]);
    let earlier = read("kimi", "earlier_version").sessions;
    assert_eq!(earlier, ["7b3eca34-f648-499a-be46-7875640bdc32"]);
    // Agents that it starts have sessions of their own, which are not its.
    let opencode = built_in("opencode");
    let line = |id: &str| format!("level=INFO message=created id=ses_{id} slug=x\n").into_bytes();
    let lines =
        ["0123456789abcdefghij00", "9123456789abcdefghij99"].map(|id| (Stream::Stderr, line(id)));
    let (findings, _) = scan(&opencode, &lines, usize::MAX);
    let id = "ses_0123456789abcdefghij00".to_owned();
    assert_eq!(
        findings,
        [Finding::Session {
            id,
            stream: Stream::Stderr
        }]
    );
}

#[test]
fn pieces_of_an_answer_are_put_together_and_begin_again_behind_a_tool() {
    let gemini = built_in("gemini");
    let said = |text: &str| {
        format!(r#"{{"type":"message","role":"assistant","content":"{text}","delta":true}}"#)
    };
    let tool = r#"{"type":"tool_use","tool_name":"run_shell_command"}"#.to_owned();
    let end = r#"{"type":"result","status":"success","stats":{}}"#.to_owned();
    let lines: Lines = [said("let me look"), tool, said("it is "), said("done"), end]
        .map(|line| (Stream::Stdout, line))
        .to_vec();
    let (findings, _) = scan(&gemini, &bytes(&lines), usize::MAX);
    match &findings[..] {
        [
            Finding::KnownLine,
            Finding::Result {
                success: true,
                text: Some(text),
                ..
            },
        ] => assert_eq!(text, "it is done"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_built_in_provider_has_transcripts_but_the_one_that_runs_anything() {
    let names: Vec<&str> = ALL.iter().map(|(it, _, _)| it.name().as_str()).collect();
    for text in super::super::registry::BUILT_IN {
        let name = super::super::parse::declared_name(text).expect("it has a name");
        let known = name == "exec" || names.contains(&name.as_str());
        assert!(known, "{name}");
    }
}

/// Nobody has run the others here: each line says where it was read, and when.
#[test]
fn what_was_not_recorded_has_its_address_and_date() {
    for (provider, name, lines) in ALL.iter() {
        let path = folder().join(format!("{}/{name}.jsonl", provider.name()));
        let text = fs::read_to_string(path).expect("a transcript");
        let told = text.lines().filter(|line| {
            let entry: Value = serde_json::from_str(line).expect("a line of JSON");
            let mut words = entry["from"].as_str().unwrap_or_default().split(' ');
            let is_address = words
                .next()
                .is_some_and(|word| word.starts_with("https://"));
            is_address && words.next().is_some_and(is_date)
        });
        let wanted = if provider.tested.is_some() {
            0
        } else {
            lines.len()
        };
        assert_eq!(told.count(), wanted, "{}/{name}", provider.name());
    }
}

/// `2026-11-28`.
fn is_date(word: &str) -> bool {
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let lengths: Vec<usize> = word.split('-').map(str::len).collect();
    lengths == [4, 2, 2] && word.split('-').all(is_number)
}
