//! Tasks in the queue.

use lifecycle::{EventBody, SessionPlan, Task};
use protocol::view::TaskCounts;
use protocol::{ArchiveReason, Status};

use super::projection::text;
use super::support::{
    Place, admitted, at, commit, ended, ending, id, queued, secret, session, spec, wait,
};

const ROWS: &str = "SELECT id, status, queued_at, started_at, session_id, version
    FROM task_history ORDER BY number";

#[test]
fn a_queued_row_becomes_a_running_one() {
    let place = Place::new();
    let ledger = place.open();
    commit(&ledger.handle, &[queued("t1", "k", 1)]);
    assert_eq!(
        text(&place, ROWS),
        "t1 | queued | 1970-01-01T00:00:00.001Z | - | - | 1"
    );
    let turn = EventBody::Admitted {
        spec: spec("t1", "k", SessionPlan::Chosen(session("s1"))),
    };
    commit(&ledger.handle, &[at(Some("t1"), 2, turn)]);
    assert_eq!(
        text(&place, ROWS),
        "t1 | running | 1970-01-01T00:00:00.001Z | 1970-01-01T00:00:00.002Z | s1 | 2"
    );
    commit(&ledger.handle, &[ended("t1", 3)]);
    let row = wait(ledger.handle.task_row(id("t1"))).expect("read");
    let row = row.expect("there");
    assert_eq!((row.status, row.version), (Status::Success, 3));
    ledger.close().expect("closed");
}

#[test]
fn one_that_never_started_has_no_start() {
    let place = Place::new();
    let ledger = place.open();
    let end = ending(Status::Cancelled, ArchiveReason::User, 5);
    commit(
        &ledger.handle,
        &[
            queued("t1", "k", 1),
            at(Some("t1"), 5, EventBody::Ended(end)),
        ],
    );
    assert_eq!(
        text(&place, ROWS),
        "t1 | cancelled | 1970-01-01T00:00:00.001Z | - | - | 2"
    );
    ledger.close().expect("closed");
}

#[test]
fn the_queue_is_found_again_in_its_order() {
    let place = Place::new();
    let ledger = place.open();
    let tasks = ["b", "a", "c"];
    let mut events = vec![admitted("z", "k", 9)];
    events.extend(tasks.map(|task| queued(task, "k", 5)));
    let secrets = tasks.iter().map(|task| secret(task)).collect();
    wait(ledger.handle.commit(events, secrets)).expect("committed");
    let live = wait(ledger.handle.live()).expect("read");
    let folded: Vec<Task> = live
        .iter()
        .map(|live| Task::fold(&live.events).expect("a task"))
        .collect();
    let order: Vec<&str> = folded.iter().map(|task| task.id().as_str()).collect();
    assert_eq!(order, ["z", "b", "a", "c"]);
    let waits: Vec<bool> = folded.iter().map(Task::waits).collect();
    assert_eq!(waits, [false, true, true, true]);
    let info = wait(ledger.handle.info()).expect("read");
    let counts = TaskCounts {
        queued: 3,
        running: 1,
        ended: 0,
    };
    assert_eq!(info.tasks, counts);
    // Of a key the one that runs is meant, then the newest.
    let found = |name: &str| wait(ledger.handle.find(name.into())).expect("read");
    assert_eq!(found("k"), [id("z")]);
    commit(&ledger.handle, &[ended("z", 10)]);
    assert_eq!(found("k"), [id("c")]);
    ledger.close().expect("closed");
}

#[test]
fn a_token_of_its_own_comes_with_its_turn() {
    let place = Place::new();
    let ledger = place.open();
    let begun = vec![secret("t1")];
    wait(ledger.handle.commit(vec![queued("t1", "k", 1)], begun)).expect("committed");
    let mut turn = secret("t1");
    turn.token_hash = "another".into();
    turn.nonce = "one more".into();
    let start = vec![admitted("t1", "k", 2)];
    wait(ledger.handle.commit(start, vec![turn.clone()])).expect("committed");
    let live = wait(ledger.handle.live()).expect("read");
    assert_eq!(live[0].secret, turn);
    ledger.close().expect("closed");
}
