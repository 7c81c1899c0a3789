//! The running ledger: threads, refusals, closing, reading without it.

use std::os::unix::fs::PermissionsExt;

use lifecycle::{Event, Task};
use protocol::TaskId;
use protocol::view::TaskCounts;

use super::support::{
    Place, admitted, bound, commit, ended, id, secret, stop_requested, try_commit, wait,
};
use crate::ledger::{Before, LedgerError, MAX_MATCHES, OpenError, ReadLedger, syncs};

#[test]
fn a_ledger_is_private_and_knows_how_it_was_left() {
    let place = Place::new();
    let ledger = place.open();
    assert_eq!(ledger.report.before, Before::New);
    let first_id = ledger.report.ledger_id.clone();
    assert_eq!(first_id.len(), 32);
    for (name, _) in place.bytes() {
        let path = place.file().with_file_name(&name);
        let mode = std::fs::metadata(path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    ledger.abandon();
    let ledger = place.open();
    assert_eq!(ledger.report.before, Before::Abandoned);
    assert_eq!(ledger.report.ledger_id, first_id);
    let handle = ledger.handle.clone();
    ledger.close().expect("closed");
    assert!(matches!(
        try_commit(&handle, &[ended("t1", 1)]),
        Err(LedgerError::Closed)
    ));
    let has_log = place
        .bytes()
        .iter()
        .any(|(name, _)| name.to_string().ends_with("-wal"));
    assert!(!has_log, "the log was worked in");
    let ledger = place.open();
    assert_eq!(ledger.report.before, Before::Closed);
    ledger.close().expect("closed");
}

/// A supervisor that left because its disk failed closes its files, which works
/// the log in, and does not say that it left in order: the next one writes
/// nothing at its start that was not there.
#[test]
fn the_reading_thread_sees_commits_where_there_was_no_log_at_the_start() {
    let place = Place::new();
    place.open().close().expect("closed");
    let left = place.sql();
    left.execute("UPDATE meta SET value = 'boot-1' WHERE name = 'in_use'", [])
        .expect("one row");
    drop(left);
    let ledger = place.open();
    assert_eq!(ledger.report.before, Before::Abandoned);
    commit(&ledger.handle, &[admitted("t1", "k", 0), ended("t1", 1)]);
    let seen = wait(ledger.handle.browse(|reader| reader.ended_lately()));
    assert_eq!(seen.expect("read"), [id("t1")]);
    ledger.close().expect("closed");
}

#[test]
fn a_batch_is_committed_whole_with_one_sync_or_not_at_all() {
    let place = Place::new();
    let ledger = place.open();
    let before = syncs::count();
    let events = vec![
        admitted("t1", "a", 1),
        bound("t1", "a", "s", 1),
        admitted("t2", "b", 1),
    ];
    wait(
        ledger
            .handle
            .commit(events, vec![secret("t1"), secret("t2")]),
    )
    .expect("committed");
    // Other tests count as well; alone it is one.
    assert!(syncs::count() > before);
    let failed = try_commit(
        &ledger.handle,
        &[admitted("t3", "c", 2), admitted("t1", "a", 2)],
    );
    assert!(
        matches!(failed, Err(LedgerError::Fatal { .. })),
        "{failed:?}"
    );
    let found = wait(ledger.handle.find("t3".into())).expect("readable");
    assert_eq!(found, Vec::<TaskId>::new(), "nothing of it happened");
    // Nothing is written after a failure that is not understood.
    let next = try_commit(&ledger.handle, &[admitted("t4", "d", 2)]);
    assert!(matches!(next, Err(LedgerError::Poisoned)));
    assert!(ledger.close().is_err());
}

#[test]
fn a_full_disk_refuses_a_commit_and_can_be_written_again() {
    let place = Place::new();
    let ledger = place.open();
    commit(&ledger.handle, &[admitted("t1", "a", 1)]);
    let limit = |pages: &'static str| {
        let sql = format!("PRAGMA max_page_count = {pages}");
        wait(
            ledger
                .handle
                .look(move |reader| reader.pragma_for_test(&sql)),
        )
        .expect("set");
    };
    limit("1");
    let mut big = admitted("t2", "b", 1);
    let lifecycle::EventBody::Admitted { spec } = &mut big.body else {
        panic!("an admission");
    };
    spec.name = Some("x".repeat(200_000));
    let refused = try_commit(&ledger.handle, std::slice::from_ref(&big));
    assert!(
        matches!(refused, Err(LedgerError::Full { .. })),
        "{refused:?}"
    );
    limit("1000000");
    assert_eq!(commit(&ledger.handle, &[big])[0].seq, Some(2));
    ledger.close().expect("closed");
}

/// A backup or a dashboard may hold the lock for a while: that is not damage.
#[test]
fn a_locked_ledger_can_be_written_again() {
    let place = Place::new();
    let ledger = place.open();
    let other = place.sql();
    other.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    let refused = try_commit(&ledger.handle, &[admitted("t1", "a", 1)]);
    assert!(
        matches!(refused, Err(LedgerError::Locked { .. })),
        "{refused:?}"
    );
    other.execute_batch("ROLLBACK").expect("it is free");
    assert_eq!(
        commit(&ledger.handle, &[admitted("t1", "a", 1)])[0].seq,
        Some(1)
    );
    ledger.close().expect("closed");
}

#[test]
fn the_running_set_is_rebuilt_from_its_events() {
    let place = Place::new();
    let ledger = place.open();
    let events = [
        admitted("t1", "a", 1),
        bound("t1", "a", "s", 2),
        stop_requested("t1", 1, 3),
    ];
    let mut batch = events.to_vec();
    batch.extend([admitted("t2", "b", 4), ended("t2", 5)]);
    wait(
        ledger
            .handle
            .commit(batch, vec![secret("t1"), secret("t2")]),
    )
    .expect("committed");
    ledger.abandon();

    let ledger = place.open();
    let live = wait(ledger.handle.live()).expect("read");
    assert_eq!(live.len(), 1, "an ended task is not in it");
    assert_eq!(live[0].secret, secret("t1"));
    assert_eq!(live[0].events, events);
    assert_eq!(Task::fold(&live[0].events), Task::fold(&events));
    let info = wait(ledger.handle.info()).expect("read");
    assert_eq!(
        info.tasks,
        TaskCounts {
            queued: 0,
            running: 1,
            ended: 1
        }
    );
    assert_eq!(info.view.schema, 2);
    assert!(info.view.bytes > 0);
    ledger.close().expect("closed");
}

#[test]
fn a_name_means_what_the_contract_says() {
    let place = Place::new();
    let ledger = place.open();
    let named = |task: &str, of_key: &str, ms| {
        let mut event = admitted(task, of_key, ms);
        if let lifecycle::EventBody::Admitted { spec } = &mut event.body {
            spec.name = Some("nightly".into());
        }
        event
    };
    commit(
        &ledger.handle,
        &[
            admitted("aa-1", "build", 1),
            bound("aa-1", "build", "sess", 1),
            ended("aa-1", 2),
            admitted("aa-2", "build", 3),
            admitted("ab-1", "other", 4),
            ended("ab-1", 5),
            admitted("build-77", "x", 6),
            ended("build-77", 6),
            named("n1", "n1", 7),
            named("n2", "n2", 8),
            ended("n2", 9),
        ],
    );
    let find = |name: &str| {
        let found = wait(ledger.handle.find(name.to_owned())).expect("read");
        found
            .iter()
            .map(TaskId::to_string)
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(find("aa-1"), "aa-1");
    assert_eq!(find("ab"), "ab-1");
    assert_eq!(find("aa"), "aa-1 aa-2", "ambiguous");
    assert_eq!(find("sess"), "aa-1");
    assert_eq!(
        find("other"),
        "ab-1",
        "an ended task is the newest of its key"
    );
    assert_eq!(
        find("build"),
        "aa-2",
        "the live task of a key, whatever ids begin so"
    );
    assert_eq!(find("nightly"), "n1", "live before newest");
    assert_eq!(find("zz"), "");
    assert_eq!(find("no/id %"), "");
    assert_eq!(find(""), "");
    let many: Vec<Event> = (0..30)
        .map(|n| admitted(&format!("many-{n}"), &format!("m{n}"), 10))
        .collect();
    commit(&ledger.handle, &many);
    assert_eq!(
        wait(ledger.handle.find("many".into())).expect("read").len(),
        MAX_MATCHES
    );
    ledger.close().expect("closed");
}

#[test]
fn it_can_be_read_without_a_supervisor() {
    let place = Place::new();
    assert!(matches!(
        ReadLedger::open(&place.file()),
        Err(OpenError::Absent(_))
    ));
    assert_eq!(place.bytes(), Vec::new(), "nothing was made");

    let ledger = place.open();
    commit(&ledger.handle, &[admitted("t1", "a", 1)]);
    let beside = ReadLedger::open(&place.file()).expect("opens");
    commit(&ledger.handle, &[ended("t1", 2)]);
    let counts = beside.reader().counts().expect("read");
    assert_eq!(
        counts,
        TaskCounts {
            ended: 1,
            ..TaskCounts::default()
        }
    );
    drop(beside);
    ledger.close().expect("closed");

    let before = place.bytes();
    let alone = ReadLedger::open(&place.file()).expect("opens");
    assert_eq!(alone.reader().find("a").expect("read"), vec![id("t1")]);
    drop(alone);
    assert_eq!(place.bytes(), before, "nothing was made or changed");
}

#[test]
fn it_can_be_read_after_a_supervisor_was_killed() {
    let place = Place::new();
    let ledger = place.open();
    commit(&ledger.handle, &[admitted("t1", "a", 1)]);
    // The file and the log, as a killed process leaves them.
    let copy = Place::new();
    for (name, bytes) in place.bytes() {
        std::fs::write(copy.file().with_file_name(name), bytes).expect("copied");
    }
    let read = ReadLedger::open(&copy.file()).expect("opens");
    assert_eq!(read.reader().live_ids().expect("read"), vec![id("t1")]);
    drop(read);
    let next = copy.open();
    assert_eq!(next.report.before, Before::Abandoned);
    assert_eq!(next.report.next_seq, 2);
    next.close().expect("closed");
    ledger.close().expect("closed");
}

#[test]
fn what_ended_lately_is_known() {
    let place = Place::new();
    let ledger = place.open();
    let lately = || wait(ledger.handle.browse(|reader| reader.ended_lately())).expect("read");
    assert_eq!(lately(), Vec::<TaskId>::new());
    let events = [
        admitted("t1", "a", 1),
        admitted("t2", "b", 1),
        ended("t2", 2),
        ended("t1", 3),
    ];
    commit(&ledger.handle, &events);
    assert_eq!(lately(), vec![id("t1"), id("t2")]);
    ledger.close().expect("closed");
}

#[test]
fn what_is_kept_of_an_end_has_row_intents_and_session() {
    let place = Place::new();
    let ledger = place.open();
    let events = [
        admitted("t1", "a", 1),
        bound("t1", "a", "s", 1),
        stop_requested("t1", 1, 2),
        ended("t1", 3),
    ];
    commit(&ledger.handle, &events);
    let kept = wait(ledger.handle.look(|reader| reader.settled(&id("t1"))));
    let kept = kept.expect("read").expect("there");
    let kept: serde_json::Value = serde_json::from_str(&kept).expect("JSON");
    assert_eq!(kept["version"], 1);
    assert_eq!(kept["task_history"]["status"], "success");
    assert_eq!(kept["task_history"]["exit_code"], 0);
    assert_eq!(kept["stop_intent"][0]["reason"], "user");
    assert_eq!(kept["agent_sessions"][0]["session_id"], "s");
    assert_eq!(
        kept["events"],
        serde_json::json!(events),
        "as they are written elsewhere"
    );
    let none = wait(ledger.handle.look(|reader| reader.settled(&id("t9"))));
    assert_eq!(none.expect("read"), None);
    ledger.close().expect("closed");
}
