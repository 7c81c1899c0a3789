//! Accepting clients.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::{HttpCall, LastWord};
use super::handle::{Asker, Entry, handle};
use super::patience::Patient;
use super::token::Token;
use crate::socket::{Acceptor, Admission, Peer};

/// Most clients at a time: a thousand that follow the events, and as many that
/// come and go.
const MAX_CONNECTIONS: usize = 2048;

/// For the head of a request, and between two of them.
const HEAD_PATIENCE: Duration = Duration::from_secs(30);

/// Most headers of a request: browsers send twenty.
const MAX_HEADERS: usize = 64;

/// Most bytes of a head, and of what is read ahead of a body.
const MAX_BUFFER: usize = 64 << 10;

/// Pause after a failure to accept: without it the loop would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The answer to one client too many.
const TOO_MANY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\n\
    connection: close\r\ncontent-length: 0\r\n\r\n";

/// Where clients come from, and who of them is let in.
#[derive(Debug)]
pub enum Listener {
    /// Whoever has the token.
    Tcp(TcpListener, Token),
    /// Whom the kernel names as admitted.
    Unix(Box<Acceptor>, Admission),
}

/// The gateway, ready to be served.
#[derive(Debug)]
pub struct GatewayServer {
    door: Door,
}

#[derive(Debug)]
enum Door {
    Tcp(TcpListener, Arc<Token>),
    Unix(Box<Acceptor>, Admission),
}

/// A client that was accepted.
enum Client {
    Tcp(TcpStream),
    Unix(UnixStream, Peer),
}

impl GatewayServer {
    /// Serves what comes in there.
    #[must_use]
    pub fn new(listener: Listener) -> Self {
        let door = match listener {
            Listener::Tcp(listener, token) => Door::Tcp(listener, Arc::new(token)),
            Listener::Unix(acceptor, admission) => Door::Unix(acceptor, admission),
        };
        Self { door }
    }

    /// Serves until it is dropped. Requests go to `calls`; the connections run
    /// in `connections`; who is not answered any more is told `last_word`.
    pub async fn serve(
        mut self,
        calls: mpsc::Sender<HttpCall>,
        last_word: LastWord,
        connections: &mut JoinSet<()>,
    ) {
        loop {
            let client = tokio::select! {
                // Both are cancel-safe.
                Some(ended) = connections.join_next() => {
                    if let Err(error) = ended && error.is_panic() {
                        tracing::error!(%error, "a connection of the gateway panicked");
                    }
                    continue;
                }
                client = self.door.accept() => client,
            };
            match client {
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    tracing::warn!(%error, "the gateway could not accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                Ok(client) if connections.len() >= MAX_CONNECTIONS => {
                    tracing::debug!("the gateway has too many clients");
                    refuse(client).await;
                }
                Ok(client) => {
                    let asker = Asker {
                        calls: calls.clone(),
                        entry: self.door.entry(&client),
                        last_word: last_word.clone(),
                    };
                    admit(client, asker, connections);
                }
            }
        }
    }
}

impl Door {
    /// Cancel-safe.
    async fn accept(&mut self) -> io::Result<Client> {
        match self {
            Self::Tcp(listener, _) => listener
                .accept()
                .await
                .map(|(stream, _)| Client::Tcp(stream)),
            Self::Unix(acceptor, _) => {
                let (stream, peer) = acceptor.accept().await;
                Ok(Client::Unix(stream, peer))
            }
        }
    }

    fn entry(&self, client: &Client) -> Entry {
        match (self, client) {
            (Self::Tcp(_, token), _) => Entry::Token(Arc::clone(token)),
            (Self::Unix(_, admission), Client::Unix(_, peer)) if admission.admits(peer) => {
                Entry::Admitted(*peer)
            }
            (Self::Unix(..), Client::Unix(..) | Client::Tcp(_)) => Entry::Refused,
        }
    }
}

fn admit(client: Client, asker: Asker, connections: &mut JoinSet<()>) {
    match client {
        Client::Tcp(stream) => {
            // Without it small answers wait; a failure only costs time.
            let _slower = stream.set_nodelay(true);
            connections.spawn(serve_connection(stream, asker));
        }
        Client::Unix(stream, _) => {
            connections.spawn(serve_connection(stream, asker));
        }
    }
}

/// Says no without reading a word. A fresh socket takes this much at once.
async fn refuse(client: Client) {
    const AT_ONCE: Duration = Duration::from_millis(50);
    let write = async move {
        match client {
            Client::Tcp(stream) => Patient::new(stream).say(TOO_MANY).await,
            Client::Unix(stream, _) => Patient::new(stream).say(TOO_MANY).await,
        }
    };
    if !matches!(tokio::time::timeout(AT_ONCE, write).await, Ok(Ok(()))) {
        tracing::debug!("a refused client had left");
    }
}

async fn serve_connection<S>(stream: S, asker: Asker)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| {
        let asker = asker.clone();
        async move { Ok::<_, Infallible>(handle(asker, request).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_BUFFER)
        .serve_connection(TokioIo::new(Patient::new(stream)), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection of the gateway was ended");
    }
}
