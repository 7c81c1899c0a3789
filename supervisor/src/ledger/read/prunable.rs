//! Ended tasks that retention may take, and how far back the event log has to
//! reach.

use protocol::view::PrunedTask;
use protocol::{Key, Status, TaskId, Timestamp};
use rusqlite::Row;

use super::Reader;
use super::fields::{Fields, bad};
use crate::ledger::LedgerError;

/// Which ended tasks are old enough: any of both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OldEnough {
    /// Those that ended then or before.
    pub ended_by: Option<Timestamp>,
    /// Those beyond the newest so many.
    pub beyond: Option<u64>,
}

/// The ended tasks that are old enough.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prunable {
    /// Those that nothing needs, the oldest first. Their sizes are not known.
    pub tasks: Vec<PrunedTask>,
    /// How many are needed.
    pub kept: u64,
}

/// Something needs the ended task `t`: a session that may be resumed, a
/// quarantined one without which an older one of its key would be resumed
/// instead, or a task that has not ended and came from it.
macro_rules! needed {
    () => {
        "(EXISTS (SELECT 1 FROM agent_sessions s
             WHERE s.key = t.key AND s.provider = t.provider AND s.task_id = t.id
                 AND (s.state <> 'quarantined' OR EXISTS (SELECT 1 FROM agent_sessions older
                     WHERE older.key = s.key AND older.provider = s.provider
                         AND older.state = 'resumable' AND older.last_used_at <= s.last_used_at)))
         OR t.id IN (
             SELECT retry_of FROM task_history
                 WHERE status IN ('queued', 'running') AND retry_of IS NOT NULL
             UNION ALL SELECT fresh_after FROM task_history
                 WHERE status IN ('queued', 'running') AND fresh_after IS NOT NULL
             UNION ALL SELECT reopened_from FROM task_history
                 WHERE status IN ('queued', 'running') AND reopened_from IS NOT NULL))"
    };
}

const OLD_ENOUGH: &str = concat!(
    "SELECT t.id, t.key, t.status, t.finished_at, ",
    needed!(),
    " FROM task_history t
     WHERE t.status NOT IN ('queued', 'running')
         AND (t.finished_at <= ?1 OR t.number <= (SELECT number FROM task_history
             WHERE status NOT IN ('queued', 'running') ORDER BY number DESC LIMIT 1 OFFSET ?2))
     ORDER BY t.number"
);

/// May this one go?
pub(in crate::ledger) const MAY_GO: &str = concat!(
    "SELECT 1 FROM task_history t
     WHERE t.id = ?1 AND t.status NOT IN ('queued', 'running') AND NOT ",
    needed!()
);

/// The first event of a task that has a row.
const FIRST_NEEDED: &str = "SELECT seq FROM agent_run_event e WHERE task_id IS NOT NULL
     AND EXISTS (SELECT 1 FROM task_history t WHERE t.id = e.task_id) ORDER BY seq LIMIT 1";
const FIRST_SINCE: &str = "SELECT seq FROM agent_run_event WHERE at > ?1 ORDER BY seq LIMIT 1";
const NEWEST: &str = "SELECT max(seq) FROM agent_run_event";

impl Reader<'_> {
    /// The ended tasks that are old enough.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn prunable(&self, which: OldEnough) -> Result<Prunable, LedgerError> {
        // Nothing ended by the empty text, and nothing stands beyond so many.
        let ended_by = which.ended_by.map(|at| at.to_string()).unwrap_or_default();
        let beyond = which
            .beyond
            .map_or(i64::MAX, crate::ledger::project::integer);
        let found = self.rows(
            "look for tasks that are old enough",
            OLD_ENOUGH,
            (ended_by, beyond),
            one,
        )?;
        let mut prunable = Prunable::default();
        for (task, needed) in found {
            if needed {
                prunable.kept += 1;
            } else {
                prunable.tasks.push(task);
            }
        }
        Ok(prunable)
    }

    /// The seq before which no event is needed: none of a task that has a row,
    /// and none that is younger than `ended_by`.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn forgettable(&self, ended_by: Option<Timestamp>) -> Result<u64, LedgerError> {
        const OPERATION: &str = "look for events that are old enough";
        let seq = |row: &Row<'_>| Fields::of(row).count();
        let newest = self.first(OPERATION, NEWEST, [], seq)?.flatten();
        let end = newest.map_or(0, |newest| newest.saturating_add(1));
        let needed = self.first(OPERATION, FIRST_NEEDED, [], seq)?.flatten();
        let young = match ended_by {
            Some(at) => self
                .first(OPERATION, FIRST_SINCE, [at.to_string()], seq)?
                .flatten(),
            None => None,
        };
        Ok(end.min(needed.unwrap_or(end)).min(young.unwrap_or(end)))
    }
}

fn one(row: &Row<'_>) -> rusqlite::Result<(PrunedTask, bool)> {
    let mut fields = Fields::of(row);
    let task = PrunedTask {
        id: fields
            .checked(|text| TaskId::new(text).ok())?
            .ok_or_else(|| bad("id"))?,
        key: fields
            .checked(|text| Key::new(text).ok())?
            .ok_or_else(|| bad("key"))?,
        status: fields
            .checked(Status::parse)?
            .ok_or_else(|| bad("status"))?,
        finished_at: fields.time()?.ok_or_else(|| bad("finished_at"))?,
        bytes: 0,
    };
    Ok((task, fields.next()?))
}
