//! Files of the project, and Rust code without what is not code.

use std::fs;
use std::path::{Path, PathBuf};

use crate::root;

/// Folders that hold nothing of ours.
const NOT_OURS: [&str; 3] = [".git", "target", "node_modules"];

/// One Rust file.
pub(crate) struct Source {
    /// Its path in the workspace.
    pub(crate) path: String,
    /// As it is.
    pub(crate) text: String,
    /// The same lines without comments, strings and characters.
    pub(crate) code: String,
    /// The same lines without comments.
    pub(crate) words: String,
}

impl Source {
    /// Is all of it tests, or of test programs?
    pub(crate) fn is_test(&self) -> bool {
        let path = &self.path;
        path.starts_with("tests/")
            || path.contains("/tests/")
            || path.ends_with("tests.rs")
            || path.starts_with("fuzz/")
    }

    /// The number of its first line inside of a test module.
    pub(crate) fn tests_begin(&self) -> usize {
        if self.is_test() {
            return 0;
        }
        let lines: Vec<&str> = self.code.lines().collect();
        let begins = |at: &usize| {
            lines[*at].trim() == "#[cfg(test)]"
                && lines[at + 1..]
                    .iter()
                    .find(|line| !line.trim().starts_with('#'))
                    .is_some_and(|line| line.contains("mod ") && line.ends_with('{'))
        };
        (0..lines.len()).find(begins).unwrap_or(lines.len())
    }

    /// The lines of `code` before any test, with their numbers from 1.
    pub(crate) fn product_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let end = self.tests_begin();
        numbered(&self.code).take_while(move |(number, _)| *number <= end)
    }

    /// The lines of `code` in tests, with their numbers from 1.
    pub(crate) fn test_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let begin = self.tests_begin();
        numbered(&self.code).skip_while(move |(number, _)| *number <= begin)
    }

    /// A violation at a line.
    pub(crate) fn at(&self, number: usize, what: &str) -> String {
        format!("{}:{number}: {what}", self.path)
    }
}

pub(crate) fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(at, line)| (at + 1, line))
}

/// Every Rust file of the workspace.
pub(crate) fn sources() -> Vec<Source> {
    files()
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| {
            let text = fs::read_to_string(root().join(&path)).expect("a source file is UTF-8");
            Source {
                path: path.to_string_lossy().into_owned(),
                code: strip(&text, Keep::Nothing),
                words: strip(&text, Keep::Strings),
                text,
            }
        })
        .collect()
}

/// Every file of the project, by its path in the workspace.
pub(crate) fn files() -> Vec<PathBuf> {
    let mut found = Vec::new();
    walk(&root(), &mut found);
    found.sort();
    found
        .into_iter()
        .map(|path| {
            path.strip_prefix(root())
                .expect("it was found there")
                .to_path_buf()
        })
        .collect()
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder can be read") {
        let path = entry.expect("an entry can be read").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if NOT_OURS.contains(&&*name) {
            continue;
        }
        if path.is_dir() {
            walk(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// What stays beside the code.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    Nothing,
    Strings,
}

/// Rust text with comments (and strings, and characters) turned into spaces,
/// line by line the same.
pub(crate) fn strip(text: &str, keep: Keep) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let (end, is_code) = token(bytes, at);
        let stays = is_code || (keep == Keep::Strings && bytes[at] != b'/');
        for byte in &bytes[at..end] {
            out.push(if stays || *byte == b'\n' { *byte } else { b' ' });
        }
        at = end;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The end of the token at `at`, and whether it is code.
fn token(bytes: &[u8], at: usize) -> (usize, bool) {
    let rest = &bytes[at..];
    let word_before = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
    if rest.starts_with(b"//") {
        let end = rest.iter().position(|byte| *byte == b'\n');
        return (at + end.unwrap_or(rest.len()), false);
    }
    if rest.starts_with(b"/*") {
        return (
            at + find(rest, b"*/").map_or(rest.len(), |end| end + 2),
            false,
        );
    }
    if !word_before
        && matches!(rest[0], b'r' | b'b')
        && let Some(end) = raw_string(rest)
    {
        return (at + end, false);
    }
    match rest[0] {
        b'"' => (at + quoted(rest, b'"'), false),
        b'\'' if is_character(rest) => (at + quoted(rest, b'\''), false),
        _ => (at + 1, true),
    }
}

/// The length of `r"…"`, `r#"…"#` and the same with `b`.
fn raw_string(rest: &[u8]) -> Option<usize> {
    let start = rest
        .iter()
        .position(|byte| *byte == b'r')
        .filter(|at| *at < 2)?;
    let hashes = rest[start + 1..]
        .iter()
        .take_while(|byte| **byte == b'#')
        .count();
    let open = start + 1 + hashes;
    (rest.get(open) == Some(&b'"')).then_some(())?;
    let mut close = vec![b'"'];
    close.resize(hashes + 1, b'#');
    find(&rest[open + 1..], &close).map(|end| open + 1 + end + close.len())
}

/// The length of a quoted text with backslashes in it.
fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

/// A character, and no lifetime.
fn is_character(rest: &[u8]) -> bool {
    rest.get(1) == Some(&b'\\')
        || rest[1..]
            .iter()
            .take(5)
            .position(|byte| *byte == b'\'')
            .is_some_and(|end| end == 1 || (end > 1 && !rest[1].is_ascii()))
}

fn find(text: &[u8], word: &[u8]) -> Option<usize> {
    text.windows(word.len()).position(|window| window == word)
}

#[test]
fn only_code_stays() {
    let text = "let a = \"x // {\"; // no {\nlet b = 'c'; fn f<'a>() {} r#\"{\"#; /* { */ b'{'";
    let stripped = strip(text, Keep::Nothing);
    assert_eq!(stripped.matches('{').count(), 1, "{stripped}");
    assert_eq!(stripped.lines().count(), text.lines().count());
    assert!(strip(text, Keep::Strings).contains("x // {"));
}
