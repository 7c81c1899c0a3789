//! One connection: hello, one request, its answers.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nix::sys::socket::{getsockopt, sockopt};
use protocol::codec::{self, CodecError};
use protocol::control::{Request, Response};
use protocol::frame::FrameDecoder;
use protocol::hello::{BadHello, HELLO_LEN, Hello, MAX_VERSION, Role};
use protocol::limits::MAX_CONTROL_FRAME;

/// How long a supervisor may take for its hello. It answers within
/// milliseconds even under load; only a stopped one is silent for so long.
pub(crate) const HELLO_TIMEOUT: Duration = Duration::from_secs(10);

/// How long it may take for the answer, or the next part of it, to a question
/// about what it knows. The ledger may be held by another program for seconds.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

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
        let patience = Patience {
            hello: HELLO_TIMEOUT,
            answer: answer_within(request),
        };
        Self::open_within(stream, request, patience)
    }

    fn open_within(
        stream: UnixStream,
        request: &Request,
        patience: Patience,
    ) -> Result<Self, ConnectionError> {
        let frame = codec::to_frame(request, MAX_CONTROL_FRAME).map_err(ConnectionError::Codec)?;
        let mut opening = Hello::opening(Role::Client).encode().to_vec();
        opening.extend_from_slice(&frame);
        let mut connection = Self {
            stream,
            decoder: FrameDecoder::new(MAX_CONTROL_FRAME),
            buffer: vec![0; READ_BYTES],
        };
        connection.wait_at_most(Some(patience.hello))?;
        let sent = connection.stream.write_all(&opening);
        // A supervisor that does not want us answers its hello and hangs up:
        // its words are worth more than our EPIPE.
        let hello = match (connection.read_hello(), sent) {
            (Ok(hello), _) => hello,
            (Err(_), Err(error)) => return Err(connection.lost(error)),
            (Err(error), Ok(())) => return Err(error),
        };
        let version = hello.accepted().map_err(ConnectionError::Hello)?;
        if version < MAX_VERSION {
            connection.send(&frame)?;
        }
        connection.wait_at_most(patience.answer)?;
        Ok(connection)
    }

    /// Sends another request, when the last one is answered.
    ///
    /// # Errors
    /// [`ConnectionError`].
    pub(crate) fn ask(&mut self, request: &Request) -> Result<(), ConnectionError> {
        let frame = codec::to_frame(request, MAX_CONTROL_FRAME).map_err(ConnectionError::Codec)?;
        self.wait_at_most(answer_within(request))?;
        self.send(&frame)
    }

    /// The next answer: whenever it comes to a request that waits for something,
    /// within half a minute to any other.
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
                Ok(0) => return Err(self.lost(io::ErrorKind::UnexpectedEof.into())),
                Ok(count) => self.decoder.push(&self.buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.lost(error)),
            }
        }
    }

    /// Says that nothing more will be asked or read.
    pub(crate) fn hang_up(&self) {
        // The other side may have gone first, which is as good.
        let _gone = self.stream.shutdown(Shutdown::Both);
    }

    fn send(&mut self, frame: &[u8]) -> Result<(), ConnectionError> {
        let sent = self.stream.write_all(frame);
        sent.map_err(|error| self.lost(error))
    }

    fn read_hello(&mut self) -> Result<Hello, ConnectionError> {
        let mut bytes = [0; HELLO_LEN];
        let read = self.stream.read_exact(&mut bytes);
        read.map_err(|error| self.lost(error))?;
        Hello::decode(&bytes).map_err(ConnectionError::Hello)
    }

    /// For each read and write from now on.
    fn wait_at_most(&self, most: Option<Duration>) -> Result<(), ConnectionError> {
        let set = self.stream.set_read_timeout(most);
        set.and_then(|()| self.stream.set_write_timeout(most))
            .map_err(ConnectionError::Lost)
    }

    /// A wait that was over says who did not answer.
    fn lost(&self, error: io::Error) -> ConnectionError {
        // A socket with a deadline says either.
        let over = [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut];
        if !over.contains(&error.kind()) {
            return ConnectionError::Lost(error);
        }
        let peer = getsockopt(&self.stream, sockopt::PeerCredentials).ok();
        let pid = peer.map(|peer| peer.pid()).filter(|pid| *pid > 0);
        ConnectionError::Lost(io::Error::new(io::ErrorKind::TimedOut, Silence { pid }))
    }
}

/// How long the other side may be silent.
#[derive(Clone, Copy, Debug)]
struct Patience {
    hello: Duration,
    /// None for a request that waits for something.
    answer: Option<Duration>,
}

/// How long the answer to `request` may take, or each part of it.
fn answer_within(request: &Request) -> Option<Duration> {
    has_deadline(request).then_some(ANSWER_TIMEOUT)
}

/// Is the answer to `request` one that the supervisor has at once?
fn has_deadline(request: &Request) -> bool {
    match request {
        Request::List(_)
        | Request::Show { .. }
        | Request::Why { .. }
        | Request::Sessions(_)
        | Request::ChangeSession(_)
        | Request::Status
        | Request::Providers(_) => true,
        Request::Logs(logs) => !logs.follow,
        Request::Events(events) => !events.follow,
        // For a process, for its end, or for another program.
        Request::Run(_)
        | Request::RunWith(..)
        | Request::Again(_)
        | Request::Stop(_)
        | Request::Wait(_)
        | Request::Orphans(_)
        | Request::Drain(_)
        | Request::Keep(_)
        | Request::Prune(_) => false,
    }
}

/// A supervisor that is there and says nothing.
#[derive(Debug)]
pub(crate) struct Silence {
    /// Whose socket it is.
    pid: Option<i32>,
}

impl Silence {
    /// The one in an error of a connection.
    pub(crate) fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }

    /// What to do.
    pub(crate) fn hint(&self) -> String {
        let agents = "its agents go on, and the next supervisor takes them over";
        match self.pid {
            Some(pid) if is_stopped(pid) => {
                format!("`kill -CONT {pid}` lets it go on; `kill -KILL {pid}` ends it: {agents}")
            }
            Some(pid) => format!("`kill -KILL {pid}` ends it, if it stays so: {agents}"),
            None => format!("its log may say why; if it stays so, end it: {agents}"),
        }
    }
}

impl std::error::Error for Silence {}

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pid {
            Some(pid) if is_stopped(pid) => {
                write!(f, "process {pid} is stopped (SIGSTOP, or a debugger)")
            }
            Some(pid) => write!(f, "process {pid} runs and is silent"),
            None => f.write_str("it is silent"),
        }
    }
}

/// Does it stand still? The state stands behind the name, which may have
/// anything in it.
fn is_stopped(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(')').map(|(_, rest)| rest.trim_start());
    state.is_some_and(|state| state.starts_with(['T', 't']))
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

    /// Bug: only the hello had a deadline.
    #[test]
    fn a_supervisor_that_falls_silent_is_not_waited_for() {
        let patience = Patience {
            hello: HELLO_TIMEOUT,
            answer: Some(Duration::from_millis(1)),
        };
        let (ours, mut theirs) = UnixStream::pair().expect("a socket pair");
        theirs.write_all(&welcome().encode()).expect("we are there");
        let connection = Connection::open_within(ours, &Request::Status, patience);
        let error = connection.expect("welcome").answer();
        let Err(ConnectionError::Lost(error)) = error else {
            panic!("{error:?}")
        };
        let pid = std::process::id();
        assert_eq!(
            error.to_string(),
            format!("process {pid} runs and is silent")
        );
        let silence = Silence::of(&error).expect("it was a wait");
        assert!(silence.hint().contains(&format!("`kill -KILL {pid}`")));
    }

    #[test]
    fn only_what_waits_for_something_may_take_its_time() {
        let events = |follow| {
            Request::Events(protocol::control::EventsRequest {
                from_seq: None,
                task: None,
                follow,
                progress: false,
            })
        };
        assert!(has_deadline(&Request::Status));
        assert!(has_deadline(&events(false)));
        assert!(!has_deadline(&events(true)));
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
