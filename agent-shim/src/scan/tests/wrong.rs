//! What the output says went wrong is the text of a failure that has none.

use super::*;

/// An error line that is no end, and an end without words.
fn two_lines() -> ScanSpec {
    ScanSpec {
        rules: vec![
            rule(
                vec![is("type", "error")],
                vec![take("message", Field::ErrorText)],
            ),
            rule(
                vec![is("type", "say")],
                vec![take("message", Field::ResultText)],
            ),
            ScanRule {
                is_result: true,
                success_when: vec![is("status", "good")],
                ..rule(
                    vec![is("type", "end")],
                    vec![take("text", Field::ResultText)],
                )
            },
        ],
        ..spec()
    }
}

fn results(lines: &[&str]) -> Vec<(bool, Option<String>)> {
    let mut scanner = Scanner::new(&two_lines());
    for line in lines {
        scanner.feed(Stream::Stdout, format!("{line}\n").as_bytes());
    }
    let found = scanner.take_findings().into_iter();
    let results = found.filter_map(|finding| match finding {
        Finding::Result { success, text, .. } => Some((success, text)),
        Finding::Session { .. }
        | Finding::TooManySessions
        | Finding::Model(_)
        | Finding::KnownLine
        | Finding::Error { .. } => None,
    });
    results.collect()
}

/// Bug: it was thrown away unless its line had a meaning of its own.
#[test]
fn the_words_of_an_earlier_line_are_those_of_a_failure_without_any() {
    let wrong = r#"{"type":"error","message":"no such model"}"#;
    let said = r#"{"type":"say","message":"I begin"}"#;
    let (bad, good) = (
        r#"{"type":"end","status":"bad"}"#,
        r#"{"type":"end","status":"good"}"#,
    );
    let text = |words: &str| Some(words.to_owned());
    assert_eq!(
        results(&[said, wrong, bad]),
        [(false, text("no such model"))]
    );
    assert_eq!(
        results(&[wrong, said, bad]),
        [(false, text("no such model"))]
    );
    assert_eq!(results(&[wrong, said, good]), [(true, text("I begin"))]);
    let own = r#"{"type":"end","status":"bad","text":"gave up"}"#;
    assert_eq!(results(&[wrong, own]), [(false, text("gave up"))]);
    // It went on after it, and ended well: another end is another matter.
    assert_eq!(results(&[wrong, good, bad]), [(true, None), (false, None)]);
}
