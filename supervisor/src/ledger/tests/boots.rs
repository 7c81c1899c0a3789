//! Boots, and what lives on of tasks that ended in this one.

use lifecycle::EventBody;
use protocol::view::Survivor;
use protocol::{ArchiveReason, Status};

use super::support::*;

fn supervisor_started(boot_id: &str, ms: i64) -> lifecycle::Event {
    let body = EventBody::SupervisorStarted {
        pid: 1,
        version: "0".to_owned(),
        boot_id: boot_id.to_owned(),
    };
    at(None, ms, body)
}

fn ended_with_survivor(task: &str, pid: i32, ms: i64) -> lifecycle::Event {
    let survivor = Survivor {
        pid,
        start_time: 7,
        comm: "sleep".to_owned(),
    };
    let ending = lifecycle::event::Ending {
        survivors: vec![survivor],
        ..ending(Status::Interrupted, ArchiveReason::ShimLost, ms)
    };
    at(Some(task), ms, EventBody::Ended(ending))
}

#[test]
fn a_task_belongs_to_the_boot_of_the_supervisor_that_admitted_it() {
    let place = Place::new();
    let ledger = place.open();
    let boot_of = |task| wait(ledger.handle.boot_of(id(task))).expect("read");
    commit(&ledger.handle, &[admitted("t0", "z", 0)]);
    commit(
        &ledger.handle,
        &[
            supervisor_started("one", 1),
            admitted("t1", "a", 2),
            supervisor_started("two", 3),
            bound("t1", "a", "s", 4),
            admitted("t2", "b", 5),
        ],
    );
    assert_eq!(boot_of("t0"), None, "the log does not reach back that far");
    assert_eq!(boot_of("t1").as_deref(), Some("one"));
    assert_eq!(boot_of("t2").as_deref(), Some("two"));
    assert_eq!(boot_of("t3"), None);
    ledger.close().expect("closed");
}

#[test]
fn survivors_are_those_of_this_boot() {
    let place = Place::new();
    let ledger = place.open();
    commit(
        &ledger.handle,
        &[
            supervisor_started("one", 1),
            admitted("t1", "a", 2),
            ended_with_survivor("t1", 11, 3),
            supervisor_started("two", 4),
            admitted("t2", "b", 5),
            ended_with_survivor("t2", 12, 6),
            admitted("t3", "c", 7),
            ended("t3", 8),
            supervisor_started("two", 9),
        ],
    );
    let of = |boot: &str| -> Vec<_> {
        wait(ledger.handle.with_survivors(boot.to_owned()))
            .expect("read")
            .iter()
            .map(|task| task.id().clone())
            .collect()
    };
    assert_eq!(of("two"), [id("t2")]);
    assert_eq!(of("three"), []);
    ledger.close().expect("closed");
}
