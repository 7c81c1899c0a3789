//! Events in, the same events out.

use std::collections::BTreeSet;

use lifecycle::{Event, EventBody};
use proptest::prelude::*;

use super::samples::{Values, every_body};
use super::support::{Place, admitted, at, commit, ended, id, wait};
use crate::ledger::log::{body_of, payload_of};

/// Kinds of events: [`every_body`] has one of each.
const KINDS: usize = 49;

fn values() -> impl Strategy<Value = Values> {
    // Cost as a provider prints it; the ledger has no place for more than
    // SQLite's and JSON's finite numbers.
    let cost = prop_oneof![0.0..1000.0f64, Just(0.1 + 0.2), Just(5e-324), Just(-0.0)];
    let at = 0..253_402_300_800_000i64;
    (".{0,40}", any::<u64>(), any::<i32>(), cost, at).prop_map(|(text, number, small, cost, at)| {
        Values {
            text,
            number,
            small,
            cost,
            at,
        }
    })
}

fn plain() -> Values {
    Values {
        text: "plain".into(),
        number: 7,
        small: 3,
        cost: 0.25,
        at: 1000,
    }
}

#[test]
fn there_is_a_sample_of_every_kind() {
    let bodies = every_body(&plain());
    let kinds: BTreeSet<&str> = bodies.iter().map(EventBody::kind).collect();
    assert_eq!((bodies.len(), kinds.len()), (KINDS, KINDS));
}

proptest! {
    #[test]
    fn every_kind_of_event_reads_back_as_it_was_written(values in values()) {
        for body in every_body(&values) {
            let payload = payload_of(&body).expect("has a payload");
            let value: serde_json::Value = serde_json::from_str(&payload).expect("JSON");
            prop_assert!(value.is_object(), "{}: {payload}", body.kind());
            prop_assert_eq!(body_of(body.kind(), &payload).expect("reads back"), body);
        }
    }
}

#[test]
fn events_stand_in_the_log_as_other_programs_read_them() {
    let place = Place::new();
    let ledger = place.open();
    let from_journal = Event {
        record: Some(4),
        ..at(
            Some("t1"),
            1_795_174_002_766,
            EventBody::ModelSeen { model: "m".into() },
        )
    };
    let views = commit(
        &ledger.handle,
        &[admitted("t1", "k", 5), from_journal.clone()],
    );
    assert_eq!(views[1].seq, Some(2));
    assert_eq!(views[1].kind, "task.model");
    assert_eq!(views[1].payload, r#"{"model":"m"}"#);

    let row = place
        .sql()
        .query_row(
            "SELECT seq || ' ' || at || ' ' || task_id || ' ' || type || ' ' || payload
             FROM agent_run_event WHERE seq = 2",
            [],
            |row| row.get::<_, String>(0),
        )
        .expect("there");
    assert_eq!(
        row,
        r#"2 2026-11-20T11:26:42.766Z t1 task.model {"model":"m"}"#
    );
    let events = wait(ledger.handle.look(|reader| reader.task_events(&id("t1")))).expect("read");
    assert_eq!(events, vec![admitted("t1", "k", 5), from_journal]);
    ledger.close().expect("closed");
}

#[test]
fn seq_has_no_holes_over_failures_and_restarts() {
    let place = Place::new();
    let mut expected = 1..;
    for round in 0..3 {
        let ledger = place.open();
        let task = format!("t{round}");
        let events = [admitted(&task, &task, 1), ended(&task, 2)];
        for view in commit(&ledger.handle, &events) {
            assert_eq!(view.seq, expected.next());
        }
        // The row exists: nothing of the batch is written, and no number used.
        let again = [ended(&task, 3), admitted(&task, &task, 3)];
        assert!(super::support::try_commit(&ledger.handle, &again).is_err());
        ledger.abandon();
    }
    let ledger = place.open();
    assert_eq!(ledger.report.next_seq, expected.next().expect("endless"));
    let page = wait(ledger.handle.events_page(1, None, 100)).expect("read");
    let seqs: Vec<_> = page.iter().filter_map(|event| event.seq).collect();
    assert_eq!(seqs, vec![1, 2, 3, 4, 5, 6]);
    ledger.close().expect("closed");
}

#[test]
fn pages_are_bounded_and_filtered() {
    let place = Place::new();
    let ledger = place.open();
    commit(
        &ledger.handle,
        &[
            admitted("t1", "a", 1),
            admitted("t2", "b", 2),
            ended("t1", 3),
        ],
    );
    let seqs = |from, task: Option<&str>, limit| {
        let page = wait(ledger.handle.events_page(from, task.map(id), limit)).expect("read");
        page.into_iter()
            .filter_map(|event| event.seq)
            .collect::<Vec<_>>()
    };
    assert_eq!(seqs(1, None, 2), vec![1, 2]);
    assert_eq!(seqs(2, None, 9), vec![2, 3]);
    assert_eq!(seqs(1, Some("t1"), 9), vec![1, 3]);
    assert_eq!(seqs(2, Some("t1"), 9), vec![3]);
    assert_eq!(seqs(4, None, 9), Vec::<u64>::new());
    ledger.close().expect("closed");
}

#[test]
fn an_event_of_a_newer_program_is_left_out() {
    let place = Place::new();
    let ledger = place.open();
    commit(&ledger.handle, &[admitted("t1", "k", 1)]);
    place
        .sql()
        .execute(
            "INSERT INTO agent_run_event (seq, at, task_id, type, payload)
             VALUES (2, '2026-01-01T00:00:00.000Z', 't1', 'task.teleported', '{}')",
            [],
        )
        .expect("written");
    let events = wait(ledger.handle.look(|reader| reader.task_events(&id("t1")))).expect("read");
    assert_eq!(events, vec![admitted("t1", "k", 1)]);
    // Subscribers get it: unknown types are theirs to ignore.
    assert_eq!(
        wait(ledger.handle.events_page(1, None, 9))
            .expect("read")
            .len(),
        2
    );
    ledger.close().expect("closed");
}
