//! An older ledger that was put back knows nothing of what was told since: it is
//! refused, and what was told stays true.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use tests::harness::{Bins, GENEROUS, World, wait_until};

const ENDS: [&str; 2] = ["", "-wal"];

/// The files of a ledger whose supervisor was killed.
struct Backup([Vec<u8>; 2]);

fn file(world: &World, end: &str) -> PathBuf {
    PathBuf::from(format!("{}{end}", world.ledger().path().display()))
}

impl Backup {
    fn of(world: &World) -> Self {
        Self(ENDS.map(|end| fs::read(file(world, end)).expect("it was not closed")))
    }

    fn put_back(self, world: &World) {
        let _absent = fs::remove_file(file(world, "-shm"));
        for (end, bytes) in ENDS.iter().zip(self.0) {
            fs::write(file(world, end), bytes).expect("put back");
        }
    }
}

fn recover(world: &World) {
    let mut command = world.command(Bins::locate().supervisor());
    command.arg("recover");
    let _said = world.finish(command).ok();
}

/// What a user sees of a task.
fn told(world: &World, id: &str) -> Value {
    let mut shown = world.show(id);
    // The supervisor that answers is another one.
    shown["supervisor_pid"] = Value::Null;
    shown
}

/// The same, once its folder has its end.
fn settled(world: &World, id: &str) -> Value {
    wait_until("a settled folder", GENEROUS, || {
        world.task_dir(id).join("settled").exists()
    });
    told(world, id)
}

/// Bug: as it had a row for every folder, the end was concluded anew, otherwise, and
/// what had been kept of it was overwritten.
#[test]
fn an_older_ledger_that_knows_nothing_of_an_end_is_noticed() {
    let world = World::new();
    let first = world.start();
    let task = world.run().steps(["mark:up", "forever"]).detached();
    task.marked("up");
    first.kill();
    let old = Backup::of(&world);
    let second = world.start();
    assert_eq!(world.stop(&task.id, &["--note", "enough"]), "stopped");
    let before = settled(&world, &task.id);
    second.kill();
    old.put_back(&world);
    let refused = world.spawn_supervisor();
    assert_eq!(refused.ended().code(), Some(4), "{}", world.log());
    recover(&world);
    let _next = world.start();
    assert_eq!(told(&world, &task.id), before);
    world.forgive("ledger");
    world.check();
}

/// Bug: it had no journal, and so nobody asked; under the same id another task ran, and
/// the old end was taken for its own.
#[test]
fn an_older_ledger_that_knows_nothing_of_an_end_in_the_queue_is_noticed() {
    let world = World::new();
    let first = world.start();
    let holder = world
        .run()
        .key("k")
        .steps(["mark:up", "forever"])
        .detached();
    holder.marked("up");
    first.kill();
    let old = Backup::of(&world);
    let second = world.start();
    let waits = world.run().key("k").option("--on-conflict", "queue");
    let waits = waits.steps(["exit:0"]).detached();
    assert_eq!(world.stop(&waits.id, &[]), "stopped");
    let before = settled(&world, &waits.id);
    second.kill();
    old.put_back(&world);
    let refused = world.spawn_supervisor();
    assert_eq!(refused.ended().code(), Some(4), "{}", world.log());
    recover(&world);
    let _next = world.start();
    assert_eq!(told(&world, &waits.id), before);
    assert_eq!(world.stop(&holder.id, &[]), "stopped");
    world.forgive("ledger");
    world.check();
}
