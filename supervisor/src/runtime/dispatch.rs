//! `run`: from a request to a committed row and a start order.

use lifecycle::session::PassedOver;
use lifecycle::{Limits, SessionPlan, SessionRow, TaskSpec};
use protocol::control::{ErrorBody, ErrorCode, Response, RunRequest};
use protocol::limits;
use protocol::shim::{Start, ToShim, Token};
use protocol::vocab::SessionState;
use protocol::{Key, TaskId};
use tokio::sync::oneshot;

use super::admit::Admitted;
use super::clock;
use super::core_loop::Core;
use super::live::Live;
use super::queue::Turn;
use super::replace::Dispatch;
use super::resume::{self, choose_session, refuse_of_replaced};
use super::run_as;
use crate::control::ReplySender;
use crate::folder::{FolderError, KnownBy, Shown, SpecFile};
use crate::ledger::{AdmissionFacts, LedgerError, LedgerHandle, Room, TaskSecret};
use crate::process::account::Account;
use crate::process::environment;
use crate::provider::{LaunchInput, LaunchSession, Provider, TellsCost};

/// A dispatch that passed every check and has not touched anything yet.
pub(super) struct Prepared {
    pub(super) spec: TaskSpec,
    pub(super) secret: TaskSecret,
    pub(super) shown: Shown,
    pub(super) file: SpecFile,
    pub(super) start: ToShim,
    pub(super) warnings: Vec<String>,
    /// The session that it does not go on with, and why.
    pub(super) passed_over: Option<PassedOver>,
    pub(super) turn: Turn,
}

impl Core {
    /// Answers once the row is durable, however the start goes on.
    pub(super) fn answer_with_row(
        &mut self,
        id: &TaskId,
        reply: ReplySender,
        warnings: Vec<String>,
    ) {
        let Some(live) = self.tasks.get(id) else {
            return;
        };
        let response = Response::Task {
            task: Box::new(live.view()),
            existing: false,
            warnings,
        };
        self.batch.answer(reply, response);
    }

    /// Every check that needs no disk.
    pub(super) fn prepare(
        &mut self,
        dispatch: &Dispatch,
        provider: &Provider,
        key: Option<Key>,
        facts: &AdmissionFacts,
        digest: String,
    ) -> Result<Prepared, ErrorBody> {
        let request = &dispatch.request;
        // `--resume ID` without a key means the session's own key.
        let key = key
            .or_else(|| facts.named_session.as_ref().map(|row| row.key.clone()))
            .unwrap_or_else(|| Key::from(&request.id));
        self.refuse_crash_loop(&key, facts)?;
        let turn = self.turn_of(&key, dispatch)?;
        let holder = match &turn {
            Turn::After(holder, _) => Some(holder),
            Turn::Now | Turn::Later => None,
        };
        let newest = self.as_used(facts.newest_session.clone(), holder);
        let named = match &turn {
            Turn::Later => facts.named_session.clone().map(when_it_is_free),
            Turn::Now | Turn::After(..) => self.as_used(facts.named_session.clone(), holder),
        };
        refuse_of_replaced(request, named.as_ref(), holder)?;
        let account = dispatch.account.as_ref();
        let run_as = account.map(run_as::kept);
        let answer = choose_session(request, provider, &key, (newest, named), |row| {
            self.other_user(row, run_as.as_ref())
        })?;
        let spec = self.spec_of(dispatch, provider, key, answer.plan);
        let mut prepared = self.with_start(request, provider, spec, digest, account)?;
        prepared.turn = turn;
        prepared.passes_over(answer.warning, facts);
        if dispatch.max_cost_micros.is_some() {
            prepared.warnings.extend(budget_warning(provider));
        }
        Ok(prepared)
    }

    /// What is needed for a start, and what is kept of it.
    pub(super) fn with_start(
        &self,
        request: &RunRequest,
        provider: &Provider,
        spec: TaskSpec,
        digest: String,
        account: Option<&Account>,
    ) -> Result<Prepared, ErrorBody> {
        let (secret, token) = super::digest::new_secret(&request.id, digest)
            .map_err(|error| ErrorBody::new(ErrorCode::Internal, error.to_string()))?;
        let (start, shown) = self.start_of(request, provider, &spec, (&secret, token), account)?;
        let known_by = KnownBy {
            token_hash: secret.token_hash.clone(),
            nonce: secret.nonce.clone(),
            spec_digest: secret.spec_digest.clone(),
        };
        let file = SpecFile::new(request, &spec, &start, &shown, known_by);
        Ok(Prepared {
            spec,
            secret,
            shown,
            file,
            start: match account {
                Some(account) => ToShim::StartAs(Box::new(start), account.user.clone()),
                None => ToShim::Start(Box::new(start)),
            },
            warnings: Vec::new(),
            passed_over: None,
            turn: Turn::Now,
        })
    }

    /// The configured model is for providers that take one.
    fn model_of(&self, request: &RunRequest, provider: &Provider) -> Option<String> {
        let default = || self.service.config.defaults.model.clone();
        request
            .model
            .clone()
            .or_else(|| default().filter(|_| provider.takes_model()))
    }

    fn spec_of(
        &self,
        dispatch: &Dispatch,
        provider: &Provider,
        key: Key,
        session: SessionPlan,
    ) -> TaskSpec {
        let request = &dispatch.request;
        let defaults = &self.service.config.defaults;
        TaskSpec {
            id: request.id.clone(),
            key,
            provider: provider.name().clone(),
            agent: request.agent.clone(),
            agent_type: request.agent_type.clone(),
            model: self.model_of(request, provider),
            repo: request.repo.clone(),
            issue_number: request.issue_number,
            user: request.user.clone(),
            name: request.name.clone(),
            session,
            limits: Limits {
                timeout_ms: request.timeout_ms.or(defaults.timeout_ms),
                idle_timeout_ms: request
                    .idle_timeout_ms
                    .or(provider.idle_timeout_ms())
                    .or(defaults.idle_timeout_ms),
                start_timeout_ms: request
                    .start_timeout_ms
                    .or(provider.start_timeout_ms())
                    .or(defaults.start_timeout_ms),
                grace_ms: request
                    .grace_ms
                    .or(provider.grace_ms())
                    .or(defaults.grace_ms)
                    .unwrap_or(limits::DEFAULT_GRACE_MS),
                memory_bytes: dispatch.memory_bytes,
                max_cost_micros: dispatch.max_cost_micros,
            },
            on_not_found: resume::on_not_found(dispatch.on_not_found, request),
            policy: provider.policy(),
            links: dispatch.links.clone(),
            run_as: dispatch.account.as_ref().map(run_as::kept),
        }
    }

    fn start_of(
        &self,
        request: &RunRequest,
        provider: &Provider,
        spec: &TaskSpec,
        (secret, token): (&TaskSecret, Token),
        account: Option<&Account>,
    ) -> Result<(Start, Shown), ErrorBody> {
        let usage = |error: String| ErrorBody::new(ErrorCode::Usage, error);
        let launch = provider
            .launch(&LaunchInput {
                argv: &request.argv,
                provider_args: &request.provider_args,
                model: spec.model.as_deref(),
                session: match &spec.session {
                    SessionPlan::Fresh | SessionPlan::Undecided => LaunchSession::None,
                    SessionPlan::Chosen(id) => LaunchSession::Chosen(id),
                    SessionPlan::Resume(row) => LaunchSession::Resume(&row.session_id),
                },
                prompt: request.prompt.as_deref(),
            })
            .map_err(|error| usage(error.to_string()))?;
        let env = self
            .service
            .environment(
                request,
                &launch,
                environment::Marker {
                    task: &spec.id,
                    nonce: &secret.nonce,
                },
                account,
            )
            .map_err(|error| usage(error.to_string()))?;
        let shown = Shown {
            argv: launch.shown_argv,
            cwd: Some(request.cwd.clone()),
            run_as: account.map(|account| account.user.name.clone()),
        };
        let start = Start {
            task_id: spec.id.clone(),
            token,
            task_dir: self
                .service
                .folders
                .task_dir(&spec.id)
                .to_string_lossy()
                .into_owned(),
            runtime_dir: self.service.places.runtime_dir.clone(),
            argv: launch.argv,
            env,
            cwd: request.cwd.clone(),
            stdin: launch.stdin,
            scan: provider.scan().clone(),
            max_log_bytes: request
                .max_log_bytes
                .unwrap_or(self.service.config.limits.max_log_bytes),
            stop_signal: provider.stop_signal(),
            term_exit: provider.term_exit().to_vec(),
            leftovers: provider.leftovers(),
            grace_ms: spec.limits.grace_ms,
            nofile_soft: self.service.nofile_soft,
        };
        Ok((start, shown))
    }

    /// The folder is written, the row goes into the batch, and the task joins
    /// the running set, unless another one has to leave it first.
    pub(super) fn commit_to(&mut self, prepared: Prepared) -> Result<Admitted, ErrorBody> {
        match prepared.turn {
            Turn::Now => {}
            Turn::Later => return self.enqueue(prepared),
            Turn::After(holder, by) => return Ok(Admitted::InTheWay { holder, by }),
        }
        let id = prepared.spec.id.clone();
        self.service
            .folders
            .create_new(&id, &prepared.file)
            .map_err(|error| refuse_folder(&id, &error))?;
        for warning in &prepared.warnings {
            tracing::warn!(task = %id, key = %prepared.spec.key, "{warning}");
        }
        let (task, effects) = lifecycle::admit::admit(prepared.spec, clock::now());
        self.live_keys.insert(task.spec.key.clone(), id.clone());
        let mut live = Live::new(task, prepared.secret.clone(), prepared.shown);
        live.start = Some(prepared.start);
        self.tasks.insert(id.clone(), Box::new(live));
        self.batch.secrets.push(prepared.secret);
        self.batch.take(&id, effects);
        self.record_passed_over(&id, prepared.passed_over);
        Ok(Admitted::New {
            id,
            warnings: prepared.warnings,
        })
    }

    pub(super) fn answer_when_started(
        &mut self,
        id: &TaskId,
        reply: ReplySender,
        existing: bool,
        warnings: Vec<String>,
    ) {
        let Some(live) = self.tasks.get_mut(id) else {
            return;
        };
        let (tell, told) = oneshot::channel();
        live.tell_start(tell);
        let owed = self.batch.owe(id, reply);
        self.jobs.spawn(async move {
            if let Some((task, reply)) = owed.only(told).await {
                reply.send(Response::Task {
                    task: Box::new(task),
                    existing,
                    warnings,
                });
            }
        });
    }

    /// The same id again: the same task, nothing new.
    pub(super) async fn answer_known(
        &mut self,
        id: TaskId,
        reply: ReplySender,
    ) -> Result<(), LedgerError> {
        match self.tasks.get(&id) {
            Some(live) if live.task.phase() == protocol::Phase::Starting => {
                self.answer_when_started(&id, reply, true, Vec::new());
            }
            Some(live) => {
                let task = Box::new(live.view());
                let response = Response::Task {
                    task,
                    existing: true,
                    warnings: Vec::new(),
                };
                self.batch.answer(reply, response);
            }
            None => {
                let response = match self.ledger_view(&id).await? {
                    Some(task) => Response::Task {
                        task: Box::new(task),
                        existing: true,
                        warnings: Vec::new(),
                    },
                    None => Response::Error(super::naming::no_such_task(id.as_str())),
                };
                self.batch.answer(reply, response);
            }
        }
        Ok(())
    }
}

/// A session in use is looked at again when the turn of the new task has come:
/// whether it may be resumed then is for its user's end to say.
fn when_it_is_free(row: SessionRow) -> SessionRow {
    match row.state {
        SessionState::Live => SessionRow {
            state: SessionState::Resumable,
            ..row
        },
        SessionState::Resumable | SessionState::Quarantined => row,
    }
}

/// A budget is worth what the provider says of its cost.
fn budget_warning(provider: &Provider) -> Option<String> {
    let name = provider.name();
    match provider.tells_cost() {
        TellsCost::Meanwhile => None,
        TellsCost::AtTheEnd => Some(format!(
            "provider {name} tells its cost at the end only: --max-cost cannot stop it before"
        )),
        TellsCost::Never => Some(format!(
            "provider {name} does not tell its cost: --max-cost has no effect"
        )),
    }
}

/// No new work on a disk that is full.
pub(super) async fn refuse_without_room(
    ledger: &LedgerHandle,
) -> Result<Option<ErrorBody>, LedgerError> {
    Ok(match ledger.room().await? {
        Room::Short => Some(disk_is_full()),
        Room::Enough => None,
    })
}

/// What is left of the room is for stops.
pub(super) fn disk_is_full() -> ErrorBody {
    ErrorBody::new(
        ErrorCode::Limit,
        "the disk is full: no new work until there is room again",
    )
    .with_hint("tasks can be listed and stopped; free 16 MiB where the state folder is")
}

pub(super) fn refuse_folder(id: &TaskId, error: &FolderError) -> ErrorBody {
    match error {
        FolderError::Taken(_) => ErrorBody::new(ErrorCode::IdConflict, error.to_string())
            .with_hint("choose another --id; the ledger may have been put back from a backup"),
        FolderError::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
            disk_is_full()
        }
        FolderError::Io { .. } | FolderError::Form { .. } | FolderError::Version { .. } => {
            let message = format!("cannot write the folder of task {id}");
            ErrorBody::new(ErrorCode::Storage, message).with_hint(error.to_string())
        }
    }
}
