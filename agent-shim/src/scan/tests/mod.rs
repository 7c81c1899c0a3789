use super::*;
use proptest::prelude::*;
use protocol::shim::{
    Condition, Field, LinePattern, PatternMeaning, ProviderError, Scalar, ScanFormat, ScanRule,
    Take, Test,
};

mod life;
mod oracle;
mod wrong;

fn path(text: &str) -> Vec<String> {
    text.split('.').map(str::to_owned).collect()
}

fn is(at: &str, value: &str) -> Condition {
    Condition {
        path: path(at),
        test: Test::Equals(Scalar::Text(value.into())),
    }
}

fn take(at: &str, field: Field) -> Take {
    Take {
        path: path(at),
        field,
    }
}

fn rule(when: Vec<Condition>, take: Vec<Take>) -> ScanRule {
    ScanRule {
        when,
        take,
        is_result: false,
        success_when: vec![],
        error: None,
    }
}

/// A provider file in the shape of a well-known one.
fn spec() -> ScanSpec {
    let error = |at: &str, error| ScanRule {
        error: Some(error),
        ..rule(
            vec![
                is("type", "result"),
                Condition {
                    path: path(at),
                    test: Test::Contains("No conversation found".into()),
                },
            ],
            vec![take("errors.[]", Field::ErrorText)],
        )
    };
    ScanSpec {
        format: ScanFormat::JsonLines,
        rules: vec![
            rule(vec![], vec![take("session_id", Field::SessionId)]),
            rule(
                vec![is("subtype", "init")],
                vec![take("model", Field::Model)],
            ),
            rule(
                vec![is("type", "assistant")],
                vec![
                    take("message.content.[].text", Field::Progress),
                    take("message.content.[].text", Field::ResultText),
                    take("message.usage.output_tokens", Field::OutputTokensAdd),
                ],
            ),
            ScanRule {
                is_result: true,
                success_when: vec![Condition {
                    path: path("is_error"),
                    test: Test::Equals(Scalar::Bool(false)),
                }],
                ..rule(
                    vec![is("type", "result")],
                    vec![
                        take("result", Field::ResultText),
                        take("num_turns", Field::Turns),
                        take("usage.input_tokens", Field::InputTokens),
                        take("usage.output_tokens", Field::OutputTokens),
                        take("total_cost_usd", Field::CostUsd),
                    ],
                )
            },
            error("errors.[]", ProviderError::SessionNotFound),
        ],
        patterns: vec![LinePattern {
            stream: Stream::Stderr,
            contains: "overloaded".into(),
            meaning: PatternMeaning::Error(ProviderError::Transient),
        }],
        promises_result: true,
    }
}

const INIT: &str =
    r#"{"type":"system","subtype":"init","tools":["A","B"],"session_id":"s-1","model":"m-1"}"#;
const ANSWER: &str = r#"{"type":"assistant","message":{"content":[{"type":"text","text":"one \"two\""},{"type":"tool_use","input":{"text":5}},{"type":"text","text":"thr\u00e9e"}],"usage":{"output_tokens":7}},"session_id":"s-1"}"#;
const RESULT: &str = r#"{"usage":{"input_tokens":10,"output_tokens":20,"more":{"output_tokens":9}},"total_cost_usd":0.25,"num_turns":2,"is_error":false,"result":"done","session_id":"s-1","type":"result"}"#;
const UNKNOWN: &str = r#"{"type":"result","is_error":true,"session_id":"echo","errors":["x","No conversation found with session ID: echo"]}"#;

fn scan(output: &[u8], piece: usize) -> (Vec<Finding>, Option<String>, Usage) {
    let mut scanner = Scanner::new(&spec());
    for bytes in output.chunks(piece) {
        scanner.feed(Stream::Stdout, bytes);
    }
    scanner.end_of_input();
    (
        scanner.take_findings(),
        scanner.take_progress(),
        scanner.usage(),
    )
}

fn result(success: bool, text: Option<&str>, usage: Usage) -> Finding {
    Finding::Result {
        success,
        text: text.map(str::to_owned),
        truncated: false,
        usage,
    }
}

#[test]
fn a_whole_run_is_read() {
    let usage = Usage {
        turns: Some(2),
        input_tokens: Some(10),
        output_tokens: Some(20),
        cost_usd: Some(0.25),
    };
    let (findings, progress, totals) =
        scan(format!("{INIT}\n{ANSWER}\n{RESULT}\n").as_bytes(), 4096);
    let session = Finding::Session {
        id: "s-1".into(),
        stream: Stream::Stdout,
    };
    let expected = [
        session,
        Finding::Model("m-1".into()),
        result(true, Some("done"), usage),
    ];
    assert_eq!(findings, expected);
    assert_eq!(
        progress.as_deref(),
        Some("one \"two\" thrée"),
        "control characters are spaces"
    );
    assert_eq!(totals, usage);
}

#[test]
fn the_newest_text_stands_in_for_a_result_without_one() {
    let bare = r#"{"type":"result","is_error":false}"#;
    let (findings, _, _) = scan(format!("{ANSWER}\n{bare}\n{bare}\n").as_bytes(), 4096);
    let usage = Usage {
        output_tokens: Some(7),
        ..Usage::default()
    };
    assert_eq!(findings[1], result(true, Some("one \"two\"\nthrée"), usage));
    assert_eq!(findings[2], result(true, None, usage), "it is used once");
}

#[test]
fn an_unknown_session_is_an_error_and_its_echo_is_not_believed() {
    let (findings, _, _) = scan(UNKNOWN.as_bytes(), 4096);
    let detail = "No conversation found with session ID: echo".to_owned();
    let error = Finding::Error {
        error: ProviderError::SessionNotFound,
        detail: detail.clone(),
    };
    let failed = result(false, Some(&detail), Usage::default());
    assert_eq!(
        findings,
        [failed, error],
        "its words are those of the result"
    );
}

/// Bug: one rule said what kind of failure it is, another one of the same line took
/// its words, and they were lost.
#[test]
fn the_words_of_a_failure_are_those_of_its_line() {
    let spec = ScanSpec {
        rules: vec![
            ScanRule {
                error: Some(ProviderError::Transient),
                ..rule(
                    vec![is("code", "529")],
                    vec![take("hint", Field::ErrorText)],
                )
            },
            ScanRule {
                is_result: true,
                ..rule(vec![], vec![take("message", Field::ErrorText)])
            },
        ],
        ..spec()
    };
    let said = |line: &str| {
        let mut scanner = Scanner::new(&spec);
        scanner.feed(Stream::Stdout, format!("{line}\n").as_bytes());
        let findings = scanner.take_findings();
        findings.into_iter().find_map(|finding| match finding {
            Finding::Error { detail, .. } => Some(detail),
            Finding::Session { .. }
            | Finding::TooManySessions
            | Finding::Model(_)
            | Finding::KnownLine
            | Finding::Result { .. } => None,
        })
    };
    let words = |text: &str| Some(text.to_owned());
    let both = r#"{"message":"overloaded","hint":"wait","code":"529"}"#;
    assert_eq!(said(both), words("wait"), "its own words go first");
    for other in [
        r#"{"message":"overloaded","code":"529"}"#,
        r#"{"message":"overloaded","hint":"","code":"529"}"#,
    ] {
        assert_eq!(said(other), words("overloaded"));
    }
    assert_eq!(said(r#"{"code":"529"}"#), words(""));
}

#[test]
fn what_is_no_json_object_is_passed_over() {
    let unfinished = &RESULT[..RESULT.len() - 1];
    let doubled = format!("{RESULT}{RESULT}");
    let trailing = RESULT.replace("0.25", "0.25,");
    for line in [
        unfinished,
        &doubled,
        &trailing,
        "[1]",
        "text",
        "\"{}\"",
        "{]",
        "{\"a\":01}",
    ] {
        let (findings, _, _) = scan(format!("{line}\n{INIT}\r\n").as_bytes(), 4096);
        assert_eq!(findings.len(), 2, "{line}");
    }
}

#[test]
fn a_line_counts_without_its_newline_but_not_twice() {
    let mut scanner = Scanner::new(&spec());
    scanner.feed(Stream::Stdout, RESULT.as_bytes());
    assert!(scanner.take_findings().is_empty(), "more may come");
    scanner.end_of_input();
    assert_eq!(scanner.take_findings().len(), 2);
    scanner.feed(Stream::Stdout, b"\n");
    scanner.feed(Stream::Stdout, INIT.as_bytes());
    scanner.end_of_input();
    assert_eq!(scanner.take_findings(), [Finding::Model("m-1".into())]);
}

#[test]
fn the_other_stream_is_searched() {
    let mut scanner = Scanner::new(&spec());
    scanner.feed(Stream::Stderr, b"API is over");
    scanner.feed(Stream::Stderr, b"loaded, retrying\n");
    let detail = "API is overloaded, retrying".to_owned();
    let error = Finding::Error {
        error: ProviderError::Transient,
        detail,
    };
    assert_eq!(scanner.take_findings(), [error]);
}

#[test]
fn a_long_value_is_cut_and_a_long_line_is_not_held() {
    let mut scanner = Scanner::new(&spec());
    scanner.feed(
        Stream::Stdout,
        br#"{"type":"result","is_error":false,"other":""#,
    );
    for _ in 0..1000 {
        scanner.feed(Stream::Stdout, &[b'x'; 10_000]);
    }
    scanner.feed(Stream::Stdout, br#"","result":""#);
    for _ in 0..10 {
        scanner.feed(Stream::Stdout, "ä".repeat(10_000).as_bytes());
    }
    scanner.feed(Stream::Stdout, b"\"}\n");
    match &scanner.take_findings()[..] {
        [
            Finding::Result {
                success: true,
                text: Some(text),
                truncated: true,
                ..
            },
        ] => {
            assert_eq!(text.len(), protocol::limits::MAX_RESULT_TEXT);
            assert!(text.chars().all(|character| character == 'ä'));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn invalid_text_and_nuls_are_nothing_special() {
    let mut line = br#"{"type":"result","is_error":false,"result":"a"#.to_vec();
    line.extend([0xFF, 0, b'b']);
    line.extend(b"\"}\n\0\0\n");
    let (findings, _, _) = scan(&line, 3);
    assert_eq!(
        findings,
        [result(true, Some("a\u{FFFD}\0b"), Usage::default())]
    );
}

#[test]
fn tests_on_any_element_and_on_absence() {
    let condition = |at: &str, test| Condition {
        path: path(at),
        test,
    };
    let spec = ScanSpec {
        format: ScanFormat::JsonLines,
        rules: vec![rule(
            vec![
                condition("e.[].c", Test::Equals(Scalar::Number(2.0))),
                condition("n", Test::Equals(Scalar::Null)),
                condition("gone", Test::Absent),
                condition("e.[].c", Test::Present),
            ],
            vec![take("e.[].id", Field::SessionId)],
        )],
        patterns: vec![],
        promises_result: false,
    };
    let sessions = |line: &str| {
        let mut scanner = Scanner::new(&spec);
        scanner.feed(Stream::Stdout, line.as_bytes());
        scanner.end_of_input();
        scanner.take_findings().len()
    };
    assert_eq!(
        sessions(r#"{"e":[{"c":1,"id":"a"},{"c":2.0},{"c":3}],"n":null}"#),
        1
    );
    assert_eq!(sessions(r#"{"e":[{"c":1,"id":"a"},{"c":3}],"n":null}"#), 0);
    assert_eq!(sessions(r#"{"e":[{"c":2,"id":"a"}],"n":null,"gone":0}"#), 0);
    assert_eq!(sessions(r#"{"e":[{"c":2,"id":"a"}],"n":{}}"#), 0);
    assert_eq!(
        sessions(r#"{"e":{"c":2,"id":"a"},"n":null}"#),
        0,
        "no array"
    );
}

proptest! {
    #[test]
    fn any_cut_of_a_run_finds_the_same(cut in 1usize..400) {
        let run = format!("{INIT}\n{ANSWER}\ngarbage {{\n{UNKNOWN}\n{RESULT}\n{ANSWER}");
        prop_assert_eq!(scan(run.as_bytes(), cut), scan(run.as_bytes(), usize::MAX));
    }

    #[test]
    fn damage_never_panics(
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..20),
        cut in 1usize..64,
    ) {
        let mut run = format!("{INIT}\n{ANSWER}\n{UNKNOWN}\n{RESULT}\n").into_bytes();
        for (at, byte) in flips {
            let at = at.index(run.len());
            run[at] = byte;
        }
        scan(&run, cut);
    }

    #[test]
    fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..300), cut in 1usize..9) {
        scan(&bytes, cut);
    }
}
