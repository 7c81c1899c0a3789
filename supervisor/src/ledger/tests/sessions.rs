//! Which session counts, and the sweep at the start.

use lifecycle::{Event, EventBody, SessionRow};
use protocol::Timestamp;
use protocol::shim::Usage;
use protocol::vocab::SessionState;

use super::support::{
    Place, admitted, at, bound, commit, ended, id, key, provider, requester, secret, session, wait,
};
use crate::ledger::Ledger;

fn row(session_id: &str, of_key: &str, of_provider: &str, ms: i64) -> Event {
    let row = SessionRow {
        key: key(of_key),
        provider: provider(of_provider),
        session_id: session(session_id),
        task_id: id("t0"),
        state: SessionState::Resumable,
        quarantine_reason: None,
        last_used_at: Timestamp(ms),
        totals: Usage::default(),
        without_task: None,
    };
    at(None, ms, EventBody::SessionRestored { row })
}

#[test]
fn a_dispatch_learns_everything_in_one_look() {
    let place = Place::new();
    let ledger = place.open();
    let events = vec![
        admitted("t1", "k", 1),
        row("old", "k", "claude", 10),
        row("new", "k", "claude", 20),
        row("newest-of-another", "k", "codex", 30),
        row("shared", "other", "codex", 40),
    ];
    wait(ledger.handle.commit(events, vec![secret("t1")])).expect("committed");
    let facts = |task: &str, of_key: Option<&str>, named: Option<&str>| {
        let (of_key, named) = (of_key.map(key), named.map(session));
        ledger
            .front
            .admission_facts(
                &id(task),
                of_key.as_ref(),
                &provider("claude"),
                named.as_ref(),
            )
            .expect("read")
    };
    let name = |row: Option<SessionRow>| row.map(|row| row.session_id.as_str().to_owned());
    let found = facts("t1", Some("k"), Some("old"));
    assert_eq!(found.known_digest.as_deref(), Some("digest of t1"));
    assert_eq!(name(found.newest_session).as_deref(), Some("new"));
    assert_eq!(name(found.named_session).as_deref(), Some("old"));
    // A session of another provider is found, so that the refusal can name it.
    let found = facts("t2", None, Some("shared"));
    assert_eq!((found.known_digest, found.newest_session), (None, None));
    assert_eq!(name(found.named_session).as_deref(), Some("shared"));
    assert_eq!(
        facts("t2", Some("nobody's"), Some("none")),
        Default::default()
    );
    ledger.close().expect("closed");
}

#[test]
fn the_sweep_finds_sessions_without_a_task_and_live_ones_whose_task_has_ended() {
    let place = Place::new();
    let ledger = place.open();
    commit(
        &ledger.handle,
        &[
            admitted("t1", "a", 1),
            bound("t1", "a", "in-use", 1),
            admitted("t2", "b", 1),
            bound("t2", "b", "left-live", 1),
            ended("t2", 2),
            row("task-gone", "c", "claude", 3),
            bound("t9", "d", "live-task-gone", 4),
        ],
    );
    let swept = wait(ledger.handle.sweep_sessions(Timestamp(50))).expect("read");
    commit(&ledger.handle, &swept);
    let found = wait(ledger.handle.sessions(None)).expect("read");
    let mut found: Vec<_> = found
        .iter()
        .map(|view| {
            let reason = view.quarantine_reason.as_deref().unwrap_or("-");
            format!("{} {} {reason}", view.session_id, view.state)
        })
        .collect();
    found.sort();
    assert_eq!(
        found,
        [
            "in-use live -",
            "left-live quarantined unknown",
            "live-task-gone quarantined task_missing",
            "task-gone quarantined task_missing",
        ]
    );
    assert_eq!(
        wait(ledger.handle.sweep_sessions(Timestamp(51))).expect("read"),
        Vec::new()
    );
    ledger.close().expect("closed");
}

fn settled(task: &str, of_key: &str, ms: i64, reason: Option<&str>) -> Event {
    let (of_key, of_provider, session_id) = (key(of_key), provider("claude"), session("s"));
    let totals = Usage {
        turns: u64::try_from(ms).ok(),
        ..Usage::default()
    };
    let body = match reason {
        None => EventBody::SessionResumable {
            key: of_key,
            provider: of_provider,
            session_id,
            totals,
        },
        Some(reason) => EventBody::SessionQuarantined {
            key: of_key,
            provider: of_provider,
            session_id,
            reason: reason.to_owned(),
            totals: Some(totals),
        },
    };
    at(Some(task), ms, body)
}

/// Each key's word on the session `s`: state, reason and turns.
fn words(ledger: &Ledger) -> Vec<String> {
    let rows = ledger
        .handle
        .rows_of_session(provider("claude"), session("s"));
    let mut words: Vec<String> = wait(rows)
        .expect("read")
        .iter()
        .map(|row| {
            let reason = row.quarantine_reason.as_deref().unwrap_or("-");
            let turns = row.totals.turns.unwrap_or(0);
            format!("{} {} {reason} {turns}", row.key, row.state)
        })
        .collect();
    words.sort();
    words
}

/// The last use of a conversation counts for every key, and a live one is left alone.
#[test]
fn how_a_conversation_ended_is_said_of_it_under_every_key() {
    let place = Place::new();
    let ledger = place.open();
    let said = |events: &[Event], expected: &[&str]| {
        commit(&ledger.handle, events);
        assert_eq!(words(&ledger), expected);
    };
    said(
        &[
            admitted("t1", "a", 1),
            bound("t1", "a", "s", 1),
            settled("t1", "a", 2, None),
        ],
        &["a resumable - 2"],
    );
    // What it has cost so far is known under the other key as well.
    said(
        &[admitted("t2", "b", 3), bound("t2", "b", "s", 3)],
        &["a resumable - 2", "b live - 2"],
    );
    said(
        &[settled("t2", "b", 4, Some("user"))],
        &["a quarantined user 4", "b quarantined user 4"],
    );
    let released = EventBody::SessionReleased {
        key: key("a"),
        provider: provider("claude"),
        session_id: session("s"),
        by: requester(),
    };
    said(
        &[at(None, 5, released)],
        &["a resumable - 4", "b resumable - 4"],
    );
    // Two at once: the one that ends well does not speak for the other one.
    said(
        &[
            admitted("t3", "a", 6),
            bound("t3", "a", "s", 6),
            admitted("t4", "b", 7),
            bound("t4", "b", "s", 7),
            settled("t4", "b", 8, Some("failed")),
        ],
        &["a live - 4", "b quarantined failed 8"],
    );
    said(
        &[settled("t3", "a", 9, None)],
        &["a quarantined failed 9", "b quarantined failed 9"],
    );
    ledger.close().expect("closed");
}
