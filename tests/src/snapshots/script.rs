//! The scripts' language.
//!
//! ```text
//! # a remark
//! % start                       something is done to the world
//! % write work/x.toml           a file of the lines that follow
//! > name = "x"
//! $ agentctl show good          a call; `| head 3` at its end keeps three lines of each stream,
//!                               `> /dev/full` has its stdout where nothing can be written
//! | what it prints
//! ! what it says on stderr
//! = exit 0
//! ```
//!
//! The last three are written by the test. Words are split as by a shell:
//! between quotes of either kind nothing is special.

/// Where the data of a call goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stdout {
    /// It is compared.
    Read,
    /// To a device that takes nothing.
    Full,
}

/// One call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its line.
    pub text: String,
    /// Its words, without the program.
    pub words: Vec<String>,
    /// So many lines of its output are kept; all if left out.
    pub lines: Option<usize>,
    /// Where its stdout goes.
    pub stdout: Stdout,
    /// The exit code that is written down; none where it was never played.
    pub code: Option<u8>,
}

/// A line that is the author's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A remark, or none.
    Words(String),
    /// A call.
    Call(Call),
    /// Something is done to the world.
    Act {
        /// Its line.
        text: String,
        /// Its words.
        words: Vec<String>,
        /// The lines below it.
        data: String,
    },
}

/// The calls of a script.
#[must_use]
pub fn calls(script: &str) -> Vec<Call> {
    let call = |line| match line {
        Line::Call(call) => Some(call),
        Line::Words(_) | Line::Act { .. } => None,
    };
    parse(script).into_iter().filter_map(call).collect()
}

/// The author's lines; what a test wrote goes into the exit codes alone.
pub(super) fn parse(script: &str) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for text in script.lines() {
        let (sign, rest) = text.split_at_checked(1).unwrap_or_default();
        let rest = rest.strip_prefix(' ').unwrap_or(rest);
        match sign {
            "$" => lines.push(Line::Call(call(text, rest))),
            "%" => lines.push(Line::Act {
                text: text.to_string(),
                words: split(rest),
                data: String::new(),
            }),
            ">" => match lines.last_mut() {
                Some(Line::Act { data, .. }) => data.push_str(&format!("{rest}\n")),
                Some(Line::Words(_) | Line::Call(_)) | None => {
                    panic!("no file is written here: {text}")
                }
            },
            "=" => {
                if let Some(Line::Call(call)) = lines.last_mut() {
                    let code = rest.strip_prefix("exit ");
                    call.code = code.and_then(|code| code.parse().ok());
                }
            }
            "|" | "!" => {}
            "#" | "" => lines.push(Line::Words(text.to_string())),
            _ => panic!("not a line of a script: {text}"),
        }
    }
    lines
}

fn call(text: &str, rest: &str) -> Call {
    let (command, lines) = match rest.rsplit_once(" | head ") {
        Some((command, lines)) => (command, Some(lines.parse().expect("a number of lines"))),
        None => (rest, None),
    };
    let (command, stdout) = match command.strip_suffix(" > /dev/full") {
        Some(command) => (command, Stdout::Full),
        None => (command, Stdout::Read),
    };
    let words = split(command);
    let (program, words) = words.split_first().expect("a program");
    assert_eq!(program, "agentctl", "{text}");
    Call {
        text: text.to_string(),
        words: words.to_vec(),
        lines,
        stdout,
        code: None,
    }
}

fn split(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let (mut quote, mut inside) = (None, false);
    for c in text.chars() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                if !inside {
                    words.push(String::new());
                    inside = true;
                }
            }
            (None, ' ') => inside = false,
            (Some(_) | None, _) => {
                if !inside {
                    words.push(String::new());
                    inside = true;
                }
                words.last_mut().expect("one was begun").push(c);
            }
        }
    }
    assert_eq!(quote, None, "a quote is not closed: {text}");
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_its_authors_lines() {
        let script =
            "# one\n\n% write x\n> a = 1\n>\n$ agentctl show 'a b' | head 2\n| x\n! y\n= exit 3\n";
        let lines = parse(script);
        let call = Call {
            text: "$ agentctl show 'a b' | head 2".to_string(),
            words: vec!["show".to_string(), "a b".to_string()],
            lines: Some(2),
            stdout: Stdout::Read,
            code: Some(3),
        };
        let act = Line::Act {
            text: "% write x".to_string(),
            words: vec!["write".to_string(), "x".to_string()],
            data: "a = 1\n\n".to_string(),
        };
        let words = |text: &str| Line::Words(text.to_string());
        let expected = [words("# one"), words(""), act, Line::Call(call.clone())];
        assert_eq!(lines, expected);
        assert_eq!(calls(script), [call]);
    }

    #[test]
    fn words_are_those_of_a_shell() {
        assert_eq!(split("a  'b c'd \"e'f\" ''"), ["a", "b cd", "e'f", ""]);
    }
}
