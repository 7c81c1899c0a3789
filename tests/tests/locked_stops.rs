//! A stop that is on record is carried out and told, although nothing more can be
//! recorded.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tests::harness::{GENEROUS, World, wait_until};
use tests::scenarios::{LedgerLock, assert_ended, is_noticed, up};

/// There is room again: the stop of this task is its end.
fn is_recorded_at_last(world: &World, lock: LedgerLock, task: &str) {
    lock.release(world);
    let ended = world.ended(task);
    assert_eq!(ended["archive_reason"], "user", "{ended:#}");
}

/// Bug: it hung until the end could be recorded.
#[test]
fn whoever_waits_for_a_recorded_stop_is_told_of_its_end_from_memory() {
    let world = World::new();
    let _supervisor = world.start();
    let other = up(&world, "other");
    let deaf = world
        .run()
        .id("deaf")
        .option("--grace", "1h")
        .steps(["ignore:TERM", "mark:up", "forever"])
        .detached();
    deaf.marked("up");
    let stop = world.ctl_in_background(&["stop-session", &deaf.id, "--json"]);
    wait_until("the signal is on record", GENEROUS, || {
        let kinds = world.ledger().event_types(&deaf.id);
        kinds.contains(&"task.signalled".to_owned())
    });
    let lock = LedgerLock::take(&world);
    is_noticed(&world, &["rename", &other.id, "first"]);
    world.kill(&deaf.leader(), Signal::SIGKILL);
    let told = stop.output().ok().json();
    assert_eq!(told["results"][0]["outcome"], "stopped", "{told:#}");
    assert_eq!(told["results"][0]["archive_reason"], "user", "{told:#}");
    assert_eq!(told["not_durable"], true, "{told:#}");
    lock.release(&world);
    assert_ended(&world.ended(&deaf.id), "cancelled", "user", "declared");
    assert_eq!(world.stop(&other.id, &[]), "stopped");
    world.check();
}

/// Bug: what the stop needed more than its order waited for the record of other things,
/// and its caller with it.
#[test]
fn a_recorded_stop_goes_on_although_its_shim_stands_still() {
    let world = World::new();
    let _supervisor = world.start();
    let (one, other) = (up(&world, "one"), up(&world, "other"));
    let shim = world.shim_of(&one.id).expect("the shim lives");
    world.kill(&shim, Signal::SIGSTOP);
    let stop = world.ctl_in_background(&["stop-session", &one.id, "--json"]);
    wait_until("the stop is on record", GENEROUS, || {
        let kinds = world.ledger().event_types(&one.id);
        kinds.contains(&"task.stop_requested".to_owned())
    });
    let lock = LedgerLock::take(&world);
    is_noticed(&world, &["rename", &other.id, "first"]);
    let told = stop.output().ok().json();
    assert_eq!(told["results"][0]["archive_reason"], "user", "{told:#}");
    assert_eq!(told["not_durable"], true, "{told:#}");
    is_recorded_at_last(&world, lock, &one.id);
    assert_eq!(world.stop(&other.id, &[]), "stopped");
    world.check();
}

/// Bug: it went on only where somebody waited for it.
#[test]
fn a_recorded_stop_that_nobody_waits_for_goes_on_as_well() {
    let world = World::new();
    let _supervisor = world.start();
    let (one, other) = (up(&world, "one"), up(&world, "other"));
    let (shim, agent) = (world.shim_of(&one.id).expect("it lives"), one.leader());
    world.kill(&shim, Signal::SIGSTOP);
    let _asked = world.ctl(&["stop-session", "--no-wait", &one.id]).ok();
    let lock = LedgerLock::take(&world);
    is_noticed(&world, &["rename", &other.id, "first"]);
    wait_until("the agent is ended", GENEROUS, || !agent.is_alive());
    let kinds = world.ledger().event_types(&one.id);
    assert!(!kinds.contains(&"task.ended".to_owned()), "{kinds:?}");
    is_recorded_at_last(&world, lock, &one.id);
    assert_eq!(world.stop(&other.id, &[]), "stopped");
    world.check();
}

/// Bug: what waited for the record of the shim's death was done for a stop that was asked
/// for while a try to record it was under way, and was not recorded itself.
#[test]
fn a_stop_that_is_not_recorded_lets_nothing_else_be_done() {
    let world = World::new();
    let _supervisor = world.start();
    let other = up(&world, "other");
    let task = world
        .run()
        .id("one")
        .steps(["spawn:daemon:1:forever", "mark:up", "forever"])
        .detached();
    task.marked("up");
    let leader = task.leader();
    let lock = LedgerLock::take(&world);
    is_noticed(&world, &["rename", &other.id, "first"]);
    let shim = world.shim_of(&task.id).expect("it lives");
    world.kill(&shim, Signal::SIGKILL);
    wait_until("the end of the leader", GENEROUS, || !leader.is_alive());
    // Whoever asks during a try is answered at its end.
    let (mut during_a_try, begun) = (0, Instant::now());
    while during_a_try < 4 && begun.elapsed() < GENEROUS {
        let asked = Instant::now();
        let said = world.ctl(&["stop-session", &task.id]).expect_code(1).stderr;
        assert!(said.contains("nothing is signalled before"), "{said}");
        during_a_try += u32::from(asked.elapsed() > Duration::from_millis(50));
    }
    assert!(!world.alive(&task.records).is_empty(), "its daemon lives");
    lock.release(&world);
    let _ended = world.ended(&task.id);
    assert_eq!(world.stop(&other.id, &[]), "stopped");
    world.check();
}
