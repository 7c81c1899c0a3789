//! One connection to a supervisor: frames in, frames out, never waiting.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use protocol::codec;
use protocol::frame::FrameDecoder;
use protocol::limits::MAX_SHIM_FRAME;
use protocol::shim::{FromShim, ToShim};
use sys::hook::SHIM_SEND;

/// Bytes that are encoded ahead of the socket. One record may be larger.
const OUTBOX_BYTES: usize = 16 << 10;

/// Bytes of one read. Behind the start order come only small messages.
const READ_BYTES: usize = 512;

/// Reads of one event; a supervisor has no more to say than that.
const READS_PER_EVENT: usize = 64;

/// A connected socket with its bytes under way.
#[derive(Debug)]
pub(super) struct Wire {
    socket: UnixStream,
    decoder: FrameDecoder,
    outbox: Vec<u8>,
}

/// The connection is of no further use.
#[derive(Debug)]
pub(super) struct Lost;

impl From<io::Error> for Lost {
    fn from(_: io::Error) -> Self {
        Self
    }
}

impl Wire {
    pub(super) fn new(socket: UnixStream, decoder: FrameDecoder) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket,
            decoder,
            outbox: Vec::new(),
        })
    }

    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Reads what waits into the decoder.
    pub(super) fn read(&mut self) -> Result<(), Lost> {
        let mut buffer = [0; READ_BYTES];
        for _ in 0..READS_PER_EVENT {
            match self.socket.read(&mut buffer) {
                Ok(0) => return Err(Lost),
                Ok(read) => self.decoder.push(&buffer[..read]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Reads exactly the bytes in front of the first frame; `None` if they
    /// have not all come yet.
    pub(super) fn read_prefix<const LEN: usize>(
        &mut self,
        prefix: &mut Vec<u8>,
    ) -> Result<Option<[u8; LEN]>, Lost> {
        let mut buffer = [0; LEN];
        while prefix.len() < LEN {
            match self.socket.read(&mut buffer[prefix.len()..]) {
                Ok(0) => return Err(Lost),
                Ok(read) => {
                    let from = prefix.len();
                    prefix.extend_from_slice(&buffer[from..from + read]);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(prefix.first_chunk().copied())
    }

    /// The next whole message.
    pub(super) fn next(&mut self) -> Result<Option<ToShim>, Lost> {
        match self.decoder.next_frame() {
            Ok(Some(payload)) => codec::from_payload(payload).map(Some).map_err(|_| Lost),
            Ok(None) => Ok(None),
            Err(_) => Err(Lost),
        }
    }

    pub(super) fn push_bytes(&mut self, bytes: &[u8]) {
        self.outbox.extend_from_slice(bytes);
    }

    /// A message of ours is always within the limit; one that were not would
    /// be left out.
    pub(super) fn push(&mut self, message: &FromShim) {
        if let Ok(frame) = codec::to_frame(message, MAX_SHIM_FRAME) {
            self.outbox.extend_from_slice(&frame);
        }
    }

    /// There is no room for more until [`Self::flush`] made some.
    pub(super) fn is_full(&self) -> bool {
        self.outbox.len() >= OUTBOX_BYTES
    }

    pub(super) fn is_empty(&self) -> bool {
        self.outbox.is_empty()
    }

    /// Sends what the socket takes.
    pub(super) fn flush(&mut self) -> Result<(), Lost> {
        while !self.outbox.is_empty() {
            match sys::ipc::send_now(&self.socket, &self.outbox, &SHIM_SEND)? {
                Some(sent) => drop(self.outbox.drain(..sent)),
                None => return Ok(()),
            }
        }
        // An idle shim holds no buffer.
        self.outbox = Vec::new();
        Ok(())
    }
}

/// A decoder for a new connection.
pub(super) const fn decoder() -> FrameDecoder {
    FrameDecoder::new(MAX_SHIM_FRAME)
}
