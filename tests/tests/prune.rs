//! Retention: what goes, what stays, and that nothing brings it back.

use std::fs;
use std::sync::Arc;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tests::harness::{Bins, GENEROUS, Supervisor, World, own_user, wait_until};
use tests::skip;

/// An ended task, the only one, whose shim has left.
fn ended(world: &World, key: &str, exit: &str) -> String {
    let task = world.run().key(key).steps([exit]).detached();
    let _ended = world.ended(&task.id);
    world.may_go(&[&task.id]);
    task.id
}

fn ids(tasks: &Value) -> Vec<&str> {
    let tasks = tasks["tasks"].as_array().expect("a list");
    let id = |task: &Value| task["id"].as_str().map(str::len);
    assert!(tasks.iter().all(|task| id(task).is_some()));
    tasks
        .iter()
        .filter_map(|task| task["id"].as_str())
        .collect()
}

#[test]
fn a_dry_run_changes_nothing_and_apply_removes_row_folder_and_log() {
    let world = World::running();
    let gate = world.gate("end");
    let old = ended(&world, "old", "exit:3");
    let live = world.run().steps(["mark:up", &gate.step()]).detached();
    live.marked("up");
    let dry = world
        .ctl(&["prune", "--older-than", "0s", "--json"])
        .ok()
        .json();
    assert_eq!(ids(&dry), [old.as_str()], "{dry:#}");
    assert_eq!(
        (&dry["applied"], &dry["events"]),
        (&json!(false), &Value::Null)
    );
    assert!(dry["bytes"].as_u64() > Some(0), "{dry:#}");
    assert!(world.task_dir(&old).exists());
    let _still = world.show(&old);
    let young = world.prune(&["--older-than", "1d"]);
    assert_eq!(young["count"], 0, "{young:#}");

    let gone = world.prune(&["--older-than", "0s"]);
    assert_eq!(ids(&gone), [old.as_str()], "{gone:#}");
    assert_eq!(
        (&gone["applied"], &gone["bytes"]),
        (&json!(true), &dry["bytes"])
    );
    assert!(gone["events"].as_u64() > Some(0), "{gone:#}");
    assert!(!world.task_dir(&old).exists());
    for verb in ["show", "why", "logs"] {
        let _unknown = world.ctl(&[verb, &old]).expect_code(3);
    }
    // A reader of the log is told what it does not get.
    let events = world.ctl(&["events", "--from", "1", "--json"]).ok();
    let events = events.json_lines();
    assert_eq!(events[0]["type"], "gap", "{:#}", events[0]);
    assert_eq!(events[0]["from_seq"], 1);
    assert_eq!(
        events[1]["seq"],
        json!(events[0]["to_seq"].as_u64().expect("a seq") + 1)
    );
    gate.open();
    assert_eq!(world.ended(&live.id)["status"], "success");
    world.check();
}

/// Over HTTP as well: a client that comes back with an old id asks for the tasks.
#[test]
fn a_follower_of_what_is_gone_is_told_a_gap() {
    let config = "[http]\nlisten = \"127.0.0.1:0\"\ntoken_file = \"{dir}/token\"\n";
    let world = World::builder().config(config).build();
    world.write_token();
    let _supervisor = world.start();
    let _old = ended(&world, "old", "exit:0");
    let http = world.http().with("last-event-id", "1");
    let resume = || {
        let mut lines = http.lines("/v1/events").map_while(Result::ok);
        let hello = lines.find_map(|line| Some(line.strip_prefix("data: ")?.to_owned()));
        let hello: Value = serde_json::from_str(&hello.expect("a hello")).expect("JSON");
        hello["resume"].clone()
    };
    assert_eq!(resume(), "ok");
    let _gone = world.prune(&["--older-than", "0s"]);
    assert_eq!(resume(), "gap");
    world.check();
}

#[test]
fn without_a_word_on_how_old_it_is_refused() {
    let world = World::running();
    let refused = world.ctl(&["prune", "--json"]).expect_code(2).error();
    let hint = refused["hint"].as_str().expect("a hint");
    assert!(
        hint.contains("--older-than") && hint.contains("[retention]"),
        "{hint}"
    );
    world.check();
}

/// A hub that repeats a dispatch must not have the work done twice.
#[test]
fn a_pruned_id_is_refused_while_the_log_tells_of_it() {
    let world = World::running();
    let gate = world.gate("end");
    let first = world.run().steps(["mark:up", &gate.step()]).detached();
    first.marked("up");
    let run = [
        "run", "-d", "--json", "--id", "twice", "--key", "k", "--", "true",
    ];
    let _dispatched = world.ctl(&run).ok();
    let _ended = world.ended("twice");
    world.may_go(&["twice"]);
    let gone = world.prune(&["--older-than", "0s"]);
    assert_eq!((ids(&gone), &gone["kept"]), (vec!["twice"], &json!(0)));
    assert_eq!(gone["events"], 1, "the live task's events hold the rest");
    let refused = world.ctl(&run).expect_code(4).error();
    assert_eq!(refused["code"], "id_conflict", "{refused:#}");
    gate.open();
    let _ended = world.ended(&first.id);
    world.may_go(&[&first.id]);
    let _gone = world.prune(&["--older-than", "0s"]);
    let again = world.ctl(&run).ok().json();
    assert_eq!(world.ended("twice")["started_at"], again["started_at"]);
    world.check();
}

#[test]
fn what_may_be_resumed_stays_and_the_rest_of_its_key_goes() {
    let world = World::new();
    world.install_fake("claude");
    let supervisor = world.start();
    let talk = |prompt: &str| {
        let task = world
            .run()
            .provider("claude")
            .key("talk")
            .steps([prompt])
            .detached();
        let ended = world.ended(&task.id);
        assert_eq!(ended["status"], "success", "{ended:#}");
        task.id
    };
    let (first, second) = (talk("one"), talk("two"));
    world.may_go(&[&first]);
    let gone = world.prune(&["--older-than", "0s"]);
    assert_eq!(
        (ids(&gone), &gone["kept"]),
        (vec![first.as_str()], &json!(1))
    );
    supervisor.kill();
    let _next = world.start();
    let third = talk("three");
    let shown = world.show(&third);
    assert_eq!(
        shown["resumed"],
        world.show(&second)["session_id"],
        "{shown:#}"
    );
    let sessions = world.ctl(&["sessions", "--json"]).ok().json();
    assert_eq!(sessions["sessions"][0]["task_id"], json!(third));
    // The operator's word takes the reason to keep it away.
    let _quarantined = world.ctl(&["sessions", "quarantine", "talk"]).ok();
    world.may_go(&[&second, &third]);
    let gone = world.prune(&["--older-than", "0s"]);
    assert_eq!(ids(&gone), [second.as_str(), third.as_str()], "{gone:#}");
    // Its id is kept all the same (R6).
    let left = world.ctl(&["sessions", "--json"]).ok().json();
    assert_eq!(left["sessions"][0]["state"], "quarantined", "{left:#}");
    world.oracle().agents.clear();
    world.check();
}

/// R6: what is quarantined is kept, whatever becomes of its task. The operator's word
/// counts over a restart, and over a rebuild of the ledger.
#[test]
fn a_session_outlives_its_task_and_can_be_given_back() {
    let world = World::new();
    world.install_fake("claude");
    let mut supervisor = world.start();
    let talk = |steps: &str| {
        let run = world.run().provider("claude").key("talk").steps([steps]);
        world.ended(&run.detached().id)
    };
    let failed = talk("result:error:no");
    assert_eq!(failed["status"], "failure", "{failed:#}");
    let (id, session) = (failed["id"].as_str().expect("an id"), &failed["session_id"]);
    world.may_go(&[id]);
    assert_eq!(ids(&world.prune(&["--older-than", "0s"])), [id]);
    let _unknown = world.ctl(&["why", id]).expect_code(3);
    let row = |state: &str, reason: Value| {
        for verb in [
            &["sessions", "--json"][..],
            &["sessions", "show", "talk", "--json"],
        ] {
            let all = world.ctl(verb).ok().json();
            let row = &all["sessions"][0];
            assert_eq!(
                (&row["session_id"], &row["task_id"]),
                (session, &failed["id"])
            );
            assert_eq!(
                (&row["state"], &row["quarantine_reason"]),
                (&json!(state), &reason)
            );
        }
    };
    row("quarantined", json!("failed"));
    let again = |supervisor: Arc<Supervisor>, rebuild: bool| {
        supervisor.kill();
        if rebuild {
            let mut recover = world.command(Bins::locate().supervisor());
            recover.arg("recover");
            let _rebuilt = world.finish(recover).ok();
        }
        world.start()
    };
    for rebuild in [false, true] {
        supervisor = again(supervisor, rebuild);
        row("quarantined", json!("failed"));
    }
    let _released = world.ctl(&["sessions", "release", "talk"]).ok();
    for rebuild in [false, true] {
        supervisor = again(supervisor, rebuild);
        row("resumable", Value::Null);
    }
    let resumed = talk("hello");
    assert_eq!(resumed["status"], "success", "{resumed:#}");
    assert_eq!(&resumed["resumed"], session);
    // A later round keeps the task that stands for it now.
    let kept = world.prune(&["--older-than", "0s"]);
    assert_eq!((&kept["count"], &kept["kept"]), (&json!(0), &json!(1)));
    world.oracle().agents.clear();
    world.check();
}

#[test]
fn a_rebuild_does_not_bring_it_back() {
    let world = World::new();
    let supervisor = world.start();
    let old = ended(&world, "old", "exit:0");
    let _gone = world.prune(&["--older-than", "0s"]);
    let young = ended(&world, "young", "exit:0");
    supervisor.kill();
    let mut command = world.command(Bins::locate().supervisor());
    command.arg("recover");
    let rebuilt = world.finish(command).ok();
    assert!(!rebuilt.stdout.contains(&old), "{}", rebuilt.stdout);
    let _next = world.start();
    let all = world.ctl(&["list", "-a", "--json"]).ok().json();
    assert_eq!(ids(&all), [young.as_str()]);
    world.check();
}

#[test]
fn what_cannot_be_moved_stays_whole() {
    let world = World::running();
    let old = ended(&world, "old", "exit:0");
    let in_the_way = world.task_dir(&old).with_extension("pruned");
    fs::write(&in_the_way, b"").expect("written");
    let options = ["prune", "--older-than", "0s", "--apply", "--json"];
    let refused = world.ctl(&options).expect_code(1).error();
    assert_eq!(refused["code"], "storage");
    let message = refused["message"].as_str().expect("words");
    assert!(
        message.contains(&format!("move aside {}", world.task_dir(&old).display())),
        "{message}"
    );
    assert!(world.task_dir(&old).join("spec").exists());
    let _still = world.show(&old);
    fs::remove_file(&in_the_way).expect("ours");
    assert_eq!(ids(&world.prune(&["--older-than", "0s"])), [old.as_str()]);
    world.check();
}

/// As after any commit that failed: the supervisor leaves, and the next one puts
/// back what was moved.
#[test]
fn a_ledger_that_fails_a_prune_is_left() {
    let world = World::new();
    let supervisor = world.start();
    let old = ended(&world, "old", "exit:0");
    let sql = rusqlite::Connection::open(world.ledger().path()).expect("opens");
    sql.busy_timeout(GENEROUS).expect("set");
    sql.execute_batch("DROP TABLE task_secret")
        .expect("dropped");
    world.forgive("the ledger failed");
    let options = ["prune", "--older-than", "0s", "--apply"];
    assert_ne!(world.ctl(&options).code(), 0);
    assert_eq!(supervisor.ended().code(), Some(1));
    assert!(!world.task_dir(&old).exists(), "it was moved aside");
    let _next = world.start();
    assert_eq!(world.show(&old)["status"], "success");
    assert!(world.task_dir(&old).join("spec").exists());
    world.check();
}

#[test]
fn the_configuration_prunes_at_the_start_and_again() {
    let world = World::builder()
        .config("[retention]\nmax_tasks = 1\nmax_age = \"1d\"\n")
        .variable("AGENT_SUPERVISOR_RETENTION_EVERY_MS", "20")
        .build();
    let supervisor = world.start();
    let rows = || world.ledger().tasks().len();
    let first = ended(&world, "a", "exit:0");
    let _second = world.run().key("b").steps(["exit:0"]).detached();
    wait_until("the hourly round", GENEROUS, || {
        rows() == 1 && !world.task_dir(&first).exists()
    });
    supervisor.kill();
    world.forget_pruned();
    let dry = world.start();
    wait_until("a round that has nothing to do", GENEROUS, || {
        world.ctl(&["prune", "--json"]).ok().json()["count"] == 0
    });
    dry.kill();
    world.check();
}

#[test]
fn what_lives_on_keeps_its_task() {
    if own_user() != 0 {
        skip!("only root can leave a process of another user behind");
    }
    let world = World::running();
    let (task, left) = world.task_with_a_stranger();
    let kept = world.prune(&["--older-than", "0s"]);
    assert_eq!((&kept["count"], &kept["kept"]), (&json!(0), &json!(1)));
    left.signal(Signal::SIGKILL);
    wait_until("the stranger's end", GENEROUS, || !left.is_alive());
    let gone = world.prune(&["--older-than", "0s"]);
    assert_eq!(ids(&gone), [task.id.as_str()]);
    world.check();
}
