//! A dispatch with options: `--on-conflict replace` stops the key's live task
//! first, and goes on when its tree is proven gone.

use lifecycle::{Command, Event, EventBody, Input};
use protocol::control::{ErrorBody, ErrorCode, OnNotFound, Response, RunOption, RunRequest};
use protocol::view::{Links, Requester};
use protocol::{Key, StopReason, TaskId};
use tokio::sync::oneshot;

use super::admit::Admitted;
use super::clock;
use super::container;
use super::core_loop::Core;
use super::gateway::Asker;
use super::input::CoreInput;
use super::memory::{self, Where};
use super::run_as;
use crate::control::ReplySender;
use crate::ledger::LedgerError;
use crate::process::account::Account;

/// A task that is to be dispatched.
pub(super) struct Dispatch {
    pub(super) request: RunRequest,
    pub(super) links: Links,
    /// Most memory of all its processes.
    pub(super) memory_bytes: Option<u64>,
    /// Most that it may cost, in millionths of a US dollar.
    pub(super) max_cost_micros: Option<u64>,
    pub(super) on_conflict: OnConflict,
    pub(super) place: Place,
    /// As its caller says; else the usual.
    pub(super) on_not_found: Option<OnNotFound>,
    /// The user that is named for its agent.
    pub(super) run_as: Option<String>,
    /// Who its agent runs as, if not as we do.
    pub(super) account: Option<Account>,
    /// This one is no longer put aside, at somebody's word, when the new one has
    /// its row.
    pub(super) unarchives: Option<(TaskId, Requester)>,
    /// Its caller is told of the task that keeps the key busy as an object as well.
    pub(super) names_holder: bool,
}

/// What is to be done about a live task with the same key.
pub(super) enum OnConflict {
    /// The dispatch is refused.
    Refuse,
    /// The dispatch waits for it.
    Queue,
    /// It is stopped, and gives way.
    Replace(Requester),
}

/// Which place among the running tasks a dispatch may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// One that is free.
    Any,
    /// That of the task which was stopped for it.
    Promised,
}

/// One that waits for the end of the task in its place.
pub(super) struct Replacing {
    holder: TaskId,
    dispatch: Dispatch,
    reply: ReplySender,
}

impl Dispatch {
    /// A task of its own.
    pub(super) fn new(request: RunRequest) -> Self {
        Self {
            request,
            links: Links::default(),
            memory_bytes: None,
            max_cost_micros: None,
            on_conflict: OnConflict::Refuse,
            place: Place::Any,
            on_not_found: None,
            run_as: None,
            account: None,
            unarchives: None,
            names_holder: false,
        }
    }

    /// Takes the options over; what is not given stays.
    fn take(&mut self, options: &[RunOption], asker: &Asker) -> Result<(), ErrorBody> {
        let mut where_it_runs = Where::OnTheHost;
        for option in options {
            match option {
                RunOption::Replace => self.on_conflict = OnConflict::Replace(asker.look_up()),
                RunOption::Queue => self.on_conflict = OnConflict::Queue,
                RunOption::Container(name) => {
                    container::enter(&mut self.request, name)?;
                    where_it_runs = Where::InAContainer;
                }
                RunOption::Memory(bytes) => self.memory_bytes = Some(*bytes),
                RunOption::OnNotFound(word) => self.on_not_found = Some(*word),
                RunOption::MaxCost(micros) => self.max_cost_micros = Some(*micros),
                RunOption::As(user) => self.run_as = Some(user.clone()),
                // Which provider it is, is decided behind this.
                RunOption::PromptIfTaken => {}
            }
        }
        self.account = run_as::settle(self.run_as.as_deref(), asker.uid(), where_it_runs)?;
        memory::check(self.memory_bytes, where_it_runs)
    }
}

impl Core {
    /// Dispatches as the options say.
    pub(super) async fn dispatch_with(
        &mut self,
        mut dispatch: Dispatch,
        options: &[RunOption],
        asker: &Asker,
        reply: ReplySender,
    ) -> Result<(), LedgerError> {
        container::forget(&mut dispatch.request);
        dispatch.names_holder = matches!(asker, Asker::HttpPeer(_) | Asker::HttpToken);
        if let Err(refusal) = dispatch.take(options, asker) {
            self.batch.answer(reply, Response::Error(refusal));
            return Ok(());
        }
        if options.contains(&RunOption::PromptIfTaken) {
            self.look_at_providers();
            let registry = self.providers.registry();
            let provider = self.service.provider_of(registry, &dispatch.request);
            // One that is not there is refused in the dispatch.
            if provider.is_ok_and(|provider| !provider.takes_prompt()) {
                dispatch.request.prompt = None;
            }
        }
        self.dispatch(dispatch, reply).await
    }

    /// Its place may have been taken by yet another one meanwhile.
    pub(super) async fn replaced(&mut self, replacing: Replacing) -> Result<(), LedgerError> {
        let Replacing {
            holder,
            mut dispatch,
            reply,
        } = replacing;
        dispatch.place = self.queue.redeem(&holder);
        if !self.flush_before(&reply).await? {
            return Ok(());
        }
        self.dispatch(dispatch, reply).await
    }

    /// Over HTTP with the task that is in the way.
    async fn refused(
        &mut self,
        refusal: ErrorBody,
        dispatch: &Dispatch,
    ) -> Result<Response, LedgerError> {
        let busy = dispatch.names_holder && refusal.code == ErrorCode::KeyBusy;
        let key = dispatch.request.key.clone().filter(|_| busy);
        let holder = key.and_then(|key| self.holder_of(&Key::new(key).ok()?));
        let Some(holder) = holder else {
            return Ok(Response::Error(refusal));
        };
        Ok(match self.task_view(&holder).await? {
            Some(task) => Response::Conflict {
                refusal,
                task: Box::new(task),
            },
            None => Response::Error(refusal),
        })
    }

    /// Answers at once with a refusal, else when the agent was exec'd or the
    /// task ended. Nothing is stopped for a dispatch that is refused.
    pub(super) async fn dispatch(
        &mut self,
        dispatch: Dispatch,
        reply: ReplySender,
    ) -> Result<(), LedgerError> {
        let admitted = match self.admit(&dispatch).await? {
            Ok(admitted) => admitted,
            Err(refusal) => {
                let response = self.refused(refusal, &dispatch).await?;
                self.batch.answer(reply, response);
                return Ok(());
            }
        };
        match admitted {
            Admitted::InTheWay { holder, by } => {
                let holder_id = holder.clone();
                let replacing = Replacing {
                    holder,
                    dispatch,
                    reply,
                };
                self.make_room(&holder_id, by, replacing);
            }
            Admitted::Known(id) => self.answer_known(id, reply).await?,
            Admitted::New { id, warnings } => {
                if let Some((before, by)) = dispatch.unarchives {
                    self.unarchive_for(before, by);
                }
                if dispatch.request.wait_for_exec && !self.waits(&id) {
                    self.answer_when_started(&id, reply, false, warnings);
                } else {
                    self.answer_with_row(&id, reply, warnings);
                }
            }
        }
        Ok(())
    }

    fn make_room(&mut self, holder: &TaskId, by: Requester, replacing: Replacing) {
        let next = &replacing.dispatch.request.id;
        tracing::info!(task = %holder, %next, "stopped to be replaced");
        if !self.waits(holder) {
            self.queue.promise(holder);
        }
        self.step(
            holder,
            Input::Command(Command::Stop {
                reason: StopReason::SupersededByTask,
                requested_by: by,
                note: Some(format!("replaced by task {next}")),
                grace_ms: None,
            }),
        );
        let Some(live) = self.tasks.get_mut(holder) else {
            return;
        };
        let (tell, told) = oneshot::channel();
        live.tell_end(tell);
        let inputs = self.inputs.clone();
        let next = replacing.dispatch.request.id.clone();
        let mut owed = self.batch.owe(&next, replacing.reply);
        let (holder, dispatch) = (replacing.holder, replacing.dispatch);
        self.batch.later(async move {
            // Not told: the supervisor leaves. The stop is durable, and the caller
            // asks the next one again. What lives on keeps the key busy, which the
            // dispatch will say.
            if owed.wait(told).await.is_some() {
                let replacing = Replacing {
                    holder,
                    dispatch,
                    reply: owed.reply,
                };
                drop(inputs.send(CoreInput::Replace(Box::new(replacing))).await);
            }
        });
    }

    /// In the same transaction as the row of the task that goes on with it.
    fn unarchive_for(&mut self, before: TaskId, by: Requester) {
        self.batch.take_event(Event {
            at: clock::now(),
            task_id: Some(before.clone()),
            record: None,
            body: EventBody::Unarchived { by },
        });
        self.unsettled.push(before);
    }
}
