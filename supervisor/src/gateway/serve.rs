//! Accepting clients.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use nix::sys::socket::{setsockopt, sockopt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::handle::{Asker, Entry, handle};
use super::patience::Patient;
use super::token::Token;
use super::{HttpCall, LastWord};
use crate::socket::{Acceptor, Admission, Peer, Sparing, most_clients};

/// Most clients at a time: a thousand that follow the events, and as many that
/// come and go. Fewer where the process may have few descriptors: nobody needs a token to
/// connect.
const MAX_CONNECTIONS: usize = 2048;

/// Most of those that are refused because there are so many: more are not answered.
const MAX_REFUSED: usize = 64;

/// How long one of them is heard out.
const REFUSAL: Duration = Duration::from_secs(1);

/// For the head of a request, and between two of them.
const HEAD_PATIENCE: Duration = Duration::from_secs(30);

/// Most headers of a request: browsers send twenty.
const MAX_HEADERS: usize = 64;

/// Most bytes of a head, and of what is read ahead of a body.
const MAX_BUFFER: usize = 64 << 10;

/// Pause after a failure to accept: without it the loop would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A silent client is asked for a sign of life after these seconds, then so often, so many
/// times.
const KEEP_IDLE_S: u32 = 60;
const KEEP_INTERVAL_S: u32 = 15;
const KEEP_COUNT: u32 = 4;

/// The answer to one client too many.
const TOO_MANY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\n\
    connection: close\r\ncontent-type: application/json\r\ncontent-length: 102\r\n\r\n\
    {\"error\":{\"code\":\"limit\",\"message\":\"the gateway has too many clients\",\
    \"hint\":\"come back in a moment\"}}";

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
    rebuilt_seq: u64,
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
        Self {
            door,
            rebuilt_seq: 0,
        }
    }

    /// The same for a ledger whose events up to this one were written by a rebuild.
    #[must_use]
    pub fn over(mut self, rebuilt_seq: u64) -> Self {
        self.rebuilt_seq = rebuilt_seq;
        self
    }

    /// Serves until it is dropped. Requests go to `calls`; the connections run
    /// in `connections`; who is not answered any more is told `last_word`.
    pub async fn serve(
        mut self,
        calls: mpsc::Sender<HttpCall>,
        last_word: LastWord,
        connections: &mut JoinSet<()>,
    ) {
        let mut failures = Sparing::default();
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
            let most = most_clients(MAX_CONNECTIONS);
            let refused = MAX_REFUSED.min(most);
            match client {
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    if failures.is_due() {
                        tracing::warn!(%error, "the gateway could not accept a connection");
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                Ok(client) if connections.len() >= most + refused => drop(client),
                Ok(client) if connections.len() >= most => {
                    tracing::debug!("the gateway has too many clients");
                    connections.spawn(refuse(client));
                }
                Ok(client) => {
                    let asker = Asker {
                        calls: calls.clone(),
                        entry: self.door.entry(&client),
                        last_word: last_word.clone(),
                        rebuilt_seq: self.rebuilt_seq,
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
            if let Err(error) = keep_alive(&stream) {
                tracing::debug!(%error, "whether a client is still there is not asked");
            }
            connections.spawn(serve_connection(stream, asker));
        }
        Client::Unix(stream, _) => {
            connections.spawn(serve_connection(stream, asker));
        }
    }
}

/// A client whose machine is gone says nothing any more, and where nothing is sent to it
/// nobody would notice.
fn keep_alive(stream: &TcpStream) -> nix::Result<()> {
    setsockopt(stream, sockopt::TcpKeepIdle, &KEEP_IDLE_S)?;
    setsockopt(stream, sockopt::TcpKeepInterval, &KEEP_INTERVAL_S)?;
    setsockopt(stream, sockopt::TcpKeepCount, &KEEP_COUNT)?;
    setsockopt(stream, sockopt::KeepAlive, &true)
}

/// Says no, whatever the client asks.
async fn refuse(client: Client) {
    let said = async move {
        match client {
            Client::Tcp(stream) => Patient::new(stream).say(TOO_MANY).await,
            Client::Unix(stream, _) => Patient::new(stream).say(TOO_MANY).await,
        }
    };
    if !matches!(timeout(REFUSAL, said).await, Ok(Ok(()))) {
        tracing::debug!("a refused client was not heard out");
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

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
    use tokio::time::Instant;

    /// A connection whose requests nobody answers, and when it has ended.
    fn connected() -> (
        DuplexStream,
        tokio::task::JoinHandle<()>,
        mpsc::Receiver<HttpCall>,
    ) {
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        let (calls, received) = mpsc::channel(1);
        let asker = Asker {
            calls,
            entry: Entry::Admitted(Peer {
                pid: 1,
                uid: 0,
                gid: 0,
            }),
            last_word: LastWord::default(),
            rebuilt_seq: 0,
        };
        (
            theirs,
            tokio::spawn(serve_connection(ours, asker)),
            received,
        )
    }

    /// What it says before it closes the connection.
    async fn answer(mut client: DuplexStream) -> String {
        let mut said = Vec::new();
        client.read_to_end(&mut said).await.expect("it is closed");
        String::from_utf8_lossy(&said).into_owned()
    }

    /// Sends a byte from time to time, for as long as anybody reads.
    async fn drip(client: &mut DuplexStream, byte: u8) -> Duration {
        const BETWEEN: Duration = Duration::from_secs(3);
        let begun = Instant::now();
        while client.write_all(&[byte]).await.is_ok() && begun.elapsed() < 100 * BETWEEN {
            tokio::time::advance(BETWEEN).await;
            tokio::task::yield_now().await;
        }
        begun.elapsed()
    }

    #[test]
    fn the_answer_to_one_too_many_is_whole() {
        let text = std::str::from_utf8(TOO_MANY).expect("text");
        let (head, body) = text.split_once("\r\n\r\n").expect("both");
        assert!(head.ends_with(&format!("content-length: {}", body.len())));
        let told: serde_json::Value = serde_json::from_str(body).expect("JSON");
        assert_eq!(told["error"]["code"], "limit");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_says_nothing_is_given_up() {
        let (client, served, _calls) = connected();
        assert_eq!(answer(client).await, "");
        served.await.expect("no panic");
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_comes_byte_by_byte_is_given_up() {
        let (mut client, served, _calls) = connected();
        client
            .write_all(b"GET / HTTP/1.1\r\nx: ")
            .await
            .expect("open");
        let took = drip(&mut client, b'x').await;
        assert!(took <= 2 * HEAD_PATIENCE, "{took:?}");
        served.await.expect("no panic");
    }

    #[tokio::test(start_paused = true)]
    async fn a_kept_connection_that_says_nothing_more_is_given_up() {
        let (mut client, served, _calls) = connected();
        let request = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
        client.write_all(request).await.expect("open");
        assert!(answer(client).await.ends_with("\r\n\r\nok\n"));
        served.await.expect("no panic");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_comes_byte_by_byte_is_given_up() {
        let (mut client, served, _calls) = connected();
        let head = b"POST /v1/tasks HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
            content-length: 1000000\r\n\r\n";
        client.write_all(head).await.expect("open");
        let took = drip(&mut client, b' ').await;
        assert!(took <= 3 * HEAD_PATIENCE, "{took:?}");
        let said = answer(client).await;
        assert!(said.starts_with("HTTP/1.1 408 "), "{said}");
        served.await.expect("no panic");
    }

    /// What is no HTTP, or too much of it, is answered and closed.
    #[tokio::test(start_paused = true)]
    async fn a_head_that_makes_no_sense_is_refused() {
        let many: String = (0..=MAX_HEADERS).map(|n| format!("x{n}: 1\r\n")).collect();
        let long = format!("x: {}\r\n", "x".repeat(2 * MAX_BUFFER));
        for (head, status) in [
            ("\x16\x03\x01\x02\0 hello\r\n\r\n".to_owned(), "400"),
            ("GET /healthz HTTP/3.0\r\n\r\n".to_owned(), "400"),
            (
                "GET /healthz HTTP/1.1\r\nno colon\r\n\r\n".to_owned(),
                "400",
            ),
            (
                "POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n".to_owned(),
                "400",
            ),
            (format!("GET / HTTP/1.1\r\n{many}\r\n"), "431"),
            (format!("GET / HTTP/1.1\r\n{long}\r\n"), "431"),
            (
                format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(70_000)),
                "414",
            ),
        ] {
            let (mut client, served, _calls) = connected();
            client.write_all(head.as_bytes()).await.expect("open");
            let said = answer(client).await;
            let begins = format!("HTTP/1.1 {status} ");
            assert!(said.starts_with(&begins), "{status}: {said:.200}");
            served.await.expect("no panic");
        }
    }
}
