//! What is said to people: what went wrong, where, and what to do.

use std::fs;

use serde_json::json;
use tests::harness::World;

#[test]
fn a_wait_that_is_over_names_the_task() {
    let world = World::running();
    let task = world.run().steps(["mark:up", "forever"]).detached();
    task.marked("up");
    let over = world
        .ctl(&["wait", &task.id, "--timeout", "50ms"])
        .expect_code(8);
    let again = format!("`agentctl wait {}` waits again", task.id);
    assert!(over.stderr.contains(&again), "{over:#?}");
    assert_eq!(world.stop(&task.id, &[]), "stopped");
}

#[test]
fn bad_texts_are_refused_with_the_text() {
    let world = World::running();
    let long = "n".repeat(5_000);
    let cases: [(&[&str], &str); 4] = [
        (&["--name", ""], "invalid name: it is empty"),
        (&["--user", &long], "invalid user: it has 5000 bytes"),
        (
            &[
                "--session-id",
                "zzz",
                "--provider",
                "claude",
                "--prompt",
                "p",
            ],
            "`zzz` is not a session id of provider claude",
        ),
        (&["--key", &long], "invalid key \"nnn"),
    ];
    for (options, words) in cases {
        let mut all = vec!["run", "-d"];
        all.extend(options);
        all.extend(["--", "true"]);
        let refused = world.ctl(&all).expect_code(2);
        assert!(refused.stderr.contains(words), "{refused:#?}");
        assert!(refused.stderr.len() < 500, "it is not repeated whole");
    }
    // A whole id, which is not looked up before.
    let id = "019a3f2c-4d5e-7000-8000-000000000001";
    let refused = world.ctl(&["stop", id, "--note", &long]).expect_code(2);
    assert!(refused.stderr.contains("invalid note"), "{refused:#?}");
    assert_eq!(world.ledger().tasks().len(), 0, "no row");
}

/// A command promises no result, and was said to have told one.
#[test]
fn only_a_result_says_success() {
    let world = World::running();
    let task = world.run().steps(["exit:0"]).detached();
    let _ended = world.ended(&task.id);
    let why = world.ctl(&["why", &task.id]).ok().stdout;
    assert!(why.contains(") completed after"), "{why}");
    assert!(!why.contains("its own result"), "{why}");
}

#[test]
fn a_broken_provider_file_is_named_with_its_cure() {
    let world = World::new();
    let file = world.providers_dir().join("mine.toml");
    fs::create_dir_all(world.providers_dir()).expect("made");
    fs::write(&file, "name = \"mine\"\n").expect("written");
    let _supervisor = world.start();
    let refused = world
        .ctl(&["run", "--provider", "mine", "--prompt", "p"])
        .expect_code(2);
    let cure = format!("agentctl providers check {}", file.display());
    assert!(refused.stderr.contains(&cure), "{refused:#?}");
}

#[test]
fn a_failed_start_tells_where_more_is_told() {
    let world = World::running();
    let run = world.run().argv(["/no/such/command"]);
    let id = run.task_id().to_string();
    let failed = run.attached().expect_code(10);
    assert!(
        failed.stderr.ends_with(&format!("agentctl why {id}\n")),
        "{failed:#?}"
    );
}

#[test]
fn a_chosen_session_is_told_once() {
    let world = World::new();
    world.install_fake("claude");
    let _supervisor = world.start();
    let output = world
        .run()
        .provider("claude")
        .steps(["one"])
        .attached()
        .ok();
    assert_eq!(output.stderr.matches(" session ").count(), 1, "{output:#?}");
}

#[test]
fn signals_have_names_in_the_event_log() {
    let world = World::running();
    let task = world.run().steps(["mark:up", "forever"]).detached();
    task.marked("up");
    assert_eq!(world.stop(&task.id, &[]), "stopped");
    let events = world
        .ctl(&["events", "--task", &task.id, "--json"])
        .ok()
        .json_lines();
    let signalled = events
        .iter()
        .find(|event| event["type"] == "task.signalled")
        .expect("it was signalled");
    assert_eq!(signalled["signal"], json!("SIGTERM"));
}
