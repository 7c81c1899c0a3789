//! From the core's answer to that of HTTP: the shapes of `agentctl --json`.

use hyper::header::ETAG;
use hyper::{Response, StatusCode};
use protocol::control::{
    DrainRequest, ErrorBody, ErrorCode, Request, Response as Answer, StopRequest,
};
use protocol::json::{OnDisk, StopGoal};
use protocol::view::StopResult;
use protocol::vocab::StopOutcome;
use serde_json::{Value, json};

use super::body::{Body, json_response};
use super::error::HttpError;
use super::routes::Question;
use super::{list, render};

/// Did the client want to wait until it is done?
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    Waits,
    DoesNotWait,
}

impl Patience {
    pub(super) fn of(request: &Request) -> Self {
        let hurried = matches!(
            request,
            Request::Stop(StopRequest { no_wait: true, .. })
                | Request::Drain(DrainRequest::Begin { no_wait: true, .. })
        );
        if hurried {
            Self::DoesNotWait
        } else {
            Self::Waits
        }
    }

    const fn goal(self) -> StopGoal {
        match self {
            Self::Waits => StopGoal::Gone,
            Self::DoesNotWait => StopGoal::OnRecord,
        }
    }
}

/// The shapes of `agentctl --json`.
pub(super) fn answered(
    answer: Answer,
    question: Question,
    patience: Patience,
) -> Result<Response<Body>, HttpError> {
    let mut status = match patience {
        Patience::Waits => StatusCode::OK,
        Patience::DoesNotWait => StatusCode::ACCEPTED,
    };
    let value = match answer {
        Answer::Task {
            task,
            existing,
            warnings,
        } => {
            if !existing {
                status = StatusCode::CREATED;
            }
            let mut object = render::value(&task)?;
            if !warnings.is_empty() {
                object["warnings"] = json!(warnings);
            }
            object
        }
        Answer::Tasks(tasks) => return list::answer("tasks", tasks),
        Answer::Detail(detail) => render::detail(&detail)?,
        Answer::Why { task, chain } => {
            json!({ "task": render::value(&task)?, "chain": render::value(&chain)? })
        }
        Answer::Stopped { results, failed } => {
            stopped((results, OnDisk::Yes), failed, patience, &mut status)?
        }
        Answer::StoppedFromMemory { results, failed } => {
            stopped((results, OnDisk::NotYet), failed, patience, &mut status)?
        }
        Answer::Kept { task, changed } if question == Question::ArchiveTask => {
            render::archived(&task, changed)?
        }
        Answer::Kept { task, .. } => render::value(&task)?,
        Answer::Sessions(sessions) => return list::answer("sessions", sessions),
        Answer::Status(_) | Answer::StatusWith(..) => match answer.into_status() {
            Some((view, refusing)) => render::status(&view, refusing.as_ref())?,
            None => return Err(HttpError::internal("the core answered another question")),
        },
        Answer::Error(_)
        | Answer::Conflict { .. }
        | Answer::Log(_)
        | Answer::LogEnd { .. }
        | Answer::Event(_)
        | Answer::EventsEnd { .. }
        | Answer::Pruned(_)
        | Answer::Providers(_)
        | Answer::ProviderChecked { .. }
        | Answer::Orphans(_)
        | Answer::OrphansPartly { .. }
        | Answer::ProviderOutput(_) => {
            return Err(HttpError::internal("the core answered another question"));
        }
    };
    let mut response = json_response(status, &value);
    if let Some(version) = render::version_of(&value) {
        response.headers_mut().insert(ETAG, version);
    }
    Ok(response)
}

/// 409 where a client that waits would take what still lives for stopped.
fn stopped(
    (results, on_disk): (Vec<StopResult>, OnDisk),
    failed: Vec<(String, ErrorBody)>,
    patience: Patience,
    status: &mut StatusCode,
) -> Result<Value, HttpError> {
    if let Some((_, refusal)) = failed.into_iter().next() {
        return Err(refusal.into());
    }
    let alive = |outcome| outcome == StopOutcome::StillAlive;
    let mut object = render::stopped(&results, patience.goal(), on_disk)?;
    if patience == Patience::Waits && results.iter().any(|result| alive(result.outcome)) {
        *status = StatusCode::CONFLICT;
        let refusal = ErrorBody::new(ErrorCode::NotGone, "it was stopped, and something lives on")
            .with_hint("`why` and `agentctl orphans` name it; ask again when it is gone");
        object["error"] = protocol::json::refusal(&refusal)["error"].take();
    }
    Ok(object)
}

#[cfg(test)]
#[test]
fn what_lives_on_is_an_error_beside_the_results() {
    let alive = || StopResult {
        id: protocol::TaskId::new("a").expect("valid"),
        outcome: StopOutcome::StillAlive,
        status: protocol::Status::Cancelled,
        archive_reason: None,
        survivors: Vec::new(),
    };
    for (patience, code) in [(Patience::Waits, 409), (Patience::DoesNotWait, 202)] {
        let mut status = StatusCode::ACCEPTED;
        let alive = (vec![alive()], OnDisk::Yes);
        let told = stopped(alive, Vec::new(), patience, &mut status).expect("told");
        assert_eq!(told["results"][0]["outcome"], "still_alive");
        let error = (code == 409).then_some("not_gone");
        assert_eq!(
            (status.as_u16(), told["error"]["code"].as_str()),
            (code, error)
        );
    }
}
