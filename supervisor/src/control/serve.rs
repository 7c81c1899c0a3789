//! Accepting clients.

use protocol::control::{ErrorBody, ErrorCode, Response};
use protocol::hello::{Hello, Role};
use protocol::limits::MAX_CONTROL_FRAME;
use sys::hook::SUP_CONTROL_SEND;
use sys::ipc::send_now;
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::ControlCall;
use super::connection::{Timing, serve_connection};
use crate::socket::{Acceptor, Admission, Peer, most_clients};

/// Most clients at a time: an attached `run` and a `wait` for each of a
/// thousand tasks, and still no more than a quarter of the descriptors.
pub const MAX_CONNECTIONS: usize = 2048;

/// The control socket, ready to be served.
#[derive(Debug)]
pub struct ControlServer {
    acceptor: Acceptor,
    admission: Admission,
    timing: Timing,
    max_connections: usize,
}

impl ControlServer {
    /// Serves what `acceptor` accepts to whom `admission` admits.
    #[must_use]
    pub fn new(acceptor: Acceptor, admission: Admission) -> Self {
        Self {
            acceptor,
            admission,
            timing: Timing::default(),
            max_connections: MAX_CONNECTIONS,
        }
    }

    /// The same with other deadlines.
    #[must_use]
    pub fn with_timing(mut self, timing: Timing) -> Self {
        self.timing = timing;
        self
    }

    /// The same with another limit of clients.
    #[must_use]
    pub fn with_max_connections(mut self, max_connections: usize) -> Self {
        self.max_connections = max_connections;
        self
    }

    /// Serves until it is dropped. Requests go to `calls`; the connections run
    /// in `connections`.
    pub async fn serve<T>(mut self, calls: mpsc::Sender<T>, connections: &mut JoinSet<()>)
    where
        T: From<ControlCall> + Send + 'static,
    {
        loop {
            tokio::select! {
                // Both are cancel-safe.
                Some(ended) = connections.join_next() => {
                    if let Err(error) = ended && error.is_panic() {
                        tracing::error!(%error, "a control connection panicked");
                    }
                }
                (stream, peer) = self.acceptor.accept() => match self.refusal(&peer, connections.len()) {
                    Some(refusal) => refuse(&stream, refusal),
                    None => {
                        connections.spawn(serve_connection(stream, peer, calls.clone(), self.timing));
                    }
                },
            }
        }
    }

    fn refusal(&self, peer: &Peer, connections: usize) -> Option<ErrorBody> {
        if !self.admission.admits(peer) {
            tracing::warn!(
                uid = peer.uid,
                pid = peer.pid,
                "a peer without permission was refused"
            );
            let message = format!("uid {} may not use this supervisor", peer.uid);
            return Some(
                ErrorBody::new(ErrorCode::NotPermitted, message)
                    .with_hint("its owner can open it to a group: `[control] group`"),
            );
        }
        (connections >= most_clients(self.max_connections)).then(|| {
            tracing::warn!(connections, "a client was refused: there are too many");
            let message = format!("the supervisor serves {connections} clients, and no more");
            ErrorBody::new(ErrorCode::Limit, message).with_hint("try again when some have ended")
        })
    }
}

/// Says no without reading a word. A fresh socket takes this much at once.
fn refuse(stream: &UnixStream, refusal: ErrorBody) {
    let mut bytes = Hello::answer(&Hello::opening(Role::Client))
        .encode()
        .to_vec();
    if let Ok(frame) = protocol::codec::to_frame(&Response::Error(refusal), MAX_CONTROL_FRAME) {
        bytes.extend(frame);
    }
    if let Err(error) = send_now(stream, &bytes, &SUP_CONTROL_SEND) {
        tracing::debug!(%error, "a refused peer had left");
    }
}
