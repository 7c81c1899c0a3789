//! Requests over plain HTTP, one connection each.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// For a whole answer: none of ours waits for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// A task object has a result of 64 KiB at most.
const MAX_ANSWER: usize = 1 << 20;

/// The first pause after a failure, and the longest.
const PAUSES: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(30)];

/// Pauses that grow while nothing works.
pub(crate) struct Backoff(Duration);

impl Backoff {
    pub(crate) const fn new() -> Self {
        Self(PAUSES[0])
    }

    /// Something worked.
    pub(crate) const fn reset(&mut self) {
        self.0 = PAUSES[0];
    }

    /// Waits.
    pub(crate) async fn pause(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(PAUSES[1]);
    }
}

/// A request with its headers.
pub(crate) struct Ask<'a> {
    pub(crate) method: Method,
    pub(crate) uri: &'a Uri,
    /// The path and query; of `uri` itself if absent.
    pub(crate) path: Option<String>,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Option<Value>,
}

impl Ask<'_> {
    /// The status and the JSON of the answer, null if it is none.
    pub(crate) async fn answer(self) -> Result<(StatusCode, Value)> {
        let whole = async {
            let response = self.open().await?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_ANSWER)
                .collect()
                .await;
            let Ok(body) = body.map(http_body_util::Collected::to_bytes) else {
                bail!("the answer was cut off");
            };
            Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
        };
        timeout(PATIENCE, whole)
            .await
            .context("no answer in time")?
    }

    /// An answer that goes on.
    pub(crate) async fn stream(self) -> Result<Incoming> {
        let response = timeout(PATIENCE, self.open())
            .await
            .context("no answer in time")??;
        match response.status() {
            StatusCode::OK => Ok(response.into_body()),
            other => bail!("the answer was {other}"),
        }
    }

    async fn open(self) -> Result<Response<Incoming>> {
        let authority = self.uri.authority().context("no host")?;
        let port = authority.port_u16().unwrap_or(80);
        let host = authority.host().trim_matches(['[', ']']);
        let stream = TcpStream::connect((host, port)).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // It ends with its body, or when the request is given up.
        tokio::spawn(connection);
        let path = self.path.as_deref();
        let path = path.or(self.uri.path_and_query().map(|path| path.as_str()));
        let mut request = Request::builder()
            .method(self.method)
            .uri(path.unwrap_or("/"))
            .header(HOST, authority.as_str());
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        let body = match self.body {
            Some(body) => {
                request = request.header("content-type", "application/json");
                Bytes::from(body.to_string())
            }
            None => Bytes::new(),
        };
        Ok(sender.send_request(request.body(Full::new(body))?).await?)
    }
}
