//! Messages to frames and back: postcard in a length frame.

use alloc::vec::Vec;
use core::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::frame::{self, FrameError};

/// Why a message could not be written or read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodecError {
    /// The frame itself is wrong.
    Frame(FrameError),
    /// The bytes are not a message of this version.
    Message,
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frame(error) => error.fmt(f),
            Self::Message => f.write_str("the bytes are not a message of this protocol version"),
        }
    }
}

impl core::error::Error for CodecError {}

impl From<FrameError> for CodecError {
    fn from(error: FrameError) -> Self {
        Self::Frame(error)
    }
}

/// A message as one frame of at most `limit` bytes.
///
/// # Errors
/// [`CodecError::Frame`] when it is too large.
pub fn to_frame<T: Serialize>(message: &T, limit: usize) -> Result<Vec<u8>, CodecError> {
    let payload = postcard::to_allocvec(message).map_err(|_| CodecError::Message)?;
    Ok(frame::encode(&payload, limit)?)
}

/// The message of one frame's payload; bytes left over are an error.
///
/// # Errors
/// [`CodecError::Message`] when it is not one.
pub fn from_payload<T: DeserializeOwned>(payload: &[u8]) -> Result<T, CodecError> {
    match postcard::take_from_bytes(payload) {
        Ok((message, [])) => Ok(message),
        Ok(_) | Err(_) => Err(CodecError::Message),
    }
}
