//! Tasks for which no shim can be started: the supervisor saw why, and says it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::Value;
use tests::harness::{GENEROUS, Output, PidsHome, Supervisor, World, wait_until};
use tests::scenarios::assert_ended;
use tests::skip;

/// The dispatch failed with exit code 10, and every voice tells `words`.
fn assert_told(world: &World, output: Output, words: &str) {
    let task = output.expect_code(10).json();
    let id = task["id"].as_str().expect("a task has an id");
    let ended = world.ended(id);
    assert_ended(&ended, "failure", "spawn_failed", "observed");
    assert_eq!(ended["exit"], Value::Null, "{ended:#}");
    assert_eq!(ended["evidence"][0]["kind"], "supervisor", "{ended:#}");
    let evidence = ended["evidence"][0]["detail"].to_string();
    assert!(evidence.contains(words), "{ended:#}");
    let why = world.ctl(&["why", id]).ok().stdout;
    assert!(why.contains(words), "{why}");
    assert_eq!(world.ctl(&["wait", id]).code(), 10);
}

/// The key is free again, and the next one runs.
fn assert_goes_on(world: &World) {
    let next = world.run().key("k").steps(["exit:0"]).detached();
    assert_eq!(world.ended(&next.id)["status"], "success");
    world.check();
}

#[test]
fn a_shim_that_cannot_be_executed_is_a_failure_with_its_path() {
    let world = World::builder()
        .variable("AGENT_SHIM_BIN", "{dir}/broken-shim")
        .build();
    let broken = world.path("broken-shim");
    fs::write(&broken, "no program").expect("a file can be written");
    fs::set_permissions(&broken, PermissionsExt::from_mode(0o755)).expect("it is ours");
    let _supervisor = world.start();
    let output = world.run().key("k").steps(["forever"]).try_detached();
    let words = "broken-shim” could not be started: Exec format error (ENOEXEC)";
    assert_told(&world, output, words);
    let told = world.run().key("k").steps(["forever"]).attached();
    let told = told.expect_code(10).stderr;
    assert!(told.contains(words), "{told}");
    // The same file: it is held by descriptor.
    let _bytes = fs::copy(world.bins().shim(), &broken).expect("it can be mended");
    assert_goes_on(&world);
}

/// F14.
#[test]
fn a_fork_that_fails_is_a_failure_with_its_errno() {
    let world = World::new();
    let Some(home) = PidsHome::new(&world) else {
        skip!("no cgroup counts processes here, or no root");
    };
    let _supervisor = home.start(&world);
    let _threads = world.ctl(&["status"]).ok();
    home.close();
    let output = world.run().key("k").steps(["forever"]).try_detached();
    let words = "could not be started: the limit of processes is reached (EAGAIN)";
    assert_told(&world, output, words);
    home.open();
    assert_goes_on(&world);
}

/// F15. What is left is enough to be asked, and not enough for a shim.
#[test]
fn no_descriptor_for_a_shim_is_a_failure_with_its_errno() {
    let world = World::new();
    let supervisor = world.start();
    wait_until("no client is left", GENEROUS, || {
        let before = descriptors(&supervisor);
        let _answered = world.ctl(&["status"]).ok();
        before == descriptors(&supervisor)
    });
    let idle = descriptors(&supervisor);
    limit_descriptors(&supervisor, &(idle + 2).to_string());
    let output = world.run().key("k").steps(["forever"]).try_detached();
    let words = "could not be started: the supervisor has as many files open as it may (EMFILE)";
    assert_told(&world, output, words);
    limit_descriptors(&supervisor, "1024");
    assert_goes_on(&world);
}

fn descriptors(supervisor: &Supervisor) -> usize {
    let folder = format!("/proc/{}/fd", supervisor.process.pid);
    fs::read_dir(folder).expect("it lives").count()
}

fn limit_descriptors(supervisor: &Supervisor, limit: &str) {
    let pid = supervisor.process.pid.to_string();
    let limit = format!("--nofile={limit}:");
    let mut prlimit = Command::new("prlimit");
    let status = prlimit.args(["--pid", &pid, &limit]).status();
    assert!(status.expect("util-linux is there").success());
}
