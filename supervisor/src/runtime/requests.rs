//! Requests of the control socket and of the gateway, one function per kind.

use protocol::TaskId;
use protocol::control::{
    ErrorBody, ErrorCode, ListFilter, ProvidersRequest, Request, Response, SessionAct,
    SessionChange, SessionsRequest,
};
use protocol::view::{ChainLink, EvidenceView, Requester, SessionView, TaskView};
use protocol::vocab::SessionState;

use super::clock;
use super::core_loop::Core;
use super::crash_loop::Word;
use super::gateway::Call;
use super::naming::{self, no_such_task};
use super::replace::Dispatch;
use crate::control::ReplySender;
use crate::ledger::LedgerError;
use crate::query;

impl Core {
    /// One request. What cannot be read is the trouble of whoever asked for it.
    pub(super) async fn request(&mut self, call: Call) -> Result<(), LedgerError> {
        let reply = call.reply.clone();
        match self.answer(call).await {
            Err(error @ LedgerError::Read { .. }) => {
                tracing::warn!(%error, cause = ?std::error::Error::source(&error), "a question could not be answered");
                self.batch.answer(reply, storage_error(&error));
                Ok(())
            }
            Err(error) if error.passes() => {
                reply.send(Response::Error(self.not_recorded()));
                Ok(())
            }
            answered => answered,
        }
    }

    /// What waits for something is handed to a job, so that the loop goes on.
    async fn answer(&mut self, call: Call) -> Result<(), LedgerError> {
        let Call {
            request,
            asker,
            reply,
        } = call;
        match request {
            Request::Run(run) => {
                let dispatch = Dispatch::new(*run);
                return self.dispatch_with(dispatch, &[], &asker, reply).await;
            }
            Request::RunWith(run, options) => {
                let dispatch = Dispatch::new(*run);
                return self.dispatch_with(dispatch, &options, &asker, reply).await;
            }
            Request::Again(again) => {
                return self.again(*again, &asker, reply).await;
            }
            Request::Stop(stop) => return self.stop(stop, asker, reply).await,
            Request::Wait(wait) => return self.wait(wait, reply).await,
            Request::List(filter) => self.list(filter, reply),
            Request::Show { id } => return self.show(id, reply).await,
            Request::Why { id } => return self.why(id, reply).await,
            Request::Logs(logs) => return self.logs(logs, reply).await,
            Request::Events(events) => return self.events(events, reply).await,
            Request::Sessions(sessions) => self.sessions(sessions, reply),
            Request::ChangeSession(change) => {
                let by = asker.look_up();
                return self.change_session(change, by, reply).await;
            }
            Request::Status => self.status(reply),
            Request::Providers(providers) => self.providers(&providers, reply),
            Request::Orphans(orphans) => self.look_for_orphans(orphans, reply),
            Request::Drain(drain) => return self.drain(drain, asker, reply).await,
            Request::Prune(prune) => {
                // What ended right now is in the ledger afterwards.
                self.flush().await?;
                self.prune(prune, reply);
            }
            Request::Keep(keep) => return self.keep_record(keep, asker.look_up(), reply).await,
        }
        Ok(())
    }

    /// Live tasks as the loop knows them, ended ones from the ledger.
    fn list(&mut self, filter: ListFilter, reply: ReplySender) {
        let live = self.tasks.values().map(|live| self.view_of(live)).collect();
        let folders = self.service.folders.clone();
        let ledger = self.ledger.clone();
        self.batch.later(async move {
            let listed = ledger
                .browse(move |reader| query::list(reader, &folders, &filter, live))
                .await;
            reply.send(match listed {
                Ok(tasks) => Response::Tasks(tasks),
                Err(error) => storage_error(&error),
            });
        });
    }

    async fn show(&mut self, name: String, reply: ReplySender) -> Result<(), LedgerError> {
        let response = match self.resolve(&name).await? {
            Ok(id) => match self.task_view(&id).await? {
                Some(task) => {
                    let folders = self.service.folders.clone();
                    let look = self
                        .ledger
                        .look(move |reader| query::detail(reader, &folders, task));
                    let mut detail = look.await?;
                    if let Some(words) = self.rest_in_words(&detail.task.id) {
                        let (kind, at) = ("supervisor".to_string(), words.since);
                        detail.evidence.push(EvidenceView {
                            kind,
                            at,
                            detail: words.long,
                        });
                    }
                    Response::Detail(Box::new(detail))
                }
                None => Response::Error(no_such_task(&name)),
            },
            Err(refusal) => Response::Error(refusal),
        };
        self.batch.answer(reply, response);
        Ok(())
    }

    async fn why(&mut self, name: String, reply: ReplySender) -> Result<(), LedgerError> {
        let response = match self.resolve(&name).await? {
            Ok(id) => match self.task_view(&id).await? {
                Some(task) => {
                    let folders = self.service.folders.clone();
                    let look = self
                        .ledger
                        .look(move |reader| query::why(reader, &folders, &id));
                    let mut chain = look.await?;
                    chain.extend(self.rest_in_words(&task.id).map(|words| ChainLink {
                        at: words.since,
                        what: "key rests".to_string(),
                        who: query::SUPERVISOR.to_string(),
                        detail: words.long,
                    }));
                    Response::Why {
                        task: Box::new(task),
                        chain,
                    }
                }
                None => Response::Error(no_such_task(&name)),
            },
            Err(refusal) => Response::Error(refusal),
        };
        self.batch.answer(reply, response);
        Ok(())
    }

    /// The task that a name means: an id, a prefix, a session, a key, a name.
    pub(super) async fn resolve(
        &mut self,
        name: &str,
    ) -> Result<Result<TaskId, ErrorBody>, LedgerError> {
        if let Ok(id) = TaskId::new(name)
            && self.tasks.contains_key(&id)
        {
            return Ok(Ok(id));
        }
        let name = name.to_string();
        self.ledger
            .look(move |reader| naming::resolve(reader, &name))
            .await
    }

    /// The task object, live or ended.
    pub(super) async fn task_view(&mut self, id: &TaskId) -> Result<Option<TaskView>, LedgerError> {
        match self.tasks.get(id) {
            Some(live) => Ok(Some(self.view_of(live))),
            None => self.ledger_view(id).await,
        }
    }

    /// The task object as the ledger has it.
    pub(super) async fn ledger_view(
        &mut self,
        id: &TaskId,
    ) -> Result<Option<TaskView>, LedgerError> {
        let (folders, id) = (self.service.folders.clone(), id.clone());
        self.ledger
            .look(move |reader| query::view(reader, &folders, &id))
            .await
    }

    fn sessions(&mut self, request: SessionsRequest, reply: ReplySender) {
        let ledger = self.ledger.clone();
        self.batch.later(async move {
            let response = match ledger.sessions(request.key.clone()).await {
                Ok(sessions) => known_sessions(request.key.as_deref(), sessions),
                Err(error) => storage_error(&error),
            };
            reply.send(response);
        });
    }

    async fn change_session(
        &mut self,
        change: SessionChange,
        by: Requester,
        reply: ReplySender,
    ) -> Result<(), LedgerError> {
        self.flush().await?;
        let of_key = match change.act {
            // Who names a session means that one, and not the key's rest.
            SessionAct::Release if change.session_id.is_some() => Word::DidNotRest,
            SessionAct::Release | SessionAct::ReleaseKey => {
                self.release_key(&change.key, &by).await?
            }
            SessionAct::Quarantine => Word::DidNotRest,
        };
        let rows = self.ledger.session_rows_of(change.key.clone()).await?;
        let row = match &change.session_id {
            Some(id) => rows.iter().find(|row| row.session_id == *id),
            None => rows.iter().max_by_key(|row| row.last_used_at),
        };
        let Some(row) = row else {
            let response = match (change.act, of_key) {
                (SessionAct::Release | SessionAct::ReleaseKey, Word::Released)
                | (SessionAct::ReleaseKey, Word::DidNotRest) => Response::Sessions(Vec::new()),
                (SessionAct::Release, Word::DidNotRest | Word::NoSuchKey)
                | (SessionAct::ReleaseKey, Word::NoSuchKey)
                | (SessionAct::Quarantine, _) => Response::Error(no_such_session(&change)),
            };
            if self.flush_for(&reply).await? {
                self.batch.answer(reply, response);
            }
            return Ok(());
        };
        let mut row = row.clone();
        if let Some(user) = self.live_user(&row.provider, &row.session_id, None) {
            row.state = SessionState::Live;
            row.task_id = user;
        }
        match lifecycle::session::operator_change(&row, change.act, by) {
            Err(refusal) => self.batch.answer(reply, Response::Error(refusal)),
            Ok(event) => {
                if let Some(body) = event {
                    tracing::info!(key = %row.key, session = %row.session_id, kind = body.kind(), "by the operator's word");
                    let at = clock::now();
                    // Its folder keeps the operator's word as well.
                    if !self.tasks.contains_key(&row.task_id) {
                        self.unsettled.push(row.task_id.clone());
                    }
                    self.batch.take_event(lifecycle::Event {
                        at,
                        task_id: None,
                        record: None,
                        body,
                    });
                }
                if !self.flush_for(&reply).await? {
                    return Ok(());
                }
                let id = row.session_id.clone();
                let mut views = self.ledger.sessions(Some(change.key)).await?;
                views.retain(|view| view.session_id == id);
                self.batch.answer(reply, Response::Sessions(views));
            }
        }
        Ok(())
    }

    fn status(&mut self, reply: ReplySender) {
        let ledger = self.ledger.clone();
        let mut status = self.status_so_far();
        let drains = self.refuse_while_draining().err();
        let (service, shims) = (self.service.clone(), self.shims());
        self.batch.later(async move {
            status.unit = service.managed.view(&shims).await;
            let asked = async {
                let info = ledger.info().await?;
                status.tasks.ended = info.tasks.ended;
                status.ledger = info.view;
                status.ledger_id = info.ledger_id;
                let refusing = drains.or(super::dispatch::refuse_without_room(&ledger).await?);
                Ok(Response::of_status(status, refusing))
            };
            let answer: Result<_, LedgerError> = asked.await;
            reply.send(answer.unwrap_or_else(|error| storage_error(&error)));
        });
    }

    fn providers(&mut self, request: &ProvidersRequest, reply: ReplySender) {
        self.look_at_providers();
        let (registry, path) = (self.providers.registry(), self.service.path.as_deref());
        let response = if let ProvidersRequest::Lacks { name, around } = request {
            let request = ProvidersRequest::Lacks {
                name: name.clone(),
                around: self.service.around(around),
            };
            super::service::providers(registry, path, &request)
        } else {
            super::service::providers(registry, path, request)
        };
        self.batch.answer(reply, response);
    }
}

/// The rows of a key, or that there is no such key.
pub(super) fn known_sessions(key: Option<&str>, sessions: Vec<SessionView>) -> Response {
    match key {
        Some(key) if sessions.is_empty() => Response::Error(
            ErrorBody::new(
                ErrorCode::NotFound,
                format!("no session of key {key:?} is known"),
            )
            .with_hint("`agentctl sessions` lists the known ones"),
        ),
        Some(_) | None => Response::Sessions(sessions),
    }
}

fn no_such_session(change: &SessionChange) -> ErrorBody {
    let what = match &change.session_id {
        Some(id) => format!("no session {id} of key {:?} is known", change.key),
        None => format!("no session of key {:?} is known", change.key),
    };
    ErrorBody::new(ErrorCode::NotFound, what).with_hint("`agentctl sessions` lists the known ones")
}

/// The ledger could not be read.
pub(super) fn storage_error(error: &LedgerError) -> Response {
    Response::Error(ErrorBody::new(
        ErrorCode::Storage,
        format!("the ledger cannot be read: {error}"),
    ))
}
