//! What is wrong with the folder of one queued task is in nobody else's way.

use std::fs;
use std::os::unix::fs::symlink;

use tests::harness::{Dispatched, GENEROUS, Gate, World, wait_until};
use tests::scenarios::assert_ended;

/// A task that waits behind another one of its key, and the gate of that one.
fn behind_another(world: &World) -> (Dispatched, Gate, Dispatched) {
    let gate = world.gate("first");
    let first = world.run().key("h1").steps(["mark:up", &gate.step()]);
    let first = first.detached();
    first.marked("up");
    let waits = world.run().key("h1").option("--on-conflict", "queue");
    let waits = waits.steps(["exit:0"]).detached();
    assert_eq!(waits.task["status"], "queued");
    (first, gate, waits)
}

#[test]
fn a_spec_that_can_never_be_read_ends_its_task_alone() {
    let world = World::running();
    let (first, gate, waits) = behind_another(&world);
    let spec = world.task_dir(&waits.id).join("spec");
    fs::rename(&spec, world.path("kept")).expect("moved away");
    fs::create_dir(&spec).expect("a folder in its place");
    gate.open();
    let _first = world.ended(&first.id);
    let ended = world.ended(&waits.id);
    assert_ended(&ended, "failure", "spawn_failed", "observed");
    let why = world.ctl(&["why", &waits.id]).ok().stdout;
    assert!(why.contains("Is a directory (os error 21)"), "{why}");
    assert!(world.log().contains("Is a directory (os error 21)"));
    let other = world.run().key("other").steps(["exit:0"]).detached();
    assert_ended(&world.ended(&other.id), "success", "completed", "observed");
    fs::remove_dir(&spec).expect("removed");
    fs::rename(world.path("kept"), &spec).expect("put back");
    world.check();
}

#[test]
fn a_spec_that_cannot_be_read_now_lets_others_go_first() {
    let world = World::running();
    let (first, gate, waits) = behind_another(&world);
    let spec = world.task_dir(&waits.id).join("spec");
    fs::rename(&spec, world.path("kept")).expect("moved away");
    symlink("spec", &spec).expect("a link to itself");
    gate.open();
    let _first = world.ended(&first.id);
    wait_until("a turn that is not taken", GENEROUS, || {
        world.log().contains("others go before it")
    });
    assert!(world.log().contains("(os error 40)"), "{}", world.log());
    let other = world.run().key("other").steps(["exit:0"]).detached();
    assert_ended(&world.ended(&other.id), "success", "completed", "observed");
    assert_eq!(world.show(&waits.id)["status"], "queued");
    fs::rename(world.path("kept"), &spec).expect("put back");
    assert_ended(&world.ended(&waits.id), "success", "completed", "observed");
    world.check();
}

const MINE: &str = "name = \"mine\"\ndescription = \"d\"\ncommand = [\"true\"]\n\
                    [prompt]\nvia = \"stdin\"\n";

/// Bug: a file that was saved with a mistake ended all that waited for its provider.
#[test]
fn a_provider_file_with_a_mistake_is_waited_for_and_a_missing_one_is_not() {
    let world = World::new();
    fs::create_dir_all(world.providers_dir()).expect("a folder");
    let file = world.providers_dir().join("mine.toml");
    fs::write(&file, MINE).expect("a file");
    let _supervisor = world.start();
    let gate = world.gate("first");
    let first = world.run().key("h1").steps(["mark:up", &gate.step()]);
    let first = first.detached();
    first.marked("up");
    let behind = |key: &str| {
        let waits = world.run().provider("mine").key(key);
        waits.option("--on-conflict", "queue").detached()
    };
    let waits = behind("h1");
    fs::write(&file, "name = ").expect("a file");
    gate.open();
    let _first = world.ended(&first.id);
    let put_off = || world.log().matches("others go before it").count();
    wait_until("a turn that is not taken", GENEROUS, || put_off() > 0);
    let other = world.run().key("other").steps(["exit:0"]).detached();
    assert_ended(&world.ended(&other.id), "success", "completed", "observed");
    assert_eq!(world.show(&waits.id)["status"], "queued");
    fs::write(&file, MINE).expect("a file");
    assert_ended(&world.ended(&waits.id), "success", "completed", "observed");
    assert_eq!(put_off(), 1, "said once: {}", world.log());

    let gate = world.gate("second");
    let holder = world.run().key("h2").steps(["mark:up", &gate.step()]);
    let holder = holder.detached();
    holder.marked("up");
    let waits = behind("h2");
    fs::remove_file(&file).expect("it was there");
    gate.open();
    let _holder = world.ended(&holder.id);
    let ended = world.ended(&waits.id);
    assert_ended(&ended, "failure", "spawn_failed", "observed");
    world.check();
}
