//! A cgroup for each task, where one can be had.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use serde_json::Value;
use tests::harness::{Delegated, Dispatched, GENEROUS, Process, World, wait_for, wait_until};
use tests::scenarios::{assert_ended, signal_of};
use tests::skip;

fn members(cgroup: &Path) -> Vec<i32> {
    let listed = fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
    listed
        .lines()
        .map(|pid| pid.parse().expect("a pid"))
        .collect()
}

fn evidence(task: &Value, kind: &str) -> String {
    let lines = task["evidence"].as_array().expect("a list");
    let of_kind = lines.iter().filter(|line| line["kind"] == kind);
    of_kind
        .map(|line| format!("{}\n", line["detail"]))
        .collect()
}

/// An agent of which one process cannot be found by its environment.
fn with_a_hidden_one(world: &World) -> (Dispatched, Process) {
    let steps = ["spawn:daemon:1:wipe-env,mark=wiped,forever", "forever"];
    let task = world.run().key("k").steps(steps).detached();
    task.marked("wiped");
    let shim = world.shim_of(&task.id).expect("the shim lives");
    (task, shim)
}

fn assert_all_gone(task: &Dispatched, ended: &Value) {
    assert_eq!(task.records.alive(), []);
    let sweep = evidence(ended, "sweep");
    assert!(sweep.contains("tree proven empty"), "{sweep}");
}

/// W12 behind a dead shim: the marker cannot see it, the cgroup can.
#[test]
fn a_wiped_environment_is_no_hiding_place_in_a_cgroup() {
    let world = World::new();
    let Some(delegated) = Delegated::new(&world) else {
        skip!("only root can make a cgroup of version 2 here");
    };
    let _supervisor = delegated.start(&world);
    let (task, shim) = with_a_hidden_one(&world);
    let cgroup = delegated.of(&world, &task.id);
    assert!(members(&cgroup).contains(&shim.pid));
    world.kill(&shim, Signal::SIGKILL);
    let ended = world.ended(&task.id);
    assert_ended(&ended, "interrupted", "shim_lost", "observed");
    assert_all_gone(&task, &ended);
    wait_until("the end of the cgroup", GENEROUS, || !cgroup.exists());
    world.check();
}

/// The same behind a dead shim and a dead supervisor.
#[test]
fn the_next_supervisor_finds_the_cgroup() {
    let world = World::new();
    let Some(delegated) = Delegated::new(&world) else {
        skip!("only root can make a cgroup of version 2 here");
    };
    let first = delegated.start(&world);
    let (task, shim) = with_a_hidden_one(&world);
    let cgroup = delegated.of(&world, &task.id);
    first.kill();
    world.kill(&shim, Signal::SIGKILL);
    wait_until("the end of the shim", GENEROUS, || !shim.is_alive());
    assert!(!task.records.alive().is_empty(), "one is left");
    // Wherever that one lives itself.
    let _second = world.start();
    let ended = world.ended(&task.id);
    assert_all_gone(&task, &ended);
    wait_until("the end of the cgroup", GENEROUS, || !cgroup.exists());
    world.check();
}

/// F12: somebody kills the whole cgroup, shim and agent at once.
#[test]
fn a_cgroup_that_is_killed_from_outside_is_a_lost_shim() {
    let world = World::new();
    let Some(delegated) = Delegated::new(&world) else {
        skip!("only root can make a cgroup of version 2 here");
    };
    let _supervisor = delegated.start(&world);
    let (task, _shim) = with_a_hidden_one(&world);
    let cgroup = delegated.of(&world, &task.id);
    fs::write(cgroup.join("cgroup.kill"), "1").expect("Linux 5.14 and later");
    let ended = world.ended(&task.id);
    assert_ended(&ended, "interrupted", "shim_lost", "observed");
    if ended["exit"]["kind"] != "unknown" {
        assert_eq!(signal_of(&ended), Some("SIGKILL"), "{ended:#}");
    }
    assert_all_gone(&task, &ended);
    // The key is free, and nothing is resumed.
    let next = world.run().key("k").steps(["exit:0"]).detached();
    assert_eq!(world.ended(&next.id)["status"], "success");
    world.check();
}

/// What a shim waits for instead of looking at its count now and then, shown with
/// the one file of this kind that every cgroup of version 2 has.
#[test]
fn the_kernel_tells_of_a_change_in_a_cgroups_file_until_it_is_read() {
    let world = World::new();
    let Some(delegated) = Delegated::new(&world) else {
        skip!("only root can make a cgroup of version 2 here");
    };
    let events = fs::File::open(delegated.path().join("cgroup.events")).expect("it has them");
    let read = || {
        let mut buffer = [0; 256];
        let length = events.read_at(&mut buffer, 0).expect("readable");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    let told = |timeout: PollTimeout| {
        let mut waited = [PollFd::new(events.as_fd(), PollFlags::POLLPRI)];
        poll(&mut waited, timeout).expect("it can be waited for") == 1
    };
    assert!(read().contains("populated 0"));
    assert!(!told(PollTimeout::ZERO), "nothing has changed");
    let supervisor = delegated.start(&world);
    assert!(told(PollTimeout::NONE));
    assert!(told(PollTimeout::ZERO), "until it is read");
    assert!(read().contains("populated 1"));
    assert!(!told(PollTimeout::ZERO), "it was read");
    supervisor.kill();
    assert!(told(PollTimeout::NONE));
    world.check();
}

#[test]
fn empty_cgroups_are_removed_and_no_controller_is_enabled_where_processes_are() {
    let world = World::new();
    let Some(delegated) = Delegated::new(&world) else {
        skip!("only root can make a cgroup of version 2 here");
    };
    let first = delegated.start(&world);
    let gate = world.gate("end");
    let absent = world
        .run()
        .steps([gate.step().as_str(), "exit:0"])
        .detached();
    let leader = absent.leader();
    let ended = world
        .run()
        .steps(["spawn:session:2:forever", "exit:0"])
        .detached();
    assert_eq!(world.ended(&ended.id)["status"], "success");
    wait_for("the end of all but one", GENEROUS, || {
        match &delegated.below()[..] {
            [one] if one.ends_with(&absent.id) => Ok(()),
            others => Err(others.to_vec()),
        }
    });
    let enabled = fs::read_to_string(delegated.path().join("cgroup.subtree_control"));
    assert_eq!(enabled.expect("readable").trim(), "");
    // One ends, and its shim too, while nobody is there.
    let shim = world.shim_of(&absent.id).expect("the shim lives");
    first.kill();
    gate.open();
    wait_until("the end of the agent", GENEROUS, || {
        leader.state().is_none()
    });
    world.kill(&shim, Signal::SIGKILL);
    let _second = delegated.start(&world);
    assert_eq!(world.ended(&absent.id)["status"], "success");
    wait_until("the end of the last one", GENEROUS, || {
        delegated.below().is_empty()
    });
    world.check();
}
