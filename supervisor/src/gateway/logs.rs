//! An agent's output as it comes: NDJSON, or the text itself.

use hyper::body::Bytes;
use hyper::{Response, StatusCode};
use protocol::control::{ErrorBody, LogChunk, LogsRequest, Request, Response as Answer};
use protocol::json;
use protocol::vocab::Stream;
use tokio::sync::mpsc;

use super::body::{Body, response};
use super::error::HttpError;
use super::handle::Asker;
use super::routes::Query;

/// How it is sent.
#[derive(Clone, Copy)]
enum Form {
    /// `{"stream","offset","text"}` a line, as `logs --json`.
    Lines(Stream),
    /// Every byte as it is.
    Raw,
}

/// Answers `GET /v1/tasks/{id}/logs`.
pub(super) async fn answer(
    asker: &Asker,
    id: String,
    mut query: Query,
) -> Result<Response<Body>, HttpError> {
    let (request, form) = read(id, &mut query).map_err(HttpError::usage)?;
    let follows = request.follow;
    if follows {
        // Its log may stay empty for long, and a client that follows waits for the
        // head of the answer: whether there is such a task is asked beforehand.
        let id = request.id.clone();
        let _there = asker.one(Request::Show { id }).await?;
    }
    let mut answers = asker.ask(Request::Logs(request)).await?;
    let first = match follows {
        true => None,
        false => match answers.recv().await {
            Some(Answer::Error(refusal)) => return Err(refusal.into()),
            Some(first) => Some(first),
            None => return Err(asker.gone()),
        },
    };
    let kind = match form {
        Form::Lines(_) => "application/x-ndjson",
        Form::Raw => "text/plain; charset=utf-8",
    };
    let body = Body::stream(|pieces| produce(first, answers, form, pieces));
    Ok(response(StatusCode::OK, kind, body))
}

fn read(id: String, query: &mut Query) -> Result<(LogsRequest, Form), String> {
    let stream = match query.take("stream").as_deref() {
        None | Some("stdout") => Stream::Stdout,
        Some("stderr") => Stream::Stderr,
        Some(other) => return Err(format!("stream: `{other}` is not stdout or stderr")),
    };
    let form = if query.take_flag("raw")? {
        Form::Raw
    } else {
        Form::Lines(stream)
    };
    let request = LogsRequest {
        id,
        stream,
        from_offset: query.take_number("from")?.unwrap_or(0),
        last_lines: query.take_number("lines")?,
        follow: query.take_flag("follow")?,
    };
    query.end()?;
    Ok((request, form))
}

async fn produce(
    first: Option<Answer>,
    mut answers: mpsc::Receiver<Answer>,
    form: Form,
    pieces: mpsc::Sender<Bytes>,
) {
    let mut next = match first {
        Some(first) => Some(first),
        None => answers.recv().await,
    };
    while let Some(answer) = next {
        let piece = match (answer, form) {
            (Answer::Log(chunk), Form::Raw) => Some(Bytes::from(chunk.bytes)),
            (Answer::Log(chunk), Form::Lines(stream)) => Some(line(stream, &chunk)),
            (Answer::Error(error), Form::Lines(_)) => Some(error_line(&error)),
            // The end, and nothing else comes.
            (_, Form::Raw | Form::Lines(_)) => None,
        };
        let Some(piece) = piece else { return };
        if pieces.send(piece).await.is_err() {
            return;
        }
        next = answers.recv().await;
    }
}

fn line(stream: Stream, chunk: &LogChunk) -> Bytes {
    Bytes::from(format!("{}\n", json::log_chunk(stream, chunk)))
}

fn error_line(error: &ErrorBody) -> Bytes {
    Bytes::from(format!("{}\n", json::refusal(error)))
}
