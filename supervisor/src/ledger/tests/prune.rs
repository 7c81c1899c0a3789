//! What retention takes, what it leaves, and what is not used again.

use std::sync::{Arc, Mutex};

use lifecycle::{Event, EventBody, SessionPlan, SessionRow};
use protocol::view::{Links, Requester};
use protocol::vocab::{SessionState, Via};
use protocol::{TaskId, Timestamp};

use super::support::*;
use crate::ledger::{Ledger, LedgerError, MoveAside, OldEnough, RanAs};

const ALL: OldEnough = OldEnough {
    ended_by: Some(Timestamp(i64::MAX / 1_000)),
    beyond: None,
};

fn nothing_to_move() -> MoveAside {
    Box::new(|_| Ok(RanAs::new()))
}

fn prune(ledger: &Ledger, ids: &[&str]) -> Result<Vec<TaskId>, LedgerError> {
    let ids = ids.iter().map(|task| id(task)).collect();
    wait(ledger.handle.prune(ids, nothing_to_move()))
}

/// Which are old enough and free, and how many are needed.
fn prunable(ledger: &Ledger, which: OldEnough) -> (Vec<TaskId>, u64) {
    let found = wait(ledger.handle.browse(move |reader| reader.prunable(which))).expect("read");
    (
        found.tasks.into_iter().map(|task| task.id).collect(),
        found.kept,
    )
}

fn forgettable(ledger: &Ledger, ended_by: Option<i64>) -> u64 {
    let ended_by = ended_by.map(Timestamp);
    wait(
        ledger
            .handle
            .browse(move |reader| reader.forgettable(ended_by)),
    )
    .expect("read")
}

fn count(place: &Place, sql: &str) -> i64 {
    place
        .sql()
        .query_row(sql, [], |row| row.get(0))
        .expect("a number")
}

fn resumable(task: &str, of_key: &str, session_id: &str, ms: i64) -> Event {
    let body = EventBody::SessionResumable {
        key: key(of_key),
        provider: provider("claude"),
        session_id: session(session_id),
        totals: Default::default(),
    };
    at(Some(task), ms, body)
}

fn quarantined(task: &str, of_key: &str, session_id: &str, ms: i64) -> Event {
    let body = EventBody::SessionQuarantined {
        key: key(of_key),
        provider: provider("claude"),
        session_id: session(session_id),
        reason: "user".to_owned(),
        totals: None,
    };
    at(Some(task), ms, body)
}

/// A task with a session of its own, ended.
fn with_session(
    task: &str,
    of_key: &str,
    ms: i64,
    settle: fn(&str, &str, &str, i64) -> Event,
) -> [Event; 4] {
    let session_id = format!("s-{task}");
    [
        admitted(task, of_key, ms),
        bound(task, of_key, &session_id, ms),
        ended(task, ms + 1),
        settle(task, of_key, &session_id, ms + 1),
    ]
}

#[test]
fn the_old_and_those_beyond_the_newest_are_taken() {
    let place = Place::new();
    let ledger = place.open();
    for (task, ms) in [("t1", 10), ("t2", 20), ("t3", 30)] {
        commit(&ledger.handle, &[admitted(task, task, ms), ended(task, ms)]);
    }
    commit(&ledger.handle, &[admitted("lives", "l", 5)]);
    let old = |ended_by: Option<i64>, beyond| OldEnough {
        ended_by: ended_by.map(Timestamp),
        beyond,
    };
    let ids = |which| prunable(&ledger, which).0;
    assert_eq!(ids(old(Some(20), None)), [id("t1"), id("t2")]);
    assert_eq!(ids(old(None, Some(2))), [id("t1")]);
    assert_eq!(ids(old(None, Some(3))), []);
    assert_eq!(ids(old(Some(10), Some(1))), [id("t1"), id("t2")]);
    assert_eq!(ids(old(None, Some(0))).len(), 3, "never the live one");
    assert_eq!(ids(old(None, None)), []);
    assert_eq!(prune(&ledger, &["lives", "nobody"]).expect("asked"), []);
    ledger.close().expect("closed");
}

#[test]
fn a_task_goes_with_everything_that_is_its_own_but_its_session() {
    let place = Place::new();
    let ledger = place.open();
    let mut events = with_session("t1", "k", 1, quarantined).to_vec();
    events.push(stop_requested("t1", 7, 1));
    events.extend([admitted("t2", "k2", 2), ended("t2", 3)]);
    wait(
        ledger
            .handle
            .commit(events, vec![secret("t1"), secret("t2")]),
    )
    .expect("committed");
    assert_eq!(prune(&ledger, &["t1"]).expect("pruned"), [id("t1")]);
    assert_eq!(count(&place, "SELECT count(*) FROM agent_sessions"), 1);
    for table in ["task_history", "stop_intent", "task_secret"] {
        let of = if table == "task_history" {
            "id"
        } else {
            "task_id"
        };
        let sql = format!("SELECT count(*) FROM {table} WHERE {of} = 't1'");
        assert_eq!(count(&place, &sql), 0, "{table}");
    }
    assert_eq!(count(&place, "SELECT count(*) FROM task_history"), 1);
    assert_eq!(prune(&ledger, &["t1"]).expect("again"), []);
    // The log still tells of it: the id is not free, and says so.
    let facts = |task| {
        ledger
            .front
            .admission_facts(&id(task), None, &provider("claude"), None)
            .expect("read")
    };
    assert!(facts("t1").pruned);
    assert!(!facts("t2").pruned, "it has its row");
    assert!(!facts("new").pruned);
    ledger.close().expect("closed");
    assert_eq!(
        place.open().report.next_intent,
        8,
        "no intent is used twice"
    );
}

/// R6: the id is not erased. The start's sweep does not take it for a loss, even where
/// the operator gave it back meanwhile; and who it ran as is known without its folder.
#[test]
fn a_session_outlives_its_task() {
    let place = Place::new();
    let ledger = place.open();
    commit(&ledger.handle, &with_session("t1", "k", 1, quarantined));
    let move_aside: MoveAside = Box::new(|ids| {
        Ok(ids
            .iter()
            .map(|id| (id.clone(), "ann".to_owned()))
            .collect())
    });
    wait(ledger.handle.prune(vec![id("t1")], move_aside)).expect("pruned");
    let row = || {
        let rows = wait(ledger.handle.session_rows_of("k".into())).expect("read");
        rows.into_iter().next().expect("it stays")
    };
    let kept = row();
    assert_eq!(kept.quarantine_reason.as_deref(), Some("user"));
    let ran_as = |row: &SessionRow| row.without_task.clone().and_then(|gone| gone.ran_as);
    assert_eq!(ran_as(&kept).as_deref(), Some("ann"));
    commit(&ledger.handle, &[released("k", "s-t1", 5)]);
    let sweep = || wait(ledger.handle.sweep_sessions(Timestamp(9))).expect("read");
    assert_eq!(sweep(), []);
    assert_eq!(
        (row().state, ran_as(&row()).as_deref()),
        (SessionState::Resumable, Some("ann"))
    );
    let all = wait(
        ledger
            .handle
            .browse(|reader| reader.sessions_without_task()),
    );
    assert_eq!(all.expect("read"), [row()]);
    // A task that uses it stands for it from now on.
    commit(
        &ledger.handle,
        &[admitted("t2", "k", 10), bound("t2", "k", "s-t1", 10)],
    );
    assert_eq!(row().without_task, None);
    ledger.close().expect("closed");
}

/// Its task's row is lost, and the start says so; the operator's word comes after that,
/// and the next start does not take it back.
#[test]
fn the_operators_word_on_a_lost_task_stays() {
    let place = Place::new();
    let ledger = place.open();
    commit(&ledger.handle, &[bound("t9", "k", "s", 1)]);
    let sweep = || wait(ledger.handle.sweep_sessions(Timestamp(9))).expect("read");
    let swept = sweep();
    assert_eq!(swept.len(), 1, "{swept:?}");
    commit(&ledger.handle, &swept);
    commit(&ledger.handle, &[released("k", "s", 10)]);
    assert_eq!(sweep(), []);
    ledger.close().expect("closed");
}

fn released(of_key: &str, session_id: &str, ms: i64) -> Event {
    let body = EventBody::SessionReleased {
        key: key(of_key),
        provider: provider("claude"),
        session_id: session(session_id),
        by: Requester::through(Via::Control),
    };
    at(None, ms, body)
}

#[test]
fn what_something_needs_stays() {
    let place = Place::new();
    let ledger = place.open();
    let mut events = Vec::new();
    events.extend(with_session("resumable", "k1", 1, resumable));
    // Without it the key would go on with the older conversation.
    events.extend(with_session("shadow", "k1", 3, quarantined));
    events.extend(with_session("no-shadow", "k2", 4, quarantined));
    for (old, new) in [("of-retry", "r"), ("of-fresh", "f"), ("of-reopened", "o")] {
        events.extend([admitted(old, old, 5), ended(old, 6)]);
        let mut next = spec(new, new, SessionPlan::Fresh);
        let of = Some(id(old));
        next.links = match new {
            "r" => Links {
                retry_of: of,
                ..Links::default()
            },
            "f" => Links {
                fresh_after: of,
                ..Links::default()
            },
            _other => Links {
                reopened_from: of,
                ..Links::default()
            },
        };
        events.push(at(Some(new), 7, EventBody::Admitted { spec: next }));
    }
    commit(&ledger.handle, &events);
    assert_eq!(prunable(&ledger, ALL), (vec![id("no-shadow")], 5));
    let all = [
        "resumable",
        "shadow",
        "no-shadow",
        "of-retry",
        "of-fresh",
        "of-reopened",
    ];
    assert_eq!(prune(&ledger, &all).expect("pruned"), [id("no-shadow")]);
    // What came from them has ended: nothing needs them any more.
    commit(
        &ledger.handle,
        &[ended("r", 8), ended("f", 8), ended("o", 8)],
    );
    let (free, kept) = prunable(&ledger, ALL);
    assert_eq!((free.len(), kept), (6, 2), "{free:?}");
    ledger.close().expect("closed");
}

#[test]
fn rows_go_only_when_their_folders_are_aside() {
    let place = Place::new();
    let ledger = place.open();
    commit(&ledger.handle, &[admitted("t1", "a", 1), ended("t1", 2)]);
    let refuse: MoveAside = Box::new(|_| Err("no".into()));
    let refused = wait(ledger.handle.prune(vec![id("t1")], refuse));
    assert!(
        matches!(refused, Err(LedgerError::Aside { .. })),
        "{refused:?}"
    );
    assert_eq!(count(&place, "SELECT count(*) FROM task_history"), 1);
    let moved = Arc::new(Mutex::new(Vec::new()));
    let (told, rows) = (Arc::clone(&moved), place.file());
    let note: MoveAside = Box::new(move |ids| {
        let db = rusqlite::Connection::open(&rows).expect("opens");
        let there: i64 = db
            .query_row("SELECT count(*) FROM task_history", [], |row| row.get(0))
            .expect("a number");
        assert_eq!(there, 1, "the row is still there");
        told.lock().expect("no panic").extend_from_slice(ids);
        Ok(RanAs::new())
    });
    wait(ledger.handle.prune(vec![id("t1")], note)).expect("pruned");
    assert_eq!(*moved.lock().expect("no panic"), [id("t1")]);
    ledger.close().expect("closed, so still trusted");
}

#[test]
fn events_leave_the_beginning_of_the_log_and_no_seq_is_used_again() {
    let place = Place::new();
    let ledger = place.open();
    let started = |boot: &str, ms| {
        let body = EventBody::SupervisorStarted {
            pid: 1,
            version: "0".to_owned(),
            boot_id: boot.to_owned(),
        };
        at(None, ms, body)
    };
    commit(
        &ledger.handle,
        &[started("one", 1), admitted("t1", "a", 2), ended("t1", 3)],
    );
    commit(
        &ledger.handle,
        &[started("two", 4), admitted("t2", "b", 5), ended("t2", 6)],
    );
    assert_eq!(forgettable(&ledger, None), 2, "the first event of a row");
    prune(&ledger, &["t1"]).expect("pruned");
    assert_eq!(forgettable(&ledger, None), 5);
    assert_eq!(forgettable(&ledger, Some(2)), 3, "the rest is young");
    let forget = |before| wait(ledger.handle.forget(before)).expect("forgotten");
    assert_eq!((forget(5), forget(5)), (4, 0));
    let page = wait(ledger.handle.events_page(1, None, 10)).expect("read");
    let seqs: Vec<_> = page.iter().filter_map(|event| event.seq).collect();
    assert_eq!(seqs, [5, 6]);
    let boot_of = |task| wait(ledger.handle.boot_of(id(task))).expect("read");
    assert_eq!(
        boot_of("t2").as_deref(),
        Some("two"),
        "its start is gone, its boot is not"
    );
    prune(&ledger, &["t2"]).expect("pruned");
    assert_eq!(forget(forgettable(&ledger, None)), 2);
    ledger.close().expect("closed");
    let ledger = place.open();
    assert_eq!(ledger.report.next_seq, 7);
    let facts = ledger
        .front
        .admission_facts(&id("t1"), None, &provider("claude"), None);
    assert!(
        !facts.expect("read").pruned,
        "nothing tells of it: the id is free"
    );
    ledger.close().expect("closed");
}

#[test]
fn free_pages_are_given_back() {
    let place = Place::new();
    let ledger = place.open();
    for number in 0..400 {
        let task = format!("t{number}");
        let mut first = admitted(&task, &task, 1);
        let EventBody::Admitted { spec } = &mut first.body else {
            panic!("an admission");
        };
        spec.name = Some("x".repeat(20_000));
        commit(&ledger.handle, &[first, ended(&task, 2)]);
    }
    let pages = || count(&place, "PRAGMA page_count");
    let before = pages();
    let ids: Vec<TaskId> = (0..400).map(|number| id(&format!("t{number}"))).collect();
    wait(ledger.handle.prune(ids, nothing_to_move())).expect("pruned");
    wait(ledger.handle.forget(u64::MAX)).expect("forgotten");
    while wait(ledger.handle.give_back()).expect("given back") {}
    let kept = 1_000;
    assert!(
        before > 3_000 && pages() < kept,
        "{before} pages, then {}",
        pages()
    );
    ledger.close().expect("closed");
    let bytes = std::fs::metadata(place.file()).expect("there").len();
    assert!(bytes < 4_096 * kept as u64, "{bytes}");
}
