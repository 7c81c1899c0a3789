//! Agents in a container beside the supervisor's own: their processes are none
//! that it could see, and outlive its whole pid namespace.

use std::sync::Arc;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use sys::PidFd;
use tests::harness::{
    Background, GENEROUS, Podman, Process, STUBBORN, Supervisor, World, wait_until,
};
use tests::needs_podman;
use tests::scenarios::{assert_ended, install_keeper};

/// A supervisor in a pid namespace of its own, which ends with it.
fn start_apart(world: &World) -> Arc<Supervisor> {
    let arguments = ["--pid", "--fork", "--kill-child", "--mount-proc"];
    world.start_by("unshare", &arguments)
}

fn orphans(world: &World, act: &str) -> Value {
    world.ctl(&["orphans", act, "--json"]).ok().json()
}

#[test]
fn orphans_in_a_container_are_listed_and_ended_from_inside() {
    needs_podman!();
    let world = World::new();
    install_keeper(&world);
    let _supervisor = start_apart(&world);
    let inside = Podman::serve(&world);
    let run = inside.run("sleep 1000 & exit 0");
    let task = run.option("--provider", "keeper").detached().id;
    let ended = world.ended(&task);
    assert_ended(&ended, "success", "completed", "observed");
    let why = world.ctl(&["why", &task]).ok().stdout;
    assert!(why.contains("sleep in the container"), "{why}");
    assert!(!why.contains("not proven"), "{why}");
    let live = inside.task_up(STUBBORN);
    let found = orphans(&world, "list")["orphans"].clone();
    let found = found.as_array().expect("a list");
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0]["task_id"], task.as_str());
    assert_eq!(found[0]["comm"], "sleep");
    assert_eq!(found[0]["found_by"], "container");
    let sleeper = || world.marked(&task).into_iter().next();
    let sleeper: Process = sleeper().expect("the host sees it");
    let killed = orphans(&world, "kill");
    assert_eq!(killed["survivors"], json!([]), "{killed}");
    assert!(!sleeper.is_alive(), "{killed}");
    assert_eq!(orphans(&world, "list")["orphans"], json!([]));
    assert_eq!(world.stop(&live, &["--force"]), "stopped");
    inside.is_empty();
    world.check();
}

/// Bug: the namespace was taken for a host that had been booted again, and the
/// agents went on beside the next supervisor.
#[test]
fn what_outlives_the_namespace_of_its_shim_is_ended_at_the_next_start() {
    needs_podman!();
    let world = World::new();
    let first = start_apart(&world);
    let inside = Podman::serve(&world);
    let task = inside.task_up(STUBBORN);
    // The supervisor has its locks until its last thread is gone.
    let daemons = world.processes().into_iter().filter(|process| {
        let argv = process.argv();
        argv.first()
            .is_some_and(|word| word.contains("/agent-supervisor"))
    });
    let held = daemons.filter_map(|process| PidFd::open(process.pid).expect("a descriptor"));
    let held: Vec<PidFd> = held.collect();
    assert_eq!(held.len(), 1, "one supervisor");
    first.signal(Signal::SIGKILL);
    let _status = first.ended();
    for daemon in held {
        assert!(daemon.wait_ended(GENEROUS).expect("readable"));
    }
    let _second = start_apart(&world);
    let ended = world.ended(&task);
    assert_ended(&ended, "interrupted", "host_reboot", "inferred");
    inside.is_empty();
    world.check();
}

/// What cannot be looked into is said, by everybody who looks, and an end that is
/// not proven is none.
#[test]
fn a_container_that_cannot_be_looked_into_is_told_of() {
    needs_podman!();
    let world = World::new();
    install_keeper(&world);
    let _supervisor = world.start();
    let inside = Podman::serve(&world);
    let run = inside.run("sleep 1000 & exit 0");
    let task = run.option("--provider", "keeper").detached().id;
    let _ended = world.ended(&task);
    assert_eq!(orphans(&world, "list")["unseen"], json!([]));

    inside.ctl(&["pause", "box"], &[]);
    let unseen = orphans(&world, "list")["unseen"].to_string();
    assert!(unseen.contains("is paused"), "{unseen}");
    let said = world.ctl(&["orphans", "list"]).ok().stderr;
    assert!(said.contains("not looked into: container "), "{said}");
    let doctor = world.ctl(&["doctor"]).ok().stdout;
    assert!(doctor.contains("not looked into: container "), "{doctor}");
    inside.ctl(&["unpause", "box"], &[]);

    let (engine, away) = (world.path("bin/podman"), world.path("bin/away"));
    std::fs::rename(&engine, &away).expect("ours");
    let unseen = orphans(&world, "list")["unseen"].to_string();
    assert!(unseen.contains("could not be asked"), "{unseen}");
    std::fs::rename(&away, &engine).expect("ours");

    inside.behave("hang");
    let list = world.ctl_command(&["orphans", "list", "--json"]);
    let list = Background::start(list);
    wait_until("the end of patience with it", 3 * GENEROUS, || {
        !list.process.is_alive()
    });
    let unseen = list.output().ok().json()["unseen"].to_string();
    assert!(unseen.contains("did not answer for 30 s"), "{unseen}");
    inside.behave_again("hang");
    let killed = orphans(&world, "kill");
    assert_eq!(killed["unseen"], json!([]), "{killed}");
    assert_eq!(killed["survivors"], json!([]), "{killed}");
    inside.is_empty();
    world.check();
}
