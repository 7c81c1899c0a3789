//! The values of the current line at the wanted paths.

use protocol::shim::{Scalar, Test};

use super::capture::{Extent, text_of, whole};
use super::json::Value;
use super::paths::Keep;

/// The values of one path in the current line.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) keep: Keep,
    pub(super) conditions: Vec<usize>,
    pub(super) kept: Kept,
    pub(super) text: Text,
    pub(super) seen: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    Nothing,
    /// The bytes of a number.
    Number,
    /// Text.
    Text,
}

/// Text as bytes in a buffer that is used again and again.
#[derive(Debug, Default)]
pub(super) struct Text {
    pub(super) bytes: Vec<u8>,
    pub(super) extent: Extent,
}

impl Slot {
    pub(super) fn keep(&mut self, value: Value<'_>) {
        if self.keep == Keep::Nothing {
            return;
        }
        let (kept, bytes, extent) = match value {
            Value::Null | Value::Bool(_) => return,
            Value::Number(bytes) => (Kept::Number, bytes, Extent::Whole),
            Value::Text { bytes, extent } => (Kept::Text, whole(bytes, extent), extent),
        };
        match (self.keep, self.kept, kept) {
            (Keep::Joined, Kept::Text, Kept::Text) => self.text.join(bytes, extent),
            (Keep::Joined | Keep::Last | Keep::Nothing, _, _) => {
                self.kept = kept;
                self.text.replace(bytes, extent);
            }
        }
    }

    pub(super) fn text(&self) -> Option<&Text> {
        match self.kept {
            Kept::Text => Some(&self.text),
            Kept::Nothing | Kept::Number => None,
        }
    }

    /// The figure, whether it was printed as a number or as a text.
    pub(super) fn figure(&self) -> Option<&str> {
        match self.kept {
            Kept::Nothing => None,
            Kept::Number | Kept::Text => std::str::from_utf8(&self.text.bytes).ok(),
        }
    }
}

impl Text {
    pub(super) fn to_text(&self) -> String {
        text_of(&self.bytes, self.extent)
    }

    pub(super) fn replace(&mut self, bytes: &[u8], extent: Extent) {
        self.clear();
        self.bytes.extend_from_slice(bytes);
        self.extent = extent;
    }

    pub(super) fn set(&mut self, other: &Self) {
        self.replace(&other.bytes, other.extent);
    }

    /// Joins another element's text, on a line of its own.
    pub(super) fn join(&mut self, more: &[u8], extent: Extent) {
        if !self.bytes.is_empty() {
            self.append(b"\n", Extent::Whole);
        }
        self.append(more, extent);
    }

    /// Puts `more` behind the text. What comes behind a cut is left away.
    pub(super) fn append(&mut self, more: &[u8], extent: Extent) {
        const CAP: usize = protocol::limits::MAX_RESULT_TEXT;
        if self.extent == Extent::Cut {
            return;
        }
        let fitting = more.len().min(CAP - self.bytes.len());
        self.bytes.extend_from_slice(&more[..fitting]);
        if extent == Extent::Cut || fitting < more.len() {
            self.extent = Extent::Cut;
        }
    }

    /// The text and whether it was cut, if there is any; none is left.
    pub(super) fn take(&mut self) -> Option<(String, Extent)> {
        let taken = (!self.bytes.is_empty()).then(|| (self.to_text(), self.extent));
        self.clear();
        taken
    }

    /// A buffer that held a long text is given back.
    pub(super) fn clear(&mut self) {
        const KEEP_BYTES: usize = 1 << 10;
        self.bytes.clear();
        self.bytes.shrink_to(KEEP_BYTES);
        self.extent = Extent::Whole;
    }
}

pub(super) fn passes(test: &Test, value: Value<'_>) -> bool {
    match test {
        Test::Present => true,
        // Decided by the line's end.
        Test::Absent => false,
        Test::Contains(part) => match value {
            Value::Text { bytes, .. } => memchr::memmem::find(bytes, part.as_bytes()).is_some(),
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        },
        Test::AtLeast(least) => match value {
            Value::Number(bytes) => std::str::from_utf8(bytes)
                .is_ok_and(|text| text.parse::<f64>().is_ok_and(|number| number >= *least)),
            Value::Null | Value::Bool(_) | Value::Text { .. } => false,
        },
        Test::Equals(wanted) => match (wanted, value) {
            (Scalar::Null, Value::Null) => true,
            (Scalar::Bool(wanted), Value::Bool(value)) => *wanted == value,
            (Scalar::Number(wanted), Value::Number(bytes)) => {
                std::str::from_utf8(bytes).is_ok_and(|text| text.parse() == Ok(*wanted))
            }
            (Scalar::Text(wanted), Value::Text { bytes, extent }) => {
                extent == Extent::Whole && wanted.as_bytes() == bytes
            }
            (Scalar::Null | Scalar::Bool(_) | Scalar::Number(_) | Scalar::Text(_), _) => false,
        },
    }
}
