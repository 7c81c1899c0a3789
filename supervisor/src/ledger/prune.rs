//! What retention takes out of the tables. Nothing else ever does.
//!
//! Rows go one task at a time, with everything that belongs to them. Events go
//! from the beginning of the log only, so that `seq` has no hole; a reader who
//! asks for what is gone is told the gap.

use std::collections::BTreeMap;
use std::error::Error;

use lifecycle::WithoutTask;
use protocol::TaskId;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};
use sys::hook;

use super::error::StoreError;
use super::meta;
use super::project::integer;
use super::read::MAY_GO;
use super::syncs::{self, Waited};

/// Events in one transaction: a commit that waits behind it waits for some
/// milliseconds.
const EVENTS_AT_ONCE: u64 = 4_096;

/// Free pages that are given back in one step (4 MiB), for the same reason.
const PAGES_AT_ONCE: i64 = 1_024;

/// Free pages that the file keeps (1 MiB): the next tasks use them.
const KEPT_PAGES: i64 = 256;

/// `PRAGMA auto_vacuum` of a file that can give pages back.
const INCREMENTAL: i64 = 2;

/// Moves the folders of tasks aside; their rows go when it has succeeded.
pub type MoveAside =
    Box<dyn FnMut(&[TaskId]) -> Result<RanAs, Box<dyn Error + Send + Sync>> + Send>;

/// The users that tasks ran as, where that was not the supervisor's own: with the
/// folders nobody would know any more.
pub type RanAs = BTreeMap<TaskId, String>;

/// Removes the rows of those of `ids` that may still go, in one transaction,
/// right after their folders were moved aside. Gives which.
pub(super) fn tasks(
    db: &mut Connection,
    ids: &[TaskId],
    move_aside: &mut MoveAside,
) -> Result<Vec<TaskId>, StoreError> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut going = Vec::new();
    for id in ids {
        let mut may_go = transaction.prepare_cached(MAY_GO)?;
        if may_go.exists([id.as_str()])? {
            going.push(id.clone());
        }
    }
    if going.is_empty() {
        return Ok(going);
    }
    let mut ran_as = move_aside(&going).map_err(StoreError::Aside)?;
    for id in &going {
        let without_task = WithoutTask {
            ran_as: ran_as.remove(id),
        };
        remove(&transaction, id, &without_task)?;
    }
    seal(transaction)?;
    Ok(going)
}

/// Its sessions stay (R6): their ids are not erased, and the operator may give them back.
fn remove(db: &Connection, id: &TaskId, without_task: &WithoutTask) -> Result<(), StoreError> {
    let id = id.as_str();
    let without_task = serde_json::to_string(without_task)?;
    db.prepare_cached(
        "UPDATE agent_sessions SET without_task = ?2
         WHERE (key, provider) = (SELECT key, provider FROM task_history WHERE id = ?1)
             AND task_id = ?1",
    )?
    .execute((id, without_task))?;
    let highest: Option<i64> = db
        .prepare_cached("SELECT max(id) FROM stop_intent WHERE task_id = ?1")?
        .query_row([id], |row| row.get(0))?;
    let known = integer(meta::count(db, meta::PRUNED_INTENT)?);
    if let Some(highest) = highest.filter(|highest| *highest > known) {
        meta::write(db, meta::PRUNED_INTENT, &highest.to_string())?;
    }
    for sql in [
        "DELETE FROM stop_intent WHERE task_id = ?1",
        "DELETE FROM task_secret WHERE task_id = ?1",
        "DELETE FROM task_history WHERE id = ?1",
    ] {
        db.prepare_cached(sql)?.execute([id])?;
    }
    Ok(())
}

/// Removes events from the beginning of the log, none from `before` on, and not
/// too many at once. Gives how many.
pub(super) fn events(db: &mut Connection, before: u64) -> Result<u64, StoreError> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let first: Option<i64> =
        transaction.query_row("SELECT min(seq) FROM agent_run_event", [], |row| row.get(0))?;
    let Some(first) = first.and_then(|first| u64::try_from(first).ok()) else {
        return Ok(0);
    };
    let end = before.min(first.saturating_add(EVENTS_AT_ONCE));
    if end <= first {
        return Ok(0);
    }
    // Of a task's boot the last start before it tells, even when it is gone.
    let boot: Option<String> = transaction
        .prepare_cached(
            "SELECT json_extract(payload, '$.boot_id') FROM agent_run_event
             WHERE type = 'supervisor.started' AND seq < ?1 ORDER BY seq DESC LIMIT 1",
        )?
        .query_row([integer(end)], |row| row.get(0))
        .optional()?;
    if let Some(boot) = boot {
        meta::write(&transaction, meta::PRUNED_BOOT, &boot)?;
    }
    meta::write(&transaction, meta::PRUNED_SEQ, &(end - 1).to_string())?;
    let removed = transaction
        .prepare_cached("DELETE FROM agent_run_event WHERE seq < ?1")?
        .execute([integer(end)])?;
    seal(transaction)?;
    Ok(removed as u64)
}

/// Gives some free pages back to the file system; the next checkpoint cuts the
/// file. Tells whether there are more.
pub(super) fn give_back(db: &Connection) -> Result<bool, StoreError> {
    let number = |name| db.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let spare = number("freelist_count")? - KEPT_PAGES;
    if spare <= 0 || number("auto_vacuum")? != INCREMENTAL {
        return Ok(false);
    }
    let pages = spare.min(PAGES_AT_ONCE);
    let mut statement = db.prepare(&format!("PRAGMA incremental_vacuum({pages})"))?;
    let mut steps = statement.query([])?;
    // It frees a page with each step.
    while steps.next()?.is_some() {}
    syncs::note(Waited::Commit);
    Ok(spare > pages)
}

fn seal(transaction: Transaction<'_>) -> rusqlite::Result<()> {
    hook::SUP_COMMIT.run(|| {
        let committed = transaction.commit();
        syncs::note(Waited::Commit);
        committed
    })
}
