//! Errors as HTTP tells them: the JSON of `agentctl` and a status.

use hyper::header::{ALLOW, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};
use protocol::control::{ErrorBody, ErrorCode};
use protocol::json;
use protocol::view::TaskView;

use super::body::{Body, json_response};

/// When a client that was told to come back may, in seconds.
const RETRY_AFTER_S: u64 = 5;

/// Why a request was not done.
#[derive(Debug)]
pub(super) enum HttpError {
    /// The core refused it or failed.
    Core(ErrorBody),
    /// It refused because of the state that a task is in.
    Conflict(ErrorBody, Box<TaskView>),
    /// There is no such path.
    NoRoute,
    /// The path has other methods: these.
    Method(String),
    /// No token, or another one.
    Unauthorized,
    /// The user at the other end of the unix socket may not be there.
    NotPermitted,
    /// The body is larger than this.
    TooLarge(usize),
    /// The body is not JSON by its type.
    MediaType,
    /// The body is packed in some way.
    Encoding,
    /// The body did not come in time.
    SlowBody,
    /// The supervisor is on its way out.
    Leaving,
}

impl HttpError {
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::Core(ErrorBody::new(ErrorCode::Usage, message))
    }

    pub(super) fn internal(message: impl Into<String>) -> Self {
        Self::Core(ErrorBody::new(ErrorCode::Internal, message))
    }

    pub(super) fn response(self) -> Response<Body> {
        let (status, code, message, hint) = self.parts();
        let mut told = json::error(code, &message, hint.as_deref());
        if let Self::Conflict(_, task) = &self {
            // A view of the protocol is plain data: there is nothing to fail.
            told["task"] = json::value(task).unwrap_or_default();
        }
        let mut response = json_response(status, &told);
        let headers = response.headers_mut();
        if matches!(
            status,
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS
        ) {
            headers.insert(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S));
        }
        match &self {
            Self::Unauthorized => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Self::Method(allowed) => {
                if let Ok(allowed) = HeaderValue::from_str(allowed) {
                    headers.insert(ALLOW, allowed);
                }
            }
            Self::Core(_)
            | Self::Conflict(..)
            | Self::NoRoute
            | Self::NotPermitted
            | Self::TooLarge(_)
            | Self::MediaType
            | Self::Encoding
            | Self::SlowBody
            | Self::Leaving => {}
        }
        response
    }

    fn parts(&self) -> (StatusCode, &'static str, String, Option<String>) {
        let some = |text: &str| Some(text.to_owned());
        match self {
            Self::Core(body) | Self::Conflict(body, _) => (
                status_of(body.code),
                body.code.as_str(),
                body.message.clone(),
                body.hint.clone(),
            ),
            Self::NoRoute => (
                StatusCode::NOT_FOUND,
                "not_found",
                "there is no such path".into(),
                some("GET /v1/openapi.json lists them"),
            ),
            Self::Method(allowed) => (
                StatusCode::METHOD_NOT_ALLOWED,
                "usage",
                format!("this path has {allowed} only"),
                None,
            ),
            Self::Unauthorized => (
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                "the bearer token is missing or not the right one".into(),
                some("send `Authorization: Bearer TOKEN`, with the text of `[http] token_file`"),
            ),
            Self::NotPermitted => (
                StatusCode::FORBIDDEN,
                "not_permitted",
                "your user may not use this supervisor".into(),
                some("its owner can open it to a group: `[control] group`"),
            ),
            Self::TooLarge(limit) => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "limit",
                format!("the body is larger than {limit} bytes"),
                None,
            ),
            Self::MediaType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "usage",
                "a body has the type application/json".into(),
                None,
            ),
            Self::Encoding => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "usage",
                "a body comes as it is: no Content-Encoding is taken".into(),
                None,
            ),
            Self::SlowBody => (
                StatusCode::REQUEST_TIMEOUT,
                "timeout",
                "the body did not come in time".into(),
                None,
            ),
            Self::Leaving => (
                StatusCode::SERVICE_UNAVAILABLE,
                "draining",
                "the supervisor is leaving".into(),
                some("ask the next one"),
            ),
        }
    }
}

impl From<ErrorBody> for HttpError {
    fn from(body: ErrorBody) -> Self {
        Self::Core(body)
    }
}

pub(super) const fn status_of(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::Internal | ErrorCode::Storage => StatusCode::INTERNAL_SERVER_ERROR,
        ErrorCode::Usage => StatusCode::BAD_REQUEST,
        ErrorCode::NotFound => StatusCode::NOT_FOUND,
        ErrorCode::Ambiguous
        | ErrorCode::KeyBusy
        | ErrorCode::SessionRefused
        | ErrorCode::IdConflict
        | ErrorCode::Conflict
        | ErrorCode::CrashLoop
        | ErrorCode::NotGone => StatusCode::CONFLICT,
        ErrorCode::Limit => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::Draining => StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::NotPermitted => StatusCode::FORBIDDEN,
        ErrorCode::Timeout => StatusCode::GATEWAY_TIMEOUT,
        ErrorCode::Unsupported => StatusCode::NOT_IMPLEMENTED,
    }
}
