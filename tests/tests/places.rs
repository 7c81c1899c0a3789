//! Directories and sockets that somebody meddles with.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tests::harness::{Bins, GENEROUS, World, wait_until};
use tests::scenarios::assert_ended;

/// Another supervisor on the same runtime directory, with a state of its own.
fn rival(world: &World) -> std::process::Command {
    let mut command = world.command(Bins::locate().supervisor());
    command.env("AGENT_SUPERVISOR_STATE_DIR", world.path("rival"));
    command
}

/// The lock was a file, and a clean-up of old files took it away.
#[test]
fn without_its_lock_files_a_supervisor_is_still_the_only_one() {
    let world = World::running();
    for folder in [world.state_dir(), world.runtime_dir()] {
        fs::remove_file(folder.join("lock")).expect("it names its holder");
    }
    let second = world.spawn_supervisor();
    assert_eq!(second.ended().code(), Some(3), "{}", world.log());
    let _refused = world.finish(rival(&world)).expect_code(3);
    let _status = world.ctl(&["status"]).ok();
}

/// The directory was made again without its lock, and two supervisors bound
/// their sockets over each other for ever.
#[test]
fn a_vanished_runtime_directory_stays_its_supervisors() {
    let world = World::running();
    let task = world.run().steps(["mark:up", "forever"]).detached();
    task.marked("up");
    // At once: it is made again while files are being deleted.
    fs::rename(world.runtime_dir(), world.path("away")).expect("ours");
    wait_until("the sockets", GENEROUS, || {
        world.ctl(&["status"]).code() == 0
    });
    let _refused = world.finish(rival(&world)).expect_code(3);
    assert_eq!(world.stop(&task.id, &[]), "stopped");
    assert_ended(&world.show(&task.id), "cancelled", "user", "declared");
    world.check();
}

/// A killed process holds its lock until its last thread is gone; who started
/// the next one at once was told that another one runs.
#[test]
fn the_next_supervisor_waits_for_a_dying_one() {
    let world = World::new();
    for _ in 0..10 {
        let supervisor = world.start();
        supervisor.signal(Signal::SIGKILL);
        let next = world.spawn_supervisor();
        wait_until("the next one serves", GENEROUS, || {
            assert_eq!(next.has_ended(), None, "{}", world.log());
            world.ctl(&["status"]).code() == 0
        });
        assert!(next.terminate().success());
    }
}

#[test]
fn a_group_may_pass_to_the_socket() {
    let group = nix::unistd::Group::from_gid(nix::unistd::getegid())
        .expect("a group file")
        .expect("our group");
    let world = World::builder()
        .config(&format!("[control]\ngroup = {:?}\n", group.name))
        .build();
    let _supervisor = world.start();
    let mode = |path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(world.runtime_dir()), 0o710);
    assert_eq!(mode(world.runtime_dir().join("control.sock")), 0o660);
    assert_eq!(mode(world.runtime_dir().join("shim.sock")), 0o600);
}

/// Bug: every task has a variable that names the sockets of its own supervisor, and it
/// went before a flag: inside of a task `agentctl --state-dir OTHER stop --all` stopped
/// the tasks of the first supervisor.
#[test]
fn a_flag_for_the_state_goes_before_a_variable_for_the_sockets() {
    let world = World::running();
    let task = world.run().steps(["mark:up", "forever"]).detached();
    task.marked("up");
    let other = world.path("other");
    let other = other.to_str().expect("plain");
    let nobody = world.ctl(&["stop", "--all", "--state-dir", other]);
    assert_eq!(nobody.code(), 5, "{nobody:?}");
    assert_eq!(world.show(&task.id)["status"], "running");

    // Nor does the variable make two supervisors out of one.
    let mut second = world.command(Bins::locate().supervisor());
    second.args(["--state-dir", other]).stderr(Stdio::null());
    let mut second = second.spawn().expect("started");
    wait_until("the second one serves", GENEROUS, || {
        let ended = second.try_wait().expect("our child");
        assert!(ended.is_none(), "it met the first one: {ended:?}");
        world.ctl(&["status", "--state-dir", other]).code() == 0
    });
    let listed = world.ctl(&["list", "-q", "--state-dir", other]).ok();
    assert!(!listed.stdout.contains(&task.id), "{listed:?}");
    let pid = Pid::from_raw(i32::try_from(second.id()).expect("a pid"));
    kill(pid, Signal::SIGTERM).expect("our child");
    assert!(second.wait().expect("our child").success());
    assert_eq!(world.stop(&task.id, &[]), "stopped");
    world.check();
}
