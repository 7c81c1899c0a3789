//! The folder of a task that has ended: what a rebuild of the ledger needs is
//! written, what nobody needs any more is wiped.

use super::core_loop::Core;
use crate::ledger::LedgerError;
use crate::query;

impl Core {
    /// Settles the folders of tasks whose end was committed and told, in the
    /// ledger's reading thread. Nothing is lost if that is interrupted: the
    /// next start does it.
    pub(super) fn settle_folders(&mut self) {
        for id in std::mem::take(&mut self.unsettled) {
            let (ledger, folders) = (self.ledger.clone(), self.service.folders.clone());
            self.jobs.spawn(async move {
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
