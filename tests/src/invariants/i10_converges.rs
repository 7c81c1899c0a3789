//! I10: ledger and journals converge. A ledger that is built anew from the task
//! folders says what the live one says; and where a journal has its end, it says
//! it from the journal alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::{id, is_terminal};
use crate::harness::{Bins, GENEROUS, Ledger, Row, World, wait_explained};

/// What a rebuild finds of tasks that have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Their `settled` files, too.
    Kept,
    /// Specs and journals alone.
    Lost,
}

/// Numbers that are given anew.
const GIVEN_ANEW: [&str; 3] = ["number", "result_seq", "seq"];

/// What a journal alone has to tell.
const IN_THE_JOURNAL: [&str; 7] = [
    "status",
    "archive_reason",
    "archive_basis",
    "exit_kind",
    "exit_code",
    "exit_signal",
    "session_id",
];

/// Until every task has ended, and its folder says so.
///
/// # Panics
/// When that does not come.
pub fn wait_until_settled(world: &World) {
    let unsettled = || -> Vec<String> {
        let tasks = world.ledger().tasks();
        let open = tasks.iter().filter(|row| {
            let settled = world.task_dir(id(row)).join("settled");
            !is_terminal(row) || !settled.exists() || world.shim_of(id(row)).is_some()
        });
        open.map(|row| id(row).to_owned()).collect()
    };
    wait_explained(
        "settled folders",
        GENEROUS,
        || unsettled().is_empty(),
        unsettled,
    );
}

/// What a rebuild from the folders says otherwise than the ledger does.
///
/// # Panics
/// When nothing can be rebuilt.
#[must_use]
pub fn differences(world: &World, settled: Settled) -> Vec<String> {
    let state = world.path(&format!("rebuilt-{settled:?}"));
    copy_tasks(
        &world.state_dir().join("tasks"),
        &state.join("tasks"),
        settled,
    );
    // It looks at folders only, and so need not be where the world's supervisor is.
    let mut command = Command::new(Bins::locate().supervisor());
    command
        .arg("recover")
        .env_clear()
        .env("HOME", &state)
        .env("AGENT_SUPERVISOR_STATE_DIR", &state)
        .env("AGENT_SUPERVISOR_RUNTIME_DIR", state.join("run"));
    let _said = world.finish(command).ok();
    let rebuilt = Ledger::new(state.join(protocol::places::LEDGER_FILE));
    let found = match settled {
        Settled::Kept => of_everything(world, &rebuilt),
        Settled::Lost => of_ends(&world.ledger(), &rebuilt),
    };
    fs::remove_dir_all(&state).expect("ours");
    found
        .into_iter()
        .map(|what| format!("I10, settled {settled:?}: {what}"))
        .collect()
}

fn of_everything(world: &World, rebuilt: &Ledger) -> Vec<String> {
    const TABLES: [&str; 4] = [
        "SELECT * FROM task_history ORDER BY id",
        "SELECT * FROM agent_sessions ORDER BY key, provider, session_id",
        "SELECT * FROM stop_intent ORDER BY id",
        "SELECT * FROM agent_run_event WHERE task_id IS NOT NULL ORDER BY task_id, seq",
    ];
    let mut found = Vec::new();
    for table in TABLES {
        let [live, rebuilt] = [&world.ledger(), rebuilt].map(|ledger| rows(ledger, table));
        for missing in live.iter().filter(|row| !rebuilt.contains(row)) {
            found.push(format!("only in the ledger: {missing:?}"));
        }
        for new in rebuilt.iter().filter(|row| !live.contains(row)) {
            found.push(format!("only in the rebuilt one: {new:?}"));
        }
    }
    found
}

fn rows(ledger: &Ledger, table: &str) -> Vec<Row> {
    let mut rows = ledger.rows(table, &[]);
    for row in &mut rows {
        for name in GIVEN_ANEW {
            row.0.remove(name);
        }
        // The rebuilt one's folders lie elsewhere.
        if let (Some(Value::String(text)), Some(state)) =
            (row.0.get_mut("artifacts"), ledger.path().parent())
        {
            *text = text.replace(&state.display().to_string(), "");
        }
    }
    rows
}

fn of_ends(live: &Ledger, rebuilt: &Ledger) -> Vec<String> {
    let mut found = Vec::new();
    for row in live.tasks() {
        let task = id(&row);
        let told = |kind: &str| live.event_types(task).iter().any(|seen| seen == kind);
        // What the supervisor found itself is in no journal.
        if !told("task.finished") || told("task.shim_lost") {
            continue;
        }
        let again = rebuilt.task(task);
        for column in IN_THE_JOURNAL {
            let again = again.as_ref().and_then(|row| row.0.get(column));
            if again != row.0.get(column) {
                found.push(format!("{task}: {column} is {again:?}, and was {row:?}"));
            }
        }
    }
    found
}

/// Files only: a link leads to what is not the task's own.
fn copy_tasks(from: &Path, to: &Path, settled: Settled) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("the task folders").flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let to: PathBuf = to.join(&name);
        let kind = entry.file_type().expect("it is there");
        if kind.is_dir() {
            copy_tasks(&path, &to, settled);
        } else if kind.is_file() && (settled == Settled::Kept || name != "settled") {
            // Logs may be large, and nobody writes them any more.
            let is_log = name.to_string_lossy().ends_with(".log");
            if !is_log || fs::hard_link(&path, &to).is_err() {
                fs::copy(&path, &to).expect("a copy");
            }
        }
    }
}
