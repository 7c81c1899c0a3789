//! `archive`, `unarchive`, `rename`: how a task is kept, whatever ended it.

use lifecycle::verdict::name_of;
use lifecycle::{Command, Event, EventBody, Input};
use protocol::control::{ErrorBody, ErrorCode, KeepAct, KeepRequest, Response};
use protocol::view::{Requester, Survivor, TaskView};
use protocol::{StopReason, TaskId};
use tokio::sync::oneshot;

use super::admit::check_texts;
use super::clock;
use super::core_loop::Core;
use super::held;
use super::input::CoreInput;
use super::live::{End, TreeEnd};
use super::naming::no_such_task;
use crate::control::ReplySender;
use crate::ledger::LedgerError;

/// The flag was set without a shim: none was there to be asked.
const SUPERVISOR: &str = "supervisor";

/// A task that was stopped in order to be put aside, and has ended.
pub(super) struct Aside {
    id: TaskId,
    by: Requester,
    reply: ReplySender,
}

impl Core {
    /// A word on how a task is kept.
    pub(super) async fn keep_record(
        &mut self,
        request: KeepRequest,
        by: Requester,
        reply: ReplySender,
    ) -> Result<(), LedgerError> {
        let id = match self.resolve(&request.id).await? {
            Ok(id) => id,
            Err(refusal) => {
                self.batch.answer(reply, Response::Error(refusal));
                return Ok(());
            }
        };
        // What was decided before this is what a version is compared with.
        self.flush().await?;
        match request.act {
            KeepAct::Archive if self.is_live(&id) => {
                self.stop_to_archive(&id, by, reply);
                Ok(())
            }
            KeepAct::Archive => self.archive(&id, by, SUPERVISOR, reply).await,
            KeepAct::Unarchive => self.unarchive(&id, by, reply).await,
            KeepAct::Rename { name, if_version } => {
                let wanted = if_version.map_or(Wanted::Any, Wanted::One);
                self.rename(&id, name, (wanted, by), reply).await
            }
            KeepAct::RenameIfOneOf { name, versions } => {
                let wanted = Wanted::OneOf(versions);
                self.rename(&id, name, (wanted, by), reply).await
            }
        }
    }

    /// The stop that came first is done: nothing can be in the way now but what
    /// could not be ended.
    pub(super) async fn put_aside(&mut self, aside: Aside) -> Result<(), LedgerError> {
        let Aside { id, by, reply } = aside;
        if !self.flush_before(&reply).await? {
            return Ok(());
        }
        let set_by = name_of(&by);
        self.archive(&id, by, &set_by, reply).await
    }

    fn is_live(&self, id: &TaskId) -> bool {
        self.tasks
            .get(id)
            .is_some_and(|live| live.task.ending.is_none())
    }

    fn stop_to_archive(&mut self, id: &TaskId, by: Requester, reply: ReplySender) {
        tracing::info!(task = %id, by = %name_of(&by), via = %by.via, pid = by.pid, "stopped to be archived");
        self.step(
            id,
            Input::Command(Command::Stop {
                reason: StopReason::User,
                requested_by: by.clone(),
                note: Some("archive".to_string()),
                grace_ms: None,
            }),
        );
        let Some(live) = self.tasks.get_mut(id) else {
            return;
        };
        let (tell, told) = oneshot::channel();
        live.tell_end(tell);
        let (id, inputs) = (id.clone(), self.inputs.clone());
        let mut owed = self.batch.owe(&id, reply);
        self.batch.later(async move {
            // Not told: the supervisor leaves. The stop is durable, and the
            // caller asks again.
            let Some(End { tree, view }) = owed.wait(told).await else {
                return;
            };
            let reply = owed.reply;
            match tree {
                TreeEnd::Gone => {
                    let aside = Box::new(Aside { id, by, reply });
                    // Closed only when the supervisor leaves.
                    drop(inputs.send(CoreInput::Archive(aside)).await);
                }
                TreeEnd::Left(survivors) => {
                    reply.send(still_alive(view, &survivors));
                }
            }
        });
    }

    async fn archive(
        &mut self,
        id: &TaskId,
        by: Requester,
        set_by: &str,
        reply: ReplySender,
    ) -> Result<(), LedgerError> {
        let survivors = self.held.of_task(id);
        if !survivors.is_empty() {
            let response = match self.task_view(id).await? {
                Some(task) => still_alive(task, &survivors),
                None => Response::Error(no_such_task(id.as_str())),
            };
            self.batch.answer(reply, response);
            return Ok(());
        }
        let set_by = set_by.to_string();
        self.note(id, reply, |task| {
            (!task.archived).then_some(EventBody::Archived { by, set_by })
        })
        .await
    }

    async fn unarchive(
        &mut self,
        id: &TaskId,
        by: Requester,
        reply: ReplySender,
    ) -> Result<(), LedgerError> {
        self.note(id, reply, |task| {
            task.archived.then_some(EventBody::Unarchived { by })
        })
        .await
    }

    async fn rename(
        &mut self,
        id: &TaskId,
        name: String,
        (wanted, by): (Wanted, Requester),
        reply: ReplySender,
    ) -> Result<(), LedgerError> {
        let named = Some(name.clone());
        if let Err(refusal) = check_texts(&[("name", &named)]) {
            self.batch.answer(reply, Response::Error(refusal));
            return Ok(());
        }
        let Some(task) = self.task_view(id).await? else {
            self.batch
                .answer(reply, Response::Error(no_such_task(id.as_str())));
            return Ok(());
        };
        if !wanted.takes(task.version) {
            self.batch.answer(reply, moved_on(task, &wanted));
            return Ok(());
        }
        if self.is_live(id) {
            self.step(id, Input::Command(Command::Rename { name, by }));
            if !self.flush_for(&reply).await? {
                return Ok(());
            }
            return self.answer_kept(id, true, reply).await;
        }
        self.note(id, reply, |_| Some(EventBody::Renamed { name, by }))
            .await
    }

    /// Commits what `word` makes of a task that has ended, and answers with it.
    async fn note(
        &mut self,
        id: &TaskId,
        reply: ReplySender,
        word: impl FnOnce(&TaskView) -> Option<EventBody>,
    ) -> Result<(), LedgerError> {
        let Some(task) = self.task_view(id).await? else {
            self.batch
                .answer(reply, Response::Error(no_such_task(id.as_str())));
            return Ok(());
        };
        let body = word(&task);
        let changed = body.is_some();
        if let Some(body) = body {
            tracing::info!(task = %id, kind = body.kind(), "by the operator's word");
            self.batch.take_event(Event {
                at: clock::now(),
                task_id: Some(id.clone()),
                record: None,
                body,
            });
            // Its folder keeps the operator's word as well.
            self.unsettled.push(id.clone());
            if !self.flush_for(&reply).await? {
                return Ok(());
            }
        }
        self.answer_kept(id, changed, reply).await
    }

    async fn answer_kept(
        &mut self,
        id: &TaskId,
        changed: bool,
        reply: ReplySender,
    ) -> Result<(), LedgerError> {
        let response = match self.task_view(id).await? {
            Some(task) => Response::Kept {
                task: Box::new(task),
                changed,
            },
            None => Response::Error(no_such_task(id.as_str())),
        };
        self.batch.answer(reply, response);
        Ok(())
    }
}

fn still_alive(task: TaskView, survivors: &[Survivor]) -> Response {
    let message = format!(
        "task {} is not archived: of its processes there live {}",
        task.id,
        held::in_words(survivors)
    );
    let hint = "`agentctl orphans kill` ends what can be ended; then archive it again";
    Response::Conflict {
        refusal: ErrorBody::new(ErrorCode::NotGone, message).with_hint(hint),
        task: Box::new(task),
    }
}

/// The versions of a task that a change is for.
enum Wanted {
    Any,
    One(u64),
    OneOf(Vec<u64>),
}

impl Wanted {
    fn takes(&self, version: u64) -> bool {
        match self {
            Self::Any => true,
            Self::One(wanted) => *wanted == version,
            Self::OneOf(wanted) => wanted.contains(&version),
        }
    }
}

fn moved_on(task: TaskView, wanted: &Wanted) -> Response {
    let (id, version) = (&task.id, task.version);
    let (wanted, hint) = match wanted {
        Wanted::Any => (String::new(), String::new()),
        Wanted::One(wanted) => (
            format!(", not {wanted}"),
            format!("look at it again, then use --if-version {version}"),
        ),
        Wanted::OneOf(_) => (
            ", and none of those that were named".to_owned(),
            format!("look at it again, then name version {version}"),
        ),
    };
    let refusal = ErrorBody::new(
        ErrorCode::Conflict,
        format!("task {id} has version {version}{wanted}: nothing was changed"),
    )
    .with_hint(hint);
    Response::Conflict {
        refusal,
        task: Box::new(task),
    }
}
