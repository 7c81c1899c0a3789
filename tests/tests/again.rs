//! `retry` and `reopen`: a new task from one that has ended.

use serde_json::{Value, json};
use tests::harness::{Bins, Output, World};
use tests::scenarios::assert_ended;

fn world() -> World {
    let world = World::new();
    world.install_fake("claude");
    let _supervisor = world.start();
    world
}

/// Follows what a verb dispatched to its end.
fn ended(world: &World, output: Output) -> Value {
    let task = output.ok().json();
    world.ended(task["id"].as_str().expect("an id"))
}

#[test]
fn a_retry_is_the_same_again_in_a_fresh_session() {
    let world = world();
    let first = world
        .run()
        .provider("claude")
        .key("talk")
        .option("--model", "m-1")
        .option("--repo", "r")
        .option("--name", "n")
        .steps(["hello"])
        .detached();
    let first = world.ended(&first.id);
    assert_ended(&first, "success", "completed", "observed");
    let id = first["id"].as_str().expect("an id");
    let again = ended(&world, world.ctl(&["retry", id, "-d", "--json"]));
    assert_ended(&again, "success", "completed", "observed");
    assert_ne!(again["id"], first["id"]);
    assert_ne!(again["session_id"], first["session_id"], "a fresh one");
    assert_eq!(again["resumed"], Value::Null);
    assert_eq!(again["links"]["retry_of"], first["id"]);
    for same in ["key", "provider", "repo", "name", "cwd", "model"] {
        assert_eq!(again[same], first[same], "{same}");
    }
    assert_eq!(again["result"]["text"], "answer 1: hello");
    let row = world
        .ledger()
        .task(again["id"].as_str().expect("an id"))
        .expect("a row");
    assert_eq!(row.text("retry_of"), Some(id));
    // Both were told to write into one record.
    world.oracle().agents.clear();
    world.check();
}

#[test]
fn a_retry_takes_options_for_what_is_to_be_otherwise() {
    let world = world();
    let first = world.run().argv(["sh", "-c", "exit 3"]).detached();
    let _failed = world.ended(&first.id);
    let twice = |options: &[&str]| {
        let mut words = vec!["retry", &first.id, "-d", "--json", "--id", "second"];
        words.extend(options);
        world.ctl(&words)
    };
    let again = ended(&world, twice(&["--name", "other"]));
    assert_eq!(again["id"], "second");
    assert_eq!(again["name"], "other");
    assert_ended(&again, "failure", "failed", "observed");
    // Repeated, it is the same task; with other options another one.
    let same = twice(&["--name", "other"]).ok().json();
    assert_eq!(same["finished_at"], again["finished_at"]);
    let _other = twice(&["--name", "third"]).expect_code(4);
    let refused = world.ctl(&["retry", "second", "--resume", "s", "-d"]);
    let _usage = refused.expect_code(2);
    world.check();
}

#[test]
fn what_lives_is_not_done_again() {
    let world = world();
    let task = world.run().steps(["mark:up", "forever"]).detached();
    task.marked("up");
    for verb in ["retry", "reopen"] {
        let refused = world
            .ctl(&[verb, &task.id, "--prompt", "x", "-d", "--json"])
            .expect_code(4)
            .error();
        assert_eq!(refused["code"], "conflict", "{refused}");
    }
    let _unknown = world.ctl(&["retry", "nobody", "-d"]).expect_code(3);
    assert_eq!(world.stop(&task.id, &[]), "stopped");
    world.check();
}

#[test]
fn a_reopened_conversation_goes_on_and_is_taken_out_of_the_archive() {
    let world = world();
    let first = world
        .run()
        .provider("claude")
        .key("talk")
        .steps(["one"])
        .detached();
    let first = world.ended(&first.id);
    let id = first["id"].as_str().expect("an id");
    let _kept = world.ctl(&["archive", id]).ok();
    let silent = world.ctl(&["reopen", id, "-d"]).expect_code(2);
    assert!(silent.stderr.contains("--prompt"), "{silent:#?}");
    let next = ended(
        &world,
        world.ctl(&["reopen", id, "--prompt", "two", "-d", "--json"]),
    );
    assert_ended(&next, "success", "completed", "observed");
    assert_eq!(next["session_id"], first["session_id"]);
    assert_eq!(next["resumed"], first["session_id"]);
    assert_eq!(next["links"]["reopened_from"], first["id"]);
    assert_eq!(next["result"]["text"], "answer 2: two");
    assert_eq!(world.show(id)["archived"], json!(false));
    world.check();
}

/// R6 is not gone round: what was cut off is resumed by the operator's word only.
#[test]
fn what_was_cut_off_is_not_reopened_without_a_release() {
    let world = world();
    let task = world
        .run()
        .provider("claude")
        .key("talk")
        .steps(["hello", "mark:up", "forever"])
        .detached();
    task.marked("up");
    assert_eq!(world.stop(&task.id, &[]), "stopped");
    let _kept = world.ctl(&["archive", &task.id]).ok();
    let reopen = ["reopen", &task.id, "--prompt", "on", "-d", "--json"];
    let refused = world.ctl(&reopen).expect_code(4).error();
    assert_eq!(refused["code"], "session_refused", "{refused}");
    let hint = refused["hint"].as_str().expect("what to do");
    assert!(hint.contains("sessions release"), "{hint}");
    assert_eq!(world.show(&task.id)["archived"], json!(true), "as it was");
    let _released = world.ctl(&["sessions", "release", "talk"]).ok();
    let next = ended(&world, world.ctl(&reopen));
    assert_eq!(next["resumed"], world.show(&task.id)["session_id"]);
    let plain = world.run().steps(["exit:0"]).detached();
    let _ended = world.ended(&plain.id);
    let none = world
        .ctl(&["reopen", &plain.id, "--prompt", "x", "-d", "--json"])
        .expect_code(4)
        .error();
    assert!(
        none["hint"]
            .as_str()
            .is_some_and(|hint| hint.contains("retry")),
        "{none}"
    );
    world.check();
}

/// The links are facts like any other: a restart and a rebuild keep them.
#[test]
fn links_survive_a_restart_and_a_rebuild() {
    let world = World::new();
    world.install_fake("claude");
    let first = world.start();
    let talk = world.run().provider("claude").key("talk");
    let talk = talk.steps(["one"]).detached();
    let _done = world.ended(&talk.id);
    let verb = |words: &[&str]| {
        let task = world.ctl(&[words, &["-d", "--json"]].concat()).ok().json();
        world.ended(task["id"].as_str().expect("an id"))
    };
    let reopened = verb(&["reopen", &talk.id, "--prompt", "two", "--id", "reopened"]);
    assert_eq!(reopened["links"]["reopened_from"], json!(talk.id));
    let retried = verb(&["retry", "reopened", "--id", "retried"]);
    assert_eq!(retried["links"]["retry_of"], "reopened");
    let links = || ["reopened", "retried"].map(|id| world.show(id)["links"].clone());
    let before = links();
    first.kill();
    let second = world.start();
    assert_eq!(links(), before);
    second.kill();
    let mut command = world.command(Bins::locate().supervisor());
    command.arg("recover");
    let _rebuilt = world.finish(command).ok();
    let _third = world.start();
    assert_eq!(links(), before);
    // Both turns were told to write into one record.
    world.oracle().agents.clear();
    world.check();
}

/// A retry keeps the key, which is the first task's id where none was named.
#[test]
fn who_stops_the_ended_one_of_two_namesakes_is_told_of_the_live_one() {
    let world = World::running();
    let first = ["run", "--id", "job1", "-d", "--", "true"];
    let _first = world.ctl(&first).ok();
    let _ended = world.ended("job1");
    // Nobody has its id as a key yet.
    let stopped = world.ctl(&["stop", "job1"]).ok();
    assert_eq!(stopped.stderr, "");
    let retry = ["retry", "job1", "--id", "job2", "-d", "--", "sleep", "1000"];
    let _second = world.ctl(&retry).ok();
    let stopped = world.ctl(&["stop", "job1"]).ok();
    assert!(stopped.stdout.contains("already gone"), "{stopped:?}");
    let told = "job1 is the key of task job2 as well, which is running";
    assert!(stopped.stderr.contains(told), "{stopped:?}");
    assert!(
        stopped.stderr.contains("`agentctl stop-session job2`"),
        "{stopped:?}"
    );
    assert_eq!(world.show("job2")["status"], "running", "it was not named");
    let waited = world.ctl(&["wait", "job1"]).ok();
    assert!(waited.stderr.contains("`agentctl wait job2`"), "{waited:?}");
    assert_eq!(world.stop("job2", &[]), "stopped");
    world.check();
}

/// Bug: a repetition was refused when the name meant the new task by now, or the earlier
/// one had another name.
#[test]
fn a_retry_that_is_asked_for_again_is_the_same_one() {
    let world = world();
    let first = world.run().key("nightly").steps(["exit:0"]).detached();
    let _ended = world.ended(&first.id);
    let retry = |of: &str| {
        let words = ["retry", of, "--id", "r1", "-d", "--json"];
        world.ctl(&words).ok().json()
    };
    assert_eq!(retry("nightly")["links"]["retry_of"], json!(first.id));
    assert_eq!(retry("nightly")["id"], "r1", "the key means r1 itself now");
    let _ended = world.ended("r1");
    let _renamed = world.ctl(&["rename", &first.id, "another"]).ok();
    assert_eq!(retry(&first.id)["id"], "r1");
    let other = world.run().key("other").steps(["exit:0"]).detached();
    let _ended = world.ended(&other.id);
    let words = ["retry", &other.id, "--id", "r1", "-d"];
    let said = world.ctl(&words).expect_code(4).stderr;
    assert!(said.contains("r1"), "of another task it is another: {said}");
    // Both were told to write into one record.
    world.oracle().agents.clear();
    world.check();
}
