//! Sizes, and words that must not stand in code.

use crate::report;
use crate::source::{Source, sources};

const MAX_FILE_LINES: usize = 400;
const MAX_FUNCTION_LINES: usize = 70;

/// Where tests let time pass: one file, and agents that pretend to work.
const MAY_SLEEP: [&str; 3] = [
    "tests/src/harness/wait.rs",
    "tests/src/bin/stub_model/",
    "tests/src/bin/demo_agent.rs",
];

/// Agent CLIs. A word that is also an English one is left out.
const PROVIDERS: [&str; 6] = ["claude", "codex", "gemini", "kimi", "opencode", "qwen"];

/// The crates in which a provider is only data.
const PROVIDER_FREE: [&str; 6] = [
    "protocol/",
    "lifecycle/",
    "sys/",
    "supervisor/",
    "agent-shim/",
    "agentctl/",
];

#[test]
fn files_are_short() {
    let long = sources().into_iter().filter_map(|source| {
        let lines = source.text.lines().count();
        (lines > MAX_FILE_LINES).then(|| format!("{}: {lines} lines", source.path))
    });
    report("files have at most 400 lines", &long.collect::<Vec<_>>());
}

#[test]
fn functions_are_short() {
    let mut long = Vec::new();
    for source in sources() {
        for (number, lines) in functions(&source.code) {
            if lines > MAX_FUNCTION_LINES {
                long.push(source.at(number, &format!("{lines} lines")));
            }
        }
    }
    report("functions have at most 70 lines", &long);
}

#[test]
fn nothing_is_unfinished_or_silenced() {
    let words = ["todo!", "unimplemented!", "#[ignore", "[allow(", "dbg!"];
    let mut found = Vec::new();
    for source in sources() {
        for (at, line) in source.code.lines().enumerate() {
            for word in words.iter().filter(|word| line.contains(**word)) {
                found.push(source.at(at + 1, word));
            }
        }
    }
    report(
        "no stubs, no ignored tests, `expect` instead of `allow`",
        &found,
    );
}

#[test]
fn tests_do_not_sleep() {
    let mut found = Vec::new();
    for source in sources() {
        if MAY_SLEEP.iter().any(|place| source.path.starts_with(place)) {
            continue;
        }
        for (number, line) in source.test_lines() {
            if line.contains("thread::sleep") || line.contains("time::sleep") {
                found.push(source.at(number, "a sleep"));
            }
        }
    }
    report("tests wait for a state, in one place", &found);
}

#[test]
fn unsafe_code_is_in_sys() {
    let mut found = Vec::new();
    for source in sources() {
        let in_sys = source.path.starts_with("sys/src/");
        for (at, line) in source.code.lines().enumerate() {
            // A signature only passes the duty on to its callers.
            let signature = in_sys && line.contains("unsafe fn");
            if !has_word(line, "unsafe") || signature {
                continue;
            }
            if !in_sys {
                found.push(source.at(at + 1, "unsafe outside of sys"));
            } else if !is_explained(&source, at) {
                found.push(source.at(at + 1, "unsafe without SAFETY"));
            }
        }
    }
    report("unsafe stands in sys, with its reason", &found);
}

#[test]
fn providers_are_data() {
    let mut found = Vec::new();
    for source in sources() {
        let free = PROVIDER_FREE
            .iter()
            .any(|place| source.path.starts_with(place));
        if !free || source.is_test() {
            continue;
        }
        let end = source.tests_begin();
        for (at, line) in source.words.lines().enumerate().take(end) {
            // Embedding a provider's file is not knowing it.
            if line.contains("include_str!") {
                continue;
            }
            let line = line.to_lowercase();
            for name in PROVIDERS.iter().filter(|name| line.contains(**name)) {
                found.push(source.at(at + 1, name));
            }
        }
    }
    report("no provider's name stands in the code", &found);
}

/// A `SAFETY:` comment in the few lines above, or an attribute that only
/// permits unsafe code.
fn is_explained(source: &Source, at: usize) -> bool {
    const ABOVE: usize = 6;
    let lines: Vec<&str> = source.text.lines().collect();
    let near = &lines[at.saturating_sub(ABOVE)..=at];
    near.iter()
        .any(|line| line.contains("SAFETY:") || line.contains("# Safety"))
}

/// The first line and the number of lines of every function with a body.
fn functions(code: &str) -> Vec<(usize, usize)> {
    let bytes = code.as_bytes();
    let line_of = |at: usize| code[..at].matches('\n').count() + 1;
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        let is_word = at == 0 || !is_word_byte(bytes[at - 1]);
        let named = bytes.get(at + 3).is_some_and(|byte| is_word_byte(*byte));
        if !is_word || !named {
            continue;
        }
        if let Some(end) = body_end(bytes, at) {
            let (first, last) = (line_of(at), line_of(end));
            found.push((first, last - first + 1));
        }
    }
    found
}

/// Where the body of the function that begins at `at` ends.
fn body_end(bytes: &[u8], at: usize) -> Option<usize> {
    let mut parentheses = 0i32;
    let mut braces = 0i32;
    for (end, byte) in bytes.iter().enumerate().skip(at) {
        match byte {
            b'(' | b'[' => parentheses += 1,
            b')' | b']' => parentheses -= 1,
            b';' if braces == 0 && parentheses == 0 => return None,
            b'{' => braces += 1,
            b'}' => {
                braces -= 1;
                if braces == 0 {
                    return Some(end);
                }
                if braces < 0 {
                    return None;
                }
            }
            _ => {}
        }
    }
    None
}

fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Does the word stand there by itself?
pub(crate) fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let bytes = line.as_bytes();
        let before = at == 0 || !is_word_byte(bytes[at - 1]);
        let after = bytes
            .get(at + word.len())
            .is_none_or(|byte| !is_word_byte(*byte));
        before && after
    })
}

#[test]
fn functions_are_measured() {
    let code = "fn a() {\n  x;\n}\ntrait T { fn b(x: [u8; 2]); }\nfn c() { if y { } }\n";
    assert_eq!(functions(code), [(1, 3), (5, 1)]);
}
