//! A task that is lost, and whose agent lives: no verb knows it but `orphans` and
//! `doctor`.

use std::fs;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tests::harness::{Bins, Dispatched, GENEROUS, Process, World, wait_until};

/// A task that lives, and that a rebuild of the ledger could make no row of.
fn lost(world: &World, steps: &[&str]) -> (Dispatched, Process) {
    let first = world.start();
    let task = world
        .run()
        .key("live")
        .steps(steps.iter().copied())
        .detached();
    task.marked("up");
    let shim = world.shim_of(&task.id).expect("it lives");
    first.kill();
    forget(world, &task.id);
    (task, shim)
}

/// What a power cut can leave of it, and a rebuild.
fn forget(world: &World, id: &str) {
    fs::write(world.task_dir(id).join("spec"), b"").expect("cut");
    for end in ["", "-wal", "-shm"] {
        let path = format!("{}{end}", world.ledger().path().display());
        let _absent = fs::remove_file(path);
    }
    let mut recover = world.command(Bins::locate().supervisor());
    recover.arg("recover");
    let said = world.finish(recover).ok().stdout;
    assert!(said.contains(&format!("task {id} is lost")), "{said}");
}

fn of(answer: &Value, what: &str) -> Vec<i64> {
    let all = answer[what].as_array().expect("a list").iter();
    all.map(|one| one["pid"].as_i64().expect("a pid")).collect()
}

/// What `doctor` says of leftovers.
fn leftovers(world: &World) -> Value {
    let doctor = world.ctl(&["doctor", "--json"]).ok().json();
    let mut checks = doctor["checks"].as_array().expect("a list").iter();
    let of_them = checks.find(|check| check["name"] == "leftovers");
    of_them.expect("it is always looked at")["state"].clone()
}

fn sorted(processes: &[&Process]) -> Vec<i64> {
    let mut pids: Vec<i64> = processes.iter().map(|one| i64::from(one.pid)).collect();
    pids.sort_unstable();
    pids
}

/// Bug: «no orphans», because a lost task has no nonce in the ledger.
#[test]
fn the_live_agent_of_a_lost_task_is_an_orphan() {
    let world = World::new();
    let steps = [
        "spawn:daemon:1:wipe-env,mark=wiped,forever",
        "mark:up",
        "forever",
    ];
    let (task, shim) = lost(&world, &steps);
    task.marked("wiped");
    let mut all = task.records.alive();
    // One that wiped its environment is recorded again.
    all.dedup();
    assert_eq!(all.len(), 2, "{all:?}");
    let expected = sorted(&[&shim, &all[0], &all[1]]);
    let _second = world.start();
    // Another supervisor has no say in it.
    let other = World::running();
    let killed = other.ctl(&["orphans", "kill", "--json"]).ok().json();
    assert_eq!(of(&killed, "orphans"), [0_i64; 0]);

    let listed = world.ctl(&["orphans", "list", "--json"]).ok().json();
    assert_eq!(of(&listed, "orphans"), expected, "{listed}");
    let named = listed["orphans"].as_array().expect("a list");
    assert!(named.iter().all(|one| one["task_id"] == json!(task.id)));
    assert_eq!(leftovers(&world), "warning");
    assert!(shim.is_alive() && all.iter().all(Process::is_alive));

    let killed = world.ctl(&["orphans", "kill", "--json"]).ok().json();
    assert_eq!(of(&killed, "orphans"), expected, "{killed}");
    assert_eq!(killed["survivors"], json!([]), "{killed}");
    assert!(!shim.is_alive() && !all.iter().any(Process::is_alive));
    let journal = fs::read(world.task_dir(&task.id).join("journal"));
    assert!(!journal.expect("a journal").is_empty());
    let listed = world.ctl(&["orphans", "list", "--json"]).ok().json();
    assert_eq!(of(&listed, "orphans"), [0_i64; 0], "{listed}");
    assert_eq!(leftovers(&world), "ok");
    let next = world.run().key("live").steps(["exit:0"]).detached();
    assert_eq!(world.ended(&next.id)["status"], "success");
}

#[test]
fn a_lost_shim_that_stands_still_is_ended_with_its_tree() {
    let world = World::new();
    let (task, shim) = lost(&world, &["mark:up", "forever"]);
    let leader = task.leader();
    let _second = world.start();
    world.kill(&shim, Signal::SIGSTOP);
    let killed = world.ctl(&["orphans", "kill", "--json"]).ok().json();
    assert_eq!(
        of(&killed, "orphans"),
        sorted(&[&shim, &leader]),
        "{killed}"
    );
    assert_eq!(killed["survivors"], json!([]), "{killed}");
    assert!(!shim.is_alive() && !leader.is_alive());
}

/// Its shim is dead, and the ledger has not its nonce: what carries its marker may be
/// of another supervisor that has a task of the same id.
#[test]
fn what_only_carries_the_name_of_a_lost_task_is_named_and_left_alone() {
    let world = World::new();
    let steps = ["spawn:daemon:1:mark=child,forever", "mark:up", "forever"];
    let (task, shim) = lost(&world, &steps);
    task.marked("child");
    let leader = task.leader();
    let all = task.records.alive();
    let child = all.iter().find(|one| one.pid != leader.pid);
    let child = child.expect("it lives").clone();
    world.kill(&shim, Signal::SIGKILL);
    wait_until("the end of both", GENEROUS, || {
        !shim.is_alive() && !leader.is_alive()
    });
    let _second = world.start();
    let killed = world
        .ctl(&["orphans", "kill", "--json"])
        .expect_code(8)
        .json();
    assert_eq!(of(&killed, "orphans"), [0_i64; 0], "{killed}");
    let unseen = killed["unseen"][0].as_str().expect("a line").to_owned();
    let process = format!("process {} ", child.pid);
    assert!(
        unseen.contains(&task.id) && unseen.contains(&process),
        "{unseen}"
    );
    assert!(child.is_alive(), "it may be a stranger");
    child.signal(Signal::SIGKILL);
    wait_until("its end", GENEROUS, || !child.is_alive());
    let killed = world.ctl(&["orphans", "kill", "--json"]).ok().json();
    assert_eq!(killed["unseen"], json!([]), "{killed}");
}
