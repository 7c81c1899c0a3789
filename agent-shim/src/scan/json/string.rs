//! Keys and texts, within their quotes.

use memchr::memchr3;

use super::{ARRAY, Reader, Sink, State, Unwanted, Value};
use crate::scan::capture::Extent;
use crate::scan::paths::{NodeId, Paths};

impl Reader {
    /// Behind the quote of a key. Most are whole in this piece of output and
    /// have no escapes: those are compared where they are.
    pub(super) fn begin_key<'a>(&mut self, rest: &'a [u8], paths: &Paths) -> &'a [u8] {
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
    pub(super) fn begin_text<'a>(
        &mut self,
        rest: &'a [u8],
        paths: &Paths,
        sink: &mut impl Sink,
    ) -> &'a [u8] {
        self.state = State::Text;
        let Some((slot, cap)) = paths.slot_at(self.node) else {
            self.unwanted = Unwanted::Plain;
            return rest;
        };
        self.unwanted = Unwanted::No;
        if let Some(at) = memchr3(b'"', b'\\', b'\n', rest)
            && rest[at] == b'"'
        {
            let extent = if at > cap { Extent::Cut } else { Extent::Whole };
            sink.scalar(
                slot,
                Value::Text {
                    bytes: &rest[..at.min(cap)],
                    extent,
                },
            );
            self.state = State::After;
            return &rest[at + 1..];
        }
        self.slot = Some(slot);
        self.capture.begin(cap);
        rest
    }

    pub(super) fn string<'a>(
        &mut self,
        rest: &'a [u8],
        paths: &Paths,
        sink: &mut impl Sink,
    ) -> &'a [u8] {
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

    pub(super) fn unwanted_string<'a>(&mut self, rest: &'a [u8], sink: &mut impl Sink) -> &'a [u8] {
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

    pub(super) fn end_string(&mut self, paths: &Paths, sink: &mut impl Sink) {
        let (bytes, extent) = self.capture.finish();
        if self.state == State::Key {
            let level = self.stack.last().copied().unwrap_or_default();
            self.node = if extent == Extent::Cut {
                NodeId::NOWHERE
            } else {
                paths.child(NodeId::from_bits(level & !ARRAY), bytes)
            };
            self.state = State::Colon;
        } else {
            if let Some(slot) = self.slot.take() {
                sink.scalar(slot, Value::Text { bytes, extent });
            }
            self.state = State::After;
        }
    }
}
