//! The queue: who has to wait, whose turn comes when, and what lasts.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tests::harness::{Background, Dispatched, GENEROUS, Gate, Run, World, wait_until};
use tests::scenarios::assert_ended;

const ONE: &str = "[limits]\nmax_tasks = 1\nmax_queued = 3\n";

fn one_at_a_time() -> World {
    World::builder().config(ONE).build()
}

/// A task that runs until its gate is opened.
fn holder<'world>(world: &'world World, gate: &Gate) -> Run<'world> {
    world.run().steps(["mark:up", &gate.step()])
}

fn running(world: &World, gate: &Gate) -> Dispatched {
    let task = holder(world, gate).detached();
    task.marked("up");
    task
}

fn queued(run: Run<'_>) -> Dispatched {
    let task = run.detached();
    assert_eq!(task.task["status"], "queued", "{:#}", task.task);
    task
}

fn counts(world: &World) -> Value {
    world.ctl(&["status", "--json"]).ok().json()["tasks"].clone()
}

fn started_at(world: &World, task: &Dispatched) -> String {
    let shown = world.show(&task.id);
    shown["started_at"].as_str().expect("started").to_string()
}

/// What is kept of a dispatch when nothing of it is needed any more.
fn settled_spec(world: &World, id: &str) -> String {
    let folder = world.task_dir(id);
    wait_until("a settled folder", GENEROUS, || {
        folder.join("settled").exists()
    });
    fs::read_to_string(folder.join("spec")).expect("it is kept")
}

#[test]
fn turns_come_in_the_order_of_the_dispatches() {
    let world = one_at_a_time();
    let _supervisor = world.start();
    let gate = world.gate("first");
    let first = running(&world, &gate);
    let second = queued(world.run().steps(["exit:0"]));
    let waiting = &second.task;
    assert_eq!(waiting["phase"], "queued");
    assert_eq!(waiting["presence"], "none");
    assert_eq!(waiting["started_at"], Value::Null);
    assert_eq!(waiting["agent_pid"], Value::Null);
    assert!(waiting["queued_at"].is_string(), "{waiting:#}");
    let third = world.run().steps(["exit:0"]).try_detached().ok();
    assert_eq!(
        third.stderr,
        "agentctl: queued, at place 2 of 2: 1 task runs\n"
    );
    let third = third.json()["id"].as_str().expect("an id").to_string();
    let listed = world.ctl(&["list", "--json"]).ok().json();
    let statuses: Vec<&str> = listed["tasks"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|task| task["status"].as_str())
        .collect();
    assert_eq!(statuses, ["queued", "queued", "running"]);
    assert_eq!(
        counts(&world),
        json!({"queued": 2, "running": 1, "ended": 0})
    );
    let types = world.ledger().event_types(&second.id);
    assert_eq!(types, ["task.queued"]);
    gate.open();
    let ends = [&first.id, &second.id, &third].map(|id| world.ended(id));
    for end in &ends {
        assert_ended(end, "success", "completed", "observed");
    }
    for pair in ends.windows(2) {
        let (before, after) = (&pair[0]["finished_at"], &pair[1]["started_at"]);
        assert!(before.as_str() <= after.as_str(), "{ends:#?}");
    }
    assert_eq!(ends[1]["queued_at"], waiting["queued_at"]);
    let why = world.ctl(&["why", &second.id]).ok().stdout;
    assert!(
        why.contains("it waits for its turn") && why.contains("its turn came"),
        "{why}"
    );
    world.check();
}

#[test]
fn a_busy_key_holds_up_nobody_else() {
    let world = World::builder().config("[limits]\nmax_tasks = 2\n").build();
    let _supervisor = world.start();
    let (long, short) = (world.gate("long"), world.gate("short"));
    let talk = holder(&world, &long).key("talk").detached();
    talk.marked("up");
    let busy = world.run().key("talk").steps(["exit:0"]).try_detached();
    assert!(busy.expect_code(4).stderr.contains("is busy"));
    let next = queued(
        world
            .run()
            .key("talk")
            .option("--on-conflict", "queue")
            .steps(["exit:0"]),
    );
    let other = running(&world, &short);
    let last = queued(world.run().steps(["exit:0"]));
    short.open();
    let _other = world.ended(&other.id);
    let _last = world.ended(&last.id);
    assert_eq!(world.show(&next.id)["status"], "queued");
    // Whoever did not ask to wait is not queued behind one that does.
    long.open();
    let _talk = world.ended(&talk.id);
    let _next = world.ended(&next.id);
    assert!(started_at(&world, &last) < started_at(&world, &next));
    world.check();
}

#[test]
fn a_full_queue_refuses_and_a_key_that_waits_is_busy() {
    let world = one_at_a_time();
    let _supervisor = world.start();
    let gate = world.gate("first");
    let _first = running(&world, &gate);
    let waits = queued(world.run().key("k").steps(["exit:0"]));
    let busy = world.run().key("k").steps(["exit:0"]).try_detached();
    let words = format!("key k is busy: task {} waits in the queue", waits.id);
    assert!(busy.expect_code(4).stderr.contains(&words));
    for _ in 0..2 {
        queued(world.run().steps(["exit:0"]));
    }
    let full = world.run().steps(["exit:0"]).try_detached().expect_code(4);
    let error = full.error();
    assert_eq!(error["code"], "limit", "{error:#}");
    assert_eq!(error["message"], "1 live and 3 queued tasks are the limit");
    assert_eq!(world.ledger().tasks().len(), 4, "no row for it");
    gate.open();
    wait_until("an empty queue", GENEROUS, || {
        counts(&world) == json!({"queued": 0, "running": 0, "ended": 4})
    });
    world.check();
}

#[test]
fn without_a_queue_the_limit_refuses() {
    let world = World::builder()
        .config("[limits]\nmax_tasks = 1\nmax_queued = 0\n")
        .build();
    let _supervisor = world.start();
    let gate = world.gate("first");
    let first = running(&world, &gate);
    let full = world.run().steps(["exit:0"]).try_detached().expect_code(4);
    assert_eq!(full.error()["code"], "limit");
    gate.open();
    let _first = world.ended(&first.id);
    world.check();
}

#[test]
fn what_waits_is_stopped_at_once() {
    let world = one_at_a_time();
    let _supervisor = world.start();
    let gate = world.gate("first");
    let first = running(&world, &gate);
    let waits = queued(world.run().key("k").steps(["exit:0"]));
    assert_eq!(world.stop(&waits.id, &["--note", "never mind"]), "stopped");
    let ended = world.show(&waits.id);
    assert_ended(&ended, "cancelled", "user", "declared");
    assert_eq!(ended["exit"], Value::Null);
    assert_eq!(ended["started_at"], Value::Null);
    assert_eq!(ended["intents"][0]["outcome"], "effective");
    assert!(waits.records.leaders().is_empty(), "it never ran");
    let told = world.ctl(&["show", &waits.id]).ok().stdout;
    assert!(
        told.contains("was on record before its end"),
        "no signal: {told}"
    );
    let again = queued(world.run().key("k").steps(["exit:0"]));
    assert_eq!(world.stop(&again.id, &["--no-wait"]), "stopped");
    let archived = queued(world.run().key("k").steps(["exit:0"]));
    let _archived = world.ctl(&["archive", &archived.id]).ok();
    assert_ended(&world.show(&archived.id), "cancelled", "user", "declared");
    gate.open();
    let _first = world.ended(&first.id);
    let kept = settled_spec(&world, &waits.id);
    assert!(!kept.contains("client_env"), "{kept}");
    world.check();
}

#[test]
fn an_attached_run_waits_for_its_turn() {
    let world = one_at_a_time();
    let _supervisor = world.start();
    let gate = world.gate("first");
    let first = running(&world, &gate);
    let run = world.run().steps(["print:at last", "exit:0"]);
    let id = run.task_id().to_string();
    let client = Background::start(run.command(&[]));
    world.wait_for_row(&id, "a place in the queue", |status| status == "queued");
    gate.open();
    let output = client.output().ok();
    assert_eq!(output.stdout, "at last\n");
    assert!(
        output
            .stderr
            .starts_with("agentctl: queued, at place 1 of 1: 1 task runs\n"),
        "{output:#?}"
    );
    let _first = world.ended(&first.id);
    world.check();
}

#[test]
fn a_killed_supervisor_loses_nobody_and_no_secret_is_shown() {
    let world = one_at_a_time();
    let supervisor = world.start();
    let gate = world.gate("first");
    let first = running(&world, &gate);
    let waits = queued(
        world
            .run()
            .option("--env", "TOKEN=hush-hush")
            .steps(["env:TOKEN", "exit:0"]),
    );
    let second = queued(world.run().steps(["exit:0"]));
    let spec = world.task_dir(&waits.id).join("spec");
    let mode = fs::metadata(&spec).expect("kept").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    supervisor.kill();
    let _next = world.start();
    assert_eq!(world.show(&waits.id)["status"], "queued");
    let rows = world
        .ledger()
        .rows("SELECT payload FROM agent_run_event", &[]);
    let shown = world.ctl(&["list", "--json"]).ok().stdout + &format!("{rows:?}{}", world.log());
    assert!(!shown.contains("hush-hush"));
    gate.open();
    let _ends = [&first.id, &waits.id, &second.id].map(|id| world.ended(id));
    assert!(started_at(&world, &waits) <= started_at(&world, &second));
    let logs = world.ctl(&["logs", &waits.id]).ok();
    assert_eq!(logs.stdout, "TOKEN=hush-hush\n");
    let kept = settled_spec(&world, &waits.id);
    assert!(!kept.contains("hush-hush"), "{kept}");
    world.check();
}

#[test]
fn a_drain_starts_nobody_and_the_next_supervisor_does() {
    let world = one_at_a_time();
    let supervisor = world.start();
    let gate = world.gate("first");
    let first = running(&world, &gate);
    let waits = queued(world.run().steps(["exit:0"]));
    supervisor.signal(Signal::SIGTERM);
    wait_until("a drain", GENEROUS, || {
        world.log().contains("draining 1 tasks")
    });
    gate.open();
    let _status = supervisor.ended();
    let row = world.ledger().task(&waits.id).expect("a row");
    assert_eq!(row.text("status"), Some("queued"));
    let _next = world.start();
    assert_ended(&world.ended(&first.id), "success", "completed", "observed");
    assert_ended(&world.ended(&waits.id), "success", "completed", "observed");
    world.check();
}

#[test]
fn a_drain_that_is_called_off_goes_on_with_the_queue() {
    let world = one_at_a_time();
    let _supervisor = world.start();
    let gate = world.gate("first");
    let first = running(&world, &gate);
    let waits = queued(world.run().steps(["exit:0"]));
    let drain = Background::start(world.ctl_command(&["drain"]));
    wait_until("a drain", GENEROUS, || {
        world.log().contains("draining 1 tasks")
    });
    gate.open();
    let _drained = drain.output().ok();
    let _first = world.ended(&first.id);
    assert_eq!(world.show(&waits.id)["status"], "queued");
    let _admits = world.ctl(&["drain", "--cancel"]).ok();
    let _waits = world.ended(&waits.id);
    world.check();
}

#[test]
fn the_same_id_is_the_same_task_and_a_newer_one_takes_its_place() {
    let world = one_at_a_time();
    let _supervisor = world.start();
    let gate = world.gate("first");
    let first = running(&world, &gate);
    let run = ["run", "--key", "k", "-d", "--json", "--id"];
    let dispatch = |rest: &[&str]| world.ctl(&[&run[..], rest].concat());
    let once = dispatch(&["a", "--", "true"]).ok().json();
    let twice = dispatch(&["a", "--", "true"]).ok().json();
    assert_eq!(once["queued_at"], twice["queued_at"]);
    let _other = dispatch(&["a", "--", "false"]).expect_code(4);
    let newer = dispatch(&["b", "--on-conflict", "replace", "--", "true"]).ok();
    assert_eq!(newer.json()["status"], "queued");
    let old = world.show("a");
    assert_ended(&old, "cancelled", "superseded_by_task", "declared");
    assert_eq!(old["intents"][0]["note"], "replaced by task b");
    gate.open();
    let _first = world.ended(&first.id);
    assert_ended(&world.ended("b"), "success", "completed", "observed");
    world.check();
}

/// The place of the one that is stopped is not given to those who wait.
#[test]
fn whoever_replaces_a_task_has_its_place() {
    let world = one_at_a_time();
    let _supervisor = world.start();
    let old = world
        .run()
        .key("k")
        .steps(["mark:up", "forever"])
        .detached();
    old.marked("up");
    let waits = queued(world.run().steps(["exit:0"]));
    let new = world
        .run()
        .key("k")
        .option("--on-conflict", "replace")
        .steps(["mark:up", "forever"])
        .detached();
    assert_eq!(new.task["status"], "running");
    assert_eq!(world.show(&waits.id)["status"], "queued");
    assert_eq!(world.stop(&new.id, &[]), "stopped");
    let _waits = world.ended(&waits.id);
    world.check();
}

#[test]
fn a_retry_may_wait_too() {
    let world = World::running();
    let gate = world.gate("busy");
    let done = world.run().key("k").argv(["true"]).detached();
    let _done = world.ended(&done.id);
    let busy = holder(&world, &gate).key("k").detached();
    busy.marked("up");
    let again = ["retry", &done.id, "-d", "--json", "--on-conflict", "queue"];
    let again = world.ctl(&again).ok().json();
    assert_eq!(again["status"], "queued");
    assert_eq!(again["links"]["retry_of"], json!(done.id));
    gate.open();
    let ended = world.ended(again["id"].as_str().expect("an id"));
    assert_ended(&ended, "success", "completed", "observed");
    world.check();
}
