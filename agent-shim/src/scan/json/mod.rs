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

mod plain;
mod string;

use memchr::memchr;

use super::capture::{Capture, Extent};
use super::paths::{NodeId, Paths, SlotId};

use plain::Number;

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
        extent: Extent,
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
}
