//! One client: hello, then requests, one at a time.

use std::io;
use std::time::Duration;

use protocol::codec::{self, CodecError};
use protocol::control::{ErrorBody, ErrorCode, Request, Response};
use protocol::hello::{BadHello, HELLO_LEN, Hello, Role};
use protocol::limits::MAX_CONTROL_FRAME;
use sys::hook::SUP_CONTROL_SEND;
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{ControlCall, Peer};
use crate::reply;
use crate::socket::{FrameReader, OpenError, WireError, send_all};

/// Bytes that are read ahead while a request is answered: enough to notice
/// that the client hangs up, not a way to fill our memory.
const READ_AHEAD: usize = 64 << 10;

/// Answers that wait are sent together up to this many bytes: one write for
/// many small events.
const SEND_TOGETHER: usize = 128 << 10;

/// How long a client may take.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// For its hello. It sends it at once.
    pub hello: Duration,
    /// Between two pieces of one frame. It is on the same machine.
    pub half_frame: Duration,
    /// To read something when its socket is full.
    pub write: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        let patience = Duration::from_secs(10);
        Self {
            hello: patience,
            half_frame: patience,
            write: patience,
        }
    }
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("no hello came in time")]
    NoHello,
    #[error("half a frame came and no more")]
    HalfFrame,
    #[error("the client reads nothing")]
    SlowReader,
    #[error("the supervisor leaves and cannot complete its answer")]
    Leaving,
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Wire(WireError::Io(error))
    }
}

/// Serves one client until it hangs up. Ends early when it breaks a rule; what
/// it asked for is then nobody's concern any more.
pub async fn serve_connection<T>(
    stream: UnixStream,
    peer: Peer,
    calls: mpsc::Sender<T>,
    timing: Timing,
) where
    T: From<ControlCall> + Send + 'static,
{
    let connection = Connection {
        stream,
        peer,
        calls,
        timing,
    };
    match connection.run().await {
        Ok(())
        | Err(End::Wire(WireError::HungUp) | End::Open(OpenError::Wire(WireError::HungUp))) => {}
        Err(end) => {
            tracing::debug!(uid = peer.uid, pid = peer.pid, %end, "a control connection was ended")
        }
    }
}

struct Connection<T> {
    stream: UnixStream,
    peer: Peer,
    calls: mpsc::Sender<T>,
    timing: Timing,
}

impl<T: From<ControlCall>> Connection<T> {
    async fn run(&self) -> Result<(), End> {
        let Some(mut reader) = self.open().await? else {
            return Ok(());
        };
        loop {
            let request = match reader.next_frame() {
                Ok(Some(payload)) => codec::from_payload::<Request>(payload),
                Ok(None) => {
                    self.fill(&mut reader).await?;
                    continue;
                }
                Err(error) => {
                    self.send(&error_response(ErrorCode::Usage, &error.to_string()))
                        .await?;
                    return Err(error.into());
                }
            };
            match request {
                Ok(request) => self.answer(request, &mut reader).await?,
                Err(error) => self.send(&unknown_request(error)).await?,
            }
        }
    }

    /// Hello and answer; `None` when there is nothing to talk about.
    async fn open(&self) -> Result<Option<FrameReader>, End> {
        let opened = timeout(
            self.timing.hello,
            FrameReader::open(&self.stream, MAX_CONTROL_FRAME),
        );
        let (hello, mut reader) = match opened.await.map_err(|_| End::NoHello)? {
            Err(OpenError::Hello(error @ (BadHello::Role(_) | BadHello::Range(..)))) => {
                self.send_bytes(&refusing_hello()).await?;
                return Err(OpenError::Hello(error).into());
            }
            other => other?,
        };
        if hello.role != Role::Client {
            self.send_bytes(&refusing_hello()).await?;
            return Ok(None);
        }
        let answer = Hello::answer(&hello);
        self.send_bytes(&answer.encode()).await?;
        match answer.chosen {
            None => Ok(None),
            Some(chosen) => {
                // What came with the hello is in the client's highest version.
                if chosen != hello.max && reader.pending() > 0 {
                    self.drop_frame(&mut reader).await?;
                }
                Ok(Some(reader))
            }
        }
    }

    async fn drop_frame(&self, reader: &mut FrameReader) -> Result<(), End> {
        while reader.next_frame()?.is_none() {
            self.fill(reader).await?;
        }
        Ok(())
    }

    /// Waits for more bytes: for ever between frames, not for long within one.
    async fn fill(&self, reader: &mut FrameReader) -> Result<(), End> {
        if reader.pending() == 0 {
            return Ok(reader.fill(&self.stream).await?);
        }
        let filled = timeout(self.timing.half_frame, reader.fill(&self.stream));
        Ok(filled.await.map_err(|_| End::HalfFrame)??)
    }

    /// Hands the request over and sends what comes back, until the answer is
    /// complete or the client hangs up.
    async fn answer(&self, request: Request, reader: &mut FrameReader) -> Result<(), End> {
        let (reply, mut answers) = reply::channel();
        let call = ControlCall {
            request,
            peer: self.peer,
            reply,
        };
        if self.calls.send(call.into()).await.is_err() {
            self.send(&error_response(
                ErrorCode::Draining,
                "the supervisor is leaving",
            ))
            .await?;
            return Err(End::Leaving);
        }
        let mut complete = false;
        loop {
            tokio::select! {
                // Answers first: reading ahead only serves to see a hang-up.
                // Both are cancel-safe.
                biased;
                response = answers.recv() => match response {
                    Some(response) => {
                        complete = self.send_with_waiting(response, &mut answers).await?;
                    }
                    None if complete => return Ok(()),
                    // Whoever waits or follows comes back and asks the next
                    // supervisor.
                    None => return Err(End::Leaving),
                },
                filled = reader.fill(&self.stream), if reader.pending() < READ_AHEAD => filled?,
            }
        }
    }

    /// Sends one response, and with it those that wait already. Says whether
    /// the last of them completes the answer.
    async fn send_with_waiting(
        &self,
        response: Response,
        answers: &mut mpsc::Receiver<Response>,
    ) -> Result<bool, End> {
        let mut last = response;
        let mut bytes = encode(&last);
        while bytes.len() < SEND_TOGETHER
            && let Ok(next) = answers.try_recv()
        {
            last = next;
            bytes.extend(encode(&last));
        }
        self.send_bytes(&bytes).await?;
        Ok(!matches!(last, Response::Log(_) | Response::Event(_)))
    }

    async fn send(&self, response: &Response) -> Result<(), End> {
        self.send_bytes(&encode(response)).await
    }

    async fn send_bytes(&self, bytes: &[u8]) -> Result<(), End> {
        // The limit is per piece, so that a slow reader of a long answer is
        // not taken for one that reads nothing.
        for piece in bytes.chunks(SEND_TOGETHER) {
            let sent = timeout(
                self.timing.write,
                send_all(&self.stream, piece, &SUP_CONTROL_SEND),
            );
            sent.await.map_err(|_| End::SlowReader)??;
        }
        Ok(())
    }
}

/// An answer that is too long for a frame becomes an error that says so.
fn encode(response: &Response) -> Vec<u8> {
    codec::to_frame(response, MAX_CONTROL_FRAME).unwrap_or_else(|error| {
        let message = format!("the answer could not be sent: {error}");
        let hint = "ask for less, e.g. with `-n` or a filter";
        let short = Response::Error(ErrorBody::new(ErrorCode::Limit, message).with_hint(hint));
        codec::to_frame(&short, MAX_CONTROL_FRAME).unwrap_or_default()
    })
}

fn error_response(code: ErrorCode, message: &str) -> Response {
    Response::Error(ErrorBody::new(code, message))
}

/// Within a version requests are only ever appended.
fn unknown_request(error: CodecError) -> Response {
    let body = ErrorBody::new(
        ErrorCode::Unsupported,
        format!("this supervisor does not know that request: {error}"),
    );
    Response::Error(body.with_hint("is agentctl newer than the supervisor? restart the supervisor"))
}

/// Our versions, none of them chosen.
fn refusing_hello() -> [u8; HELLO_LEN] {
    Hello::opening(Role::Supervisor).encode()
}
