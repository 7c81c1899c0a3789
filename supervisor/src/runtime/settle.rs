//! The folder of a task that has ended: what a rebuild of the ledger needs is
//! written, what nobody needs any more is wiped.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use protocol::TaskId;

use super::cgroups;
use super::claims;
use super::core_loop::Core;
use super::input::CoreInput;
use super::service::Service;
use crate::folder::Folders;
use crate::ledger::{LedgerError, LedgerHandle};
use crate::query::{self, SettleError};

/// How often a folder is tried to be settled: with the pauses below for a day
/// and a half. The next start tries again as well.
const TRIES: u32 = 12;

/// The pause after the first try; each later one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(60);

/// Folders whose settling has not begun. A task that changes meanwhile needs no second
/// one: what is written is read when it begins. Else a thousand changes of one task
/// would read its whole log a thousand times, and everybody who asks the ledger
/// would wait for that.
#[derive(Clone, Debug, Default)]
pub(super) struct Unbegun(Arc<Mutex<HashSet<Settling>>>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Settling {
    id: TaskId,
    /// Nothing of the task lives on: its private folder goes, too.
    clears_temp: bool,
}

impl Unbegun {
    fn set(&self) -> MutexGuard<'_, HashSet<Settling>> {
        // A set is whole at every point where a panic can happen.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Core {
    /// Settles the folders of tasks whose end was committed and told, in the
    /// ledger's reading thread. Nothing is lost if that is interrupted: the
    /// next start does it.
    pub(super) fn settle_folders(&mut self) {
        for id in self.held.take_freed() {
            self.clear_unused_temp(&id);
        }
        for id in std::mem::take(&mut self.unsettled) {
            let clears_temp = self.held.of_task(&id).is_empty();
            let settling = Settling { id, clears_temp };
            if !self.unbegun.set().insert(settling.clone()) {
                continue;
            }
            let (ledger, service) = (self.ledger.clone(), self.service.clone());
            let unbegun = self.unbegun.clone();
            self.jobs.spawn(async move {
                // Whoever waits for the end hears of it first.
                tokio::task::yield_now().await;
                if clears_temp && claims::shim_is_dead(&service, &settling.id) {
                    clear_temp(service.clone(), settling.id.clone()).await;
                }
                settle(&ledger, &service.folders, &unbegun, &settling).await;
            });
        }
    }

    /// Removes the private folder of a task whose shim is dead.
    pub(super) fn clear_temp(&mut self, id: &TaskId) {
        if self.held.of_task(id).is_empty() {
            self.jobs
                .spawn(clear_temp(self.service.clone(), id.clone()));
        }
    }

    /// The same of one whose shim may live: it removes the folder itself, unless
    /// something has lived on that may use it.
    pub(super) fn clear_unused_temp(&mut self, id: &TaskId) {
        let service = &self.service;
        if service.folders.has_temp(id) && claims::shim_is_dead(service, id) {
            self.clear_temp(id);
        }
    }

    /// After a start: tasks that ended right before the last supervisor did.
    pub(super) async fn settle_leftovers(&mut self) -> Result<(), LedgerError> {
        let folders = self.service.folders.clone();
        let left = self
            .ledger
            .browse(move |reader| Ok(query::unsettled(reader, &folders)))
            .await?;
        match left {
            Ok(left) => self.unsettled.extend(left),
            Err(SettleError::Ledger(error)) => return Err(error),
            Err(SettleError::Folder(error)) => {
                tracing::warn!(%error, "folders that lag behind the ledger were not looked for");
            }
        }
        self.remove_empty_cgroups();
        self.settle_folders();
        self.look_for_rowless();
        Ok(())
    }

    /// A supervisor that was killed between a `spec` and the commit of its row
    /// left secrets that belong to no task. With many folders this takes a
    /// while: it is done beside the work.
    fn look_for_rowless(&mut self) {
        let (folders, inputs) = (self.service.folders.clone(), self.inputs.clone());
        let begun = SystemTime::now();
        self.jobs.spawn(async move {
            let found = tokio::task::spawn_blocking(move || folders.undecided(begun)).await;
            match found {
                Ok(Ok(ids)) if ids.is_empty() => {}
                // Closed only when the supervisor leaves.
                Ok(Ok(ids)) => drop(inputs.send(CoreInput::Undecided(ids)).await),
                Ok(Err(error)) => tracing::warn!(%error, "left-over secrets were not looked for"),
                Err(error) => tracing::error!(%error, "the look for left-over secrets panicked"),
            }
        });
    }

    /// Wipes the environment from what was written for tasks that have no row, and
    /// keeps that there was none: a rebuild would start who waits. The rest stays: the
    /// row may have been in a ledger that this one is an older copy of.
    /// Done by the loop, which alone knows of dispatches under way.
    pub(super) async fn wipe_rowless(&mut self, ids: &[TaskId]) -> Result<(), LedgerError> {
        for id in ids {
            if self.tasks.contains_key(id) || self.ledger.task_row(id.clone()).await?.is_some() {
                continue;
            }
            match self.service.folders.wipe_rowless(id) {
                Ok(()) => {
                    tracing::debug!(task = %id, "a dispatch without a row: its secrets are wiped")
                }
                Err(error) => {
                    tracing::warn!(task = %id, %error, "the secrets of a dispatch without a row were not wiped")
                }
            }
        }
        Ok(())
    }
}

/// In a thread of its own: an agent may have left any amount there. Most leave
/// nothing, and their shim has removed it.
async fn clear_temp(service: Arc<Service>, id: TaskId) {
    if cgroups::of(&service, &id).is_none() && !service.folders.has_temp(&id) {
        return;
    }
    let task = id.clone();
    let work = move || {
        cgroups::remove(&service, &id);
        service.folders.clear_temp(&id)
    };
    let cleared = tokio::task::spawn_blocking(work).await;
    match cleared {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%task, %error, "its private folder was not removed"),
        Err(error) => tracing::error!(%task, %error, "the removal of a private folder panicked"),
    }
}

/// Settles one folder. A disk that is full for a while must not keep secrets in
/// it for ever.
async fn settle(ledger: &LedgerHandle, folders: &Folders, unbegun: &Unbegun, settling: &Settling) {
    let id = &settling.id;
    let mut pause = FIRST_PAUSE;
    for tries_left in (0..TRIES).rev() {
        let (of, unbegun, this) = (folders.clone(), unbegun.clone(), settling.clone());
        let settled = ledger
            .browse(move |reader| {
                // What is committed from now on asks for another one.
                unbegun.set().remove(&this);
                Ok(query::settle(reader, &of, &this.id))
            })
            .await;
        match settled {
            Ok(Ok(())) | Err(LedgerError::Closed) => return,
            Ok(Err(error)) => {
                tracing::warn!(task = %id, %error, tries_left, "its folder could not be settled");
            }
            Err(error) => {
                tracing::warn!(task = %id, %error, tries_left, "its folder was not settled");
            }
        }
        if tries_left > 0 {
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }
}
