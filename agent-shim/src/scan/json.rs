//! A streaming reader of JSON lines. It holds a stack of open containers and,
//! of wanted scalars alone, a bounded text; never a line.
//!
//! ```text
//! LineStart ─'{'→ FirstKey ─'"'→ Key ─'"'→ Colon ─':'→ Value ─┬─'{' '['─→ FirstKey, FirstElement
//!     ↑              │                                        ├─'"'─→ Text ─'"'──┐
//!     │              │       NextKey, Value ←─','── After ←───┴─→ Number, Literal┘
//!     └─'\n'── Done ←┴───────── last '}' ─────────────┘
//! any other byte, or a newline too early → Skip to the next line
//! ```
//!
//! It is strict about structure and lenient within strings: control characters
//! and unknown escapes do not make a line worthless.

use memchr::{memchr, memchr3};

use super::capture::Capture;
use super::paths::{NodeId, Paths, SlotId};

/// Nested containers; deeper lines are not read.
const MAX_DEPTH: usize = 127;

/// Set in a level of the stack that is an array.
const ARRAY: u16 = 0x8000;

/// A wanted scalar.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Null,
    Bool(bool),
    /// As it is written.
    Number(&'a [u8]),
    /// Unescaped.
    Text {
        bytes: &'a [u8],
        truncated: bool,
    },
}

/// Takes what was found.
pub(super) trait Sink {
    /// A scalar of the current line at a wanted path.
    fn scalar(&mut self, slot: SlotId, value: Value<'_>);
    /// The line was a JSON object.
    fn line(&mut self);
    /// The line was none: forget its scalars.
    fn discard(&mut self);
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    LineStart,
    Skip,
    Value,
    FirstElement,
    FirstKey,
    NextKey,
    Key,
    Colon,
    Text,
    Number(Number),
    Literal {
        word: &'static [u8],
        at: usize,
    },
    After,
    Done,
    /// The object was already reported; only white space may follow.
    Reported,
}

/// Where in a number the reader is, by what was read last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Number {
    Minus,
    Zero,
    Integer,
    Dot,
    Fraction,
    Exponent,
    ExponentSign,
    ExponentDigits,
}

impl Number {
    const fn next(self, byte: u8) -> Option<Self> {
        match (self, byte) {
            (Self::Minus, b'0') => Some(Self::Zero),
            (Self::Minus, b'1'..=b'9') | (Self::Integer, b'0'..=b'9') => Some(Self::Integer),
            (Self::Zero | Self::Integer, b'.') => Some(Self::Dot),
            (Self::Dot | Self::Fraction, b'0'..=b'9') => Some(Self::Fraction),
            (Self::Zero | Self::Integer | Self::Fraction, b'e' | b'E') => Some(Self::Exponent),
            (Self::Exponent, b'+' | b'-') => Some(Self::ExponentSign),
            (Self::Exponent | Self::ExponentSign | Self::ExponentDigits, b'0'..=b'9') => {
                Some(Self::ExponentDigits)
            }
            _ => None,
        }
    }

    const fn is_whole(self) -> bool {
        matches!(
            self,
            Self::Zero | Self::Integer | Self::Fraction | Self::ExponentDigits
        )
    }
}

/// The reader.
#[derive(Debug)]
pub(super) struct Reader {
    state: State,
    /// Open containers: the node of each, and whether it is an array.
    stack: Vec<u16>,
    /// Where the value that comes next stands.
    node: NodeId,
    /// Where to put the scalar that is being read.
    slot: Option<SlotId>,
    /// The key or scalar that is being read, as far as it is wanted.
    capture: Capture,
    /// The key or text that is being read is wanted by nobody.
    unwanted: Unwanted,
}

/// A string that is only skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unwanted {
    No,
    Plain,
    AfterBackslash,
}

impl Reader {
    pub(super) fn new() -> Self {
        Self {
            state: State::LineStart,
            stack: Vec::new(),
            node: NodeId::ROOT,
            slot: None,
            capture: Capture::default(),
            unwanted: Unwanted::No,
        }
    }

    /// Reads on.
    pub(super) fn feed(&mut self, bytes: &[u8], paths: &Paths, sink: &mut impl Sink) {
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = match self.state {
                State::LineStart => self.line_start(rest),
                State::Skip => self.skip(rest),
                State::Key | State::Text => self.string(rest, paths, sink),
                State::Number(number) => self.number(number, rest, sink),
                State::Literal { word, at } => self.literal(word, at, rest, sink),
                State::Value
                | State::FirstElement
                | State::FirstKey
                | State::NextKey
                | State::Colon
                | State::After
                | State::Done
                | State::Reported => self.structure(rest, paths, sink),
            };
        }
    }

    /// Reports a whole object now, though its newline has not come yet.
    pub(super) fn report_whole(&mut self, sink: &mut impl Sink) {
        if self.state == State::Done {
            sink.line();
            self.state = State::Reported;
        }
    }

    fn line_start<'a>(&mut self, rest: &'a [u8]) -> &'a [u8] {
        match rest {
            [b' ' | b'\t' | b'\r' | b'\n', tail @ ..] => tail,
            [b'{', tail @ ..] => {
                self.stack.clear();
                self.stack.push(NodeId::ROOT.bits());
                self.state = State::FirstKey;
                tail
            }
            _ => {
                self.state = State::Skip;
                rest
            }
        }
    }

    fn skip<'a>(&mut self, rest: &'a [u8]) -> &'a [u8] {
        match memchr(b'\n', rest) {
            Some(at) => {
                self.state = State::LineStart;
                &rest[at + 1..]
            }
            None => &[],
        }
    }

    /// The line is not what it should be; a newline is left to `skip`.
    fn give_up(&mut self, sink: &mut impl Sink) {
        sink.discard();
        self.state = State::Skip;
    }

    fn structure<'a>(&mut self, rest: &'a [u8], paths: &Paths, sink: &mut impl Sink) -> &'a [u8] {
        let [byte, tail @ ..] = rest else { return rest };
        if matches!(byte, b' ' | b'\t' | b'\r') {
            return tail;
        }
        match (self.state, byte) {
            (State::Value | State::FirstElement, b'"') => {
                return self.begin_text(tail, paths, sink);
            }
            (State::Value | State::FirstElement, b'{') => self.open(0, State::FirstKey, sink),
            (State::Value | State::FirstElement, b'[') => {
                self.open(ARRAY, State::FirstElement, sink);
                self.node = paths.element(self.node);
            }
            (State::FirstKey | State::NextKey, b'"') => return self.begin_key(tail, paths),
            (State::Colon, b':') => self.state = State::Value,
            (State::After, b',') => self.next_member(paths),
            (State::After | State::FirstKey, b'}') => self.close(0, sink),
            (State::After | State::FirstElement, b']') => self.close(ARRAY, sink),
            (State::Value | State::FirstElement, _) => {
                self.begin_plain(*byte, paths, sink);
                // Only a number's first byte is read; a wrong one may be a newline.
                return if matches!(self.state, State::Number(_)) {
                    tail
                } else {
                    rest
                };
            }
            (State::Done, b'\n') => {
                sink.line();
                self.state = State::LineStart;
            }
            (State::Reported, b'\n') => self.state = State::LineStart,
            (State::Reported, _) => self.state = State::Skip,
            _ => {
                self.give_up(sink);
                return rest;
            }
        }
        tail
    }

    fn open(&mut self, kind: u16, first: State, sink: &mut impl Sink) {
        if self.stack.len() >= MAX_DEPTH {
            return self.give_up(sink);
        }
        self.stack.push(self.node.bits() | kind);
        self.state = first;
    }

    fn close(&mut self, kind: u16, sink: &mut impl Sink) {
        match self.stack.pop() {
            Some(level) if level & ARRAY == kind => {
                self.state = if self.stack.is_empty() {
                    State::Done
                } else {
                    State::After
                };
            }
            Some(_) | None => self.give_up(sink),
        }
    }

    fn next_member(&mut self, paths: &Paths) {
        let level = self.stack.last().copied().unwrap_or_default();
        if level & ARRAY == 0 {
            self.state = State::NextKey;
        } else {
            self.node = paths.element(NodeId::from_bits(level & !ARRAY));
            self.state = State::Value;
        }
    }

    /// Behind the quote of a key. Most are whole in this piece of output and
    /// have no escapes: those are compared where they are.
    fn begin_key<'a>(&mut self, rest: &'a [u8], paths: &Paths) -> &'a [u8] {
        let level = self.stack.last().copied().unwrap_or_default();
        let object = NodeId::from_bits(level & !ARRAY);
        self.state = State::Key;
        if object == NodeId::NOWHERE {
            self.unwanted = Unwanted::Plain;
            return rest;
        }
        self.unwanted = Unwanted::No;
        if let Some(at) = memchr3(b'"', b'\\', b'\n', rest)
            && rest[at] == b'"'
        {
            self.node = paths.child(object, &rest[..at]);
            self.state = State::Colon;
            return &rest[at + 1..];
        }
        self.capture.begin(paths.key_cap());
        rest
    }

    /// Behind the quote of a text.
    fn begin_text<'a>(&mut self, rest: &'a [u8], paths: &Paths, sink: &mut impl Sink) -> &'a [u8] {
        self.state = State::Text;
        let Some((slot, cap)) = paths.slot_at(self.node) else {
            self.unwanted = Unwanted::Plain;
            return rest;
        };
        self.unwanted = Unwanted::No;
        if let Some(at) = memchr3(b'"', b'\\', b'\n', rest)
            && rest[at] == b'"'
        {
            let (bytes, truncated) = (&rest[..at.min(cap)], at > cap);
            sink.scalar(slot, Value::Text { bytes, truncated });
            self.state = State::After;
            return &rest[at + 1..];
        }
        self.slot = Some(slot);
        self.capture.begin(cap);
        rest
    }

    fn string<'a>(&mut self, rest: &'a [u8], paths: &Paths, sink: &mut impl Sink) -> &'a [u8] {
        let [byte, tail @ ..] = rest else { return rest };
        if self.unwanted != Unwanted::No {
            return self.unwanted_string(rest, sink);
        }
        if self.capture.in_escape() {
            if *byte == b'\n' {
                self.give_up(sink);
                return rest;
            }
            self.capture.push_escaped(*byte);
            return tail;
        }
        let Some(at) = memchr3(b'"', b'\\', b'\n', rest) else {
            self.capture.push(rest);
            return &[];
        };
        self.capture.push(&rest[..at]);
        match rest[at] {
            b'"' => self.end_string(paths, sink),
            b'\\' => self.capture.begin_escape(),
            _ => {
                self.give_up(sink);
                return &rest[at..];
            }
        }
        &rest[at + 1..]
    }

    fn unwanted_string<'a>(&mut self, rest: &'a [u8], sink: &mut impl Sink) -> &'a [u8] {
        if self.unwanted == Unwanted::AfterBackslash && rest[0] != b'\n' {
            self.unwanted = Unwanted::Plain;
            return &rest[1..];
        }
        let Some(at) = memchr3(b'"', b'\\', b'\n', rest) else {
            return &[];
        };
        match rest[at] {
            b'"' => {
                let was_key = self.state == State::Key;
                self.state = if was_key { State::Colon } else { State::After };
                if was_key {
                    self.node = NodeId::NOWHERE;
                }
            }
            b'\\' => self.unwanted = Unwanted::AfterBackslash,
            _ => {
                self.give_up(sink);
                return &rest[at..];
            }
        }
        &rest[at + 1..]
    }

    fn end_string(&mut self, paths: &Paths, sink: &mut impl Sink) {
        let (bytes, truncated) = self.capture.finish();
        if self.state == State::Key {
            let level = self.stack.last().copied().unwrap_or_default();
            self.node = if truncated {
                NodeId::NOWHERE
            } else {
                paths.child(NodeId::from_bits(level & !ARRAY), bytes)
            };
            self.state = State::Colon;
        } else {
            if let Some(slot) = self.slot.take() {
                sink.scalar(slot, Value::Text { bytes, truncated });
            }
            self.state = State::After;
        }
    }

    /// The first byte of a number or of a word.
    fn begin_plain(&mut self, byte: u8, paths: &Paths, sink: &mut impl Sink) {
        let wanted = paths.slot_at(self.node);
        self.slot = wanted.map(|(slot, _)| slot);
        self.state = match byte {
            b'-' => State::Number(Number::Minus),
            b'0' => State::Number(Number::Zero),
            b'1'..=b'9' => State::Number(Number::Integer),
            b't' => State::Literal {
                word: b"true",
                at: 0,
            },
            b'f' => State::Literal {
                word: b"false",
                at: 0,
            },
            b'n' => State::Literal {
                word: b"null",
                at: 0,
            },
            _ => return self.give_up(sink),
        };
        if let (State::Number(_), Some((_, cap))) = (self.state, wanted) {
            self.capture.begin(cap);
            self.capture.push(&[byte]);
        }
    }

    fn number<'a>(&mut self, number: Number, rest: &'a [u8], sink: &mut impl Sink) -> &'a [u8] {
        let mut number = number;
        let mut at = 0;
        while let Some(next) = rest.get(at).and_then(|byte| number.next(*byte)) {
            number = next;
            at += 1;
        }
        if self.slot.is_some() {
            self.capture.push(&rest[..at]);
        }
        self.state = State::Number(number);
        if at < rest.len() {
            if !number.is_whole() {
                self.give_up(sink);
                return &rest[at..];
            }
            self.state = State::After;
            if let Some(slot) = self.slot.take() {
                sink.scalar(slot, Value::Number(self.capture.finish().0));
            }
        }
        &rest[at..]
    }

    fn literal<'a>(
        &mut self,
        word: &'static [u8],
        at: usize,
        rest: &'a [u8],
        sink: &mut impl Sink,
    ) -> &'a [u8] {
        let [byte, tail @ ..] = rest else { return rest };
        if word.get(at) != Some(byte) {
            self.give_up(sink);
            return rest;
        }
        if at + 1 < word.len() {
            self.state = State::Literal { word, at: at + 1 };
            return tail;
        }
        self.state = State::After;
        if let Some(slot) = self.slot.take() {
            sink.scalar(
                slot,
                match word[0] {
                    b't' => Value::Bool(true),
                    b'f' => Value::Bool(false),
                    _ => Value::Null,
                },
            );
        }
        tail
    }
}
