//! One connection: hello, one request, its answers.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use protocol::codec::{self, CodecError};
use protocol::control::{Request, Response};
use protocol::frame::FrameDecoder;
use protocol::hello::{BadHello, HELLO_LEN, Hello, MAX_VERSION, Role};
use protocol::limits::MAX_CONTROL_FRAME;

/// How long a supervisor may take for its hello. It answers within
/// milliseconds even under load; only a stopped one is silent for so long.
pub(crate) const HELLO_TIMEOUT: Duration = Duration::from_secs(10);

/// Read at once: most answers fit, and a log chunk takes a few rounds.
const READ_BYTES: usize = 32 << 10;

/// What can happen to a connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectionError {
    /// It was there and is gone, or does not answer.
    #[error("the connection to the supervisor was lost")]
    Lost(#[source] io::Error),
    /// The other side speaks another version, or something else.
    #[error(transparent)]
    Hello(BadHello),
    /// The other side's bytes make no sense, or our request is too large.
    #[error(transparent)]
    Codec(CodecError),
}

/// An open connection that carries answers.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: UnixStream,
    decoder: FrameDecoder,
    buffer: Vec<u8>,
}

impl Connection {
    /// Sends hello and request in one piece, and waits for the hello.
    ///
    /// # Errors
    /// [`ConnectionError`].
    pub(crate) fn open(stream: UnixStream, request: &Request) -> Result<Self, ConnectionError> {
        let frame = codec::to_frame(request, MAX_CONTROL_FRAME).map_err(ConnectionError::Codec)?;
        let mut opening = Hello::opening(Role::Client).encode().to_vec();
        opening.extend_from_slice(&frame);
        let mut connection = Self {
            stream,
            decoder: FrameDecoder::new(MAX_CONTROL_FRAME),
            buffer: vec![0; READ_BYTES],
        };
        let sent = connection.stream.write_all(&opening);
        // A supervisor that does not want us answers its hello and hangs up:
        // its words are worth more than our EPIPE.
        let hello = match (connection.read_hello(), sent) {
            (Ok(hello), _) => hello,
            (Err(_), Err(error)) => return Err(ConnectionError::Lost(error)),
            (Err(error), Ok(())) => return Err(error),
        };
        let version = hello.accepted().map_err(ConnectionError::Hello)?;
        if version < MAX_VERSION {
            connection.send(&frame)?;
        }
        Ok(connection)
    }

    /// Sends another request, when the last one is answered.
    ///
    /// # Errors
    /// [`ConnectionError`].
    pub(crate) fn ask(&mut self, request: &Request) -> Result<(), ConnectionError> {
        let frame = codec::to_frame(request, MAX_CONTROL_FRAME).map_err(ConnectionError::Codec)?;
        self.send(&frame)
    }

    /// The next answer, whenever it comes.
    ///
    /// # Errors
    /// [`ConnectionError`].
    pub(crate) fn answer(&mut self) -> Result<Response, ConnectionError> {
        loop {
            let frame = self.decoder.next_frame();
            if let Some(payload) = frame.map_err(|error| ConnectionError::Codec(error.into()))? {
                return codec::from_payload(payload).map_err(ConnectionError::Codec);
            }
            match self.stream.read(&mut self.buffer) {
                Ok(0) => return Err(lost(io::ErrorKind::UnexpectedEof)),
                Ok(count) => self.decoder.push(&self.buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(ConnectionError::Lost(error)),
            }
        }
    }

    /// Says that nothing more will be asked or read.
    pub(crate) fn hang_up(&self) {
        // The other side may have gone first, which is as good.
        let _gone = self.stream.shutdown(Shutdown::Both);
    }

    fn send(&mut self, frame: &[u8]) -> Result<(), ConnectionError> {
        self.stream.write_all(frame).map_err(ConnectionError::Lost)
    }

    fn read_hello(&mut self) -> Result<Hello, ConnectionError> {
        let mut bytes = [0; HELLO_LEN];
        self.stream
            .set_read_timeout(Some(HELLO_TIMEOUT))
            .map_err(ConnectionError::Lost)?;
        self.stream
            .read_exact(&mut bytes)
            .map_err(ConnectionError::Lost)?;
        self.stream
            .set_read_timeout(None)
            .map_err(ConnectionError::Lost)?;
        Hello::decode(&bytes).map_err(ConnectionError::Hello)
    }
}

fn lost(kind: io::ErrorKind) -> ConnectionError {
    ConnectionError::Lost(io::Error::from(kind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    /// Plays the supervisor: answers `hello`, then `frames`, and hangs up.
    fn serve(hello: Hello, frames: Vec<Vec<u8>>) -> UnixStream {
        let (ours, mut theirs) = UnixStream::pair().expect("a socket pair");
        thread::spawn(move || {
            let mut opening = [0; HELLO_LEN];
            theirs.read_exact(&mut opening).expect("the client's hello");
            theirs
                .write_all(&hello.encode())
                .expect("the client is there");
            for frame in frames {
                theirs.write_all(&frame).expect("the client is there");
            }
        });
        ours
    }

    fn welcome() -> Hello {
        Hello::answer(&Hello::opening(Role::Client))
    }

    #[test]
    fn a_request_is_answered() {
        let answer = Response::EventsEnd { next_seq: 7 };
        let frame = codec::to_frame(&answer, MAX_CONTROL_FRAME).expect("small");
        let stream = serve(welcome(), vec![frame]);
        let mut connection = Connection::open(stream, &Request::Status).expect("welcome");
        assert_eq!(connection.answer().expect("one answer"), answer);
        assert!(matches!(connection.answer(), Err(ConnectionError::Lost(_))));
    }

    #[test]
    fn another_version_is_told_in_words() {
        let other = Hello {
            role: Role::Supervisor,
            min: 8,
            max: 9,
            chosen: None,
        };
        let error = Connection::open(serve(other, vec![]), &Request::Status).expect_err("too new");
        assert!(
            error
                .to_string()
                .contains("speaks protocol versions 8 to 9"),
            "{error}"
        );
    }

    #[test]
    fn a_frame_beyond_the_limit_ends_the_connection() {
        let stream = serve(welcome(), vec![u32::MAX.to_le_bytes().to_vec()]);
        let mut connection = Connection::open(stream, &Request::Status).expect("welcome");
        assert!(matches!(
            connection.answer(),
            Err(ConnectionError::Codec(_))
        ));
    }
}
