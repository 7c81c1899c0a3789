//! The text of one string, unescaped as it streams by and cut at a limit.

/// Whether a text is all that there was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Extent {
    #[default]
    Whole,
    /// There was more than its limit.
    Cut,
}

/// A string under way.
#[derive(Debug, Default)]
pub(super) struct Capture {
    bytes: Vec<u8>,
    cap: usize,
    extent: Extent,
    escape: Escape,
    /// The first half of a surrogate pair.
    high: Option<u16>,
}

/// Where in an escape sequence the string is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Escape {
    #[default]
    None,
    Backslash,
    Unicode {
        digits: u8,
        value: u16,
    },
}

/// A buffer that once held a long value is given back.
const KEEP_BYTES: usize = 1 << 10;

impl Capture {
    /// Begins a new string of which `cap` bytes are kept.
    pub(super) fn begin(&mut self, cap: usize) {
        if self.bytes.capacity() > KEEP_BYTES {
            self.bytes = Vec::new();
        }
        self.bytes.clear();
        self.cap = cap;
        self.extent = Extent::Whole;
        self.escape = Escape::None;
        self.high = None;
    }

    /// What was captured, and whether that is all.
    pub(super) fn finish(&mut self) -> (&[u8], Extent) {
        self.end_lone_surrogate();
        (&self.bytes, self.extent)
    }

    /// Takes plain bytes of the string.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.end_lone_surrogate();
        self.keep(bytes);
    }

    /// The byte was a backslash.
    pub(super) fn begin_escape(&mut self) {
        self.escape = Escape::Backslash;
    }

    pub(super) fn in_escape(&self) -> bool {
        self.escape != Escape::None
    }

    /// Takes the next byte of an escape sequence. What JSON does not know
    /// stands for the replacement character.
    pub(super) fn push_escaped(&mut self, byte: u8) {
        match self.escape {
            Escape::None => self.push(&[byte]),
            Escape::Backslash => self.push_short(byte),
            Escape::Unicode { digits, value } => self.push_digit(digits, value, byte),
        }
    }

    fn push_short(&mut self, byte: u8) {
        self.escape = Escape::None;
        let plain = match byte {
            b'"' | b'\\' | b'/' => byte,
            b'b' => 0x08,
            b'f' => 0x0C,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                self.escape = Escape::Unicode {
                    digits: 0,
                    value: 0,
                };
                return;
            }
            _ => return self.push_char(char::REPLACEMENT_CHARACTER),
        };
        self.push(&[plain]);
    }

    fn push_digit(&mut self, digits: u8, value: u16, byte: u8) {
        let Some(digit) = char::from(byte)
            .to_digit(16)
            .and_then(|digit| u16::try_from(digit).ok())
        else {
            self.escape = Escape::None;
            return self.push_char(char::REPLACEMENT_CHARACTER);
        };
        let (digits, value) = (digits + 1, value << 4 | digit);
        if digits < 4 {
            self.escape = Escape::Unicode { digits, value };
            return;
        }
        self.escape = Escape::None;
        self.push_unit(value);
    }

    /// Takes a UTF-16 unit.
    fn push_unit(&mut self, unit: u16) {
        if let Some(high) = self.high.take() {
            if let Some(Ok(character)) = char::decode_utf16([high, unit]).next() {
                return self.keep_char(character);
            }
            self.keep_char(char::REPLACEMENT_CHARACTER);
        }
        if (0xD800..0xDC00).contains(&unit) {
            self.high = Some(unit);
        } else {
            let character = char::from_u32(u32::from(unit));
            self.keep_char(character.unwrap_or(char::REPLACEMENT_CHARACTER));
        }
    }

    fn push_char(&mut self, character: char) {
        self.end_lone_surrogate();
        self.keep_char(character);
    }

    fn end_lone_surrogate(&mut self) {
        if self.high.take().is_some() {
            self.keep_char(char::REPLACEMENT_CHARACTER);
        }
    }

    fn keep_char(&mut self, character: char) {
        self.keep(character.encode_utf8(&mut [0; 4]).as_bytes());
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = self.cap - self.bytes.len();
        if bytes.len() > room {
            self.extent = Extent::Cut;
        }
        self.bytes
            .extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

/// The bytes without a last character that a cut went through.
pub(super) fn whole(bytes: &[u8], extent: Extent) -> &[u8] {
    if extent == Extent::Whole {
        return bytes;
    }
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => &bytes[..error.valid_up_to()],
        Ok(_) | Err(_) => bytes,
    }
}

/// The bytes as text: what is no UTF-8 is replaced, and a character that a cut
/// went through is left away.
pub(super) fn text_of(bytes: &[u8], extent: Extent) -> String {
    String::from_utf8_lossy(whole(bytes, extent)).into_owned()
}

/// At most `cap` bytes of `text`, whole characters only.
pub(super) fn cut(text: &str, cap: usize) -> &str {
    &text[..text.floor_char_boundary(cap)]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything between the quotes of `json`, as a capture sees it.
    fn captured(json: &str, cap: usize) -> (String, bool) {
        let mut capture = Capture::default();
        capture.begin(cap);
        for byte in json.bytes() {
            if capture.in_escape() {
                capture.push_escaped(byte);
            } else if byte == b'\\' {
                capture.begin_escape();
            } else {
                capture.push(&[byte]);
            }
        }
        let (bytes, extent) = capture.finish();
        (text_of(bytes, extent), extent == Extent::Cut)
    }

    #[test]
    fn escapes_are_undone() {
        for (json, text) in [
            (r#"a\"b\\c\/d\b\f\n\r\te"#, "a\"b\\c/d\u{8}\u{c}\n\r\te"),
            (r"\u0041\u00e4\u20ac\u0000", "Aä€\0"),
            (r"\uD83D\uDE00!", "😀!"),
            (r"\ud83d", "\u{FFFD}"),
            (r"\ud83dx", "\u{FFFD}x"),
            (r"\ud83d\u0041", "\u{FFFD}A"),
            (r"\ud83d\ud83d\ude00", "\u{FFFD}😀"),
            (r"\ude00", "\u{FFFD}"),
            (r"\q\u12x4", "\u{FFFD}\u{FFFD}4"),
        ] {
            assert_eq!(captured(json, 100), (text.to_owned(), false), "{json}");
        }
    }

    #[test]
    fn a_cut_goes_through_no_character() {
        assert_eq!(captured("aä", 2), ("a".to_owned(), true));
        assert_eq!(captured("aä", 3), ("aä".to_owned(), false));
        assert_eq!(captured(r"a\u20ac", 3), ("a".to_owned(), true));
        assert_eq!(cut("aä", 2), "a");
        assert_eq!(cut("aä", 9), "aä");
    }
}
