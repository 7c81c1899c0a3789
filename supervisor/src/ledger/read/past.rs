//! The last tasks of a key, as far as they say whether it rests.

use lifecycle::crash_loop::{LOOKED_AT, Life, Past};
use protocol::{ArchiveReason, Key, Status};
use rusqlite::Row;

use super::Reader;
use super::fields::{Fields, bad};
use crate::ledger::LedgerError;

/// What was seen of an agent is asked of the log only where the row itself does
/// not say that all went well. Where the provider has rules for its output, a line
/// that none of them knows says nothing of an agent: so a CLI refuses in words.
pub(super) const OF_KEY: &str = "SELECT t.id, t.finished_at, t.status, t.archive_reason,
        t.status = 'success' OR EXISTS (SELECT 1 FROM agent_run_event e
            WHERE e.task_id = t.id AND (e.type IN ('task.result', 'task.model', 'task.line_known')
                OR (e.type = 'session.bound'
                    AND json_extract(e.payload, '$.how') IN ('reported', 'confirmed'))
                OR (e.type = 'task.output' AND NOT EXISTS (SELECT 1 FROM agent_run_event a
                    WHERE a.task_id = t.id AND a.type = 'task.admitted'
                        AND json_extract(a.payload, '$.spec.policy.knows_lines'))))),
        t.status <> 'success' AND EXISTS (SELECT 1 FROM agent_run_event e
            WHERE e.task_id = t.id AND e.type = 'key.released')
    FROM task_history t WHERE t.key = ?1 AND t.status NOT IN ('queued', 'running')
    ORDER BY t.number DESC LIMIT ?2";

impl Reader<'_> {
    /// The last ended tasks of `key`, the newest first.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn past_of_key(&self, key: &Key) -> Result<Vec<Past>, LedgerError> {
        let limit = crate::ledger::project::integer(LOOKED_AT);
        let parameters = (key.as_str(), limit);
        self.rows("look at the last tasks of a key", OF_KEY, parameters, past)
    }
}

fn past(row: &Row<'_>) -> rusqlite::Result<Past> {
    let mut fields = Fields::of(row);
    Ok(Past {
        id: fields
            .checked(|text| protocol::TaskId::new(text).ok())?
            .ok_or_else(|| bad("id"))?,
        finished_at: fields.time()?.ok_or_else(|| bad("finished_at"))?,
        status: fields
            .checked(Status::parse)?
            .ok_or_else(|| bad("status"))?,
        reason: fields
            .checked(ArchiveReason::parse)?
            .ok_or_else(|| bad("archive_reason"))?,
        life: if fields.next()? {
            Life::Seen
        } else {
            Life::None
        },
        released: fields.next()?,
    })
}
