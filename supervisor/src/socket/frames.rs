//! Hello and frames on a stream, read and written without ever blocking.

use std::io;

use protocol::frame::{FrameDecoder, FrameError};
use protocol::hello::{BadHello, HELLO_LEN, Hello};
use sys::hook::Step;
use sys::ipc::send_now;
use tokio::io::Interest;
use tokio::net::UnixStream;

/// Most bytes of one read: a request of ordinary size comes in one.
const READ_BYTES: usize = 16 << 10;

/// Why a connection did not get past its hello.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It ended or failed.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The hello is not one of ours.
    #[error(transparent)]
    Hello(#[from] BadHello),
}

/// Why a stream is of no further use.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The other side has closed it.
    #[error("the other side has hung up")]
    HungUp,
    /// A frame that cannot be.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The system's answer.
    #[error("the connection failed")]
    Io(#[from] io::Error),
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        Self::Wire(WireError::Io(error))
    }
}

/// Collects frames from a stream. Idle, it holds no buffer.
#[derive(Debug)]
pub struct FrameReader(FrameDecoder);

impl FrameReader {
    /// Reads the hello; frames of up to `limit` bytes may follow, and may have
    /// come with it. Not cancel-safe: to be dropped with the stream.
    ///
    /// # Errors
    /// [`OpenError`]; the caller hangs up.
    pub async fn open(stream: &UnixStream, limit: usize) -> Result<(Hello, Self), OpenError> {
        let mut bytes = Vec::with_capacity(READ_BYTES);
        loop {
            stream.readable().await?;
            read_now(stream, &mut bytes)?;
            if let Some((head, rest)) = bytes.split_first_chunk::<HELLO_LEN>() {
                let hello = Hello::decode(head)?;
                let mut decoder = FrameDecoder::new(limit);
                decoder.push(rest);
                return Ok((hello, Self(decoder)));
            }
        }
    }

    /// Reads once, when there is something to read. Cancel-safe.
    ///
    /// # Errors
    /// [`WireError`]; the stream is of no further use.
    pub async fn fill(&mut self, stream: &UnixStream) -> Result<(), WireError> {
        loop {
            stream.readable().await?;
            // Made only now, so that an idle connection holds no buffer.
            let mut bytes = Vec::with_capacity(READ_BYTES);
            if read_now(stream, &mut bytes)? {
                self.0.push(&bytes);
                return Ok(());
            }
        }
    }

    /// The next whole frame's payload, if it has come.
    ///
    /// # Errors
    /// [`WireError::Frame`]; the stream is of no further use.
    pub fn next_frame(&mut self) -> Result<Option<&[u8]>, WireError> {
        Ok(self.0.next_frame()?)
    }

    /// Waits for the next whole frame's payload. Cancel-safe.
    ///
    /// # Errors
    /// [`WireError`]; the stream is of no further use.
    pub async fn wait_for_frame(&mut self, stream: &UnixStream) -> Result<Vec<u8>, WireError> {
        loop {
            if let Some(payload) = self.next_frame()? {
                return Ok(payload.to_vec());
            }
            self.fill(stream).await?;
        }
    }

    /// Bytes that have come and were not taken.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.0.pending()
    }

    /// From now on frames of up to `limit` bytes.
    pub fn set_limit(&mut self, limit: usize) {
        self.0.set_limit(limit);
    }
}

/// Sends all of `bytes`, and waits where the other side is slow. Not
/// cancel-safe: a part may have been sent, so a stream whose send was dropped
/// must be dropped too.
///
/// # Errors
/// The kernel's answer.
pub async fn send_all(stream: &UnixStream, bytes: &[u8], step: &Step) -> io::Result<()> {
    // At once, whatever the runtime knows about the socket: it is nearly
    // always writable.
    let sent = send_now(stream, bytes, step)?.unwrap_or(0);
    let mut rest = &bytes[sent..];
    while !rest.is_empty() {
        let attempt = || match send_now(stream, rest, step)? {
            Some(sent) => Ok(sent),
            None => Err(io::Error::from(io::ErrorKind::WouldBlock)),
        };
        let sent = stream.async_io(Interest::WRITABLE, attempt).await?;
        rest = &rest[sent..];
    }
    Ok(())
}

/// Appends what is there; `false` if there is nothing.
fn read_now(stream: &UnixStream, bytes: &mut Vec<u8>) -> Result<bool, WireError> {
    match stream.try_read_buf(bytes) {
        Ok(0) => Err(WireError::HungUp),
        Ok(_) => Ok(true),
        Err(error) if not_yet(error.kind()) => Ok(false),
        // It left something of ours unread: it has hung up all the same.
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Err(WireError::HungUp),
        Err(error) => Err(error.into()),
    }
}

fn not_yet(kind: io::ErrorKind) -> bool {
    kind == io::ErrorKind::WouldBlock || kind == io::ErrorKind::Interrupted
}
