//! What headers and queries ask for.

use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderValue};
use protocol::control::{Again, AgainRequest, ListFilter, Request};
use protocol::vocab::{ArchiveReason, Status};
use protocol::{TaskId, Timestamp};

use super::body::read_json;
use super::error::HttpError;
use super::posted::RunBody;
use super::routes::Query;

/// What the header of this name says: of two things, none is chosen for the client.
pub(super) fn only<'a>(
    headers: &'a HeaderMap,
    name: &'static str,
) -> Result<Option<&'a HeaderValue>, HttpError> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    match values.find(|value| Some(*value) != first) {
        None => Ok(first),
        Some(_) => Err(HttpError::usage(format!("`{name}` says two things"))),
    }
}

pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<TaskId>, HttpError> {
    let bad = |why: String| HttpError::usage(format!("Idempotency-Key: {why}"));
    let Some(value) = only(headers, "Idempotency-Key")? else {
        return Ok(None);
    };
    let text = value.to_str().map_err(|error| bad(error.to_string()))?;
    // The header's own grammar has quotes around it.
    let quoted = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    let id = TaskId::new(quoted.unwrap_or(text)).map_err(|error| bad(error.to_string()))?;
    Ok(Some(id))
}

pub(super) fn list_filter(query: &mut Query) -> Result<ListFilter, String> {
    let mut filter = ListFilter {
        all: query.take_flag("all")?,
        provider: query.take("provider"),
        key: query.take("key"),
        limit: query.take_number("n")?,
        ..ListFilter::default()
    };
    for word in query.take_all("status") {
        let status = Status::parse(&word);
        filter
            .status
            .push(status.ok_or_else(|| format!("`{word}` is not a status"))?);
    }
    for word in query.take_all("reason") {
        let reason = ArchiveReason::parse(&word);
        filter
            .reason
            .push(reason.ok_or_else(|| format!("`{word}` is not a reason"))?);
    }
    if let Some(since) = query.take("since") {
        let bad = |_| format!("since: `{since}` is not a time like 2026-11-20T11:26:42Z");
        filter.since = Some(Timestamp::parse(&since).map_err(bad)?);
    }
    query.end()?;
    Ok(filter)
}

/// A task that is done again, with what the body says otherwise.
pub(super) async fn again(
    of: String,
    how: Again,
    headers: &HeaderMap,
    body: Incoming,
) -> Result<Request, HttpError> {
    let changes = read_json::<RunBody>(headers, body).await?;
    let options = changes.options();
    let run = changes.into_changes(idempotency_key(headers)?)?;
    Ok(Request::Again(Box::new(AgainRequest {
        of,
        how,
        run,
        options,
    })))
}
