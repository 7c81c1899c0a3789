//! A queued task's turn: what was kept of its dispatch becomes a start order.
//! Everything that may have changed while it waited is decided now: its session
//! (R6), its provider's file, the room on the disk.

use std::io::ErrorKind;

use lifecycle::{Command, Event, EventBody, Fact, Input, TaskSpec};
use protocol::control::{ErrorBody, RunRequest, SessionChoice};
use protocol::{TaskId, Timestamp};

use super::admit::Admitted;
use super::clock;
use super::core_loop::Core;
use super::dispatch::{Prepared, refuse_folder};
use super::live::Live;
use super::resume::choose_session;
use super::run_as;
use crate::folder::{FolderError, Shown, SpecFile};
use crate::ledger::{AdmissionFacts, LedgerError, Room, TaskSecret};
use crate::provider::Provider;
use crate::text::in_words;

/// Most starts before the loop looks at its other inputs again.
const STARTS_AT_ONCE: usize = 64;

/// What became of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    /// It starts, or it never can.
    Done,
    /// It keeps its place, and is tried again before any other: nobody could start.
    NotNow,
    /// It keeps its place, and others go before it.
    Rests,
}

/// Why a turn was not taken.
enum Missed {
    /// What is in everybody's way may go away.
    NotNow(String),
    /// What is in its own way may go away.
    NotThisOne(String),
    /// It never can be.
    Never(String),
    /// The tasks of its key end as soon as they have begun.
    Rests,
}

impl From<ErrorBody> for Missed {
    fn from(refusal: ErrorBody) -> Self {
        Self::Never(match refusal.hint {
            Some(hint) => format!("{} ({hint})", refusal.message),
            None => refusal.message,
        })
    }
}

/// Only a full disk is in everybody's way. What comes from a folder that somebody
/// has changed does not go away by itself.
fn missed(error: &FolderError) -> Missed {
    let why = in_words(error);
    let kind = match error {
        FolderError::Io { source, .. } => source.kind(),
        FolderError::Form { .. } | FolderError::Taken(_) | FolderError::Version { .. } => {
            return Missed::Never(why);
        }
    };
    let for_ever = [
        ErrorKind::IsADirectory,
        ErrorKind::NotADirectory,
        ErrorKind::NotFound,
        ErrorKind::PermissionDenied,
    ];
    if [ErrorKind::StorageFull, ErrorKind::QuotaExceeded].contains(&kind) {
        Missed::NotNow(why)
    } else if for_ever.contains(&kind) {
        Missed::Never(why)
    } else {
        Missed::NotThisOne(why)
    }
}

impl Core {
    /// The folder is written for good, and the row goes into the batch: with
    /// both the task starts under whichever supervisor is there at its turn.
    pub(super) fn enqueue(&mut self, prepared: Prepared) -> Result<Admitted, ErrorBody> {
        let (id, at) = (prepared.spec.id.clone(), clock::now());
        let mut file = prepared.file;
        file.wait_from(at, &self.service.identity.boot_id);
        let folders = &self.service.folders;
        folders
            .create_new(&id, &file)
            .and_then(|()| folders.sync_spec(&id))
            .map_err(|error| refuse_folder(&id, &error))?;
        self.join_the_queue(prepared.spec, prepared.secret, prepared.shown, at);
        let words = self.words_of_waiting(&id);
        tracing::info!(task = %id, "{words}");
        Ok(Admitted::New {
            id,
            warnings: vec![words],
        })
    }

    /// Its row goes into the batch; its folder is written.
    pub(super) fn join_the_queue(
        &mut self,
        spec: TaskSpec,
        secret: TaskSecret,
        shown: Shown,
        at: Timestamp,
    ) {
        let (task, effects) = lifecycle::admit::enqueue(spec, at);
        let id = task.id().clone();
        self.queue.push(&task.spec);
        let live = Live::new(task, secret.clone(), shown);
        self.tasks.insert(id.clone(), Box::new(live));
        self.batch.secrets.push(secret);
        self.batch.take(&id, effects);
    }

    /// Keeps beside their folders that the rows of those who wait are committed.
    pub(super) fn mark_queued(&self, events: &[Event]) {
        for event in events {
            if let (EventBody::Queued { .. }, Some(id)) = (&event.body, &event.task_id) {
                self.mark_one_queued(id);
            }
        }
    }

    /// Its row is committed. Where that cannot be kept, only a rebuild of the ledger
    /// would miss it.
    pub(super) fn mark_one_queued(&self, id: &TaskId) {
        if let Err(error) = self.service.folders.mark_queued(id) {
            tracing::warn!(task = %id, %error, "its place in the queue is in the ledger only");
        }
    }

    /// Starts whose turn it is.
    pub(super) async fn take_turns(&mut self) -> Result<(), LedgerError> {
        if !self.queue.is_due() {
            return Ok(());
        }
        self.look_at_providers();
        for _ in 0..STARTS_AT_ONCE {
            // Looks again by itself where nobody would tell it to.
            self.queue.rest();
            let Some(id) = self.next_turn() else {
                return self.flush().await;
            };
            match self.take_turn(&id).await? {
                Taken::Done | Taken::Rests => self.queue.stir(),
                Taken::NotNow => {
                    self.queue.look_again();
                    return self.flush().await;
                }
            }
        }
        self.flush().await
    }

    async fn take_turn(&mut self, id: &TaskId) -> Result<Taken, LedgerError> {
        match self.made_ready(id).await? {
            Ok(prepared) => {
                self.start_queued(id, prepared);
                Ok(Taken::Done)
            }
            Err(Missed::NotNow(why)) => {
                tracing::warn!(task = %id, why, "its turn has come, and it cannot be started now");
                Ok(Taken::NotNow)
            }
            Err(Missed::NotThisOne(why)) => {
                if self.queue.put_off(id) {
                    tracing::warn!(task = %id, why, "its turn has come, and it cannot be started now: others go before it");
                }
                Ok(Taken::Rests)
            }
            Err(Missed::Rests) => Ok(Taken::Rests),
            Err(Missed::Never(detail)) => {
                tracing::warn!(task = %id, why = detail, "its turn has come, and it cannot be started any more");
                self.step(id, Input::Fact(Fact::StartRefused { detail }));
                Ok(Taken::Done)
            }
        }
    }

    async fn made_ready(&mut self, id: &TaskId) -> Result<Result<Prepared, Missed>, LedgerError> {
        let (file, provider) = match self.kept_of(id) {
            Ok(kept) => kept,
            Err(missed) => return Ok(Err(missed)),
        };
        let request = file.request();
        let named = match &request.session {
            SessionChoice::Chosen(id) | SessionChoice::Resume(id) => Some(id.clone()),
            SessionChoice::Auto | SessionChoice::Fresh => None,
        };
        // What ended right now counts.
        self.flush().await?;
        if self.ledger.room().await? == Room::Short {
            return Ok(Err(Missed::NotNow("the disk is full".to_string())));
        }
        let (key, name) = (&file.task.key, &file.task.provider);
        let facts = match self
            .front
            .admission_facts(id, Some(key), name, named.as_ref())
        {
            // A row that this program cannot read is its key's trouble alone.
            Err(error @ LedgerError::Read { .. }) => {
                return Ok(Err(Missed::NotThisOne(in_words(&error))));
            }
            facts => facts?,
        };
        if self.lets_rest(key, &facts).is_some() {
            return Ok(Err(Missed::Rests));
        }
        let prepared = self.prepare_turn(id, &request, &provider, &facts);
        Ok(prepared.and_then(|prepared| self.write_turn(id, prepared)))
    }

    /// Its dispatch, and the provider as it is now.
    fn kept_of(&self, id: &TaskId) -> Result<(SpecFile, std::sync::Arc<Provider>), Missed> {
        let lost = |why: &str| Missed::Never(format!("what was asked for is lost: {why}"));
        let file = match self.service.folders.spec(id) {
            Ok(Some(file)) if !file.rowless => file,
            Ok(None) => return Err(lost("its spec is gone")),
            Ok(Some(_)) => {
                return Err(lost(
                    "its environment was wiped while a ledger without it was in use",
                ));
            }
            Err(error) => {
                return Err(match missed(&error) {
                    Missed::Never(why) => lost(&why),
                    it @ (Missed::NotNow(_) | Missed::NotThisOne(_) | Missed::Rests) => it,
                });
            }
        };
        let registry = self.providers.registry();
        let provider = self.service.provider_of(registry, &file.request());
        if self.providers.is_being_written(&file.task.provider) {
            let why = provider.err().map_or_else(
                || "the file of its provider has just gone away".to_owned(),
                |refusal| refusal.message,
            );
            return Err(Missed::NotThisOne(why));
        }
        Ok((file, provider?))
    }

    fn prepare_turn(
        &mut self,
        id: &TaskId,
        request: &RunRequest,
        provider: &Provider,
        facts: &AdmissionFacts,
    ) -> Result<Prepared, Missed> {
        let Some(live) = self.tasks.get(id) else {
            return Err(Missed::NotThisOne("it is gone".to_string()));
        };
        let (kept, queued_at) = (live.task.spec.clone(), live.task.queued_at);
        let digest = live.secret.spec_digest.clone();
        let newest = self.as_used(facts.newest_session.clone(), None);
        let named = self.as_used(facts.named_session.clone(), None);
        let account = run_as::at_its_turn(&kept)?;
        let answer = choose_session(request, provider, &kept.key, (newest, named), |row| {
            self.other_user(row, kept.run_as.as_ref())
        })?;
        let spec = TaskSpec {
            session: answer.plan,
            ..kept
        };
        let mut prepared = self.with_start(request, provider, spec, digest, account.as_ref())?;
        if let Some(at) = queued_at {
            let boot_id = &self.service.identity.boot_id;
            prepared.file.wait_from(at, boot_id);
        }
        prepared.passes_over(answer.warning, facts);
        Ok(prepared)
    }

    /// The same file, with what is decided now. It is whole or as it was, and
    /// without the commit it only says what will be decided again.
    fn write_turn(&self, id: &TaskId, prepared: Prepared) -> Result<Prepared, Missed> {
        let folders = &self.service.folders;
        let written = folders.create(id, &prepared.file);
        match written.and_then(|()| folders.sync_spec(id)) {
            Ok(()) => Ok(prepared),
            Err(error) => Err(missed(&error)),
        }
    }

    fn start_queued(&mut self, id: &TaskId, prepared: Prepared) {
        let Some(live) = self.tasks.get_mut(id) else {
            return;
        };
        for warning in &prepared.warnings {
            tracing::warn!(task = %id, key = %prepared.spec.key, "{warning}");
        }
        live.secret = prepared.secret.clone();
        live.shown = prepared.shown;
        live.start = Some(prepared.start);
        self.live_keys.insert(prepared.spec.key, id.clone());
        self.queue.remove(id);
        self.batch.secrets.push(prepared.secret);
        let session = prepared.spec.session;
        self.step(id, Input::Command(Command::Start { session }));
        self.record_passed_over(id, prepared.passed_over);
    }
}
