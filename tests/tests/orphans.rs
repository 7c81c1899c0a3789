//! `orphans list|kill`: what lives on of tasks that have ended.

use nix::sys::signal::Signal;
use serde_json::Value;
use tests::harness::{Delegated, Dispatched, GENEROUS, World, own_user, wait_until};
use tests::scenarios::install_keeper;
use tests::skip;

/// A provider that leaves its processes alone: they are orphans by its wish.
fn with_keeper() -> World {
    let world = World::new();
    install_keeper(&world);
    world
}

/// A task of it that has ended and left one process.
fn left_behind(world: &World, key: &str, child: &str) -> Dispatched {
    let steps = [child, "exit:0"];
    let task = world
        .run()
        .key(key)
        .option("--provider", "keeper")
        .steps(steps)
        .detached();
    assert_eq!(world.ended(&task.id)["status"], "success");
    assert!(!task.records.alive().is_empty(), "it left something");
    task
}

fn listed(world: &World) -> Vec<(String, i64, String)> {
    let answer = world.ctl(&["orphans", "list", "--json"]).ok().json();
    assert!(answer["survivors"].is_null(), "{answer}");
    of(&answer)
}

fn of(answer: &Value) -> Vec<(String, i64, String)> {
    let orphans = answer["orphans"].as_array().expect("a list");
    let line = |orphan: &Value| {
        let text = |name: &str| orphan[name].as_str().expect("a text").to_string();
        let pid = orphan["pid"].as_i64().expect("a pid");
        (text("task_id"), pid, text("found_by"))
    };
    orphans.iter().map(line).collect()
}

#[test]
fn leftovers_of_any_life_are_listed_and_ended_on_request() {
    let world = with_keeper();
    let first = world.start();
    assert_eq!(listed(&world), []);
    let task = left_behind(&world, "k", "spawn:daemon:1:forever");
    let left = task.records.alive()[0].clone();
    let live = world.run().steps(["mark:up", "forever"]).detached();
    live.marked("up");
    let expected = [(task.id.clone(), i64::from(left.pid), "marker".to_string())];
    assert_eq!(listed(&world), expected);
    // Another supervisor has no say in it, and does not name it.
    let other = World::running();
    assert_eq!(listed(&other), []);
    let killed = other.ctl(&["orphans", "kill", "--json"]).ok().json();
    assert_eq!(of(&killed), []);
    // A later life of ours has.
    first.kill();
    let _second = world.start();
    assert_eq!(listed(&world), expected);
    let said = world.ctl(&["orphans"]).ok();
    assert!(said.stdout.contains(&task.id), "{said:#?}");
    assert!(said.stderr.contains("orphans kill"), "{said:#?}");
    assert!(left.is_alive(), "a list ends nothing");

    let killed = world.ctl(&["orphans", "kill", "--json"]).ok().json();
    assert_eq!(of(&killed), expected);
    assert_eq!(killed["survivors"], serde_json::json!([]), "{killed}");
    assert_eq!(task.records.alive(), []);
    assert!(live.leader().is_alive(), "a live task is none");
    assert_eq!(listed(&world), []);
    let next = world.run().key("k").steps(["exit:0"]).detached();
    assert_eq!(world.ended(&next.id)["status"], "success");
    world.check();
}

#[test]
fn what_cannot_be_ended_is_named() {
    if own_user() != 0 {
        skip!("only root can leave a process of another user behind");
    }
    let world = with_keeper();
    let _supervisor = world.start();
    let script = "setpriv --reuid=65534 --clear-groups sleep 1000 & exit 0";
    let task = world
        .run()
        .option("--provider", "keeper")
        .argv(["sh", "-c", script])
        .detached();
    assert_eq!(world.ended(&task.id)["status"], "success");
    let orphans = listed(&world);
    assert_eq!(orphans.len(), 1, "{orphans:?}");
    let killed = world.ctl(&["orphans", "kill", "--json"]).expect_code(8);
    let killed = killed.json();
    let survivors = killed["survivors"].as_array().expect("a list");
    assert_eq!(survivors[0]["pid"], orphans[0].1, "{killed}");
    let process = tests::harness::Process::now(i32::try_from(orphans[0].1).expect("a pid"));
    let process = process.expect("it lives");
    process.signal(Signal::SIGKILL);
    wait_until("its end", GENEROUS, || !process.is_alive());
    assert_eq!(listed(&world), []);
    world.check();
}

#[test]
fn a_cgroup_tells_what_no_marker_can() {
    let world = with_keeper();
    let Some(delegated) = Delegated::new(&world) else {
        skip!("only root can make a cgroup of version 2 here");
    };
    let _supervisor = delegated.start(&world);
    let task = left_behind(&world, "k", "spawn:daemon:1:wipe-env,mark=wiped,forever");
    task.marked("wiped");
    let orphans = listed(&world);
    let by: Vec<&str> = orphans.iter().map(|(_, _, by)| by.as_str()).collect();
    assert_eq!(by, ["cgroup"], "{orphans:?}");
    let killed = world.ctl(&["orphans", "kill", "--json"]).ok().json();
    assert_eq!(of(&killed), orphans);
    assert_eq!(task.records.alive(), []);
    world.check();
}
