//! What the gateway says of whoever asked it, and of what is in the way.

use std::fs;

use serde_json::json;
use tests::harness::World;

const CONFIG: &str = "[http]\nlisten = \"127.0.0.1:0\"\ntoken_file = \"{dir}/token\"\n";

fn path_of(id: &str) -> String {
    format!("/v1/tasks/{id}")
}

fn world() -> World {
    let world = World::builder().config(CONFIG).build();
    world.write_token();
    world
}

/// The token is anybody's: no user is known, and it was not the supervisor.
#[test]
fn a_stop_with_the_token_is_not_the_supervisors_own() {
    let world = world();
    let _supervisor = world.start();
    let http = world.http();
    let task = world.post_task(&http, &["mark:up", "forever"]);
    task.marked("up");
    let stopped = http.post(&format!("{}/stop", path_of(&task.id)), &json!({}));
    assert_eq!(stopped.status, 200);
    assert_eq!(world.show(&task.id)["ended_by"], "http");
    let why = http.get(&format!("{}/why", path_of(&task.id))).json();
    let mut steps = why["chain"].as_array().expect("a list").iter();
    let asked = steps.find(|step| step["what"] == "stop requested");
    let who = &asked.expect("it was asked for")["who"];
    assert_eq!(who, "a client of the gateway (over HTTP)");
    let shown = world.ctl(&["show", &task.id]).ok().stdout;
    assert!(shown.contains("by a client of the gateway"), "{shown}");
    assert!(!shown.contains("by via"), "{shown}");
    let live = world.post_task(&http, &["mark:live", "forever"]);
    live.marked("live");
    let archived = http.ask("POST", &format!("{}/archive", path_of(&live.id)), "");
    assert_eq!(archived.json()["archived_by"], "http");
    world.check();
}

/// Whoever is refused a busy key sees which task has it.
#[test]
fn a_busy_key_comes_with_the_task_that_has_it() {
    let world = world();
    let _supervisor = world.start();
    let http = world.http();
    let done = world.run().key("talk").steps(["exit:0"]).detached();
    let _done = world.ended(&done.id);
    let task = world
        .run()
        .key("talk")
        .steps(["mark:up", "forever"])
        .detached();
    task.marked("up");
    let mut body = world.task_body("second", &["exit:0"]);
    body["key"] = json!("talk");
    let retry = format!("{}/retry", path_of(&done.id));
    for refused in [http.post("/v1/tasks", &body), http.post(&retry, &json!({}))] {
        assert_eq!(refused.error(409)["code"], "key_busy");
        let holder = &refused.json()["task"];
        assert_eq!(holder["id"], json!(task.id));
        assert_eq!(holder["status"], "running");
    }
    assert_eq!(world.stop(&task.id, &[]), "stopped");
    world.check();
}

/// Two names for one thing: none is chosen for the client.
#[test]
fn an_idempotency_key_is_given_once() {
    let world = world();
    let _supervisor = world.start();
    let http = world.http();
    let twice = http
        .with("idempotency-key", "one")
        .with("idempotency-key", "two");
    let body = json!({"cwd": "/", "argv": ["true"]});
    let error = twice.post("/v1/tasks", &body).error(400);
    assert!(
        error["message"].to_string().contains("Idempotency-Key"),
        "{error}"
    );
    assert!(world.ledger().tasks().is_empty());
    world.check();
}

/// The local port and the timer of each open TCP connection.
fn timers(port: &str) -> Vec<String> {
    let table = fs::read_to_string("/proc/net/tcp").expect("Linux has it");
    let rows = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row[1].ends_with(&format!(":{port}")) && row[3] == "01")
        .map(|row| row[5].to_owned())
        .collect()
}

/// A client whose machine is gone is noticed though nothing is sent to it.
#[test]
fn a_silent_client_is_asked_whether_it_is_there() {
    let world = world();
    let _supervisor = world.start();
    let http = world.http();
    let (_source, _hello) = tests::harness::Source::open(&http, "/v1/events");
    let port: u16 = http
        .address()
        .rsplit(':')
        .next()
        .and_then(|port| port.parse().ok())
        .expect("a port");
    let waiting = || {
        timers(&format!("{port:04X}"))
            .iter()
            .any(|timer| timer.starts_with("02:"))
    };
    tests::harness::wait_until(
        "the timer of its connection",
        tests::harness::GENEROUS,
        waiting,
    );
    world.check();
}
