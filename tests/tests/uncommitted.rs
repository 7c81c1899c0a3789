//! The supervisor dies between the `spec` of a dispatch and its row, and the ledger is
//! rebuilt before another one has started: what was never committed does not begin,
//! and what was is not lost.

use std::fs;
use std::sync::Arc;

use nix::sys::signal::Signal;
use tests::harness::{Bins, Dispatched, GENEROUS, Gate, Supervisor, World, wait_until};
use tests::scenarios::assert_ended;

const ID: &str = "in-doubt";

fn world_at(point: &str) -> (World, Arc<Supervisor>) {
    let world = World::builder()
        .config("[limits]\nmax_tasks = 1\n")
        .hooks([point])
        .build();
    let supervisor = world.start();
    (world, supervisor)
}

/// Something that runs, so that the next dispatch has to wait.
fn holder(world: &World) -> (Dispatched, Gate) {
    let gate = world.gate("holder");
    let holder = world.run().steps(["mark:up", &gate.step()]).detached();
    holder.marked("up");
    (holder, gate)
}

/// The supervisor dies at `point` of a dispatch that nobody repeats.
fn die_at(world: &World, supervisor: &Supervisor, point: &str) {
    // What the start tells is committed before.
    let _listed = world.ctl(&["list"]).ok();
    world.hooks().arm(point);
    let run = world.run().id(ID).steps(["mark:begun", "exit:0"]);
    let client = run.in_background();
    let paused = world.hooks().reached();
    client.process.signal(Signal::SIGKILL);
    let _killed = client.output();
    paused.die();
    let _gone = supervisor.ended();
    world.hooks().disarm();
}

fn recover(world: &World) -> String {
    let mut command = world.command(Bins::locate().supervisor());
    command.arg("recover");
    world.finish(command).ok().stdout
}

fn remove_ledger(world: &World) {
    for end in ["", "-wal", "-shm"] {
        let path = format!("{}{end}", world.ledger().path().display());
        let _absent = fs::remove_file(path);
    }
}

fn has_begun(world: &World) -> bool {
    world.run().id(ID).records().has_mark("begun")
}

/// Its turn comes when that of the other one is over.
fn it_waits_and_has_its_turn(world: &World, gate: &Gate) {
    assert_eq!(world.show(ID)["status"], "queued");
    gate.open();
    assert_ended(&world.ended(ID), "success", "completed", "observed");
    assert!(has_begun(world));
    world.check();
}

/// Bug: the rebuild made it wait, and the next supervisor started it.
#[test]
fn who_was_to_wait_and_was_not_committed_does_not_begin() {
    let (world, supervisor) = world_at("sup.commit.before");
    let (holder, gate) = holder(&world);
    die_at(&world, &supervisor, "sup.commit.before");
    remove_ledger(&world);
    let said = recover(&world);
    let told = format!("task {ID} is lost: it was about to be queued, and its row");
    assert!(said.contains(&told), "{said}");
    assert!(said.contains("1 that the next start"), "{said}");
    let _next = world.start();
    let _unknown = world.ctl(&["show", ID]).expect_code(3);
    gate.open();
    let _ended = world.ended(&holder.id);
    // Whoever waits has its turn before this one.
    let after = world.run().steps(["exit:0"]).detached();
    let _ended = world.ended(&after.id);
    assert_eq!(world.ledger().task(ID).map(|_| ()), None);
    assert!(!has_begun(&world));
    // The name is not burnt.
    let task = world.run().id(ID).steps(["exit:0"]).detached();
    assert_ended(&world.ended(&task.id), "success", "completed", "observed");
    world.check();
}

#[test]
fn who_waits_and_was_committed_waits_again() {
    let (world, supervisor) = world_at("sup.queue_mark.after");
    let (_holder, gate) = holder(&world);
    die_at(&world, &supervisor, "sup.queue_mark.after");
    remove_ledger(&world);
    let said = recover(&world);
    assert!(!said.contains(ID), "{said}");
    let _next = world.start();
    it_waits_and_has_its_turn(&world, &gate);
}

/// It was committed, and the mark of that was not made: the ledger has it, and so has
/// the folder once a supervisor has started over both.
#[test]
fn who_was_committed_without_its_mark_is_not_lost() {
    for starts_between in [false, true] {
        let (world, supervisor) = world_at("sup.queue_mark.before");
        let (_holder, gate) = holder(&world);
        die_at(&world, &supervisor, "sup.queue_mark.before");
        let mark = world.task_dir(ID).join("queued");
        assert!(!mark.exists());
        if starts_between {
            let between = world.start();
            wait_until("the mark", GENEROUS, || mark.exists());
            between.kill();
            remove_ledger(&world);
        }
        let said = recover(&world);
        assert!(!said.contains(ID), "{said}");
        let _next = world.start();
        it_waits_and_has_its_turn(&world, &gate);
    }
}

/// A power cut takes a mark that was made: nothing is lost for that, and it is told.
#[test]
fn behind_another_boot_a_missing_mark_says_nothing() {
    let (world, supervisor) = world_at("sup.queue_mark.after");
    let (_holder, gate) = holder(&world);
    die_at(&world, &supervisor, "sup.queue_mark.after");
    fs::remove_file(world.task_dir(ID).join("queued")).expect("made");
    let spec = world.task_dir(ID).join("spec");
    let kept = fs::read_to_string(&spec).expect("it is kept");
    let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("a boot");
    let earlier = "0".repeat(boot_id.trim().len());
    let (here, there) = (
        format!("\"queued_in\":\"{}\"", boot_id.trim()),
        format!("\"queued_in\":\"{earlier}\""),
    );
    assert!(kept.contains(&here), "{kept}");
    fs::write(&spec, kept.replace(&here, &there)).expect("written");
    remove_ledger(&world);
    let said = recover(&world);
    let told = format!("task {ID} waits again, and nothing tells whether its row");
    assert!(said.contains(&told), "{said}");
    let _next = world.start();
    it_waits_and_has_its_turn(&world, &gate);
}

/// Of one that was to start at once nothing tells whether it was committed, and it is
/// true in any case that it was not started: it is told, and ends.
#[test]
fn who_was_to_start_at_once_is_concluded_and_told() {
    for point in ["sup.commit.before", "sup.spawn.before"] {
        let (world, supervisor) = world_at(point);
        die_at(&world, &supervisor, point);
        remove_ledger(&world);
        let said = recover(&world);
        let told = format!("task {ID} was not started, and nothing tells whether its row");
        assert!(said.contains(&told), "{said}");
        let _next = world.start();
        wait_until("its end", GENEROUS, || {
            world.show(ID)["status"] != "running"
        });
        let ended = world.show(ID);
        assert_ended(&ended, "interrupted", "spawn_failed", "inferred");
        assert!(!has_begun(&world));
        world.check();
    }
}
