//! A key whose tasks end as soon as they have begun rests for a while.

use serde_json::{Value, json};
use tests::harness::{GENEROUS, Output, World, wait_for};

const KEY: &str = "forge:repo:7";

/// A window that no test outlives, and one that is over at once.
const LONG: &str = "[limits]\ncrash_loop_window = \"1h\"\n";

fn world_with(config: &str) -> World {
    let world = World::builder().config(config).build();
    let _supervisor = world.start();
    world
}

fn try_run(world: &World, options: &[&str], argv: &[&str]) -> Output {
    let run = ["run", "-d", "--json", "--key", KEY];
    let told = world.ctl(&[&run[..], options, &["--"], argv].concat());
    world.acknowledge(&told);
    told
}

fn ended(world: &World, output: &Output) -> Value {
    let task = output.json();
    world.ended(task["id"].as_str().expect("an id"))
}

/// Two fail without a word, and one cannot be started at all.
fn loops(world: &World) {
    for _ in 0..2 {
        let told = try_run(world, &[], &["false"]).ok();
        assert_eq!(ended(world, &told)["archive_reason"], "failed");
    }
    let told = try_run(world, &[], &["no-such-program-here"]).expect_code(10);
    assert_eq!(ended(world, &told)["archive_reason"], "spawn_failed");
}

fn goes_on(world: &World) {
    let good = try_run(world, &[], &["true"]).ok();
    assert_eq!(ended(world, &good)["status"], "success");
}

fn refused(world: &World) -> Value {
    let error = try_run(world, &[], &["true"]).expect_code(4).error();
    assert_eq!(error["code"], "crash_loop", "{error}");
    error
}

#[test]
fn the_fourth_is_refused_until_somebody_says_otherwise() {
    let world = World::builder().config(LONG).build();
    let first = world.start();
    loops(&world);
    let error = refused(&world);
    let words = error["message"].as_str().expect("words");
    for part in [
        KEY,
        "rests for",
        "3 tasks of it ended within 3600 s",
        "Could not start",
    ] {
        assert!(words.contains(part), "{words}");
    }
    let hint = error["hint"].as_str().expect("a hint");
    assert!(
        hint.contains(&format!("sessions release {KEY} --crash-loop")),
        "{hint}"
    );
    // Neither a word on the session nor on the live one helps, nor a new supervisor.
    for options in [
        ["--fresh", "--no-start"],
        ["--on-conflict", "queue"],
        ["--on-conflict", "replace"],
    ] {
        let _still = try_run(&world, &options, &["true"]).expect_code(4);
    }
    first.kill();
    let _second = world.start();
    let _still = refused(&world);
    // Another key, and none at all, are not meant.
    let other = world.ctl(&["run", "--key", "other", "--", "true"]);
    let _other = other.ok();
    for _ in 0..4 {
        let _failed = world.ctl(&["run", "--", "false"]).expect_code(10);
    }
    let _none = world
        .ctl(&["sessions", "release", "nobody", "--crash-loop"])
        .expect_code(3);
    let released = world
        .ctl(&["sessions", "release", KEY, "--crash-loop", "--json"])
        .ok();
    assert_eq!(released.json(), json!({"sessions": []}));
    goes_on(&world);
    // The word is on record, and what was before is forgotten for good.
    let newest = world.ledger().rows(
        "SELECT task_id FROM agent_run_event WHERE type = 'key.released'",
        &[],
    );
    let newest = newest[0].text("task_id").expect("a task").to_owned();
    let why = world.ctl(&["why", &newest]).ok().stdout;
    assert!(why.contains("key released"), "{why}");
    for _ in 0..2 {
        let told = try_run(&world, &[], &["false"]).ok();
        let _ended = ended(&world, &told);
    }
    let third = try_run(&world, &[], &["false"]).ok();
    let _ended = ended(&world, &third);
    let _again = refused(&world);
    // Bug: a session that is not known was a word on the key.
    let named = ["sessions", "release", KEY, "--session-id", "s-9"];
    let _unknown = world.ctl(&named).expect_code(3);
    let _again = refused(&world);
    // Without the flag it is a word on session and key; there is no session here.
    let _released = world.ctl(&["sessions", "release", KEY]).ok();
    goes_on(&world);
    world.check();
}

#[test]
fn a_key_goes_on_by_itself_when_the_time_is_over() {
    let world = world_with("[limits]\ncrash_loop_tasks = 1\ncrash_loop_window = \"300ms\"\n");
    let told = try_run(&world, &[], &["false"]).ok();
    let _ended = ended(&world, &told);
    let good = wait_for("the end of the rest", GENEROUS, || {
        let told = try_run(&world, &[], &["true"]);
        if told.code() == 0 {
            Ok(told)
        } else {
            Err(told)
        }
    });
    assert_eq!(ended(&world, &good)["status"], "success");
    world.check();
}

#[test]
fn what_printed_or_ended_well_or_was_stopped_does_not_count() {
    let world = world_with("[limits]\ncrash_loop_tasks = 1\ncrash_loop_window = \"1h\"\n");
    for argv in [
        &["sh", "-c", "echo x; exit 1"][..],
        &["sh", "-c", "echo x >&2; exit 1"],
        &["true"],
    ] {
        let told = try_run(&world, &[], argv).ok();
        let _ended = ended(&world, &told);
    }
    let told = try_run(&world, &[], &["sleep", "1000"]).ok();
    let stopped = told.json()["id"].as_str().expect("an id").to_owned();
    assert_eq!(world.stop(&stopped, &[]), "stopped");
    let told = try_run(&world, &[], &["false"]).ok();
    let _ended = ended(&world, &told);
    let _now = refused(&world);
    // Off is off.
    let world = world_with("[limits]\ncrash_loop_tasks = 0\n");
    loops(&world);
    goes_on(&world);
    world.check();
}

/// Every question about a queued task of a key that rests is answered with that,
/// and with how to end it.
fn says_that_it_rests(world: &World, id: &str, newest: &str) {
    let how = format!("agentctl sessions release {KEY} --crash-loop");
    let short = |text: &str| {
        assert!(text.contains("its key rests for "), "{text}");
        assert!(text.contains(&how), "{text}");
    };
    let long = |text: &str| {
        for part in [
            &format!("key {KEY} rests for ") as &str,
            "3 tasks of it ended within 3600 s without a session id or known output",
            &format!("`agentctl why {newest}` tells what is wrong"),
            &how,
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    };
    let list = world.ctl(&["list"]).ok().stdout;
    let line = list.lines().find(|line| line.contains(" queued "));
    let line = line.expect("a line");
    assert!(
        line.contains("waiting for its turn: its key rests for "),
        "{line}"
    );
    short(line);
    let list = world.ctl(&["list", "--json"]).ok().json();
    short(
        list["tasks"][0]["last_progress"]["text"]
            .as_str()
            .expect("text"),
    );
    let shown = world.show(id);
    short(shown["last_progress"]["text"].as_str().expect("text"));
    let evidence = shown["evidence"].as_array().expect("evidence");
    let last = evidence.last().expect("one");
    assert_eq!(last["kind"], "supervisor", "{last}");
    long(last["detail"].as_str().expect("text"));
    let why = world.ctl(&["why", id]).ok().stdout;
    let first = why.lines().next().expect("a line");
    short(first);
    long(&why);
    let why = world.ctl(&["why", id, "--json"]).ok().json();
    let chain = why["chain"].as_array().expect("a chain");
    let last = chain.last().expect("one");
    assert_eq!(
        (&last["what"], &last["who"]),
        (&json!("key rests"), &json!("the supervisor"))
    );
    long(last["detail"].as_str().expect("text"));
}

/// What waits for a key that rests goes on waiting, and holds up nobody.
#[test]
fn a_queued_task_of_the_key_waits_until_it_is_released() {
    let world = world_with(&format!("{LONG}max_tasks = 1\n"));
    let holder = world.run().argv(["sleep", "1000"]).detached();
    let queue = |argv: &[&str]| -> String {
        let told = try_run(&world, &["--on-conflict", "queue"], argv)
            .ok()
            .json();
        assert_eq!(told["status"], "queued", "{told:#}");
        told["id"].as_str().expect("an id").to_owned()
    };
    let failing: Vec<String> = (0..3).map(|_| queue(&["false"])).collect();
    let last = queue(&["true"]);
    let other = world.run().key("other").argv(["true"]).detached();
    assert_eq!(world.stop(&holder.id, &[]), "stopped");
    for id in &failing {
        assert_eq!(world.ended(id)["archive_reason"], "failed");
    }
    assert_eq!(
        world.ended(&other.id)["status"],
        "success",
        "it came behind it"
    );
    assert_eq!(world.show(&last)["status"], "queued");
    let log = world.log();
    assert!(log.contains("key forge:repo:7 rests for"), "{log}");
    says_that_it_rests(&world, &last, failing.last().expect("three"));
    let _released = world
        .ctl(&["sessions", "release", KEY, "--crash-loop"])
        .ok();
    assert_eq!(world.ended(&last)["status"], "success");
    let why = world.ctl(&["why", &last]).ok().stdout;
    assert!(
        !why.contains("rests"),
        "it is no part of what happened: {why}"
    );
    world.check();
}

#[test]
fn a_retry_is_refused_and_http_says_409() {
    let config =
        format!("{LONG}[http]\nlisten = \"127.0.0.1:0\"\ntoken_file = \"{{dir}}/token\"\n");
    let world = World::builder().config(&config).build();
    world.write_token();
    let _supervisor = world.start();
    loops(&world);
    let newest = world
        .ctl(&["list", "-a", "--key", KEY, "--json"])
        .ok()
        .json();
    let newest = newest["tasks"][0]["id"].as_str().expect("an id").to_owned();
    let retry = world
        .ctl(&["retry", &newest, "-d", "--json"])
        .expect_code(4);
    assert_eq!(retry.error()["code"], "crash_loop");
    let http = world.http();
    let body = json!({"cwd": "/", "key": KEY, "argv": ["true"]});
    assert_eq!(
        http.post("/v1/tasks", &body).error(409)["code"],
        "crash_loop"
    );
    let key = KEY.replace(':', "%3A");
    let path = format!("/v1/sessions/{key}/release");
    let both = json!({"crash_loop": true, "session_id": "s"});
    let _both = http.post(&path, &both).error(400);
    let released = http.post(&path, &json!({"crash_loop": true})).json();
    assert_eq!(released, json!({"sessions": []}));
    goes_on(&world);
    world.check();
}

/// A lost session is no failure of the key: the fresh task that follows has its turn at
/// once. If that one fails without a word it counts, and nothing follows it.
#[test]
fn the_fresh_task_behind_a_lost_session_starts_and_counts() {
    let world = World::builder()
        .config("[limits]\ncrash_loop_tasks = 1\ncrash_loop_window = \"1h\"\n")
        .build();
    world.install_fake("claude");
    let first = world.start();
    let talk = |prompt: &str| {
        let run = world.run().provider("claude").key(KEY).prompt(prompt);
        world.ended(&run.detached().id)
    };
    let session = talk("hello")["session_id"].clone();
    let session = session.as_str().expect("a session").to_owned();
    let file = world.path("home/.fake-claude").join(session);
    std::fs::remove_file(&file).expect("the conversation is forgotten");
    let lost = talk("no-init\nexit:1");
    assert_eq!(lost["archive_reason"], "session_not_found", "{lost:#}");
    let all = world
        .ctl(&["list", "-a", "--key", KEY, "--json"])
        .ok()
        .json();
    let next = all["tasks"][0]["id"].as_str().expect("an id").to_owned();
    let next = world.ended(&next);
    assert_eq!(next["links"]["fresh_after"], lost["id"], "{next:#}");
    assert_eq!(next["archive_reason"], "failed", "{next:#}");
    let newest = |error: &Value| {
        let words = error["message"].as_str().expect("words");
        let id = next["id"].as_str().expect("an id");
        assert!(words.contains(&format!("the newest is {id}")), "{words}");
    };
    newest(&refused(&world));
    first.kill();
    let _second = world.start();
    newest(&refused(&world));
    assert_eq!(
        world.ledger().tasks().len(),
        3,
        "nothing follows the follower"
    );
    let _released = world
        .ctl(&["sessions", "release", KEY, "--crash-loop"])
        .ok();
    goes_on(&world);
    world.check();
}
