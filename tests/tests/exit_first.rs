//! An end is written down before it is told, and synced beside that (R4).

use serde_json::Value;
use tests::harness::{Dispatched, Paused, World};
use tests::scenarios::{assert_ended, exit_code_of};

const SYNC: &str = "shim.journal_sync.before";
const REAP: &str = "shim.reap.before";

/// A task whose shim stands at `point` of its agent's end.
fn ending_at(world: &World, point: &str) -> (Dispatched, Paused) {
    let gate = world.gate("end");
    let task = world.run().key("k").steps([gate.step().as_str(), "exit:3"]);
    let task = task.detached();
    world.hooks().arm(point);
    gate.open();
    (task, world.hooks().reached())
}

fn assert_failed_with_3(ended: &Value) {
    assert_ended(ended, "failure", "failed", "observed");
    assert_eq!(exit_code_of(ended), Some(3), "{ended:#}");
}

#[test]
fn an_end_is_told_while_its_journal_is_synced() {
    let world = World::builder().hooks([SYNC]).build();
    let _supervisor = world.start();
    let (task, syncing) = ending_at(&world, SYNC);
    assert_failed_with_3(&world.ended(&task.id));
    syncing.go();
    world.check();
}

/// Nobody waits for more then: what the ledger has is on the disk.
#[test]
fn a_sync_that_fails_behind_a_told_end_changes_nothing() {
    let world = World::builder().hooks([SYNC]).build();
    let _supervisor = world.start();
    let (task, syncing) = ending_at(&world, SYNC);
    syncing.fail();
    let ended = world.ended(&task.id);
    assert_failed_with_3(&ended);
    let evidence = ended["evidence"].to_string();
    assert!(!evidence.contains("durable"), "{ended:#}");
    world.check();
}

/// Both die where nothing was told yet: the next supervisor reads it.
#[test]
fn an_end_that_was_not_told_is_in_the_journal() {
    let world = World::builder().hooks([REAP]).build();
    let first = world.start();
    let (task, told_nobody) = ending_at(&world, REAP);
    first.kill();
    told_nobody.die();
    let _second = world.start();
    assert_failed_with_3(&world.ended(&task.id));
    world.check();
}
