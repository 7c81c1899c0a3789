//! `--on-conflict replace`: the newer task takes the place of the live one.

use serde_json::{Value, json};
use tests::harness::{Dispatched, GENEROUS, Output, World, wait_until};
use tests::scenarios::assert_ended;

const KEY: &str = "forge:repo:7";

/// It runs for ever, after these steps.
fn holder(world: &World, steps: &[&str]) -> Dispatched {
    let mut all = steps.to_vec();
    all.extend(["mark:up", "forever"]);
    let task = world.run().key(KEY).steps(all).detached();
    task.marked("up");
    task
}

fn replace(world: &World, id: &str) -> Output {
    world.ctl(&[
        "run",
        "--id",
        id,
        "--key",
        KEY,
        "--on-conflict",
        "replace",
        "-d",
        "--json",
        "--",
        "sleep",
        "1000",
    ])
}

#[test]
fn the_live_task_is_gone_before_the_new_one_starts() {
    let world = World::running();
    // It ignores TERM and leaves a daemon: the whole tree has to go.
    let old = holder(&world, &["spawn:daemon:1:forever", "ignore:SIGTERM"]);
    let records = old.records.processes();
    let new = replace(&world, "new").ok().json();
    assert_eq!(new["status"], "running");
    assert!(records.iter().all(|process| !process.is_alive()));
    let ended = world.show(&old.id);
    assert_ended(&ended, "cancelled", "superseded_by_task", "declared");
    assert_eq!(ended["archive_label"], "Replaced by a newer task");
    let intent = &ended["intents"][0];
    assert_eq!(intent["outcome"], "effective");
    assert_eq!(intent["note"], "replaced by task new");
    assert_eq!(intent["requested_by"]["via"], "control");
    assert!(
        ended["finished_at"].as_str() <= new["started_at"].as_str(),
        "{new:#}"
    );
    assert_eq!(world.stop("new", &[]), "stopped");
    world.check();
}

#[test]
fn a_free_key_is_used_at_once_and_a_repeated_dispatch_stops_nothing() {
    let world = World::running();
    let first = replace(&world, "a").ok().json();
    let same = replace(&world, "a").ok().json();
    assert_eq!(
        same["agent_pid"], first["agent_pid"],
        "it did not replace itself"
    );
    let _next = replace(&world, "b").ok();
    assert_eq!(world.show("a")["archive_reason"], "superseded_by_task");
    // Asked again about what was replaced: an answer, and nothing is stopped.
    let old = replace(&world, "a").ok().json();
    assert_eq!(old["status"], "cancelled");
    assert_eq!(world.show("b")["status"], "running");
    assert_eq!(world.stop("b", &[]), "stopped");
    world.check();
}

#[test]
fn what_would_be_refused_stops_nothing() {
    let world = World::running();
    let old = holder(&world, &[]);
    let provider = world.ctl(&[
        "run",
        "--key",
        KEY,
        "--on-conflict",
        "replace",
        "-d",
        "--provider",
        "nobody",
        "--prompt",
        "x",
    ]);
    let _usage = provider.expect_code(2);
    let conflict = world.ctl(&[
        "run",
        "--id",
        &old.id,
        "--key",
        KEY,
        "--on-conflict",
        "replace",
        "-d",
        "--",
        "true",
    ]);
    let _other_spec = conflict.expect_code(4);
    assert_eq!(world.show(&old.id)["status"], "running");
    assert_eq!(world.show(&old.id)["intents"], json!([]));
    assert_eq!(world.stop(&old.id, &[]), "stopped");
    world.check();
}

/// A conversation that was cut off is not taken up without a release, nor is one
/// that would only be cut off by the replacement: neither costs the live task.
#[test]
fn a_session_that_may_not_be_resumed_stops_nothing() {
    let world = World::new();
    world.install_fake("claude");
    let _supervisor = world.start();
    let talk = |steps: &[&str]| {
        let run = world.run().provider("claude").key(KEY);
        run.steps(steps.to_vec()).detached()
    };
    let cut = talk(&["mark:up", "forever"]);
    cut.marked("up");
    assert_eq!(world.stop(&cut.id, &[]), "stopped");
    let live = talk(&["mark:again", "forever"]);
    live.marked("again");
    let reopen = |id: &str| {
        let words = ["reopen", id, "--prompt", "hello", "-d"];
        world.ctl(&[&words[..], &["--on-conflict", "replace"]].concat())
    };
    let refused = reopen(&cut.id).expect_code(4);
    assert!(refused.stderr.contains("sessions release"), "{refused:?}");
    let session = world.show(&live.id)["session_id"].clone();
    let session = session.as_str().expect("chosen before the start");
    let run = ["run", "--provider", "claude", "--prompt", "hello", "-d"];
    let own = ["--resume", session, "--on-conflict", "replace"];
    let refused = world.ctl(&[&run[..], &own].concat()).expect_code(4);
    let told = format!("in use by task {}", live.id);
    assert!(refused.stderr.contains(&told), "{refused:?}");
    assert!(refused.stderr.contains("--unsafe-resume"), "{refused:?}");
    // A prompt is missing, which only the provider can say.
    let run = ["run", "--provider", "claude", "--key", KEY, "-d"];
    let _usage = world
        .ctl(&[&run[..], &["--on-conflict", "replace"]].concat())
        .expect_code(2);
    assert_eq!(world.show(&live.id)["status"], "running");
    assert_eq!(world.show(&live.id)["intents"], json!([]));
    assert_eq!(world.stop(&live.id, &[]), "stopped");
    world.check();
}

/// Each of several at once takes the place of another one; the last one lives,
/// and every other one is told why it is gone.
#[test]
fn several_at_once_leave_one() {
    let world = World::running();
    let old = holder(&world, &[]);
    let ids: Vec<String> = (0..6).map(|n| format!("r{n}")).collect();
    std::thread::scope(|scope| {
        for id in &ids {
            let world = &world;
            scope.spawn(move || replace(world, id).ok());
        }
    });
    assert_eq!(world.show(&old.id)["archive_reason"], "superseded_by_task");
    let live: Vec<Value> = world.ctl(&["list", "--json"]).ok().json()["tasks"]
        .as_array()
        .expect("a list")
        .clone();
    assert_eq!(live.len(), 1, "{live:#?}");
    for id in ids.iter().filter(|id| live[0]["id"] != json!(id)) {
        let ended = world.show(id);
        assert_ended(&ended, "cancelled", "superseded_by_task", "declared");
    }
    let last = live[0]["id"].as_str().expect("an id");
    assert_eq!(world.stop(last, &[]), "stopped");
    world.check();
}

/// The stop is durable; the client asks the next supervisor again.
#[test]
fn a_supervisor_that_dies_in_between_loses_nothing() {
    let world = World::builder().hooks(["shim.signal.before"]).build();
    let first = world.start();
    let old = holder(&world, &[]);
    world.hooks().arm("shim.signal.before");
    std::thread::scope(|scope| {
        let client = scope.spawn(|| replace(&world, "new"));
        let paused = world.hooks().reached();
        first.kill();
        let _next = world.start();
        paused.go();
        let new = client.join().expect("no panic").ok().json();
        assert_eq!(new["id"], "new");
    });
    let ended = world.ended(&old.id);
    assert_ended(&ended, "cancelled", "superseded_by_task", "declared");
    wait_until("the new one", GENEROUS, || {
        world.show("new")["status"] == "running"
    });
    assert_eq!(world.stop("new", &[]), "stopped");
    world.check();
}

#[test]
fn a_retry_may_replace_too() {
    let world = World::running();
    let task = world.run().key(KEY).argv(["sleep", "1000"]).detached();
    assert_eq!(world.stop(&task.id, &[]), "stopped");
    let old = holder(&world, &[]);
    let busy = world.ctl(&["retry", &task.id, "-d"]);
    let _refused = busy.expect_code(4);
    let new = world
        .ctl(&[
            "retry",
            &task.id,
            "--on-conflict",
            "replace",
            "--id",
            "new",
            "-d",
            "--json",
        ])
        .ok()
        .json();
    assert_eq!(new["links"]["retry_of"], json!(task.id));
    assert_eq!(world.show(&old.id)["archive_reason"], "superseded_by_task");
    assert_eq!(world.stop("new", &[]), "stopped");
    world.check();
}
