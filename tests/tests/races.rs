//! Claims, boots and commits that meet in the wrong moment.

use std::fs;

use nix::sys::signal::Signal;
use serde_json::json;
use tests::harness::{Background, GENEROUS, World, wait_until};
use tests::scenarios::assert_ended;

/// A shim claims while the next supervisor is about to: the loser looks at the
/// winner, and harms nobody.
#[test]
fn a_supervisor_that_loses_the_claim_adopts_the_winner() {
    let world = World::builder()
        .hooks(["shim.before_claim", "sup.claim.before"])
        .build();
    let first = world.start();
    let gate = world.gate("end");
    world.hooks().arm("shim.before_claim");
    let run = world.run().steps(["mark:up", &gate.step(), "exit:3"]);
    let (id, records) = (run.task_id().to_string(), run.records());
    let client = run.in_background();
    let shim = world.hooks().reached();
    first.kill();
    world.hooks().arm("sup.claim.before");
    let _second = world.spawn_supervisor();
    let supervisor = world.hooks().reached();
    shim.go();
    wait_until("the agent", GENEROUS, || records.has_mark("up"));
    supervisor.go();
    let _task = world.acknowledge(&client.output());
    wait_until("the shim is adopted", GENEROUS, || {
        world.show(&id)["presence"] == "attached"
    });
    gate.open();
    assert_ended(&world.ended(&id), "failure", "failed", "observed");
    world.check();
}

/// The task folder is taken away before the claim: nobody can make it any
/// more, and somebody waits for an answer.
#[test]
fn a_claim_that_cannot_be_made_is_no_reason_to_wait_for_ever() {
    let world = World::builder().hooks(["shim.before_claim"]).build();
    let _supervisor = world.start();
    world.hooks().arm("shim.before_claim");
    let run = world.run().key("k").steps(["exit:0"]);
    let id = run.task_id().to_string();
    let client = run.in_background();
    let shim = world.hooks().reached();
    fs::remove_dir_all(world.task_dir(&id)).expect("the folder can be removed");
    shim.go();
    let output = client.output();
    assert_eq!(world.acknowledge(&output), Some(id.clone()), "{output:#?}");
    assert_ended(&world.ended(&id), "interrupted", "spawn_failed", "inferred");
    world.forgive("claim");
    let next = world.run().key("k").steps(["exit:0"]).detached();
    assert_eq!(world.ended(&next.id)["status"], "success");
}

/// A file system that refuses for a while.
#[test]
fn a_claim_is_tried_again() {
    let world = World::builder().hooks(["shim.before_claim"]).build();
    let first = world.start();
    world.hooks().arm("shim.before_claim");
    let run = world.run().key("k").steps(["exit:0"]);
    let id = run.task_id().to_string();
    let client = run.in_background();
    let shim = world.hooks().reached();
    first.kill();
    world.kill(&shim.process, Signal::SIGKILL);
    let claim = world.task_dir(&id).join("claim");
    fs::create_dir(&claim).expect("something that is no claim");
    let _second = world.start();
    world.forgive("claim");
    wait_until("a complaint", GENEROUS, || world.log().contains("claim"));
    assert_eq!(world.show(&id)["status"], "running");
    fs::remove_dir(&claim).expect("ours");
    assert_ended(&world.ended(&id), "interrupted", "spawn_failed", "inferred");
    let _task = world.acknowledge(&client.output());
    world.check();
}

/// The claim was never synced: a power cut may take it, and leave the ledger.
#[test]
fn the_ledger_remembers_a_shim_whose_claim_is_lost() {
    let world = World::new();
    let first = world.start();
    let task = world
        .run()
        .key("k")
        .steps(["mark:up", "forever"])
        .detached();
    task.marked("up");
    let shim = world.shim_of(&task.id).expect("the shim lives");
    first.kill();
    world.kill(&shim, Signal::SIGKILL);
    wait_until("the shim's end", GENEROUS, || !shim.is_alive());
    fs::remove_file(world.task_dir(&task.id).join("claim")).expect("it had claimed");
    let _second = world.start();
    let ended = world.ended(&task.id);
    assert_eq!(ended["archive_reason"], "shim_lost", "{ended:#}");
    world.check();
}

/// The same before anything of the shim came into the ledger: after a reboot
/// nobody can know that the agent was never started, and nobody says so.
#[test]
fn nothing_is_said_of_a_start_before_a_reboot() {
    let world = World::builder().hooks(["shim.before_claim"]).build();
    world.install_fake("claude");
    let first = world.start();
    world.hooks().arm("shim.before_claim");
    let run = world.run().provider("claude").key("k").steps(["hello"]);
    let id = run.task_id().to_string();
    let client = run.in_background();
    let shim = world.hooks().reached();
    first.kill();
    world.kill(&shim.process, Signal::SIGKILL);
    let ledger = rusqlite::Connection::open(world.ledger().path()).expect("the ledger");
    let changed = ledger
        .execute(
            "UPDATE agent_run_event SET payload = json_set(payload, '$.boot_id', 'earlier')
             WHERE type = 'supervisor.started'",
            [],
        )
        .expect("the ledger can be written");
    assert_eq!(changed, 1);
    drop(ledger);
    let _second = world.start();
    let ended = world.ended(&id);
    assert_ended(&ended, "interrupted", "host_reboot", "inferred");
    let session = world.ledger().sessions_of("k").pop().expect("kept");
    assert_eq!(session.text("state"), Some("quarantined"));
    let _task = world.acknowledge(&client.output());
    world.check();
}

/// A ledger from a backup knows less than was acknowledged: it is told again.
#[test]
fn a_ledger_that_was_rolled_back_is_told_everything_again() {
    let world = World::new();
    world.install_fake("claude");
    let first = world.start();
    let (speak, end) = (world.gate("speak"), world.gate("end"));
    let steps = [
        "no-init".to_string(),
        "mark:up".to_string(),
        speak.step(),
        "say:hello".to_string(),
        end.step(),
    ];
    let task = world
        .run()
        .provider("claude")
        .key("k")
        .steps(steps.iter().map(String::as_str))
        .detached();
    task.marked("up");
    first.kill();
    let backup = world.path("backup");
    copy_folder(&world.state_dir(), &backup);
    let second = world.start();
    speak.open();
    wait_until("the output", GENEROUS, || {
        world
            .ledger()
            .event_types(&task.id)
            .contains(&"task.output".to_string())
    });
    second.kill();
    for name in ["ledger.sqlite3", "ledger.sqlite3-wal", "ledger.sqlite3-shm"] {
        let _absent = fs::remove_file(world.state_dir().join(name));
        let _absent = fs::copy(backup.join(name), world.state_dir().join(name));
    }
    let _third = world.start();
    wait_until("the output again", GENEROUS, || {
        world
            .ledger()
            .event_types(&task.id)
            .contains(&"task.output".to_string())
    });
    end.open();
    assert_ended(&world.ended(&task.id), "success", "completed", "observed");
    let alarms = world.ledger().event_types(&task.id);
    assert!(!alarms.contains(&"task.alarm".to_string()), "{alarms:?}");
    world.check();
}

fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir(to).expect("ours");
    for entry in fs::read_dir(from).expect("there").flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_file()) {
            fs::copy(entry.path(), to.join(entry.file_name())).expect("a copy");
        }
    }
}

/// What cannot be read is one question's trouble, not everybody's.
#[test]
fn an_unreadable_row_does_not_end_the_supervisor() {
    let world = World::new();
    let supervisor = world.start();
    let task = world.run().steps(["exit:0"]).detached();
    assert_eq!(world.ended(&task.id)["status"], "success");
    let ledger = rusqlite::Connection::open(world.ledger().path()).expect("the ledger");
    ledger
        .execute(
            "UPDATE task_history SET archive_reason = 'nonsense' WHERE id = ?1",
            [&task.id],
        )
        .expect("the ledger can be written");
    for verb in ["show", "why", "wait", "stop"] {
        let refused = world.ctl(&[verb, &task.id, "--json"]).expect_code(1);
        assert_eq!(refused.error()["code"], "storage", "{verb}");
    }
    let status = world.ctl(&["status", "--json"]).ok().json();
    assert_eq!(status["pid"], json!(supervisor.process.pid));
    ledger
        .execute(
            "UPDATE task_history SET archive_reason = 'completed' WHERE id = ?1",
            [&task.id],
        )
        .expect("the ledger can be written");
    world.check();
}

/// Nothing is told before it is durable, by whatever question.
#[test]
fn an_end_is_not_told_before_it_is_committed() {
    for verb in ["list", "wait", "stop"] {
        let world = World::builder()
            .hooks(["sup.commit.before", "sup.control_send.before"])
            .build();
        let first = world.start();
        let gate = world.gate("end");
        let task = world
            .run()
            .steps([gate.step().as_str(), "exit:0"])
            .detached();
        let other = world.run().steps(["exit:0"]);
        world.hooks().arm("sup.commit.before");
        let other = other.in_background();
        let paused = world.hooks().reached();
        gate.open();
        wait_until("the last record", GENEROUS, || {
            has_finished(&world, &task.id)
        });
        let greeted = world.hooks().hits("sup.control_send.before");
        let mut words = vec![verb, "--json"];
        words.push(if verb == "list" { "-a" } else { &task.id });
        let client = Background::start(world.ctl_command(&words));
        wait_until("the question", GENEROUS, || {
            world.hooks().hits("sup.control_send.before") > greeted
        });
        // The end and the question stand in one batch, which never comes to be.
        world.hooks().arm("sup.commit.before");
        paused.go();
        let paused = world.hooks().reached();
        // Whoever comes now is greeted after everything that could be said.
        let late = Background::start(world.ctl_command(&["status"]));
        let sent = || world.hooks().hits("sup.control_send.before") - greeted;
        wait_until("the last greeting", GENEROUS, || sent() >= 2);
        let sent = sent();
        paused.die();
        assert_eq!(sent, 2, "{verb} was answered too early");
        let _lost = late.output();
        let _gone = first.ended();
        let _second = world.start();
        let _task = world.acknowledge(&other.output());
        assert_eq!(world.ended(&task.id)["status"], "success");
        let _whatever = client.output();
        world.check();
    }
}

fn has_finished(world: &World, task: &str) -> bool {
    let journal = world.task_dir(task).join("journal");
    let is_last =
        |record: &protocol::shim::Record| matches!(record, protocol::shim::Record::Finished { .. });
    sys::journal::read_from(&journal, 0).is_ok_and(|replay| {
        replay
            .entries
            .iter()
            .any(|entry| entry.record.as_ref().is_some_and(is_last))
    })
}
