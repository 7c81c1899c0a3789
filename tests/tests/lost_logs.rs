//! A log that somebody has removed is no empty log.

use std::fs;
use std::path::Path;

use tests::harness::World;

/// What every way to ask for it says.
fn assert_gone(error: &serde_json::Value, file: &Path) {
    assert_eq!(error["code"], "not_found", "{error:#}");
    let message = error["message"].as_str().expect("words");
    let words = format!("the log {} is gone", file.display());
    assert!(message.starts_with(&words), "{message}");
    let hint = error["hint"].as_str().expect("a hint");
    assert!(hint.contains("agentctl show"), "{hint}");
}

const HTTP: &str = "[http]\nlisten = \"127.0.0.1:0\"\ntoken_file = \"{dir}/token\"\n";

#[test]
fn a_log_that_is_gone_is_an_error() {
    let world = World::builder().config(HTTP).build();
    world.write_token();
    let supervisor = world.start();
    let task = world.run().argv(["sh", "-c", "echo out; echo err >&2"]);
    let task = task.detached();
    let _ended = world.ended(&task.id);
    let file = world.task_dir(&task.id).join("stdout.log");
    fs::remove_file(&file).expect("it was made");
    let ways: [&[&str]; 3] = [&["--raw"], &["-n", "3"], &["-f"]];
    let ask = || {
        for way in ways {
            let words = [&["logs", &task.id, "--json"], way].concat();
            assert_gone(&world.ctl(&words).expect_code(3).error(), &file);
        }
        // The other one is there.
        let other = world.ctl(&["logs", &task.id, "--stderr"]).ok();
        assert_eq!(other.stdout, "err\n");
    };
    ask();
    let http = world.http();
    let path = format!("/v1/tasks/{}/logs", task.id);
    assert_gone(&http.get(&path).error(404), &file);
    assert_gone(&http.get(&format!("{path}?raw=true")).error(404), &file);
    let mut lines = http.lines(&format!("{path}?follow=true"));
    let told = lines.find_map(|line| line.ok().filter(|line| line.starts_with('{')));
    let told: serde_json::Value =
        serde_json::from_str(&told.expect("a line")).expect("a line of JSON");
    assert_gone(&told["error"], &file);
    drop(lines);
    // Without a supervisor it is the same, but for what needs one.
    supervisor.kill();
    let words = ["logs", &task.id, "--json"];
    assert_gone(&world.ctl(&words).expect_code(3).error(), &file);
    world.check();
}

/// It is told at once, not at the end: what is printed from now on is nowhere.
#[test]
fn a_follower_of_a_live_task_does_not_wait_for_it() {
    let world = World::running();
    let gate = world.gate("end");
    let task = world
        .run()
        .steps(["print:x", "mark:up", &gate.step()])
        .detached();
    task.marked("up");
    let file = world.task_dir(&task.id).join("stdout.log");
    fs::remove_file(&file).expect("it was made");
    let words = ["logs", &task.id, "-f", "--json"];
    assert_gone(&world.ctl(&words).expect_code(3).error(), &file);
    gate.open();
    let _ended = world.ended(&task.id);
    world.oracle().agents.clear();
    world.check();
}

/// Where no agent was ever started there is no log to be gone.
#[test]
fn a_task_without_an_agent_has_an_empty_log() {
    let world = World::builder().config("[limits]\nmax_tasks = 1\n").build();
    let _supervisor = world.start();
    let first = world.run().argv(["sleep", "1000"]).detached();
    let queued = world.run().argv(["true"]).detached();
    let failed = world.run().argv(["no-such-program-here"]);
    assert_eq!(world.ctl(&["logs", &queued.id]).ok().stdout, "");
    assert_eq!(world.stop(&queued.id, &[]), "stopped");
    assert_eq!(world.stop(&first.id, &[]), "stopped");
    let failed = failed.try_detached().expect_code(10).json();
    let id = failed["id"].as_str().expect("an id");
    assert_eq!(world.ctl(&["logs", id]).ok().stdout, "");
    world.check();
}
