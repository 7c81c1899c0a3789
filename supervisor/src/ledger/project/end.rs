//! The end of a task: its row and its intents.

use std::path::Path;

use lifecycle::Event;
use lifecycle::event::Ending;
use protocol::vocab::SignalName;
use protocol::{Exit, TaskId};
use rusqlite::Connection;
use serde_json::json;

use super::{integer, intent};
use crate::ledger::error::StoreError;

/// Files of a task that are worth keeping, by their name in its folder.
const ARTIFACTS: [&str; 2] = ["stdout.log", "stderr.log"];

pub(super) fn ended(
    db: &Connection,
    tasks_dir: &Path,
    event: &Event,
    ending: &Ending,
) -> Result<(), StoreError> {
    let Some(task) = &event.task_id else {
        return Ok(());
    };
    let exit = ExitColumns::of(ending.exit.as_ref());
    let usage = &ending.usage;
    let changed = db
        .prepare_cached(
            "UPDATE task_history SET status = ?2, finished_at = ?3, archive_reason = ?4,
                 archive_basis = ?5, ended_by = ?6, finished_basis = ?7, last_seen_at = ?8,
                 exit_kind = ?9, exit_code = ?10, exit_signal = ?11, exit_core = ?12,
                 exit_why = ?13, turns = ?14, input_tokens = ?15, output_tokens = ?16,
                 cost_usd = ?17, artifacts = ?18,
                 version = (SELECT count(*) FROM agent_run_event WHERE task_id = ?1)
             WHERE id = ?1 AND status IN ('queued', 'running')",
        )?
        .execute(rusqlite::params![
            task.as_str(),
            ending.status.as_str(),
            ending.finished_at.to_string(),
            ending.reason.as_str(),
            ending.basis.as_str(),
            ending.ended_by,
            ending.finished_basis.as_str(),
            ending.last_seen_at.to_string(),
            exit.kind,
            exit.code,
            exit.signal,
            exit.core,
            exit.why,
            usage.turns.map(integer),
            usage.input_tokens.map(integer),
            usage.output_tokens.map(integer),
            usage.cost_usd,
            artifacts(tasks_dir, task),
        ])?;
    if changed == 0 {
        return Ok(());
    }
    for (id, outcome) in &ending.intents {
        intent::ended(db, task, *id, *outcome)?;
    }
    Ok(())
}

#[derive(Default)]
struct ExitColumns {
    kind: Option<&'static str>,
    code: Option<i32>,
    signal: Option<String>,
    core: Option<bool>,
    why: Option<String>,
}

impl ExitColumns {
    fn of(exit: Option<&Exit>) -> Self {
        let mut columns = Self {
            kind: exit.map(Exit::kind),
            ..Self::default()
        };
        match exit {
            None => {}
            Some(Exit::Exited { code }) => columns.code = Some(*code),
            Some(Exit::Signaled { signal, core }) => {
                columns.signal = Some(SignalName(*signal).to_string());
                columns.core = Some(*core);
            }
            Some(Exit::Unknown { why }) => columns.why = Some(why.clone()),
        }
        columns
    }
}

/// The logs that are there, with their real sizes.
fn artifacts(tasks_dir: &Path, task: &TaskId) -> String {
    let folder = tasks_dir.join(task.as_str());
    let found: Vec<_> = ARTIFACTS
        .iter()
        .filter_map(|name| {
            let path = folder.join(name);
            let bytes = std::fs::metadata(&path).ok()?.len();
            Some(json!({ "name": name, "path": path.to_string_lossy(), "bytes": bytes }))
        })
        .collect();
    serde_json::Value::Array(found).to_string()
}
