//! The event log as server-sent events.
//!
//! The ledger's seq is the event's id, so a client that comes back with
//! `Last-Event-ID` gets what it missed. The filter stands here and not in the
//! core's subscription: whoever watches one task hears of a shutdown as well.

use std::time::Duration;

use hyper::body::Bytes;
use hyper::header::HeaderMap;
use hyper::{Response, StatusCode};
use lifecycle::EventBody;
use protocol::control::{EventsRequest, Request, Response as Answer};
use protocol::view::{EventView, GAP_EVENT, PROGRESS_EVENT};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::asked::only;
use super::body::{Body, response};
use super::error::HttpError;
use super::handle::Asker;
use super::routes::{Query, whole};
use crate::document::nearest;

/// Between two signs of life: proxies give up a silent connection after a
/// minute at most.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How soon a client that lost its connection comes back, in milliseconds.
const RETRY_MS: u64 = 1_000;

/// What every client gets, whatever it filters.
const FOR_ALL: [&str; 2] = ["service_shutdown", GAP_EVENT];

/// Those that no ledger has.
pub(super) const VOLATILE: [&str; 2] = [PROGRESS_EVENT, GAP_EVENT];

/// Which events a client wants.
#[derive(Debug, Default)]
struct Wanted {
    task: Option<String>,
    /// All of them if empty.
    kinds: Vec<String>,
}

impl Wanted {
    fn takes(&self, event: &EventView) -> bool {
        if FOR_ALL.contains(&event.kind.as_str()) {
            return true;
        }
        let task = event.task_id.as_ref().map(|id| id.as_str());
        (self.task.is_none() || self.task.as_deref() == task)
            && (self.kinds.is_empty() || self.kinds.contains(&event.kind))
    }
}

/// Can a client go on where it was?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Resume {
    Ok,
    /// What follows its last event is not in this ledger (any more).
    Gap,
}

/// Where a stream begins.
struct Start {
    resume: Resume,
    from_seq: u64,
    /// The last seq in the ledger.
    last_seq: u64,
}

/// Answers `GET /v1/events`.
pub(super) async fn answer(
    asker: &Asker,
    headers: &HeaderMap,
    mut query: Query,
) -> Result<Response<Body>, HttpError> {
    let after = last_event_id(headers)?;
    let from = query.take_number("from").map_err(HttpError::usage)?;
    let begin = after.map(Begin::After).or(from.map(Begin::From));
    let mut wanted = Wanted {
        task: query.take("task"),
        kinds: kinds(&mut query).map_err(HttpError::usage)?,
    };
    query.end().map_err(HttpError::usage)?;
    if let Some(name) = wanted.task.take() {
        let Answer::Detail(detail) = asker.one(Request::Show { id: name }).await? else {
            return Err(HttpError::internal("the core answered another question"));
        };
        wanted.task = Some(detail.task.id.to_string());
    }
    let Some((status, _refusing)) = asker.one(Request::Status).await?.into_status() else {
        return Err(HttpError::internal("the core answered another question"));
    };
    let start = find_start(asker, begin).await?;
    let events = asker.ask(log(Some(start.from_seq), Extent::Follow)).await?;
    let hello = json!({
        "resume": match start.resume {
            Resume::Ok => "ok",
            Resume::Gap => "gap",
        },
        "boot_id": status.boot_id,
        "ledger_id": status.ledger_id,
        "seq": start.last_seq,
    });
    let hello = format!("retry: {RETRY_MS}\nevent: hello\ndata: {hello}\n\n");
    let body = Body::stream(|pieces| async {
        produce(hello, events, wanted, pieces).await;
        Ok(())
    });
    Ok(response(StatusCode::OK, "text/event-stream", body))
}

/// Where the client wants to begin.
#[derive(Clone, Copy, Debug)]
enum Begin {
    /// With this seq.
    From(u64),
    /// Behind this one, which it has seen.
    After(u64),
}

/// The last event that the client has seen.
fn last_event_id(headers: &HeaderMap) -> Result<Option<u64>, HttpError> {
    let Some(last) = only(headers, "Last-Event-ID")? else {
        return Ok(None);
    };
    let last: Option<u64> = last.to_str().ok().and_then(whole);
    let number = last.map(Some);
    number.ok_or_else(|| HttpError::usage("Last-Event-ID: not a number in its range"))
}

/// The types that a client wants. One that does not exist would be waited for in vain.
fn kinds(query: &mut Query) -> Result<Vec<String>, String> {
    let kinds = query.take_all("type");
    let all = || EventBody::KINDS.iter().copied().chain(VOLATILE);
    match kinds.iter().find(|kind| !all().any(|known| known == *kind)) {
        None => Ok(kinds),
        Some(unknown) => Err(match nearest(unknown, all()) {
            Some(near) => format!("type: `{unknown}` is no type of event; is `{near}` meant?"),
            None => format!("type: `{unknown}` is no type of event; EVENTS.md lists them"),
        }),
    }
}

/// How far to read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    Stored,
    Follow,
}

fn log(from_seq: Option<u64>, extent: Extent) -> Request {
    let follow = extent == Extent::Follow;
    Request::Events(EventsRequest {
        from_seq,
        task: None,
        follow,
        progress: follow,
    })
}

/// Where the log ends now. What is committed while the core looks comes before that.
async fn next_seq(asker: &Asker) -> Result<u64, HttpError> {
    let mut answers = asker.ask(log(None, Extent::Stored)).await?;
    while let Some(answer) = answers.recv().await {
        if let Answer::EventsEnd { next_seq } = answer {
            return Ok(next_seq);
        }
        if let Answer::Error(refusal) = answer {
            return Err(refusal.into());
        }
    }
    Err(asker.gone())
}

async fn find_start(asker: &Asker, begin: Option<Begin>) -> Result<Start, HttpError> {
    let next_seq = next_seq(asker).await?;
    // A rebuild numbers anew: who has seen one of these numbers saw it in the
    // ledger before, or cannot tell.
    let numbered_anew =
        matches!(begin, Some(Begin::After(last @ 1..)) if last <= asker.rebuilt_seq);
    let wanted_from = begin.map(|begin| match begin {
        Begin::From(from) => from,
        Begin::After(last) => last.saturating_add(1),
    });
    let (resume, from_seq) = match wanted_from {
        Some(_) if numbered_anew => (Resume::Gap, next_seq),
        None => (Resume::Ok, next_seq),
        // Another ledger, or an older state of this one.
        Some(from) if from > next_seq => (Resume::Gap, next_seq),
        Some(from) if from == next_seq => (Resume::Ok, from),
        Some(from) => {
            let first = asker.one(log(Some(from), Extent::Stored)).await?;
            let is_gap = matches!(first, Answer::Event(event) if event.kind == GAP_EVENT);
            let resume = if is_gap { Resume::Gap } else { Resume::Ok };
            (resume, from)
        }
    };
    Ok(Start {
        resume,
        from_seq,
        last_seq: next_seq.saturating_sub(1),
    })
}

async fn produce(
    hello: String,
    mut events: mpsc::Receiver<Answer>,
    wanted: Wanted,
    pieces: mpsc::Sender<Bytes>,
) {
    let heartbeat = || Bytes::from_static(b": heartbeat\n\n");
    let mut piece = Some(Bytes::from(hello));
    // What is filtered out is silence as well.
    let mut next_heartbeat = Instant::now() + HEARTBEAT;
    loop {
        if let Some(piece) = piece.take() {
            if pieces.send(piece).await.is_err() {
                return;
            }
            next_heartbeat = Instant::now() + HEARTBEAT;
        }
        piece = match timeout_at(next_heartbeat, events.recv()).await {
            Err(_) => Some(heartbeat()),
            Ok(Some(Answer::Event(event))) if wanted.takes(&event) => Some(frame(&event)),
            Ok(Some(Answer::Event(_))) => (Instant::now() >= next_heartbeat).then(heartbeat),
            // The supervisor leaves, or cannot read its ledger: the client
            // comes back with its last id.
            Ok(Some(_) | None) => return,
        };
    }
}

fn frame(event: &EventView) -> Bytes {
    let data = protocol::json::event(event);
    let kind = &event.kind;
    Bytes::from(match event.seq {
        Some(seq) => format!("id: {seq}\nevent: {kind}\ndata: {data}\n\n"),
        None => format!("event: {kind}\ndata: {data}\n\n"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::handle::Entry;
    use crate::gateway::{HttpCall, LastWord};
    use protocol::{TaskId, Timestamp};

    fn event(kind: &str, task: Option<&str>) -> EventView {
        EventView {
            seq: Some(3),
            at: Timestamp(0),
            kind: kind.to_owned(),
            task_id: task.map(|id| TaskId::new(id).expect("valid")),
            payload: String::from("{\"note\":\"a\\nb\"}"),
        }
    }

    #[test]
    fn a_shutdown_passes_every_filter() {
        let wanted = Wanted {
            task: Some("a".into()),
            kinds: vec!["task.ended".into()],
        };
        assert!(wanted.takes(&event("task.ended", Some("a"))));
        assert!(!wanted.takes(&event("task.ended", Some("b"))));
        assert!(!wanted.takes(&event("task.started", Some("a"))));
        assert!(wanted.takes(&event("service_shutdown", None)));
        assert!(Wanted::default().takes(&event("task.started", Some("b"))));
    }

    #[test]
    fn a_type_that_does_not_exist_is_refused() {
        let of = |text: &str| kinds(&mut Query::read(text).expect("good"));
        assert_eq!(of("from=1"), Ok(Vec::new()));
        assert_eq!(
            of("type=task.ended,gap&type=task.progress").map(|kinds| kinds.len()),
            Ok(3)
        );
        for (text, words) in [
            ("type=task.endet", "is `task.ended` meant?"),
            ("type=task.ended,", "`` is no type"),
            ("type=", "`` is no type"),
            ("type=*", "EVENTS.md lists them"),
        ] {
            let refused = of(text).expect_err(text);
            assert!(refused.contains(words), "{refused}");
        }
    }

    #[test]
    fn an_event_is_one_block() {
        let text = frame(&event("task.ended", None));
        let text = std::str::from_utf8(&text).expect("text");
        assert_eq!(text.lines().count(), 4, "{text}");
        assert!(text.starts_with("id: 3\nevent: task.ended\ndata: {\"seq\":3,"));
    }

    /// Something is committed while the end of the log is looked for.
    #[tokio::test]
    async fn what_comes_meanwhile_is_no_failure() {
        let (calls, mut received) = mpsc::channel(1);
        let asker = Asker {
            calls,
            entry: Entry::Refused,
            last_word: LastWord::default(),
            rebuilt_seq: 0,
        };
        let core = tokio::spawn(async move {
            while let Some(HttpCall::Ask { reply, .. }) = received.recv().await {
                reply.send(Answer::Event(event("task.started", None)));
                reply.send(Answer::EventsEnd { next_seq: 4 });
            }
        });
        let start = find_start(&asker, None).await.expect("a start");
        assert_eq!((start.resume, start.from_seq), (Resume::Ok, 4));
        drop(asker);
        core.await.expect("no panic");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_filtered_out_is_silence() {
        let (events, received) = mpsc::channel(1);
        let (pieces, mut sent) = mpsc::channel(1);
        let wanted = Wanted {
            task: Some("a".into()),
            kinds: Vec::new(),
        };
        let sending = tokio::spawn(produce(String::from("hello"), received, wanted, pieces));
        let others = tokio::spawn(async move {
            let other = || Answer::Event(event("task.ended", Some("b")));
            let mut turns = tokio::time::interval(HEARTBEAT / 3);
            while events.send(other()).await.is_ok() {
                turns.tick().await;
            }
        });
        assert_eq!(sent.recv().await.as_deref(), Some(&b"hello"[..]));
        let begun = Instant::now();
        for n in 1..4 {
            let heard = tokio::time::timeout(n * 2 * HEARTBEAT, sent.recv()).await;
            let heard = heard.expect("a sign of life");
            assert_eq!(heard.as_deref(), Some(&b": heartbeat\n\n"[..]));
            assert!(begun.elapsed() <= (n + 1) * HEARTBEAT);
        }
        drop(sent);
        sending.await.expect("it ends with its client");
        others.await.expect("it ends with its reader");
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_filled() {
        let (_events, received) = mpsc::channel(1);
        let (pieces, mut sent) = mpsc::channel(1);
        let hello = String::from("hello");
        let sending = tokio::spawn(produce(hello, received, Wanted::default(), pieces));
        assert_eq!(sent.recv().await.as_deref(), Some(&b"hello"[..]));
        assert_eq!(sent.recv().await.as_deref(), Some(&b": heartbeat\n\n"[..]));
        drop(sent);
        sending.await.expect("it ends with its client");
    }
}
