//! Retention: ended tasks that are old enough go, row and folder.
//!
//! ```text
//! folder → <id>.pruned ─▶ synced ─▶ rows go (commit) ─▶ folder removed
//! ```
//!
//! Whatever happens in between, a folder without a row is never one that a start
//! takes for a task's, and a row without its folder gets it back.

use std::sync::Arc;
use std::time::Duration;

use protocol::control::{ErrorBody, ErrorCode, PruneRequest, Response};
use protocol::view::{PruneView, PrunedTask};
use protocol::{TaskId, Timestamp};
use sys::claim::{ClaimError, ClaimedBy};
use sys::process;
use tokio::sync::{Mutex, mpsc};

use super::claims;
use super::clock;
use super::core_loop::Core;
use super::held::Held;
use super::input::CoreInput;
use super::service::Service;
use crate::control::ReplySender;
use crate::folder::{FolderError, Folders};
use crate::ledger::{LedgerError, LedgerHandle, OldEnough, RanAs, Reader};
use crate::query::{self, SettleError};
use crate::text::in_words;

/// Tasks whose rows go in one transaction: a commit that waits behind it waits
/// for so many renames and one sync.
const AT_ONCE: usize = 32;

/// Most tasks that an answer names: with the longest keys it stays far below the
/// largest frame.
const MOST_NAMED: usize = 10_000;

/// Between two looks at what the configuration lets go.
const EVERY: Duration = Duration::from_secs(3_600);

/// Why tasks did not go, or not all of them.
#[derive(Debug, thiserror::Error)]
enum PruneError {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error("the look at the folders panicked")]
    Panicked,
}

/// One round: which tasks, and what it needs to remove them.
struct Round {
    service: Arc<Service>,
    ledger: LedgerHandle,
    /// A round that could not commit puts folders back: never another one's.
    one_at_a_time: Arc<Mutex<()>>,
    which: OldEnough,
}

impl Core {
    /// `prune`: which tasks would go, or they go.
    pub(super) fn prune(&mut self, request: PruneRequest, reply: ReplySender) {
        let which = match request.older_than_ms {
            Some(ms) => Some(OldEnough {
                ended_by: Some(ago(ms)),
                beyond: None,
            }),
            None => self.configured(),
        };
        let Some(which) = which else {
            return self.batch.answer(reply, Response::Error(no_retention()));
        };
        let (round, inputs) = (self.round(which), self.inputs.clone());
        self.batch.later(async move {
            let done = if request.apply {
                round.apply().await
            } else {
                round.dry_run().await
            };
            let (response, error) = match done {
                Ok(view) => (Response::Pruned(view), None),
                Err(error) => (Response::Error(failed(&error)), Some(error)),
            };
            reply.send(response);
            end_if_fatal(error, &inputs).await;
        });
    }

    /// What the configuration lets go, goes; and so again and again.
    pub(super) fn retain(&mut self) {
        let Some(which) = self.configured() else {
            return;
        };
        let (round, inputs) = (self.round(which), self.inputs.clone());
        self.batch.later(async move {
            if let Err(error) = round.apply().await {
                let words = failed(&error);
                tracing::warn!(error = words.message, hint = words.hint, "retention");
                end_if_fatal(Some(error), &inputs).await;
            }
            tokio::time::sleep(every()).await;
            // Closed only when the supervisor leaves.
            drop(inputs.send(CoreInput::Retain).await);
        });
    }

    /// A supervisor was killed while it pruned. Where the row is still there,
    /// nothing has happened; else the folder is all that is left.
    pub(super) async fn end_last_prune(&mut self) -> Result<(), LedgerError> {
        let folders = self.service.folders.clone();
        let kept = move |reader: &Reader<'_>| Ok(query::keep_sessions(reader, &folders));
        tell_kept(self.ledger.browse(kept).await?)?;
        let folders = &self.service.folders;
        let left = folders.left_aside().unwrap_or_else(|error| {
            tracing::warn!(%error, "what a prune left was not looked for");
            Vec::new()
        });
        for id in left {
            let done = match self.ledger.task_row(id.clone()).await? {
                Some(_) => folders.put_back(&id),
                None => folders.remove_aside(&id),
            };
            if let Err(error) = done {
                tracing::warn!(task = %id, %error, "a prune was not brought to its end");
            }
        }
        Ok(())
    }

    fn configured(&self) -> Option<OldEnough> {
        let retention = &self.service.config.retention;
        let which = OldEnough {
            ended_by: retention.max_age_ms.map(ago),
            beyond: retention.max_tasks,
        };
        (which != OldEnough::default()).then_some(which)
    }

    fn round(&self, which: OldEnough) -> Round {
        Round {
            service: self.service.clone(),
            ledger: self.ledger.clone(),
            one_at_a_time: self.pruning.clone(),
            which,
        }
    }
}

impl Round {
    async fn dry_run(self) -> Result<PruneView, PruneError> {
        let (tasks, kept) = self.chosen().await?;
        Ok(summary(tasks, kept))
    }

    async fn apply(self) -> Result<PruneView, PruneError> {
        let one_at_a_time = self.one_at_a_time.clone();
        let _turn = one_at_a_time.lock().await;
        let (tasks, kept) = self.chosen().await?;
        let removed = self.remove_all(&tasks).await;
        self.keep_sessions().await?;
        let gone = removed?;
        let events = self.forget().await?;
        while self.ledger.give_back().await? {}
        let view = PruneView {
            applied: true,
            events: Some(events),
            ..summary(gone, kept)
        };
        if view.count > 0 || events > 0 {
            let (tasks, bytes, kept) = (view.count, view.bytes, view.kept);
            tracing::info!(tasks, bytes, kept, events, "pruned");
        }
        Ok(view)
    }

    /// Events go from the beginning of the log, up to the first one that is
    /// needed; gives how many.
    async fn forget(&self) -> Result<u64, PruneError> {
        let ended_by = self.which.ended_by;
        let look = move |reader: &Reader<'_>| reader.forgettable(ended_by);
        let before = self.ledger.browse(look).await?;
        let mut events = 0;
        loop {
            match self.ledger.forget(before).await? {
                0 => return Ok(events),
                some => events += some,
            }
        }
    }

    /// The tasks that are old enough and not needed, with their sizes, and how
    /// many are needed.
    async fn chosen(&self) -> Result<(Vec<PrunedTask>, u64), PruneError> {
        let which = self.which;
        let found = self
            .ledger
            .browse(move |reader| reader.prunable(which))
            .await?;
        let (service, old) = (self.service.clone(), found.tasks);
        // Looked at later than the tasks: none of them has ended since.
        let boot_id = service.identity.boot_id.clone();
        let with_survivors = self.ledger.with_survivors(boot_id).await?;
        let look = move || {
            let mut held = Held::default();
            for task in &with_survivors {
                held.hold(task, &service.identity);
            }
            let held = held.tasks();
            let before = old.len();
            let mut free = old;
            free.retain(|task| !held.contains(&task.id) && !shim_may_live(&service, &task.id));
            for task in &mut free {
                task.bytes = service.folders.bytes(&task.id);
            }
            let kept = (before - free.len()) as u64;
            (free, kept)
        };
        let (free, alive) = tokio::task::spawn_blocking(look)
            .await
            .map_err(|_| PruneError::Panicked)?;
        Ok((free, found.kept + alive))
    }

    async fn remove_all(&self, tasks: &[PrunedTask]) -> Result<Vec<PrunedTask>, PruneError> {
        let mut gone = Vec::with_capacity(tasks.len());
        for some in tasks.chunks(AT_ONCE) {
            gone.extend(self.remove(some).await?);
        }
        Ok(gone)
    }

    /// What a rebuild of the ledger needs to know of sessions that stay. Nothing else
    /// depends on it, and the next start tries again.
    async fn keep_sessions(&self) -> Result<(), LedgerError> {
        let folders = self.service.folders.clone();
        let kept = move |reader: &Reader<'_>| Ok(query::keep_sessions(reader, &folders));
        tell_kept(self.ledger.browse(kept).await?)
    }

    /// Removes some tasks; gives those that are gone.
    async fn remove(&self, tasks: &[PrunedTask]) -> Result<Vec<PrunedTask>, PruneError> {
        let ids: Vec<TaskId> = tasks.iter().map(|task| task.id.clone()).collect();
        // Named in the task's folder alone: whoever goes first takes the name along.
        let (folders, of) = (self.service.folders.clone(), ids.clone());
        let clear = move || of.iter().for_each(|id| clear_temp(&folders, id));
        tokio::task::spawn_blocking(clear)
            .await
            .map_err(|_| PruneError::Panicked)?;
        let folders = self.service.folders.clone();
        let move_aside = Box::new(move |ids: &[TaskId]| {
            let user = |id: &TaskId| Some((id.clone(), folders.shown(id).run_as?));
            let ran_as: RanAs = ids.iter().filter_map(user).collect();
            folders.move_aside(ids)?;
            Ok(ran_as)
        });
        let gone = match self.ledger.prune(ids.clone(), move_aside).await {
            Ok(gone) => gone,
            Err(error) => {
                if matches!(error, LedgerError::Aside { .. } | LedgerError::Full { .. }) {
                    self.put_back(ids).await;
                }
                // Else nobody knows whether the rows are gone: the next start
                // looks.
                return Err(error.into());
            }
        };
        let (folders, removed) = (self.service.folders.clone(), gone.clone());
        let removal = move || removed.iter().try_for_each(|id| folders.remove_aside(id));
        tokio::task::spawn_blocking(removal)
            .await
            .map_err(|_| PruneError::Panicked)??;
        let went = tasks.iter().filter(|task| gone.contains(&task.id));
        Ok(went.cloned().collect())
    }

    async fn put_back(&self, ids: Vec<TaskId>) {
        let folders = self.service.folders.clone();
        let back = move || {
            for id in ids {
                if let Err(error) = folders.put_back(&id) {
                    tracing::warn!(task = %id, %error, "its folder was not put back; the next start tries again");
                }
            }
        };
        if tokio::task::spawn_blocking(back).await.is_err() {
            tracing::error!("putting folders back panicked");
        }
    }
}

/// # Errors
/// Of the ledger; a folder's are told.
fn tell_kept(kept: Result<(), SettleError>) -> Result<(), LedgerError> {
    match kept {
        Ok(()) => Ok(()),
        Err(SettleError::Ledger(error)) => Err(error),
        Err(SettleError::Folder(error)) => {
            tracing::warn!(
                %error,
                cause = ?std::error::Error::source(&error),
                "a rebuild of the ledger would not know all sessions of tasks that were pruned"
            );
            Ok(())
        }
    }
}

/// What cannot be trusted any more is left, as after a failed commit.
async fn end_if_fatal(error: Option<PruneError>, inputs: &mpsc::Sender<CoreInput>) {
    if let Some(PruneError::Ledger(error @ (LedgerError::Fatal { .. } | LedgerError::Poisoned))) =
        error
    {
        // Closed only when the supervisor leaves.
        drop(inputs.send(CoreInput::LedgerFailed(error)).await);
    }
}

/// Temporary files that cannot be removed keep no task.
fn clear_temp(folders: &Folders, id: &TaskId) {
    if let Err(error) = folders.clear_temp(id) {
        tracing::warn!(task = %id, %error, "its private folder was not removed");
    }
}

/// Its shim, which writes into the folder, is not known to be gone.
fn shim_may_live(service: &Service, id: &TaskId) -> bool {
    match claims::read(service, id) {
        Ok(Some(claim)) => {
            claim.by == ClaimedBy::Shim
                && !matches!(process::same_process(&claim.process), Ok(None))
        }
        // A claim that cannot be understood names no process.
        Ok(None) | Err(ClaimError::Damaged(_) | ClaimError::Version { .. }) => false,
        Err(ClaimError::Io { .. }) => true,
    }
}

fn summary(mut tasks: Vec<PrunedTask>, kept: u64) -> PruneView {
    let (count, bytes) = (
        tasks.len() as u64,
        tasks.iter().map(|task| task.bytes).sum(),
    );
    tasks.truncate(MOST_NAMED);
    PruneView {
        applied: false,
        count,
        bytes,
        tasks,
        kept,
        events: None,
    }
}

fn ago(ms: u64) -> Timestamp {
    let ms = i64::try_from(ms).unwrap_or(i64::MAX);
    Timestamp(clock::now().0.saturating_sub(ms).max(0))
}

fn no_retention() -> ErrorBody {
    ErrorBody::new(
        ErrorCode::Usage,
        "how long ended tasks are kept is not configured",
    )
    .with_hint("say --older-than, or set [retention] max_age or max_tasks in the configuration")
}

/// Nothing is half gone: a task that is not gone is whole.
fn failed(error: &PruneError) -> ErrorBody {
    ErrorBody::new(ErrorCode::Storage, in_words(error))
        .with_hint("what is not gone is as it was; `agentctl prune` shows it")
}

/// Tests do not wait for an hour.
#[cfg(feature = "hooks")]
fn every() -> Duration {
    std::env::var("AGENT_SUPERVISOR_RETENTION_EVERY_MS")
        .ok()
        .and_then(|text| text.parse().ok())
        .map_or(EVERY, Duration::from_millis)
}

#[cfg(not(feature = "hooks"))]
const fn every() -> Duration {
    EVERY
}
