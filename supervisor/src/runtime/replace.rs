//! A dispatch with options: `--on-conflict replace` stops the key's live task
//! first, and goes on when its tree is proven gone.

use lifecycle::{Command, Event, EventBody, Input};
use protocol::control::{Response, RunOption, RunRequest};
use protocol::view::{Links, Requester};
use protocol::{Key, StopReason, TaskId};
use tokio::sync::oneshot;

use super::admit::Admitted;
use super::clock;
use super::container;
use super::core_loop::Core;
use super::gateway::Asker;
use super::input::CoreInput;
use crate::control::ReplySender;
use crate::ledger::LedgerError;

/// A task that is to be dispatched.
pub(super) struct Dispatch {
    pub(super) request: RunRequest,
    pub(super) links: Links,
    /// This one is no longer put aside when the new one has its row.
    pub(super) unarchives: Option<TaskId>,
}

/// One that waits for the end of the task in its place.
pub(super) struct Replacing {
    dispatch: Dispatch,
    by: Requester,
    reply: ReplySender,
}

impl Core {
    /// Dispatches, and answers when its agent is exec'd or could not be.
    pub(super) async fn dispatch_with(
        &mut self,
        mut dispatch: Dispatch,
        options: &[RunOption],
        asker: &Asker,
        reply: ReplySender,
    ) -> Result<(), LedgerError> {
        container::forget(&mut dispatch.request);
        if let Err(refusal) = container::take_options(&mut dispatch.request, options) {
            self.batch.answer(reply, Response::Error(refusal));
            return Ok(());
        }
        let by = asker.look_up();
        if options.contains(&RunOption::Replace) {
            return self.replace(dispatch, by, reply).await;
        }
        self.dispatch_linked(dispatch, by, reply).await
    }

    /// Its place may have been taken by yet another one meanwhile.
    pub(super) async fn replaced(&mut self, replacing: Replacing) -> Result<(), LedgerError> {
        let Replacing {
            dispatch,
            by,
            reply,
        } = replacing;
        self.flush().await?;
        self.replace(dispatch, by, reply).await
    }

    async fn replace(
        &mut self,
        dispatch: Dispatch,
        by: Requester,
        reply: ReplySender,
    ) -> Result<(), LedgerError> {
        match self.in_its_place(&dispatch.request).await? {
            Some(holder) => {
                self.make_room(
                    &holder,
                    Replacing {
                        dispatch,
                        by,
                        reply,
                    },
                );
                Ok(())
            }
            None => self.dispatch_linked(dispatch, by, reply).await,
        }
    }

    /// The live task that has to go first. None for a dispatch that would be
    /// refused anyway, or that is only asked about again: nothing is stopped for
    /// those.
    async fn in_its_place(&mut self, request: &RunRequest) -> Result<Option<TaskId>, LedgerError> {
        if self.tasks.contains_key(&request.id) || self.would_be_refused(request) {
            return Ok(None);
        }
        let key = match &request.key {
            Some(text) => Key::new(text.clone()).ok(),
            None => None,
        };
        let holder = key.and_then(|key| self.live_keys.get(&key).cloned());
        if holder.is_some() && self.ledger.task_row(request.id.clone()).await?.is_some() {
            return Ok(None);
        }
        Ok(holder)
    }

    fn make_room(&mut self, holder: &TaskId, replacing: Replacing) {
        let next = &replacing.dispatch.request.id;
        tracing::info!(task = %holder, %next, "stopped to be replaced");
        self.step(
            holder,
            Input::Command(Command::Stop {
                reason: StopReason::SupersededByTask,
                requested_by: replacing.by.clone(),
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
        self.batch.later(async move {
            // Not told: the supervisor leaves. The stop is durable, and the caller
            // asks the next one again. What lives on keeps the key busy, which the
            // dispatch will say.
            if told.await.is_ok() {
                drop(inputs.send(CoreInput::Replace(Box::new(replacing))).await);
            }
        });
    }

    async fn dispatch_linked(
        &mut self,
        dispatch: Dispatch,
        by: Requester,
        reply: ReplySender,
    ) -> Result<(), LedgerError> {
        let Dispatch {
            request,
            links,
            unarchives,
        } = dispatch;
        let admitted = self.admit(&request, links).await?;
        if let (Ok(Admitted::New { .. }), Some(id)) = (&admitted, unarchives) {
            // In the same transaction as the row of the task that goes on with it.
            self.batch.take_event(Event {
                at: clock::now(),
                task_id: Some(id.clone()),
                record: None,
                body: EventBody::Unarchived { by },
            });
            self.unsettled.push(id);
        }
        self.answer_admitted(&request, admitted, reply).await
    }

    /// By what can be known without its key being free.
    fn would_be_refused(&self, request: &RunRequest) -> bool {
        self.refuse_while_draining().is_err() || self.identify(request).is_err()
    }
}
