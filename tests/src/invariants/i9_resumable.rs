//! I9: a session is resumable if and only if its last task reached success,
//! or it was released since. One that its task left for another is not.

use crate::harness::{Ledger, Row, World};

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
        let shared = keys_of(&ledger, &session);
        if shared.len() > 1 {
            found.extend(cut_off(world, &session, &shared));
        } else if state != expected {
            found.push(format!("it should be {expected}: {session:?} of {row:?}"));
        }
        if (state == "quarantined") == session.is_null("quarantine_reason") {
            found.push(format!("reason and state do not fit: {session:?}"));
        }
    }
    found
}

/// A conversation that several keys have taken part in: its newest use first.
fn keys_of(ledger: &Ledger, session: &Row) -> Vec<Row> {
    let of = ["session_id", "provider"].map(|column| session.text(column).unwrap_or_default());
    ledger.rows(
        "SELECT * FROM agent_sessions WHERE session_id = ?1 AND provider = ?2
         ORDER BY last_used_at DESC",
        &of,
    )
}

/// Whichever key's task used it last: only after its success may any of them resume it.
fn cut_off(world: &World, session: &Row, keys: &[Row]) -> Option<String> {
    let newest = keys.first()?;
    let task = world.ledger().task(newest.text("task_id")?);
    let status = task.as_ref().and_then(|row| row.text("status"));
    let well = match operators_word(world, newest) {
        Some(word) => word == "resumable",
        None => matches!(status, Some("success" | "queued" | "running")),
    };
    let wrong = session.text("state") == Some("resumable") && !well;
    wrong.then(|| format!("{session:?} is resumable, and its last use was {newest:?}"))
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
            "SELECT * FROM agent_run_event WHERE type LIKE 'session.%'
                 AND type NOT IN ('session.passed_over', 'session.joined') ORDER BY seq DESC",
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
