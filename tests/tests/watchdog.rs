//! Shims that stand still (F7): they delay nobody, and the supervisor does
//! their work where somebody waits for it.

use nix::sys::signal::Signal;
use serde_json::Value;
use tests::harness::{Dispatched, GENEROUS, Process, World, wait_for, wait_until};
use tests::scenarios::{assert_ended, signal_of};

/// An agent with a tree that neither TERM nor a killed group reaches.
const TREE: [&str; 5] = [
    "ignore:TERM",
    "spawn:session:2:ignore=TERM,forever",
    "spawn:daemon:2:ignore=TERM,forever",
    "mark:up",
    "forever",
];

fn frozen(world: &World, task: &Dispatched) -> Process {
    let shim = world.shim_of(&task.id).expect("the shim lives");
    shim.signal(Signal::SIGSTOP);
    wait_until("the shim to stand still", GENEROUS, || {
        shim.state() == Some('T')
    });
    shim
}

fn evidence(task: &Value, kind: &str) -> String {
    let lines = task["evidence"].as_array().expect("a list");
    let of_kind = lines.iter().filter(|line| line["kind"] == kind);
    of_kind.map(|line| line["detail"].to_string()).collect()
}

#[test]
fn a_stop_past_a_shim_that_stands_still_empties_the_tree() {
    let world = World::running();
    let task = world.run().key("k").steps(TREE).detached();
    task.marked("up");
    let shim = frozen(&world, &task);
    assert!(task.records.alive().len() >= 5);
    assert_eq!(world.stop(&task.id, &["--note", "enough"]), "stopped");
    assert_eq!(task.records.alive(), []);
    assert!(!shim.is_alive());
    let ended = world.show(&task.id);
    assert_ended(&ended, "cancelled", "user", "declared");
    let intent = &ended["intents"][0];
    assert_eq!(intent["signalled_by"], "supervisor", "{ended:#}");
    assert_eq!(intent["outcome"], "effective", "{ended:#}");
    assert!(intent["journalled_at"].is_null(), "{ended:#}");
    let sweep = evidence(&ended, "sweep");
    assert!(sweep.contains("tree proven empty"), "{ended:#}");
    let why = world.ctl(&["why", &task.id]).ok().stdout;
    assert!(why.contains("does not answer the stop"), "{why}");
    assert!(why.contains("was in the ledger before the signal"), "{why}");
    // Nothing of it keeps the key busy.
    let next = world.run().key("k").steps(["exit:0"]).detached();
    assert_eq!(world.ended(&next.id)["status"], "success");
    world.check();
}

/// A process that wiped its environment is found all the same: the shim is its
/// subreaper, dead or alive.
#[test]
fn a_wiped_environment_is_no_hiding_place_behind_a_shim_that_stands_still() {
    let world = World::running();
    let steps = ["spawn:daemon:1:wipe-env,mark=wiped,forever", "forever"];
    let task = world.run().steps(steps).detached();
    task.marked("wiped");
    let _shim = frozen(&world, &task);
    assert_eq!(world.stop(&task.id, &[]), "stopped");
    assert_eq!(task.records.alive(), []);
    world.check();
}

/// It acknowledged the stop, and then stood still with the grace running.
#[test]
fn a_shim_may_stand_still_in_the_middle_of_a_stop() {
    let world = World::running();
    let task = world.run().steps(TREE).detached();
    task.marked("up");
    let stop = world.stop_in_background(&task.id, &["--grace", "500ms"]);
    wait_until("its TERM", GENEROUS, || {
        world
            .ledger()
            .event_types(&task.id)
            .contains(&"task.signalled".to_string())
    });
    let _shim = frozen(&world, &task);
    assert_eq!(world.stop_answered(&task.id, &stop.output()), "stopped");
    assert_eq!(task.records.alive(), []);
    let ended = world.show(&task.id);
    assert_ended(&ended, "cancelled", "user", "declared");
    assert_eq!(ended["intents"][0]["signalled_by"], "shim", "{ended:#}");
    world.check();
}

#[test]
fn a_shim_that_stands_still_before_its_claim_never_starts_anything() {
    let world = World::builder().hooks(["shim.before_claim"]).build();
    let _supervisor = world.start();
    world.hooks().arm("shim.before_claim");
    let run = world.run().steps(["forever"]);
    let (id, records) = (run.task_id().to_string(), run.records());
    let dispatch = run.in_background();
    let paused = world.hooks().reached();
    let stop = world.stop_in_background(&id, &[]);
    assert_eq!(world.stop_answered(&id, &stop.output()), "stopped");
    paused.go();
    let _task = world.acknowledge(&dispatch.output());
    let ended = world.ended(&id);
    assert_ended(&ended, "cancelled", "user", "declared");
    assert_eq!(
        ended["intents"][0]["signalled_by"], "supervisor",
        "{ended:#}"
    );
    assert_eq!(records.processes(), []);
    world.check();
}

/// R10: the control socket answers, the others are adopted, and nothing is
/// cleaned up by a time-out.
#[test]
fn a_shim_that_stands_still_delays_no_adoption() {
    let world = World::new();
    let first = world.start();
    let gate = world.gate("end");
    let steps = ["mark:up", &gate.step(), "exit:3"];
    let still = world.run().key("still").steps(steps).detached();
    let lively = world.run().steps(["mark:up", "forever"]).detached();
    still.marked("up");
    lively.marked("up");
    let leader = still.leader();
    first.kill();
    let shim = frozen(&world, &still);
    let _second = world.start();
    wait_until("the adoption of the other", GENEROUS, || {
        world.show(&lively.id)["presence"] == "attached"
    });
    let shown = world.show(&still.id);
    assert_eq!(shown["presence"], "detached", "{shown:#}");
    assert_eq!(shown["status"], "running", "{shown:#}");
    assert_eq!(shown["agent_pid"], leader.pid, "{shown:#}");
    let _busy = world
        .run()
        .key("still")
        .steps(["exit:0"])
        .try_detached()
        .expect_code(4);
    assert_eq!(world.stop(&lively.id, &[]), "stopped");
    assert!(leader.is_alive() && shim.is_alive());
    shim.signal(Signal::SIGCONT);
    wait_for("its adoption", GENEROUS, || {
        let shown = world.show(&still.id);
        if shown["presence"] == "attached" {
            Ok(())
        } else {
            Err(shown)
        }
    });
    gate.open();
    let ended = world.ended(&still.id);
    assert_ended(&ended, "failure", "failed", "observed");
    world.check();
}

/// Bug: the kernel sends SIGHUP and SIGCONT to a stopped process whose group
/// is orphaned by the death of its parent, and the shim took that for a wish.
#[test]
fn the_death_of_the_supervisor_is_no_signal_to_a_shim_that_stands_still() {
    let world = World::new();
    let first = world.start();
    let gate = world.gate("end");
    let steps = ["mark:up", &gate.step(), "exit:3"];
    let task = world.run().steps(steps).detached();
    task.marked("up");
    let shim = frozen(&world, &task);
    first.kill();
    wait_until("the kernel's SIGCONT", GENEROUS, || {
        shim.state() == Some('S')
    });
    let _second = world.start();
    gate.open();
    let ended = world.ended(&task.id);
    assert_ended(&ended, "failure", "failed", "observed");
    world.check();
}

/// A new supervisor stops what it has not adopted, by the descriptor.
#[test]
fn a_shim_that_was_never_adopted_can_be_stopped() {
    let world = World::new();
    let first = world.start();
    let task = world.run().steps(TREE).detached();
    task.marked("up");
    first.kill();
    let _shim = frozen(&world, &task);
    let _second = world.start();
    assert_eq!(world.stop(&task.id, &[]), "stopped");
    assert_eq!(task.records.alive(), []);
    let ended = world.show(&task.id);
    assert_ended(&ended, "cancelled", "user", "declared");
    assert_ne!(signal_of(&ended), Some("SIGTERM"), "{ended:#}");
    world.check();
}

/// The supervisor dies in the middle of that; the next one goes on with it.
#[test]
fn a_supervisor_may_die_in_the_middle_of_its_watch() {
    let world = World::builder().hooks(["sup.signal.before"]).build();
    let first = world.start();
    let task = world.run().steps(TREE).detached();
    task.marked("up");
    let _shim = frozen(&world, &task);
    world.hooks().arm("sup.signal.before");
    let stop = world.stop_in_background(&task.id, &["--grace", "100ms"]);
    let paused = world.hooks().reached();
    first.kill();
    paused.go();
    let _second = world.start();
    assert_eq!(world.stop_answered(&task.id, &stop.output()), "stopped");
    assert_eq!(task.records.alive(), []);
    assert_ended(&world.show(&task.id), "cancelled", "user", "declared");
    world.check();
}
