//! The event log over HTTP: nothing lost, nothing twice, and the last word first.

use serde_json::{Value, json};
use tests::harness::{Bins, GENEROUS, Sent, Source, World, wait_for};

const CONFIG: &str = "[http]\nlisten = \"127.0.0.1:0\"\ntoken_file = \"{dir}/token\"\n\
    [shutdown]\ndrain_ms = 0\ngrace_ms = 0\n";

fn world() -> World {
    let world = World::builder().config(CONFIG).build();
    world.write_token();
    world
}

fn kinds(sent: &[Sent]) -> Vec<&str> {
    sent.iter().map(|sent| sent.kind.as_str()).collect()
}

/// What came and what the log has are the same lines.
fn logged(world: &World) -> Vec<Value> {
    world.ctl(&["events", "--json"]).ok().json_lines()
}

#[test]
fn a_client_that_comes_back_misses_nothing() {
    let world = world();
    let first = world.start();
    let http = world.http();
    let (mut source, hello) = Source::open(&http, "/v1/events");
    assert_eq!(hello["resume"], "ok");
    let task = world.post_task(&http, &["exit:0"]);
    let mut seen = source.until("task.ended");
    let last = seen.last().and_then(|sent| sent.id).expect("it has a seq");
    drop(source);
    let _ended = world.ended(&task.id);
    first.kill();
    let _second = world.start();
    let http = wait_for("the next gateway", GENEROUS, || {
        let http = world.http();
        http.try_ask("GET", "/healthz", "").map(|_| http)
    });
    let other = world.post_task(&http, &["exit:0"]);
    let _ended = world.ended(&other.id);
    let back = http.with("last-event-id", &last.to_string());
    let (mut source, again) = Source::open(&back, "/v1/events");
    assert_eq!(again["resume"], "ok");
    assert_eq!(again["ledger_id"], hello["ledger_id"]);
    seen.extend(source.until("task.ended"));
    let from = hello["seq"].as_u64().expect("a number") + 1;
    let log = logged(&world);
    let expected: Vec<_> = log
        .iter()
        .filter(|line| line["seq"].as_u64() >= Some(from))
        .take(seen.iter().filter(|sent| sent.id.is_some()).count())
        .collect();
    let got: Vec<_> = seen.iter().filter(|sent| sent.id.is_some()).collect();
    assert_eq!(
        got.iter().map(|sent| &sent.data).collect::<Vec<_>>(),
        expected
    );
    for sent in got {
        assert_eq!(sent.data["seq"].as_u64(), sent.id);
        assert_eq!(sent.data["type"], sent.kind);
    }
    world.check();
}

/// What an agent is doing comes as it says it, without a number: it is in no ledger.
#[test]
fn progress_comes_and_has_no_id() {
    let world = world();
    world.install_fake("claude");
    let _supervisor = world.start();
    let http = world.http();
    let (mut source, _) = Source::open(&http, "/v1/events?type=task.progress,task.ended");
    let gate = world.gate("said");
    let step = gate.step();
    let run = world.run().provider("claude");
    let task = run
        .steps(["say:reading the parser", &step, "exit:0"])
        .detached();
    let seen = source.until("task.progress");
    let progress = seen.last().expect("it came");
    gate.open();
    let _end = source.until("task.ended");
    assert_eq!(progress.data["text"], "reading the parser");
    assert_eq!(
        (progress.kind.as_str(), progress.id),
        ("task.progress", None)
    );
    assert_eq!(progress.data["task_id"], json!(task.id));
    assert!(progress.data.get("seq").is_none(), "{progress:?}");
    world.check();
}

#[test]
fn what_another_ledger_numbered_is_a_gap() {
    let world = world();
    let _supervisor = world.start();
    let http = world.http().with("last-event-id", "123456");
    let (mut source, hello) = Source::open(&http, "/v1/events");
    assert_eq!(hello["resume"], "gap");
    let _task = world.post_task(&world.http(), &["exit:0"]);
    let _goes_on = source.until("task.ended");
    world.check();
}

/// Everyone hears of the end, whatever they asked for, before anything is stopped.
#[test]
fn a_shutdown_is_told_to_everyone_first() {
    let world = world();
    let supervisor = world.start();
    let http = world.http();
    let task = world.post_task(&http, &["mark:up", "forever"]);
    task.marked("up");
    let other = world.post_task(&http, &["exit:0"]);
    let _ended = world.ended(&other.id);
    let (mut all, _) = Source::open(&http, "/v1/events?from=1");
    let (mut one, _) = Source::open(&http, &format!("/v1/events?from=1&task={}", task.id));
    let (mut ends, _) = Source::open(&http, "/v1/events?type=task.ended");
    assert!(supervisor.terminate().success());
    let seen = all.until("service_shutdown");
    let word = &seen.last().expect("it came").data;
    assert_eq!(word["busy"], json!([task.id]));
    assert!(!kinds(&seen).contains(&"task.stop_requested"));
    assert!(kinds(&all.until("task.ended")).contains(&"task.stop_requested"));
    let seen = one.until("service_shutdown");
    let strangers = |sent: &&Sent| sent.data["task_id"] == other.id.as_str();
    assert_eq!(seen.iter().filter(strangers).count(), 0);
    assert_eq!(
        kinds(&ends.until("task.ended")),
        ["service_shutdown", "task.ended"]
    );
    world.check();
}

/// A rebuild numbers anew: a number of the ledger before means nothing in the new one.
#[test]
fn a_rebuilt_ledger_is_a_gap() {
    let world = world();
    let first = world.start();
    let http = world.http();
    let task = world.post_task(&http, &["exit:0"]);
    let _ended = world.ended(&task.id);
    assert!(first.terminate().success());
    let mut recover = world.command(Bins::locate().supervisor());
    recover.arg("recover");
    let _said = world.finish(recover).ok();
    let _second = world.start();
    let http = wait_for("the next gateway", GENEROUS, || {
        let http = world.http();
        http.try_ask("GET", "/healthz", "").map(|_| http)
    });
    let back = http.with("last-event-id", "2");
    let (_source, hello) = Source::open(&back, "/v1/events");
    assert_eq!(hello["resume"], "gap", "{hello}");
    let (_source, hello) = Source::open(&http, "/v1/events?from=1");
    assert_eq!(hello["resume"], "ok", "it asks for what there is: {hello}");
    world.check();
}
