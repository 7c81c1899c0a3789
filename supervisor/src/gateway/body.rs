//! Bodies: read within limits, written whole or as they come.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Bytes, Frame, Incoming, SizeHint};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Response, StatusCode};
use protocol::limits::MAX_CONTROL_FRAME;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::asked::only;
use super::error::HttpError;

/// Largest body: what fits through the control socket.
pub(super) const MAX_BODY: usize = MAX_CONTROL_FRAME;

/// How long a body may take.
const BODY_PATIENCE: Duration = Duration::from_secs(30);

/// Pieces of a stream that wait for the connection.
const PIECES: usize = 4;

/// The body of a response.
pub(super) enum Body {
    /// Everything is known.
    Whole(Option<Bytes>),
    /// It comes as `producer` makes it; who hangs up ends the producer.
    Stream {
        producer: Option<Pin<Box<Producer>>>,
        pieces: mpsc::Receiver<Bytes>,
        cut_off: Option<CutOff>,
    },
}

type Producer = dyn Future<Output = Result<(), CutOff>> + Send;

/// There is more, and it does not come: the client must not take what it has for all.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the rest could not be read")]
pub(super) struct CutOff;

impl Body {
    /// A stream of what `producer` sends.
    pub(super) fn stream<F>(producer: impl FnOnce(mpsc::Sender<Bytes>) -> F) -> Self
    where
        F: Future<Output = Result<(), CutOff>> + Send + 'static,
    {
        let (sender, pieces) = mpsc::channel(PIECES);
        Self::Stream {
            producer: Some(Box::pin(producer(sender))),
            pieces,
            cut_off: None,
        }
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = CutOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CutOff>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|all| Ok(Frame::data(all)))),
            Self::Stream {
                producer,
                pieces,
                cut_off,
            } => {
                if let Some(making) = producer
                    && let Poll::Ready(made) = making.as_mut().poll(cx)
                {
                    *producer = None;
                    *cut_off = made.err();
                }
                let piece = pieces.poll_recv(cx);
                piece.map(|piece| match piece {
                    Some(bytes) => Some(Ok(Frame::data(bytes))),
                    None => cut_off.take().map(Err),
                })
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Self::Stream { .. } => SizeHint::default(),
        }
    }
}

/// A response of this type.
pub(super) fn response(status: StatusCode, kind: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Agent output must never be taken for markup.
    headers.insert(
        "x-content-type-options",
        HeaderValue::from_static("nosniff"),
    );
    response
}

/// A whole response of text.
pub(super) fn text_response(kind: &'static str, text: impl Into<Bytes>) -> Response<Body> {
    response(StatusCode::OK, kind, Body::Whole(Some(text.into())))
}

/// A response of JSON.
pub(super) fn json_response(status: StatusCode, value: &impl Serialize) -> Response<Body> {
    // The views are plain data; a failure would be a bug and is told.
    let bytes = serde_json::to_vec(value)
        .unwrap_or_else(|_| br#"{"error":{"code":"internal","message":"","hint":null}}"#.to_vec());
    response(
        status,
        "application/json",
        Body::Whole(Some(Bytes::from(bytes))),
    )
}

/// Waits for the end of a body that must not be there.
pub(super) async fn no_body(body: &mut Incoming) -> Result<(), HttpError> {
    let refused = || HttpError::usage("this request takes no body");
    if hyper::body::Body::size_hint(body).lower() > 0 {
        return Err(refused());
    }
    // One that comes in pieces may have none.
    let ended = async {
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(unreadable)?;
            if frame.data_ref().is_some_and(|data| !data.is_empty()) {
                return Err(refused());
            }
        }
        Ok(())
    };
    let ended = timeout(BODY_PATIENCE, ended).await;
    ended.map_err(|_| HttpError::SlowBody)?
}

#[expect(clippy::needless_pass_by_value, reason = "what `map_err` gives")]
fn unreadable(error: hyper::Error) -> HttpError {
    HttpError::usage(format!("read the body: {error}"))
}

/// Reads a body of JSON; the default if there is none.
pub(super) async fn read_json<T: DeserializeOwned + Default>(
    headers: &HeaderMap,
    body: Incoming,
) -> Result<T, HttpError> {
    let hint = hyper::body::Body::size_hint(&body);
    if hint.lower() > MAX_BODY as u64 {
        return Err(HttpError::TooLarge(MAX_BODY));
    }
    let collected = timeout(BODY_PATIENCE, Limited::new(body, MAX_BODY).collect()).await;
    let bytes = match collected.map_err(|_| HttpError::SlowBody)? {
        Ok(collected) => collected.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            return Err(HttpError::TooLarge(MAX_BODY));
        }
        Err(error) => return Err(HttpError::usage(format!("read the body: {error}"))),
    };
    if bytes.is_empty() {
        return Ok(T::default());
    }
    if let Some(coding) = only(headers, "Content-Encoding")?
        && !coding.as_bytes().eq_ignore_ascii_case(b"identity")
    {
        return Err(HttpError::Encoding);
    }
    // A form of another web site cannot have this type.
    let kind = only(headers, "Content-Type")?.and_then(|kind| kind.to_str().ok());
    let is_json = kind.is_some_and(|kind| {
        let (kind, _) = kind.split_once(';').unwrap_or((kind, ""));
        kind.trim().eq_ignore_ascii_case("application/json")
    });
    if !is_json {
        return Err(HttpError::MediaType);
    }
    from_json(&bytes).map_err(HttpError::usage)
}

/// # Errors
/// In words, with the field that they are about.
pub(super) fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    // A list would be taken for fields in their order.
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err("the body: it is not an object, `{…}`".to_owned());
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        // What is said of an unknown field names it.
        let whole = path == "." || error.inner().to_string().contains(&format!("`{path}`"));
        match whole {
            true => format!("the body: {}", error.inner()),
            false => format!("the body: {path}: {}", error.inner()),
        }
    })?;
    let ended = reader.end().map(|()| value);
    ended.map_err(|error| format!("the body: {error}"))
}
