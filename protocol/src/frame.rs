//! Frames: a length (u32, little endian) and that many bytes. Sans-IO.

use alloc::vec::Vec;
use core::fmt;

/// Bytes of the length in front of each frame.
pub const HEADER_LEN: usize = 4;

/// A frame that cannot be: the connection is of no further use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// Longer than the limit of its socket; both in bytes.
    TooLarge {
        /// What the header announced.
        announced: usize,
        /// The limit.
        limit: usize,
    },
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { announced, limit } => {
                write!(
                    f,
                    "a frame of {announced} bytes exceeds the limit of {limit}"
                )
            }
        }
    }
}

impl core::error::Error for FrameError {}

/// Puts the length in front of `payload`.
///
/// # Errors
/// [`FrameError::TooLarge`] when the other side would refuse it.
pub fn encode(payload: &[u8], limit: usize) -> Result<Vec<u8>, FrameError> {
    let too_large = FrameError::TooLarge {
        announced: payload.len(),
        limit,
    };
    if payload.len() > limit {
        return Err(too_large);
    }
    let length = u32::try_from(payload.len()).map_err(|_| too_large)?;
    let mut bytes = Vec::with_capacity(HEADER_LEN + payload.len());
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(payload);
    Ok(bytes)
}

/// Collects bytes and yields whole frames.
#[derive(Debug)]
pub struct FrameDecoder {
    buffer: Vec<u8>,
    /// Bytes at the front of `buffer` that were already yielded.
    consumed: usize,
    limit: usize,
}

impl FrameDecoder {
    /// A decoder that refuses frames of more than `limit` bytes.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self {
            buffer: Vec::new(),
            consumed: 0,
            limit,
        }
    }

    /// Takes what was read from the socket.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.consumed > 0 {
            self.buffer.drain(..self.consumed);
            self.consumed = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame's payload, if it has arrived.
    ///
    /// # Errors
    /// [`FrameError`] for a header beyond the limit; the caller hangs up.
    pub fn next_frame(&mut self) -> Result<Option<&[u8]>, FrameError> {
        let rest = &self.buffer[self.consumed..];
        let Some(header) = rest.first_chunk::<HEADER_LEN>() else {
            self.release_if_drained();
            return Ok(None);
        };
        let announced = u32::from_le_bytes(*header) as usize;
        if announced > self.limit {
            return Err(FrameError::TooLarge {
                announced,
                limit: self.limit,
            });
        }
        if rest.len() < HEADER_LEN + announced {
            return Ok(None);
        }
        let from = self.consumed + HEADER_LEN;
        self.consumed = from + announced;
        Ok(Some(&self.buffer[from..self.consumed]))
    }

    /// From now on frames of up to `limit` bytes: a stranger gets less room
    /// than a peer that has proved itself.
    pub const fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Bytes that were pushed and not yielded yet.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.buffer.len() - self.consumed
    }

    /// A drained buffer that once held a large frame is given back.
    fn release_if_drained(&mut self) {
        const KEEP: usize = 4096;
        if self.consumed == self.buffer.len() {
            self.consumed = 0;
            self.buffer.clear();
            if self.buffer.capacity() > KEEP {
                self.buffer = Vec::new();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn frames_survive_any_cut(
            frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..20),
            cut in 1usize..64,
        ) {
            let mut wire = Vec::new();
            for frame in &frames {
                wire.extend(encode(frame, 1000).expect("within the limit"));
            }
            let mut decoder = FrameDecoder::new(1000);
            let mut seen = Vec::new();
            for piece in wire.chunks(cut) {
                decoder.push(piece);
                while let Some(frame) = decoder.next_frame().expect("valid") {
                    seen.push(frame.to_vec());
                }
            }
            prop_assert_eq!(seen, frames);
            prop_assert_eq!(decoder.pending(), 0);
        }

        #[test]
        fn any_bytes_yield_bounded_frames_or_an_error(bytes: Vec<u8>) {
            let mut decoder = FrameDecoder::new(64);
            decoder.push(&bytes);
            loop {
                match decoder.next_frame() {
                    Ok(Some(frame)) => prop_assert!(frame.len() <= 64),
                    Ok(None) => break,
                    Err(FrameError::TooLarge { announced, .. }) => {
                        prop_assert!(announced > 64);
                        break;
                    }
                }
            }
        }
    }

    #[test]
    fn a_frame_beyond_the_limit_is_refused_on_both_sides() {
        assert!(encode(&[0; 11], 10).is_err());
        let mut decoder = FrameDecoder::new(10);
        decoder.push(&11u32.to_le_bytes());
        assert_eq!(
            decoder.next_frame(),
            Err(FrameError::TooLarge {
                announced: 11,
                limit: 10
            })
        );
    }
}
