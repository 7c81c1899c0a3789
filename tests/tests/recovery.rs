//! The supervisor, the shim or both die; what is found again is the truth.

use std::fs;
use std::os::unix::process::ExitStatusExt;

use nix::sys::signal::Signal;
use serde_json::json;
use tests::harness::{Background, GENEROUS, World, wait_for, wait_until};
use tests::scenarios::{assert_ended, ended_unheard, exit_code_of, next_tells_it};

#[test]
fn an_agent_lives_through_the_death_of_its_supervisor() {
    let world = World::new();
    let first = world.start();
    let gate = world.gate("end");
    let task = world
        .run()
        .key("k")
        .steps(["mark:up", &gate.step(), "exit:3"])
        .detached();
    task.marked("up");
    let leader = task.leader();
    first.kill();
    assert!(leader.is_alive());
    let second = world.start();
    wait_until("the shim is back", GENEROUS, || {
        world.show(&task.id)["presence"] == "attached"
    });
    let shown = world.show(&task.id);
    assert_eq!(shown["status"], "running");
    assert_eq!(shown["agent_pid"], json!(leader.pid));
    assert_eq!(shown["supervisor_pid"], json!(second.process.pid));
    let _busy = world
        .run()
        .key("k")
        .steps(["exit:0"])
        .try_detached()
        .expect_code(4);
    gate.open();
    let ended = world.ended(&task.id);
    assert_ended(&ended, "failure", "failed", "observed");
    assert_eq!(exit_code_of(&ended), Some(3));
    assert_eq!(ended["finished_basis"], "exact");
    world.check();
}

/// Bug: each shim waited for the commit of the one before it, and a thousand for half
/// a second.
#[test]
fn a_shim_is_taken_over_beside_the_commit_of_others() {
    let world = World::builder().hooks(["sup.commit.before"]).build();
    let first = world.start();
    let up = |id: &str| {
        let run = world.run().id(id).steps(["mark:up", "forever"]);
        let task = run.detached();
        task.marked("up");
        (world.shim_of(id).expect("it lives"), task)
    };
    let tasks = [up("one"), up("two")];
    first.kill();
    for (shim, _) in &tasks {
        world.kill(shim, Signal::SIGSTOP);
    }
    let _second = world.start();
    // Answered once the commit of the start is done.
    let _listed = world.ctl(&["list"]).ok();
    world.hooks().arm("sup.commit.before");
    let third = world.run().steps(["exit:0"]).in_background();
    let commit_of_third = world.hooks().reached();
    for (shim, task) in &tasks {
        world.kill(shim, Signal::SIGCONT);
        // Who asks would be answered behind the commit.
        let adopted = format!("adopted task={}", task.id);
        wait_until("the shim is back", GENEROUS, || {
            world.log().contains(&adopted)
        });
    }
    commit_of_third.go();
    let _ended = third.output().ok();
    for (_, task) in &tasks {
        assert_eq!(world.stop(&task.id, &[]), "stopped");
    }
    world.check();
}

#[test]
fn an_end_in_the_supervisors_absence_is_told_afterwards() {
    let world = World::new();
    let (task, _shim) = ended_unheard(&world);
    next_tells_it(&world, &task);
}

#[test]
fn the_journal_tells_it_when_both_are_gone() {
    let world = World::new();
    let (task, shim) = ended_unheard(&world);
    world.kill(&shim, Signal::SIGKILL);
    next_tells_it(&world, &task);
}

#[test]
fn a_killed_shim_takes_its_tree_along() {
    let world = World::running();
    let task = world
        .run()
        .steps(["spawn:daemon:2:ignore=TERM,forever", "mark:up", "forever"])
        .detached();
    task.marked("up");
    let shim = world.shim_of(&task.id).expect("the shim lives");
    world.kill(&shim, Signal::SIGKILL);
    let ended = world.ended(&task.id);
    assert_eq!(ended["status"], "interrupted");
    assert_eq!(ended["archive_reason"], "shim_lost");
    assert_eq!(task.records.alive(), []);
    world.check();
}

#[test]
fn a_killed_shim_leaves_no_private_folder() {
    let world = World::running();
    let steps = ["tmp:file", "mark:up", "forever"];
    let task = world.run().steps(steps).detached();
    task.marked("up");
    let shim = world.shim_of(&task.id).expect("the shim lives");
    let environment = task.leader().environment();
    let tmpdir = environment
        .iter()
        .find_map(|(name, value)| (name == "TMPDIR").then_some(value))
        .expect("every agent has one");
    assert!(fs::exists(tmpdir).expect("a path"), "{tmpdir}");
    world.kill(&shim, Signal::SIGKILL);
    let _ended = world.ended(&task.id);
    wait_until("the end of its folder", GENEROUS, || {
        !fs::exists(tmpdir).expect("a path")
    });
}

#[test]
fn both_killed_and_nothing_is_left() {
    let world = World::new();
    let first = world.start();
    let task = world
        .run()
        .steps(["spawn:daemon:2:ignore=TERM,forever", "mark:up", "forever"])
        .detached();
    task.marked("up");
    let shim = world.shim_of(&task.id).expect("the shim lives");
    first.kill();
    world.kill(&shim, Signal::SIGKILL);
    wait_until("the shim's end", GENEROUS, || !shim.is_alive());
    assert!(!task.records.alive().is_empty(), "daemons live on");
    let _second = world.start();
    let ended = world.ended(&task.id);
    assert_eq!(ended["status"], "interrupted", "{ended:#}");
    assert_eq!(ended["archive_reason"], "shim_lost", "{ended:#}");
    assert_eq!(ended["finished_basis"], "detected", "{ended:#}");
    assert!(ended["cost_usd"].is_null() && ended["turns"].is_null());
    let hint = world
        .log()
        .lines()
        .any(|line| line.contains("[recovery]") && line.contains(&task.id));
    assert!(hint, "no hint: {}", world.log());
    world.check();
}

#[test]
fn a_signal_at_the_shim_ends_its_task() {
    let world = World::running();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let task = world
            .run()
            .steps(["spawn:daemon:1:forever", "mark:up", "forever"])
            .detached();
        task.marked("up");
        let shim = world.shim_of(&task.id).expect("the shim lives");
        world.kill(&shim, signal);
        let ended = world.ended(&task.id);
        assert_eq!(ended["status"], "interrupted", "{signal}: {ended:#}");
        assert_eq!(
            ended["archive_reason"], "external_signal",
            "{signal}: {ended:#}"
        );
        assert_eq!(task.records.alive(), [], "{signal}");
        let evidence = ended["evidence"].to_string();
        assert!(
            evidence.contains(&std::process::id().to_string()),
            "the sender: {evidence}"
        );
    }
    world.check();
}

/// F1 × S2: the shim is there and has not claimed; the next supervisor wins
/// the claim, and the shim exits without starting anything.
#[test]
fn a_late_shim_finds_its_claim_taken() {
    let world = World::builder().hooks(["shim.before_claim"]).build();
    let first = world.start();
    world.hooks().arm("shim.before_claim");
    let run = world.run().key("k").steps(["exit:0"]);
    let (id, records) = (run.task_id().to_string(), run.records());
    let client = run.in_background();
    let paused = world.hooks().reached();
    let shim = paused.process.clone();
    first.kill();
    let _second = world.start();
    let ended = world.ended(&id);
    assert_ended(&ended, "interrupted", "spawn_failed", "inferred");
    assert!(ended["exit"].is_null(), "{ended:#}");
    paused.go();
    wait_until("the shim gives up", GENEROUS, || !shim.is_alive());
    assert_eq!(records.lines(), []);
    let _task = world.acknowledge(&client.output());
    let next = world.run().key("k").steps(["exit:0"]).detached();
    assert_ended(&world.ended(&next.id), "success", "completed", "observed");
    world.check();
}

#[test]
fn a_supervisor_that_is_to_keep_its_agents_leaves_them_running() {
    let world = World::builder()
        .config("[shutdown]\non_stop = \"keep\"\n")
        .build();
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let supervisor = world.start();
        let task = world.run().steps(["mark:up", "forever"]).detached();
        task.marked("up");
        supervisor.signal(signal);
        let status = supervisor.ended();
        assert_eq!(
            (status.code(), status.signal()),
            (Some(0), None),
            "{}",
            supervisor.log()
        );
        assert!(task.leader().is_alive());
        let next = world.start();
        assert_eq!(world.stop(&task.id, &[]), "stopped");
        assert_ended(&world.show(&task.id), "cancelled", "user", "declared");
        world.check();
        let _status = next.terminate();
    }
}

#[test]
fn one_supervisor_per_place() {
    let world = World::running();
    let second = world.spawn_supervisor();
    assert_eq!(second.ended().code(), Some(3), "{}", world.log());
    let _status = world.ctl(&["status"]).ok();
    world.forgive("another");
    world.forgive("lock");
}

#[test]
fn a_newer_or_damaged_ledger_is_refused_untouched() {
    let world = World::new();
    world.start().kill();
    let path = world.ledger().path().to_path_buf();
    let connection = rusqlite::Connection::open(&path).expect("the ledger");
    connection
        .pragma_update(None, "journal_mode", "DELETE")
        .expect("a plain file");
    drop(connection);
    let mut bytes = fs::read(&path).expect("the ledger");
    for byte in bytes.iter_mut().skip(100) {
        *byte ^= 0x5a;
    }
    fs::write(&path, &bytes).expect("damaged");
    let supervisor = world.spawn_supervisor();
    assert_eq!(supervisor.ended().code(), Some(4), "{}", world.log());
    assert!(world.log().contains("recover"), "{}", world.log());
    assert_eq!(fs::read(&path).expect("the ledger"), bytes);
    world.forgive("ledger");
    fs::remove_file(&path).expect("ours");
}

#[test]
fn a_session_without_its_task_is_quarantined_at_boot() {
    let world = World::new();
    world.install_fake("claude");
    let first = world.start();
    let task = world
        .run()
        .provider("claude")
        .key("k")
        .steps(["hello"])
        .detached();
    assert_eq!(world.ended(&task.id)["status"], "success");
    first.kill();
    let connection = rusqlite::Connection::open(world.ledger().path()).expect("the ledger");
    let deleted = connection
        .execute("DELETE FROM task_history WHERE id = ?1", [&task.id])
        .expect("the ledger can be written");
    assert_eq!(deleted, 1);
    drop(connection);
    // A folder without a row would tell that the ledger is an old one.
    fs::remove_dir_all(world.task_dir(&task.id)).expect("ours");
    world.oracle().acknowledged.clear();
    let _second = world.start();
    // The socket answers before the sweep.
    wait_for("the sweep", GENEROUS, || {
        let session = world.ledger().sessions_of("k").pop().expect("kept");
        let swept = session.text("state") == Some("quarantined")
            && session.text("quarantine_reason") == Some("task_missing");
        if swept { Ok(()) } else { Err(session) }
    });
}

#[test]
fn an_attached_client_lives_through_a_restart() {
    let world = World::new();
    let first = world.start();
    let gate = world.gate("end");
    let run = world
        .run()
        .steps(["print:one", "mark:up", &gate.step(), "print:two", "exit:3"]);
    let records = run.records();
    let client = Background::start(run.command(&[]));
    wait_until("the agent", GENEROUS, || records.has_mark("up"));
    first.kill();
    let _second = world.start();
    gate.open();
    let output = client.output().expect_code(10);
    assert_eq!(output.stdout, "one\ntwo\n", "without loss or repetition");
    world.check();
}
