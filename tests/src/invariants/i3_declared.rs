//! I3: `declared` if and only if an intent precedes the signal, journalled by
//! the shim, or in the ledger where the supervisor signals; or precedes the
//! end where nothing was signalled.

use super::{id, is_terminal};
use crate::harness::{Row, World};

pub(super) fn violations(world: &World) -> Vec<String> {
    let ledger = world.ledger();
    let mut found = Vec::new();
    for row in ledger.tasks().iter().filter(|row| is_terminal(row)) {
        let task = id(row);
        let intents = ledger.intents(task);
        let effective: Vec<&Row> = intents
            .iter()
            .filter(|intent| intent.text("outcome") == Some("effective"))
            .collect();
        let declared = row.text("archive_basis") == Some("declared");
        let mut complain = |what: &str| found.push(format!("{task}: {what}: {row:?} {intents:?}"));
        if declared != (effective.len() == 1) {
            complain("declared and effective intents do not fit");
        }
        if declared && row.text("status") != Some("cancelled") {
            let hub = ["hub_restart", "hub_shutdown", "host_shutdown"];
            if !row
                .text("archive_reason")
                .is_some_and(|reason| hub.contains(&reason))
            {
                complain("declared, and not cancelled");
            }
        }
        for intent in effective {
            if intent.text("reason") != row.text("archive_reason") {
                complain("the reason is not that of the intent");
            }
            if let Some(problem) = order(&ledger.events(task), intent) {
                complain(&problem);
            }
        }
        let pending = |intent: &Row| intent.text("outcome") == Some("pending");
        if intents.iter().any(pending) {
            complain("an intent of an ended task is pending");
        }
    }
    found
}

/// The intent is in the log before any signal under it, and journalled before
/// the shim's.
fn order(events: &[Row], intent: &Row) -> Option<String> {
    let number = intent.integer("id");
    let of_intent = |kind: &str| {
        events.iter().position(|event| {
            event.text("type") == Some(kind)
                && event.json("payload")["intent_id"].as_i64() == number
        })
    };
    let requested = of_intent("task.stop_requested");
    let journalled = of_intent("task.stop_journalled");
    let signalled = of_intent("task.signalled");
    if requested.is_none() {
        return Some("an intent that nobody requested".to_string());
    }
    let signalled = signalled?;
    if Some(signalled) < requested {
        return Some("signalled before it was requested".to_string());
    }
    let by_shim = intent.text("signalled_by") == Some("shim");
    if by_shim && journalled.is_none_or(|journalled| journalled > signalled) {
        return Some("signalled by the shim before it was journalled".to_string());
    }
    None
}
