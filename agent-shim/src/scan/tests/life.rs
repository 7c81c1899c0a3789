//! The first line that a rule knows is a sign of an agent at work.

use super::*;

fn found(lines: &[(Stream, &str)]) -> Vec<Finding> {
    let mut scanner = Scanner::new(&spec());
    let mut findings = Vec::new();
    for (stream, line) in lines {
        scanner.feed(*stream, format!("{line}\n").as_bytes());
        findings.extend(scanner.take_findings());
    }
    findings
}

#[test]
fn it_is_told_once_and_only_where_nothing_else_tells_it() {
    use Stream::{Stderr, Stdout};
    // One rule knows every object: the specification's own takes the session id.
    let plain = r#"{"type":"note"}"#;
    let twice = found(&[(Stdout, plain), (Stdout, plain)]);
    assert_eq!(twice, [Finding::KnownLine]);
    let session = found(&[(Stdout, INIT), (Stdout, plain)]);
    assert!(!session.contains(&Finding::KnownLine), "{session:?}");
    for words in [
        (Stdout, "error: unknown option"),
        (Stderr, "error: unknown option"),
        (Stderr, plain),
        (Stderr, "API is overloaded"),
    ] {
        let found = found(&[words]);
        assert!(!found.contains(&Finding::KnownLine), "{found:?}");
    }
}
