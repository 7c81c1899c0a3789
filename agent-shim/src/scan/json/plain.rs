//! Numbers, and the words `true`, `false` and `null`.

use super::{Reader, Sink, State, Value};
use crate::scan::paths::Paths;

/// Where in a number the reader is, by what was read last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
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

impl Reader {
    /// The first byte of a number or of a word.
    pub(super) fn begin_plain(&mut self, byte: u8, paths: &Paths, sink: &mut impl Sink) {
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

    pub(super) fn number<'a>(
        &mut self,
        number: Number,
        rest: &'a [u8],
        sink: &mut impl Sink,
    ) -> &'a [u8] {
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

    pub(super) fn literal<'a>(
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
