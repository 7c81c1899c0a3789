//! From a request to an answer.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::http::request::Parts;
use hyper::{Request as HttpRequest, Response, StatusCode};
use protocol::control::{
    Again, DrainRequest, KeepAct, KeepRequest, Request, Response as Answer, SessionAct,
    SessionChange, SessionsRequest,
};
use serde_json::json;
use tokio::sync::{mpsc, oneshot};

use super::answered::{Patience, answered};
use super::asked::{again, idempotency_key, list_filter};
use super::body::{Body, json_response, no_body, read_json, text_response};
use super::conditions::{if_match, refuse_others};
use super::error::HttpError;
use super::metrics::Figures;
use super::posted::{DrainBody, NoBody, ReleaseBody, RunBody, SessionBody, StopBody, TaskChange};
use super::routes::{About, Access, Found, Operation, Query, Question, Route};
use super::token::Token;
use super::{HttpCall, LastWord, events, head, logs, metrics, openapi, page, render, routes};
use crate::reply;
use crate::socket::Peer;

/// Who is let in.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    /// Who has the token.
    Token(Arc<Token>),
    /// A user whom the kernel named and who may be there.
    Admitted(Peer),
    /// A user who may not.
    Refused,
}

/// One client's way to the core.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    pub(super) calls: mpsc::Sender<HttpCall>,
    pub(super) entry: Entry,
    pub(super) last_word: LastWord,
    /// The last seq that a rebuild of the ledger wrote.
    pub(super) rebuilt_seq: u64,
}

impl Asker {
    /// Hands a request over; the answers come in the receiver, and whoever
    /// drops it has hung up.
    pub(super) async fn ask(&self, request: Request) -> Result<mpsc::Receiver<Answer>, HttpError> {
        let (reply, answers) = reply::channel();
        let peer = match self.entry {
            Entry::Admitted(peer) => Some(peer),
            Entry::Token(_) | Entry::Refused => None,
        };
        let call = HttpCall::Ask {
            request: Box::new(request),
            peer,
            reply,
        };
        let sent = self.calls.send(call).await;
        sent.map_err(|_| self.gone())?;
        Ok(answers)
    }

    /// There is nobody (any more) who would answer.
    pub(super) fn gone(&self) -> HttpError {
        self.last_word
            .said()
            .map_or(HttpError::Leaving, HttpError::Core)
    }

    async fn figures(&self) -> Result<Figures, HttpError> {
        let (reply, figures) = oneshot::channel();
        let sent = self.calls.send(HttpCall::Figures(reply)).await;
        sent.map_err(|_| self.gone())?;
        let figures = figures.await.map_err(|_| self.gone())?;
        figures.map_err(HttpError::Core)
    }

    /// Asks what has one answer.
    pub(super) async fn one(&self, request: Request) -> Result<Answer, HttpError> {
        match self.ask(request).await?.recv().await {
            Some(Answer::Error(refusal)) => Err(refusal.into()),
            Some(Answer::Conflict { refusal, task }) => Err(HttpError::Conflict(refusal, task)),
            Some(answer) => Ok(answer),
            None => Err(self.gone()),
        }
    }

    fn check(&self, access: Access, headers: &HeaderMap) -> Result<(), HttpError> {
        match (access, &self.entry) {
            (Access::Open, _) | (Access::Known, Entry::Admitted(_)) => Ok(()),
            (Access::Known, Entry::Refused) => Err(HttpError::NotPermitted),
            (Access::Known, Entry::Token(token)) => match head::bearer(headers) {
                Some(offered) if token.is(offered) => Ok(()),
                Some(_) | None => Err(HttpError::Unauthorized),
            },
        }
    }
}

/// Answers one request.
pub(super) async fn handle(asker: Asker, request: HttpRequest<Incoming>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let found = routes::find(parts.method.as_str(), parts.uri.path());
    let route = match &found {
        Found::Route(route, _) => Some(*route),
        Found::OtherMethods(_) | Found::Nothing => None,
    };
    let answered = match (head::check(&parts), found) {
        (Err(refusal), _) => Err(refusal),
        (Ok(()), Found::Nothing) => Err(HttpError::NoRoute),
        (Ok(()), Found::OtherMethods(methods)) => Err(HttpError::Method(methods)),
        (Ok(()), Found::Route(route, variable)) => {
            match asker.check(route.access, &parts.headers) {
                Ok(()) => perform(&asker, route, variable, &parts, body).await,
                Err(refusal) => Err(refusal),
            }
        }
    };
    let mut response = answered.unwrap_or_else(HttpError::response);
    head::end_what_others_count_otherwise(&parts.headers, &mut response);
    if let Some(route) = route.filter(|_| cfg!(debug_assertions)) {
        openapi::check(route, response.status());
    }
    response
}

async fn perform(
    asker: &Asker,
    route: &Route,
    variable: String,
    parts: &Parts,
    mut body: Incoming,
) -> Result<Response<Body>, HttpError> {
    refuse_others(route, &parts.headers)?;
    let mut query = Query::read(parts.uri.query().unwrap_or_default()).map_err(HttpError::usage)?;
    let headers = &parts.headers;
    if !route.takes_body() {
        no_body(&mut body).await?;
    }
    match route.operation {
        Operation::LogsOfTask => logs::answer(asker, variable, query).await,
        Operation::Events => events::answer(asker, headers, query).await,
        Operation::Tell(about) => {
            query.end().map_err(HttpError::usage)?;
            tell(asker, about).await
        }
        Operation::Ask(question) => {
            let request = request_of(question, variable, &mut query, (headers, body)).await?;
            query.end().map_err(HttpError::usage)?;
            let patience = Patience::of(&request);
            answered(asker.one(request).await?, question, patience)
        }
    }
}

async fn tell(asker: &Asker, about: About) -> Result<Response<Body>, HttpError> {
    match about {
        About::Page => Ok(page::answer()),
        About::Health => Ok(text_response("text/plain; charset=utf-8", "ok\n")),
        About::Ready => ready(asker).await,
        About::Metrics => Ok(text_response(
            metrics::KIND,
            metrics::text(&asker.figures().await?),
        )),
        About::Document => Ok(text_response("application/json", openapi::DOCUMENT)),
    }
}

/// The core's request that a question is.
async fn request_of(
    question: Question,
    variable: String,
    query: &mut Query,
    (headers, body): (&HeaderMap, Incoming),
) -> Result<Request, HttpError> {
    Ok(match question {
        Question::Status => Request::Status,
        Question::ListTasks => Request::List(list_filter(query).map_err(HttpError::usage)?),
        Question::ListSessions => Request::Sessions(SessionsRequest {
            key: query.take("key"),
        }),
        Question::CreateTask => {
            let run = read_json::<RunBody>(headers, body).await?;
            let options = run.options();
            let run = Box::new(run.into_request(idempotency_key(headers)?)?);
            if options.is_empty() {
                Request::Run(run)
            } else {
                Request::RunWith(run, options)
            }
        }
        Question::ShowTask => Request::Show { id: variable },
        Question::WhyTask => Request::Why { id: variable },
        Question::StopTask => {
            let stop = read_json::<StopBody>(headers, body).await?;
            Request::Stop(stop.into_request(variable))
        }
        Question::RetryTask => again(variable, Again::Retry, headers, body).await?,
        Question::ReopenTask => again(variable, Again::Reopen, headers, body).await?,
        Question::ArchiveTask => {
            let NoBody {} = read_json(headers, body).await?;
            keep(variable, KeepAct::Archive)
        }
        Question::UnarchiveTask => {
            let NoBody {} = read_json(headers, body).await?;
            keep(variable, KeepAct::Unarchive)
        }
        Question::ChangeTask => {
            let change = read_json::<TaskChange>(headers, body).await?;
            keep(variable, change.into_act(if_match(headers)?)?)
        }
        Question::ShowSession => Request::Sessions(SessionsRequest {
            key: Some(variable),
        }),
        Question::ReleaseSession => {
            let release = read_json::<ReleaseBody>(headers, body).await?;
            Request::ChangeSession(release.into_request(variable)?)
        }
        Question::QuarantineSession => {
            change(variable, SessionAct::Quarantine, headers, body).await?
        }
        Question::BeginDrain => {
            let drain = read_json::<DrainBody>(headers, body).await?;
            Request::Drain(DrainRequest::Begin {
                deadline_ms: drain.deadline.0,
                no_wait: drain.no_wait,
            })
        }
        Question::CancelDrain => Request::Drain(DrainRequest::Cancel),
    })
}

async fn change(
    key: String,
    act: SessionAct,
    headers: &HeaderMap,
    body: Incoming,
) -> Result<Request, HttpError> {
    let posted = read_json::<SessionBody>(headers, body).await?;
    Ok(Request::ChangeSession(SessionChange {
        key,
        session_id: posted.session_id,
        act,
    }))
}

fn keep(id: String, act: KeepAct) -> Request {
    Request::Keep(KeepRequest { id, act })
}

/// 503 while no new work is welcome.
async fn ready(asker: &Asker) -> Result<Response<Body>, HttpError> {
    let Some((status, refusing)) = asker.one(Request::Status).await?.into_status() else {
        return Err(HttpError::internal("the core answered another question"));
    };
    let code = if status.phase == "admitting" && refusing.is_none() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let status = render::status(&status, refusing.as_ref())?;
    let told = json!({ "phase": status["phase"], "refusing": status["refusing"] });
    Ok(json_response(code, &told))
}
