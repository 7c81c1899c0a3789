//! Boots of the machine: in which one a task began, and what may live on of
//! those that ended in this one.

use lifecycle::{EventBody, Task};
use protocol::TaskId;
use rusqlite::Row;

use super::Reader;
use super::fields::Fields;
use super::find::task_id;
use crate::ledger::error::StoreError;
use crate::ledger::{LedgerError, log, meta};

pub(super) const START_BEFORE: &str =
    "SELECT seq, at, task_id, type, payload, record FROM agent_run_event
     WHERE type = 'supervisor.started'
         AND seq < (SELECT min(seq) FROM agent_run_event WHERE task_id = ?1)
     ORDER BY seq DESC LIMIT 1";
pub(super) const FIRST_OF_BOOT: &str = "SELECT min(seq) FROM agent_run_event
     WHERE type = 'supervisor.started' AND json_extract(payload, '$.boot_id') = ?1";
pub(super) const WITH_SURVIVORS: &str = "SELECT task_id FROM agent_run_event
     WHERE type = 'task.ended' AND json_extract(payload, '$.survivors[0]') IS NOT NULL
         AND seq > ?1 AND task_id IS NOT NULL ORDER BY seq";

impl Reader<'_> {
    /// The boot id of the supervisor that admitted a task. None if nobody knows:
    /// what retention took off the log left word of its last boot.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn boot_of(&self, task: &TaskId) -> Result<Option<String>, LedgerError> {
        let start = self.first(
            "look up the boot of a task",
            START_BEFORE,
            [task.as_str()],
            log::event_of,
        )?;
        Ok(match start.flatten().map(|event| event.body) {
            Some(EventBody::SupervisorStarted { boot_id, .. }) => Some(boot_id),
            Some(_) | None => self.pruned_boot()?,
        })
    }

    /// The ended tasks whose ends name survivors, as far as they ended in this
    /// boot: in another one nothing can live on.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn with_survivors(&self, boot_id: &str) -> Result<Vec<Task>, LedgerError> {
        const OPERATION: &str = "look for survivors";
        let first = match self.pruned_boot()? {
            // It began before the log does.
            Some(pruned) if pruned == boot_id => Some(0),
            Some(_) | None => {
                let of_boot = |row: &Row<'_>| Fields::of(row).count();
                self.first(OPERATION, FIRST_OF_BOOT, [boot_id], of_boot)?
                    .flatten()
            }
        };
        let Some(first) = first else {
            return Ok(Vec::new());
        };
        let from = crate::ledger::project::integer(first);
        let mut tasks = Vec::new();
        for id in self.rows(OPERATION, WITH_SURVIVORS, [from], task_id)? {
            tasks.extend(Task::fold(&self.task_events(&id)?));
        }
        Ok(tasks)
    }

    /// The ended tasks whose ends name survivors, of whichever boot.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn ever_with_survivors(&self) -> Result<Vec<TaskId>, LedgerError> {
        self.rows("look for former survivors", WITH_SURVIVORS, [0], task_id)
    }

    fn pruned_boot(&self) -> Result<Option<String>, LedgerError> {
        meta::read(self.db, meta::PRUNED_BOOT)
            .map_err(|error| StoreError::Sql(error).of_read("read the ledger's own facts"))
    }
}
