//! An end is written down before it is told, and synced beside that (R4).

use serde_json::Value;
use tests::harness::{Dispatched, Gate, Paused, World};
use tests::scenarios::{assert_ended, exit_code_of};

const SYNC: &str = "shim.journal_sync.before";
const REAP: &str = "shim.reap.before";
const NOT_DURABLE: &str = "not durable";
const MARK: &str = "mark:up";
/// It lives until it is killed, some turns of the shim later.
const STUBBORN: &str = "spawn:session:1:ignore=TERM,mark=up,forever";

/// A task that has marked itself as up, by what its agent does `first`.
fn up(world: &World, first: &str, gate: &Gate) -> Dispatched {
    let steps = [first, &gate.step(), "exit:3"];
    let task = world.run().key("k").steps(steps).detached();
    task.marked("up");
    task
}

/// The same, and its shim stands at `point` of the agent's end.
fn ending_at(world: &World, point: &str, first: &str) -> (Dispatched, Paused) {
    let gate = world.gate("end");
    let task = up(world, first, &gate);
    world.hooks().arm(point);
    gate.open();
    (task, world.hooks().reached())
}

fn alarms(world: &World, task: &Dispatched) -> String {
    let events = world.ledger().events(&task.id);
    let alarms = events
        .iter()
        .filter(|event| event.text("type") == Some("task.alarm"));
    alarms.filter_map(|event| event.text("payload")).collect()
}

fn assert_failed_with_3(ended: &Value) {
    assert_ended(ended, "failure", "failed", "observed");
    assert_eq!(exit_code_of(ended), Some(3), "{ended:#}");
}

#[test]
fn an_end_is_told_while_its_journal_is_synced() {
    let world = World::builder().hooks([SYNC]).build();
    let _supervisor = world.start();
    let (task, syncing) = ending_at(&world, SYNC, MARK);
    assert_failed_with_3(&world.ended(&task.id));
    syncing.go();
    world.check();
}

/// Nobody waits for more then: what the ledger has is on the disk.
#[test]
fn a_sync_that_fails_behind_a_told_end_changes_nothing() {
    let world = World::builder().hooks([SYNC]).build();
    let _supervisor = world.start();
    let (task, syncing) = ending_at(&world, SYNC, MARK);
    syncing.fail();
    assert_failed_with_3(&world.ended(&task.id));
    assert!(!alarms(&world, &task).contains(NOT_DURABLE));
    // The shim does not wait for an answer to it.
    world.check();
}

/// What is told later is told from memory, and that it is.
#[test]
fn a_sync_that_fails_before_the_tree_is_gone_is_told() {
    let world = World::builder().hooks([SYNC]).build();
    let _supervisor = world.start();
    let (task, syncing) = ending_at(&world, SYNC, STUBBORN);
    syncing.fail();
    assert_failed_with_3(&world.ended(&task.id));
    assert!(alarms(&world, &task).contains(NOT_DURABLE));
    world.check();
}

/// Nobody was told anything then: an end that nobody listens to is synced first.
#[test]
fn an_end_without_a_supervisor_is_synced_before_its_last_record() {
    let world = World::builder().hooks([SYNC]).build();
    let first = world.start();
    let gate = world.gate("end");
    let task = up(&world, MARK, &gate);
    world.hooks().arm(SYNC);
    first.kill();
    gate.open();
    world.hooks().reached().fail();
    let _second = world.start();
    assert_failed_with_3(&world.ended(&task.id));
    assert!(alarms(&world, &task).contains(NOT_DURABLE));
    world.check();
}

/// Both die where nothing was told yet: the next supervisor reads it.
#[test]
fn an_end_that_was_not_told_is_in_the_journal() {
    let world = World::builder().hooks([REAP]).build();
    let first = world.start();
    let (task, told_nobody) = ending_at(&world, REAP, MARK);
    first.kill();
    told_nobody.die();
    let _second = world.start();
    assert_failed_with_3(&world.ended(&task.id));
    world.check();
}
