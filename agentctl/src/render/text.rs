//! Making text safe and short for eyes: terminal control sequences out, width
//! counted in cells.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Where a stream of terminal output stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Plain text.
    Ground,
    /// After a carriage return.
    Return,
    /// After ESC.
    Escape,
    /// After ESC and an intermediate byte: one final byte follows.
    Intermediate,
    /// In a control sequence (`ESC [ …`): until its final byte.
    Sequence,
    /// In a string (`ESC ] …` and its like): until BEL, ST or a line's end.
    Text,
    /// In a string, after ESC.
    TextEscape,
}

/// Takes terminal control out of a byte stream that comes in pieces. Line
/// ends and tabs stay; a lone carriage return becomes a line end; what is not
/// UTF-8 becomes U+FFFD.
#[derive(Debug)]
pub(crate) struct Stripper {
    state: State,
    /// The begin of a character that was cut by the end of a piece.
    cut: Vec<u8>,
}

impl Stripper {
    /// At the begin of a stream.
    pub(crate) const fn new() -> Self {
        Self {
            state: State::Ground,
            cut: Vec::new(),
        }
    }

    /// The visible text of the next piece.
    pub(crate) fn strip(&mut self, piece: &[u8]) -> String {
        let mut bytes = std::mem::take(&mut self.cut);
        bytes.extend_from_slice(piece);
        let mut out = String::with_capacity(bytes.len());
        let mut rest = bytes.as_slice();
        loop {
            match std::str::from_utf8(rest) {
                Ok(text) => {
                    self.push_all(text, &mut out);
                    return out;
                }
                Err(error) => {
                    let (good, bad) = rest.split_at(error.valid_up_to());
                    self.push_all(&String::from_utf8_lossy(good), &mut out);
                    let Some(wrong) = error.error_len() else {
                        self.cut = bad.to_vec();
                        return out;
                    };
                    self.push(char::REPLACEMENT_CHARACTER, &mut out);
                    rest = &bad[wrong..];
                }
            }
        }
    }

    /// What was held back at the end of the stream.
    pub(crate) fn finish(&mut self) -> String {
        let mut out = String::new();
        if !std::mem::take(&mut self.cut).is_empty() {
            self.push(char::REPLACEMENT_CHARACTER, &mut out);
        }
        if self.state == State::Return {
            out.push('\n');
        }
        self.state = State::Ground;
        out
    }

    fn push_all(&mut self, text: &str, out: &mut String) {
        for c in text.chars() {
            self.push(c, out);
        }
    }

    fn push(&mut self, c: char, out: &mut String) {
        self.state = match self.state {
            State::Ground => ground(c, out),
            State::Return => {
                out.push('\n');
                if c == '\n' {
                    State::Ground
                } else {
                    ground(c, out)
                }
            }
            State::Escape => match c {
                '[' => State::Sequence,
                ']' | 'P' | 'X' | '^' | '_' => State::Text,
                ' '..='/' => State::Intermediate,
                '\u{1b}' => State::Escape,
                '\n' => ground(c, out),
                _ => State::Ground,
            },
            State::Intermediate => match c {
                ' '..='/' => State::Intermediate,
                '\n' => ground(c, out),
                _ => State::Ground,
            },
            State::Sequence => match c {
                ' '..='?' => State::Sequence,
                '\u{1b}' => State::Escape,
                '\n' => ground(c, out),
                _ => State::Ground,
            },
            // A string that never ends must not swallow the lines after it.
            State::Text | State::TextEscape if c == '\n' => ground(c, out),
            State::TextEscape if c == '\\' => State::Ground,
            State::Text | State::TextEscape => match c {
                '\u{7}' | '\u{9c}' => State::Ground,
                '\u{1b}' => State::TextEscape,
                _ => State::Text,
            },
        };
    }
}

fn ground(c: char, out: &mut String) -> State {
    match c {
        '\u{1b}' => return State::Escape,
        '\u{9b}' => return State::Sequence,
        '\u{90}' | '\u{98}' | '\u{9d}' | '\u{9e}' | '\u{9f}' => return State::Text,
        '\r' => return State::Return,
        '\n' | '\t' => out.push(c),
        _ if c.is_control() => {}
        _ => out.push(c),
    }
    State::Ground
}

/// Text as one safe line: no control characters, nothing that turns the
/// direction of writing, blanks for line ends and tabs.
pub(crate) fn clean(text: &str) -> String {
    let mut stripper = Stripper::new();
    let mut line = stripper.strip(text.as_bytes());
    line.push_str(&stripper.finish());
    let line = line.trim_end_matches('\n');
    line.chars()
        .filter(|c| !turns_direction(*c))
        .map(|c| if matches!(c, '\n' | '\t') { ' ' } else { c })
        .collect()
}

/// Text as safe lines.
pub(crate) fn clean_lines(text: &str) -> String {
    let mut stripper = Stripper::new();
    let mut lines = stripper.strip(text.as_bytes());
    lines.push_str(&stripper.finish());
    lines.retain(|c| !turns_direction(c));
    lines
}

const fn turns_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// How many cells `text` takes on a terminal.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// `text` in at most `cells` cells, with `…` where something was cut.
pub(crate) fn fit(text: &str, cells: usize) -> String {
    if width(text) <= cells {
        return text.to_owned();
    }
    let mut used = 1;
    let mut out = String::new();
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > cells {
            break;
        }
        out.push(c);
    }
    if cells > 0 {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stripped(pieces: &[&[u8]]) -> String {
        let mut stripper = Stripper::new();
        let mut out: String = pieces.iter().map(|piece| stripper.strip(piece)).collect();
        out.push_str(&stripper.finish());
        out
    }

    #[test]
    fn control_sequences_vanish_and_text_stays() {
        assert_eq!(stripped(&[b"a\x1b[31mred\x1b[0m\tb\n"]), "ared\tb\n");
        assert_eq!(stripped(&[b"\x1b]0;title\x07x"]), "x");
        assert_eq!(
            stripped(&[b"\x1b]8;;http://a\x1b\\link\x1b]8;;\x1b\\"]),
            "link"
        );
        assert_eq!(stripped(&[b"\x1bcx\x1b(By\x07\x08"]), "xy");
        assert_eq!(stripped(&["\u{9b}2Jx".as_bytes()]), "x");
    }

    #[test]
    fn a_cut_anywhere_changes_nothing() {
        let whole = "ü\u{1b}[1;31mé\r\n50%\r60%\n\u{1b}]0;t\u{7}日本".as_bytes();
        let expected = "üé\n50%\n60%\n日本";
        assert_eq!(stripped(&[whole]), expected);
        for at in 0..whole.len() {
            let (left, right) = whole.split_at(at);
            assert_eq!(stripped(&[left, right]), expected, "cut at {at}");
        }
    }

    #[test]
    fn an_endless_string_swallows_one_line_at_most() {
        assert_eq!(stripped(&[b"\x1b]0;never ends\nnext"]), "\nnext");
    }

    #[test]
    fn invalid_bytes_are_marked() {
        assert_eq!(stripped(&[b"a\xffb\xe2\x82"]), "a\u{fffd}b\u{fffd}");
    }

    #[test]
    fn a_cell_is_one_safe_line() {
        assert_eq!(clean("a\nb\t\u{202e}c\u{1b}[2J\u{7f}\n"), "a b c");
    }

    #[test]
    fn widths_count_cells() {
        assert_eq!(fit("日本語", 5), "日本…");
        assert_eq!(fit("abcdef", 4), "abc…");
        assert_eq!(fit("abc", 3), "abc");
        assert_eq!(fit("abc", 0), "");
    }
}
