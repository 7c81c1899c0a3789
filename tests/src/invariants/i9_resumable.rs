//! I9: a session is resumable if and only if its last task reached success,
//! or it was released since. One that its task left for another is not.

use crate::harness::{Row, World};

pub(super) fn violations(world: &World) -> Vec<String> {
    let ledger = world.ledger();
    let mut found = Vec::new();
    for session in ledger.sessions() {
        let state = session.text("state").expect("a session has a state");
        let task = session.text("task_id").expect("a session has a task");
        let row = ledger.task(task);
        let status = row.as_ref().and_then(|row| row.text("status"));
        let expected = match status {
            _ if left_for_another(row.as_ref(), &session) => "quarantined",
            Some("queued" | "running") => "live",
            Some("success") => "resumable",
            Some(_) | None => "quarantined",
        };
        let expected = operators_word(world, &session).unwrap_or(expected);
        if state != expected {
            found.push(format!("it should be {expected}: {session:?} of {row:?}"));
        }
        if (state == "quarantined") == session.is_null("quarantine_reason") {
            found.push(format!("reason and state do not fit: {session:?}"));
        }
    }
    found
}

/// Its task told another id in the end.
fn left_for_another(task: Option<&Row>, session: &Row) -> bool {
    let told = task.and_then(|row| row.text("session_id"));
    told.is_some() && told != session.text("session_id")
}

/// What the operator said after the session's last use.
fn operators_word(world: &World, session: &Row) -> Option<&'static str> {
    let session_id = session.text("session_id")?;
    let last = world
        .ledger()
        .rows(
            "SELECT * FROM agent_run_event WHERE type LIKE 'session.%' ORDER BY seq DESC",
            &[],
        )
        .into_iter()
        .find(|event| event.json("payload")["session_id"] == session_id)?;
    match (last.text("type")?, last.is_null("task_id")) {
        ("session.released", _) => Some("resumable"),
        // Without a task it was the operator who did it.
        ("session.quarantined", true) => Some("quarantined"),
        (_, _) => None,
    }
}
