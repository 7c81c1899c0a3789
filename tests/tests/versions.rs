//! Shims of a release that lies behind, and of one that is still to come, after the
//! supervisor was replaced (F24).

use std::fs;

use nix::sys::signal::Signal;
use serde_json::json;
use tests::harness::{Dispatched, GENEROUS, Gate, World, wait_until};
use tests::scenarios::{assert_ended, ended_unheard, exit_code_of, next_tells_it, signal_of};

/// An agent under a released shim that differs from the release by `plan`, after
/// its supervisor was killed and replaced.
fn replaced(plan: &str) -> (World, Dispatched, Gate) {
    let world = World::builder().released_shim(plan).build();
    let first = world.start();
    let gate = world.gate("end");
    let task = world
        .run()
        .key("k")
        .steps(["mark:up", &gate.step(), "exit:7"])
        .detached();
    task.marked("up");
    first.kill();
    let _second = world.start();
    (world, task, gate)
}

fn is_attached(world: &World, task: &str) {
    wait_until("the shim is back", GENEROUS, || {
        world.show(task)["presence"] == "attached"
    });
}

/// Told, shown, and left alone.
fn is_held(world: &World, task: &Dispatched) {
    wait_until("the shim has come and was told of", GENEROUS, || {
        let why = world.ctl(&["why", &task.id]).ok();
        why.stdout
            .contains("the shim speaks protocol versions 2 to 2, this supervisor 1 to 1")
    });
    let shown = world.show(&task.id);
    assert_eq!(shown["status"], "running", "{shown:#}");
    assert_eq!(shown["presence"], "detached", "{shown:#}");
    assert_eq!(shown["agent_pid"], json!(task.leader().pid), "{shown:#}");
    assert!(task.leader().is_alive());
    assert!(world.shim_of(&task.id).is_some());
    let busy = world.run().key("k").steps(["exit:0"]).try_detached();
    let _refused = busy.expect_code(4);
}

#[test]
fn a_shim_of_the_release_before_is_adopted_and_can_be_stopped() {
    let (world, task, _gate) = replaced("");
    is_attached(&world, &task.id);
    assert_eq!(world.stop(&task.id, &[]), "stopped");
    let ended = world.show(&task.id);
    assert_ended(&ended, "cancelled", "user", "declared");
    assert_eq!(signal_of(&ended), Some("SIGTERM"));
    assert_eq!(ended["intents"][0]["signalled_by"], "shim", "{ended:#}");
    wait_until("the shim's own end", GENEROUS, || {
        world.shim_of(&task.id).is_none()
    });
    world.check();
}

#[test]
fn a_shim_of_the_release_before_tells_the_true_exit() {
    let (world, task, gate) = replaced("");
    is_attached(&world, &task.id);
    gate.open();
    let ended = world.ended(&task.id);
    assert_ended(&ended, "failure", "failed", "observed");
    assert_eq!(exit_code_of(&ended), Some(7));
    assert_eq!(ended["finished_basis"], "exact");
    world.check();
}

#[test]
fn a_shim_of_the_release_before_tells_later_what_nobody_heard() {
    let world = World::builder().released_shim("").build();
    let (task, shim) = ended_unheard(&world);
    assert!(shim.is_alive(), "it waits for whoever comes");
    next_tells_it(&world, &task);
}

/// And where that one is gone as well, its journal tells.
#[test]
fn the_journal_of_the_release_before_is_read() {
    let world = World::builder().released_shim("").build();
    let (task, shim) = ended_unheard(&world);
    world.kill(&shim, Signal::SIGKILL);
    next_tells_it(&world, &task);
}

#[test]
fn a_newer_shim_that_speaks_our_version_as_well_is_adopted() {
    let (world, task, gate) = replaced("later 1 2");
    is_attached(&world, &task.id);
    gate.open();
    assert_eq!(exit_code_of(&world.ended(&task.id)), Some(7));
    world.check();
}

/// Its journal is one that this program can read: the end is known exactly,
/// although nobody can be asked.
#[test]
fn a_shim_of_an_unknown_version_is_held_and_its_journal_read() {
    let (world, task, gate) = replaced("later 2 2");
    is_held(&world, &task);
    gate.open();
    let ended = world.ended(&task.id);
    assert_ended(&ended, "failure", "failed", "observed");
    assert_eq!(exit_code_of(&ended), Some(7));
    assert_eq!(ended["finished_basis"], "exact");
    assert!(
        world.shim_of(&task.id).is_some(),
        "it waits for a supervisor that understands it"
    );
    world.check();
}

/// To be held is no protection from its owner.
#[test]
fn a_held_task_is_stopped_behind_its_shim() {
    let (world, task, _gate) = replaced("later 2 2");
    is_held(&world, &task);
    assert_eq!(world.stop(&task.id, &[]), "stopped");
    let ended = world.show(&task.id);
    assert_ended(&ended, "cancelled", "user", "declared");
    let by = &ended["intents"][0]["signalled_by"];
    assert_eq!(by, "supervisor", "{ended:#}");
    world.check();
}

/// Claim, journal and link are all of a version to come: the process is known by
/// its claim, and nothing is made up about the agent's end.
#[test]
fn a_shim_of_which_nothing_can_be_read_is_held_until_it_ends() {
    let (world, task, gate) = replaced("later 2 2 claim 2 journal 2");
    is_held(&world, &task);
    let why = world.ctl(&["why", &task.id]).ok().stdout;
    assert!(
        why.contains("its journal has the unknown version 2"),
        "{why}"
    );
    let (leader, shim) = (task.leader(), world.shim_of(&task.id).expect("it lives"));
    gate.open();
    wait_until("the reaping of the agent", GENEROUS, || {
        leader.state().is_none()
    });
    assert_eq!(world.show(&task.id)["status"], "running", "its shim lives");
    world.kill(&shim, Signal::SIGKILL);
    let ended = world.ended(&task.id);
    assert_ended(&ended, "interrupted", "shim_lost", "observed");
    // Nobody but the kernel could tell, where it does.
    match ended["exit"]["kind"].as_str() {
        Some("exited") => assert_eq!(exit_code_of(&ended), Some(7)),
        kind => assert_eq!(kind, Some("unknown"), "{ended:#}"),
    }
    world.check();
}

/// The ledger has no word of the shim yet, and its journal cannot be read: its claim,
/// of a version to come, says which process it is.
#[test]
fn a_claim_of_a_version_to_come_tells_whom_to_leave_alone() {
    let world = World::builder()
        .released_shim("later 2 2 claim 2 journal 2")
        .hooks(["sup.commit.before"])
        .build();
    let first = world.start();
    // Answered once the commit of the start is done.
    let _listed = world.ctl(&["list"]).ok();
    world.hooks().arm("sup.commit.before");
    let run = world
        .run()
        .id("task")
        .key("k")
        .steps(["mark:up", "forever"]);
    let client = run.in_background();
    let of_row = world.hooks().reached();
    world.hooks().arm("sup.commit.before");
    of_row.go();
    let of_claim = world.hooks().reached();
    let claim = world.task_dir("task").join("claim");
    wait_until("the claim", GENEROUS, || claim.exists());
    of_claim.die();
    let _status = first.ended();
    // A client that lives on would dispatch it again.
    client.process.signal(Signal::SIGKILL);
    let _killed = client.output();
    let _second = world.start();
    wait_until("the shim is known", GENEROUS, || {
        world.show("task")["presence"] == "detached"
    });
    let shim = world.shim_of("task").expect("it lives");
    assert_eq!(world.show("task")["status"], "running");
    let busy = world.run().key("k").steps(["exit:0"]).try_detached();
    let _refused = busy.expect_code(4);
    assert!(shim.is_alive());
    world.kill(&shim, Signal::SIGKILL);
    let ended = world.ended("task");
    assert_eq!(ended["archive_reason"], "shim_lost", "{ended:#}");
    world.check();
}

/// The program file is held from the start of the supervisor (F28).
#[test]
fn a_shim_program_that_was_deleted_or_replaced_is_still_the_one_that_starts() {
    let world = World::builder().released_shim("").build();
    let _supervisor = world.start();
    // Its socket is there before it has looked for its shim's program.
    let _serves = world.ctl(&["list"]).ok();
    let program = world.path("bin/agent-shim");
    fs::remove_file(&program).expect("it is there");
    let task = world.run().steps(["exit:3"]).detached();
    assert_eq!(exit_code_of(&world.ended(&task.id)), Some(3), "deleted");
    fs::write(&program, "#!/bin/sh\nexit 1\n").expect("a file can be written");
    let task = world.run().steps(["exit:4"]).detached();
    assert_eq!(exit_code_of(&world.ended(&task.id)), Some(4), "replaced");
    world.check();
}
