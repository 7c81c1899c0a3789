//! Which conversation a queued task takes part in is decided when its turn
//! comes (R6), and what is kept of the queue is enough to make it again.

use serde_json::{Value, json};
use tests::harness::{Background, Bins, Dispatched, GENEROUS, World, wait_until};
use tests::scenarios::assert_ended;

const KEY: &str = "forge:repo:1";

fn world() -> World {
    let world = World::new();
    world.install_fake("claude");
    world
}

fn dispatch(world: &World, options: &[(&str, &str)], steps: &[&str]) -> Dispatched {
    let run = world
        .run()
        .provider("claude")
        .key(KEY)
        .steps(steps.iter().copied());
    let run = options
        .iter()
        .fold(run, |run, (name, value)| run.option(name, value));
    run.detached()
}

/// It talks, and stands at the gate.
fn talk(world: &World, gate: &str) -> Dispatched {
    let task = dispatch(world, &[], &["one", "mark:up", gate]);
    task.marked("up");
    task
}

#[test]
fn the_predecessors_end_says_what_is_resumed() {
    let world = world();
    let _supervisor = world.start();
    let gate = world.gate("first");
    let first = talk(&world, &gate.step());
    let next = dispatch(&world, &[("--on-conflict", "queue")], &["two"]);
    assert_eq!(next.task["status"], "queued");
    assert_eq!(
        next.task["session_id"],
        Value::Null,
        "nothing is decided yet"
    );
    gate.open();
    let first = world.ended(&first.id);
    let next = world.ended(&next.id);
    assert_eq!(next["resumed"], first["session_id"]);
    assert_eq!(next["result"]["text"], "answer 2: two");

    let cut_off = dispatch(&world, &[], &["mark:up", "forever"]);
    cut_off.marked("up");
    let fresh = dispatch(&world, &[("--on-conflict", "queue")], &["three"]);
    assert_eq!(world.stop(&cut_off.id, &[]), "stopped");
    let fresh = world.ended(&fresh.id);
    assert_ended(&fresh, "success", "completed", "observed");
    assert_eq!(fresh["resumed"], Value::Null);
    assert_ne!(fresh["session_id"], first["session_id"]);
    world.check();
}

/// Nobody may wonder why an agent knows nothing of what was said before.
#[test]
fn why_a_task_begins_afresh_is_kept_and_told_to_who_waits() {
    let world = world();
    let _supervisor = world.start();
    let cut_off = talk(&world, "forever");
    let session = world.show(&cut_off.id)["session_id"].clone();
    let session = session.as_str().expect("a session");
    let waits = world.run().provider("claude").key(KEY).steps(["two"]);
    let id = waits.task_id().to_owned();
    let attached = waits.option("--on-conflict", "queue").command(&[]);
    let attached = Background::start(attached);
    world.wait_for_row(&id, "a place in the queue", |status| status == "queued");
    assert_eq!(world.stop(&cut_off.id, &[]), "stopped");
    let output = attached.output().ok();
    let told = format!("session {session} of key {KEY} is quarantined (user); starting fresh");
    assert_eq!(output.stderr.matches(&told).count(), 1, "{}", output.stderr);
    let why = world.ctl(&["why", &id]).ok().stdout;
    assert!(why.contains("session passed over"), "{why}");
    assert!(why.contains(&told), "{why}");
    // One that need not wait is told in its answer, and only once.
    let _cut_off = world.ctl(&["sessions", "quarantine", KEY]).ok();
    let direct = world.run().provider("claude").key(KEY).steps(["three"]);
    let direct_id = direct.task_id().to_owned();
    let output = direct.attached().ok();
    assert_eq!(
        output.stderr.matches("starting fresh").count(),
        1,
        "{}",
        output.stderr
    );
    let why = world.ctl(&["why", &direct_id]).ok().stdout;
    assert!(why.contains("is quarantined (operator"), "{why}");
    world.check();
}

#[test]
fn a_named_session_that_was_cut_off_meanwhile_is_not_resumed() {
    let world = world();
    let _supervisor = world.start();
    let gate = world.gate("first");
    let first = talk(&world, &gate.step());
    let session = world.show(&first.id)["session_id"].clone();
    let session = session.as_str().expect("a session");
    let queue = ("--on-conflict", "queue");
    let next = dispatch(&world, &[queue, ("--resume", session)], &["two"]);
    assert_eq!(world.stop(&first.id, &[]), "stopped");
    let next = world.ended(&next.id);
    assert_ended(&next, "failure", "spawn_failed", "observed");
    let told = next["evidence"].to_string();
    assert!(told.contains("is quarantined: user"), "{told}");
    assert_eq!(next["started_at"], Value::Null);
    // What can be known at the dispatch is refused there, without a row.
    let rows = world.ledger().tasks().len();
    let unknown = [
        "run",
        "-d",
        "--key",
        KEY,
        "--provider",
        "claude",
        "--prompt",
        "x",
    ];
    let unknown = [
        &unknown[..],
        &["--resume", "nobody", "--on-conflict", "queue"],
    ]
    .concat();
    let _not_found = world.ctl(&unknown).expect_code(3);
    assert_eq!(world.ledger().tasks().len(), rows);
    world.check();
}

#[test]
fn a_rebuilt_ledger_has_the_queue() {
    let world = World::builder().config("[limits]\nmax_tasks = 1\n").build();
    let supervisor = world.start();
    let gate = world.gate("first");
    let first = world.run().steps(["mark:up", &gate.step()]).detached();
    first.marked("up");
    let waiting: Vec<Dispatched> = (0..3)
        .map(|n| {
            let token = format!("N={n}");
            let run = world.run().option("--env", &token);
            run.steps(["env:N", "exit:0"]).detached()
        })
        .collect();
    supervisor.kill();
    std::fs::remove_file(world.ledger().path()).expect("it was there");
    let mut recover = world.command(Bins::locate().supervisor());
    recover.arg("recover");
    let _rebuilt = world.finish(recover).ok();
    let _next = world.start();
    for task in &waiting {
        assert_eq!(world.show(&task.id)["status"], "queued");
    }
    gate.open();
    let _first = world.ended(&first.id);
    let mut starts = Vec::new();
    for (n, task) in waiting.iter().enumerate() {
        let ended = world.ended(&task.id);
        assert_ended(&ended, "success", "completed", "observed");
        starts.push(ended["started_at"].as_str().expect("started").to_string());
        let logs = world.ctl(&["logs", &task.id]).ok();
        assert_eq!(logs.stdout, format!("N={n}\n"));
    }
    assert!(starts.is_sorted(), "{starts:?}");
    world.check();
}

#[test]
fn the_gateway_queues_and_counts() {
    let config = "[limits]\nmax_tasks = 1\n[http]\nlisten = \"127.0.0.1:0\"\n\
        token_file = \"{dir}/token\"\n";
    let world = World::builder().config(config).build();
    world.write_token();
    let _supervisor = world.start();
    let http = world.http();
    let gate = world.gate("first");
    let first = world.run().steps(["mark:up", &gate.step()]).detached();
    first.marked("up");
    let mut body = world.task_body("waits", &["exit:0"]);
    body["on_conflict"] = json!("queue");
    let posted = http.post("/v1/tasks", &body);
    assert_eq!(posted.status, 201, "{posted:#?}");
    assert_eq!(posted.json()["status"], "queued");
    let again = http.post("/v1/tasks", &body);
    assert_eq!(again.status, 200, "{again:#?}");
    let metrics = http.get("/metrics").body;
    assert!(
        metrics.contains("\nagent_supervisor_queue_depth 1\n"),
        "{metrics}"
    );
    assert!(metrics.contains("\nagent_supervisor_queue_oldest_seconds "));
    gate.open();
    let _first = world.ended(&first.id);
    let _waits = world.ended("waits");
    wait_until("an empty queue", GENEROUS, || {
        let metrics = http.get("/metrics").body;
        metrics.contains("\nagent_supervisor_queue_depth 0\n")
    });
    world.check();
}
