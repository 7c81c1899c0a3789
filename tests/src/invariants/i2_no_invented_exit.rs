//! I2: no invented exit. A code or a signal in a row is the one that the
//! agent's own record tells, or a signal that somebody really sent.

use nix::sys::signal::Signal;

use super::id;
use crate::harness::{Process, Records, Row, World};

/// Codes above this one look like a shell's word for a signal.
const SHELL_SIGNAL_BASE: i64 = 128;

pub(super) fn violations(world: &World) -> Vec<String> {
    let agents = world.oracle().agents.clone();
    let mut found = Vec::new();
    for row in world.ledger().tasks() {
        let task = id(&row);
        let records = agents
            .iter()
            .find(|(known, _)| known == task)
            .map(|(_, records)| records);
        let problem = match row.text("exit_kind") {
            None | Some("unknown") => invented(&row),
            Some("exited") => wrong_code(&row, records),
            Some("signaled") => wrong_signal(world, &row, records),
            Some(other) => Some(format!("the kind {other} is none")),
        };
        found.extend(problem.map(|problem| format!("{task}: {problem}: {row:?}")));
    }
    found
}

fn invented(row: &Row) -> Option<String> {
    let known = !row.is_null("exit_code") || !row.is_null("exit_signal");
    known.then(|| "an unknown exit has a code or a signal".to_string())
}

fn wrong_code(row: &Row, records: Option<&Records>) -> Option<String> {
    let code = row.integer("exit_code");
    if !row.is_null("exit_signal") {
        return Some("a code and a signal".to_string());
    }
    let told = records.and_then(Records::ending);
    match (code, told) {
        (None, _) => Some("it exited without a code".to_string()),
        (Some(code), Some(told)) => {
            (told != format!("exit {code}")).then(|| format!("the agent says: {told}"))
        }
        // Other programs than the fake agent write no record.
        (Some(code), None) => (code > SHELL_SIGNAL_BASE && records.is_some_and(wrote))
            .then(|| format!("nobody saw the code {code}")),
    }
}

/// The fake agent ran, and so would have written how it ends.
fn wrote(records: &Records) -> bool {
    !records.leaders().is_empty()
}

/// It is the process that was started; for agents that write no record.
fn is_started(world: &World, row: &Row, process: &Process) -> bool {
    let events = world.ledger().events(id(row));
    events.iter().any(|event| {
        event.text("type") == Some("task.started")
            && event.json("payload")["agent"]["pid"] == process.pid
    })
}

fn wrong_signal(world: &World, row: &Row, records: Option<&Records>) -> Option<String> {
    let Some(name) = row.text("exit_signal") else {
        return Some("a signal without a name".to_string());
    };
    if !row.is_null("exit_code") {
        return Some("a code and a signal".to_string());
    }
    let Ok(signal) = name.parse::<Signal>() else {
        return Some(format!("{name} is no signal"));
    };
    let by_itself = records
        .and_then(Records::ending)
        .is_some_and(|told| told == format!("signal {}", signal as i32));
    let leaders = records.map(Records::leaders).unwrap_or_default();
    let from_outside = world.oracle().killed.iter().any(|(process, sent)| {
        *sent == signal && (leaders.contains(process) || is_started(world, row, process))
    });
    // A stop signals with TERM, then KILL; a shim's death kills its leader.
    let by_us = matches!(signal, Signal::SIGTERM | Signal::SIGKILL)
        && world.ledger().event_types(id(row)).iter().any(|kind| {
            matches!(
                kind.as_str(),
                "task.signalled" | "task.signal_seen" | "task.shim_lost"
            )
        });
    (!by_itself && !from_outside && !by_us).then(|| format!("nobody sent {name}"))
}
