//! What headers and queries ask for.

use hyper::body::Incoming;
use hyper::header::{HeaderMap, IF_MATCH};
use protocol::control::{Again, AgainRequest, ListFilter, Request};
use protocol::vocab::{ArchiveReason, Status};
use protocol::{TaskId, Timestamp};

use super::body::read_json;
use super::error::HttpError;
use super::posted::RunBody;
use super::routes::Query;

/// The version that a change is for; `*` is any.
pub(super) fn if_match(headers: &HeaderMap) -> Result<Option<u64>, HttpError> {
    let Some(value) = headers.get(IF_MATCH) else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let number = text.trim_matches('"').parse().map(Some);
    number.map_err(|_| HttpError::usage(format!("If-Match: `{text}` is not a task's version")))
}

pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<TaskId>, HttpError> {
    let bad = |why: String| HttpError::usage(format!("Idempotency-Key: {why}"));
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(bad("there are two of them".to_owned()));
    }
    let text = value.to_str().map_err(|error| bad(error.to_string()))?;
    // The header's own grammar has quotes around it.
    let id = TaskId::new(text.trim_matches('"')).map_err(|error| bad(error.to_string()))?;
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
