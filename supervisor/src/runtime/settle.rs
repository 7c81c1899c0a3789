//! The folder of a task that has ended: what a rebuild of the ledger needs is
//! written, what nobody needs any more is wiped.

use std::sync::Arc;

use protocol::TaskId;

use super::claims;
use super::core_loop::Core;
use super::service::Service;
use crate::ledger::LedgerError;
use crate::query;

impl Core {
    /// Settles the folders of tasks whose end was committed and told, in the
    /// ledger's reading thread. Nothing is lost if that is interrupted: the
    /// next start does it.
    pub(super) fn settle_folders(&mut self) {
        for id in std::mem::take(&mut self.unsettled) {
            let (ledger, folders) = (self.ledger.clone(), self.service.folders.clone());
            let service = self.service.clone();
            let temp = self.held.of_task(&id).is_empty();
            self.jobs.spawn(async move {
                if temp && claims::shim_is_dead(&service, &id) {
                    clear_temp(service, id.clone()).await;
                }
                let task = id.clone();
                let settled = ledger
                    .browse(move |reader| Ok(query::settle(reader, &folders, &id)))
                    .await;
                match settled {
                    Ok(Ok(())) | Err(LedgerError::Closed) => {}
                    Ok(Err(error)) => {
                        tracing::warn!(%task, %error, "its folder could not be settled");
                    }
                    Err(error) => tracing::warn!(%task, %error, "its folder was not settled"),
                }
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

    /// After a start: tasks that ended right before the last supervisor did.
    pub(super) async fn settle_leftovers(&mut self) -> Result<(), LedgerError> {
        let folders = self.service.folders.clone();
        let left = self
            .ledger
            .browse(move |reader| query::unsettled(reader, &folders))
            .await?;
        self.unsettled.extend(left);
        self.settle_folders();
        Ok(())
    }
}

/// In a thread of its own: an agent may have left any amount there.
async fn clear_temp(service: Arc<Service>, id: TaskId) {
    let task = id.clone();
    let cleared = tokio::task::spawn_blocking(move || service.folders.clear_temp(&id)).await;
    match cleared {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%task, %error, "its private folder was not removed"),
        Err(error) => tracing::error!(%task, %error, "the removal of a private folder panicked"),
    }
}
