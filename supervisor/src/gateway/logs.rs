//! An agent's output as it comes: NDJSON, or the text itself.

use hyper::body::Bytes;
use hyper::{Response, StatusCode};
use protocol::control::{ErrorBody, LogChunk, LogsRequest, Request, Response as Answer};
use protocol::json;
use protocol::vocab::Stream;
use tokio::sync::mpsc;

use super::body::{Body, CutOff, response};
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
) -> Result<(), CutOff> {
    let mut next = match first {
        Some(first) => Some(first),
        None => answers.recv().await,
    };
    while let Some(answer) = next {
        let piece = match (answer, form) {
            (Answer::Log(chunk), Form::Raw) => Some(Bytes::from(chunk.bytes)),
            (Answer::Log(chunk), Form::Lines(stream)) => Some(line(stream, &chunk)),
            (Answer::Error(error), Form::Lines(_)) => Some(error_line(&error)),
            // Bytes have no place for words.
            (Answer::Error(_), Form::Raw) => return Err(CutOff),
            // The end, and nothing else comes.
            (_, Form::Raw | Form::Lines(_)) => None,
        };
        let Some(piece) = piece else { return Ok(()) };
        if pieces.send(piece).await.is_err() {
            return Ok(());
        }
        next = answers.recv().await;
    }
    match form {
        Form::Raw => Err(CutOff),
        Form::Lines(_) => Ok(()),
    }
}

fn line(stream: Stream, chunk: &LogChunk) -> Bytes {
    Bytes::from(format!("{}\n", json::log_chunk(stream, chunk)))
}

fn error_line(error: &ErrorBody) -> Bytes {
    Bytes::from(format!("{}\n", json::refusal(error)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;
    use protocol::control::ErrorCode;

    fn chunk() -> Answer {
        Answer::Log(LogChunk {
            offset: 0,
            bytes: b"half".to_vec(),
        })
    }

    /// What a client gets of these answers.
    async fn raw(answers: Vec<Answer>) -> Result<Bytes, CutOff> {
        let (sender, received) = mpsc::channel(answers.len());
        for answer in answers {
            sender.send(answer).await.expect("there is room");
        }
        drop(sender);
        let body = Body::stream(|pieces| produce(None, received, Form::Raw, pieces));
        body.collect().await.map(|all| all.to_bytes())
    }

    #[tokio::test]
    async fn a_raw_log_that_is_cut_off_does_not_look_whole() {
        let end = Answer::LogEnd {
            offset: 4,
            gap_bytes: 0,
        };
        let whole = raw(vec![chunk(), end]).await.expect("to its end");
        assert_eq!(&whole[..], b"half");
        let error = ErrorBody::new(ErrorCode::Internal, "unreadable");
        let _cut_off = raw(vec![chunk(), Answer::Error(error)])
            .await
            .expect_err("an error");
        let _gone = raw(vec![chunk()])
            .await
            .expect_err("nobody said that it is all");
    }
}
