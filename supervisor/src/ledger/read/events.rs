//! The event log.

use lifecycle::{Event, EventBody};
use protocol::TaskId;
use protocol::view::EventView;
use protocol::vocab::Stream;

use super::Reader;
use crate::ledger::LedgerError;
use crate::ledger::log;
use crate::ledger::project::integer;

/// Events from the end of the log in which unsettled tasks are looked for:
/// far more than one batch of commits has.
const RECENT: u64 = 8_192;

// The columns are those that `log` reads, in its order.
pub(super) const PAGE: &str = "SELECT seq, at, task_id, type, payload, record
     FROM agent_run_event WHERE seq >= ?1 ORDER BY seq LIMIT ?2";
pub(super) const PAGE_OF_TASK: &str = "SELECT seq, at, task_id, type, payload, record
     FROM agent_run_event WHERE task_id = ?1 AND seq >= ?2 ORDER BY seq LIMIT ?3";
pub(super) const OF_TASK: &str = "SELECT seq, at, task_id, type, payload, record
     FROM agent_run_event WHERE task_id = ?1 ORDER BY seq";
pub(super) const ANY_OF_TASK: &str = "SELECT 1 FROM agent_run_event WHERE task_id = ?1 LIMIT 1";
pub(super) const LAST_OF_KIND: &str = "SELECT seq, at, task_id, type, payload, record
     FROM agent_run_event WHERE task_id = ?1 AND type = ?2 ORDER BY seq DESC LIMIT 1";

impl Reader<'_> {
    /// At most `limit` events with `from_seq` or a later seq, in order; only
    /// those of `task`, if one is given.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn events_page(
        &self,
        from_seq: u64,
        task: Option<&TaskId>,
        limit: u32,
    ) -> Result<Vec<EventView>, LedgerError> {
        const OPERATION: &str = "read the event log";
        let from = integer(from_seq);
        match task {
            None => self.rows(OPERATION, PAGE, (from, limit), log::view_of),
            Some(task) => {
                let parameters = (task.as_str(), from, limit);
                self.rows(OPERATION, PAGE_OF_TASK, parameters, log::view_of)
            }
        }
    }

    /// Every event of a task, in order.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn task_events(&self, task: &TaskId) -> Result<Vec<Event>, LedgerError> {
        let events = self.rows(
            "read a task's events",
            OF_TASK,
            [task.as_str()],
            log::event_of,
        )?;
        Ok(events.into_iter().flatten().collect())
    }

    /// Is there an event of this task?
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn tells_of(&self, task: &TaskId) -> Result<bool, LedgerError> {
        let any = self.first(
            "look for a task's events",
            ANY_OF_TASK,
            [task.as_str()],
            |_| Ok(()),
        )?;
        Ok(any.is_some())
    }

    /// Bytes that an ended task printed and that were not kept.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn gap_bytes(&self, task: &TaskId, stream: Stream) -> Result<u64, LedgerError> {
        let Some(Event {
            body: EventBody::Finished { gap_bytes, .. },
            ..
        }) = self.last_of(task, "task.finished")?
        else {
            return Ok(0);
        };
        Ok(match stream {
            Stream::Stdout => gap_bytes.0,
            Stream::Stderr => gap_bytes.1,
        })
    }

    /// Was its agent ever executed?
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn was_started(&self, task: &TaskId) -> Result<bool, LedgerError> {
        Ok(self.last_of(task, "task.started")?.is_some())
    }

    /// Tasks that ended lately, the newest first. A supervisor that was killed
    /// right after a commit may have left their folders as they were.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn ended_lately(&self) -> Result<Vec<TaskId>, LedgerError> {
        self.rows(
            "look for tasks that ended lately",
            "SELECT task_id FROM agent_run_event
             WHERE seq > (SELECT max(seq) FROM agent_run_event) - ?1
                 AND type = 'task.ended' AND task_id IS NOT NULL ORDER BY seq DESC",
            [integer(RECENT)],
            super::find::task_id,
        )
    }

    /// Ended tasks of which the operator lately said how they, or their
    /// sessions, are to be kept.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn reworded_lately(&self) -> Result<Vec<TaskId>, LedgerError> {
        self.rows(
            "look for what the operator lately said",
            "WITH lately AS (
                 SELECT task_id, type, payload FROM agent_run_event
                 WHERE seq > (SELECT max(seq) FROM agent_run_event) - ?1
                     AND type IN ('task.archived', 'task.unarchived', 'task.renamed',
                         'session.released', 'session.quarantined'))
             SELECT id FROM task_history
             WHERE status NOT IN ('queued', 'running') AND (
                 id IN (SELECT task_id FROM lately)
                 OR id IN (SELECT s.task_id FROM lately l JOIN agent_sessions s
                     ON s.key = json_extract(l.payload, '$.key')
                         AND s.provider = json_extract(l.payload, '$.provider')
                         AND s.session_id = json_extract(l.payload, '$.session_id')
                     WHERE l.task_id IS NULL))",
            [integer(RECENT)],
            super::find::task_id,
        )
    }

    fn last_of(&self, task: &TaskId, kind: &str) -> Result<Option<Event>, LedgerError> {
        let found = self.first(
            "read a task's events",
            LAST_OF_KIND,
            (task.as_str(), kind),
            log::event_of,
        )?;
        Ok(found.flatten())
    }
}
