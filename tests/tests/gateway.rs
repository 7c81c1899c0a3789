//! The gateway: the same requests as the control socket, over HTTP.

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use serde_json::{Value, json};
use tests::harness::{GENEROUS, Http, Process, Supervisor, World, wait_for, wait_until};
use tests::scenarios::assert_ended;

const CONFIG: &str = "[http]\nlisten = \"127.0.0.1:0\"\ntoken_file = \"{dir}/token\"\n";

fn world_with(hooks: &[&str]) -> World {
    let world = World::builder()
        .config(CONFIG)
        .hooks(hooks.iter().copied())
        .build();
    world.write_token();
    world
}

fn serving() -> (World, Arc<Supervisor>, Http) {
    let world = world_with(&[]);
    let supervisor = world.start();
    let http = world.http();
    (world, supervisor, http)
}

fn path_of(id: &str) -> String {
    format!("/v1/tasks/{id}")
}

#[test]
fn nobody_comes_in_without_the_token() {
    let (world, _supervisor, http) = serving();
    let bare = http.bare();
    assert_eq!(bare.get("/healthz").body, "ok\n");
    let ready = json!({"phase": "admitting", "refusing": null});
    assert_eq!(bare.get("/readyz").json(), ready);
    for client in [
        bare.clone(),
        bare.with("authorization", "Bearer 0123456789abcdef0123456789abcdeg"),
        bare.with("authorization", "Basic 0123456789abcdef0123456789abcdef"),
    ] {
        let refused = client.post("/v1/tasks", &world.task_body("never", &["exit:0"]));
        assert_eq!(refused.error(401)["code"], "unauthorized");
        assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
        assert_eq!(client.get("/v1/events").status, 401);
    }
    assert!(world.ledger().tasks().is_empty());
    world.check();
}

#[test]
fn a_door_without_a_lock_is_not_opened() {
    for (config, words) in [
        ("[http]\nlisten = \"0.0.0.0:0\"\n", "set `token_file`"),
        ("[http]\nlisten = \"127.0.0.1:0\"\n", "set `token_file`"),
        (CONFIG, "open to everyone"),
    ] {
        let world = World::builder().config(config).build();
        world.write_token();
        std::fs::set_permissions(world.path("token"), Permissions::from_mode(0o644))
            .expect("the test's own file");
        let supervisor = world.spawn_supervisor();
        assert_eq!(supervisor.ended().code(), Some(2), "{}", supervisor.log());
        assert!(supervisor.log().contains(words), "{}", supervisor.log());
    }
}

/// What HTTP answers is what `agentctl --json` prints.
#[test]
fn a_task_lives_and_is_told_of_as_agentctl_does() {
    let (world, _supervisor, http) = serving();
    let task = world.post_task(&http, &["print:hello", "exit:0"]);
    assert_eq!(task.task["id"], task.id);
    let ended = world.ended(&task.id);
    assert_ended(&ended, "success", "completed", "observed");
    let at = path_of(&task.id);
    assert_eq!(http.get(&at).json(), ended);
    let same = |path: &str, arguments: &[&str]| {
        let theirs = world.ctl(&[arguments, &["--json"]].concat()).ok().json();
        assert_eq!(http.get(path).json(), theirs, "{path}");
    };
    same(&format!("{at}/why"), &["why", &task.id]);
    same("/v1/tasks?all", &["list", "-a"]);
    same(
        "/v1/tasks?status=success,failure&n=5",
        &["list", "--status", "success"],
    );
    same("/v1/tasks", &["list"]);
    same("/v1/sessions", &["sessions"]);
    same("/v1/status", &["status"]);
    let line: Value = http.get(&format!("{at}/logs")).json();
    assert_eq!(
        line,
        json!({"stream": "stdout", "offset": 0, "text": "hello\n"})
    );
    assert_eq!(
        http.get(&format!("{at}/logs?raw&follow=true")).body,
        "hello\n"
    );
    assert_eq!(http.get(&format!("{at}/logs?stream=stderr")).body, "");
    assert_eq!(http.ask("HEAD", &at, "").body, "");
    world.check();
}

#[test]
fn a_repeated_dispatch_is_the_same_task() {
    let (world, _supervisor, http) = serving();
    let task = world.post_task(&http, &["exit:0"]);
    let mut body = world.task_body(&task.id, &["exit:0"]);
    let again = http.post("/v1/tasks", &body);
    assert_eq!((again.status, &again.json()["id"]), (200, &json!(task.id)));
    body.as_object_mut().expect("an object").remove("id");
    let keyed = http
        .with("idempotency-key", &task.id)
        .post("/v1/tasks", &body);
    assert_eq!((keyed.status, &keyed.json()["id"]), (200, &json!(task.id)));
    body["name"] = json!("another");
    let other = http
        .with("idempotency-key", &task.id)
        .post("/v1/tasks", &body);
    assert_eq!(other.error(409)["code"], "id_conflict");
    let _ended = world.ended(&task.id);
    assert_eq!(world.ledger().tasks().len(), 1);
    world.check();
}

/// A caller over HTTP has no environment: every way to dispatch lends the same.
#[test]
fn every_dispatch_over_http_has_the_supervisors_environment() {
    let (world, _supervisor, http) = serving();
    let names = |task: &Value| -> BTreeSet<String> {
        let pid = task["agent_pid"].as_i64().expect("a pid");
        let agent = Process::now(i32::try_from(pid).expect("a pid"));
        let names = agent.expect("it lives").environment().into_iter();
        // The marker has the task's name.
        names
            .map(|(name, _)| name)
            .filter(|name| !name.starts_with("AGENT_TASK_"))
            .collect()
    };
    let started = |path: &str, body: Value| {
        let answer = http.post(path, &body);
        assert_eq!(answer.status, 201, "{answer:?}");
        let id = answer.json()["id"].as_str().expect("an id").to_owned();
        wait_for("the agent", GENEROUS, || {
            let task = world.show(&id);
            match task["agent_pid"].is_i64() {
                true => Ok(task),
                false => Err(task.to_string()),
            }
        })
    };
    let body = |id: &str| json!({"id": id, "cwd": "/", "argv": ["sleep", "1000"]});
    let plain = names(&started("/v1/tasks", body("plain")));
    assert!(plain.contains("HOME"), "{plain:?}");
    let mut other = body("other");
    other["on_conflict"] = json!("replace");
    assert_eq!(names(&started("/v1/tasks", other)), plain);
    assert_eq!(world.stop("plain", &[]), "stopped");
    let retry = started("/v1/tasks/plain/retry", json!({"id": "again"}));
    assert_eq!(names(&retry), plain);
    for id in ["other", "again"] {
        assert_eq!(world.stop(id, &[]), "stopped");
    }
    world.check();
}

#[test]
fn a_stop_over_http_has_its_intent() {
    let (world, _supervisor, http) = serving();
    let task = world.post_task(&http, &["mark:up", "forever"]);
    task.marked("up");
    let stop = format!("{}/stop", path_of(&task.id));
    let body = json!({"reason": "runner_stop", "note": "from the hub"});
    let stopped = http.post(&stop, &body);
    assert_eq!(
        (stopped.status, &stopped.json()["results"][0]["outcome"]),
        (200, &json!("stopped"))
    );
    let again = http.ask("POST", &stop, "");
    assert_eq!(
        (again.status, &again.json()["results"][0]["outcome"]),
        (200, &json!("already_gone"))
    );
    let shown = world.show(&task.id);
    assert_ended(&shown, "cancelled", "runner_stop", "declared");
    let intent = &shown["intents"][0];
    assert_eq!(intent["requested_by"]["via"], "http");
    assert_eq!(intent["note"], "from the hub");
    let unknown = http.ask("POST", "/v1/tasks/unknown/stop", "");
    assert_eq!(unknown.error(404)["code"], "not_found");
    let foreign = http.post(&stop, &json!({"reason": "timeout"}));
    assert_eq!(foreign.error(400)["code"], "usage");
    world.check();
}

#[test]
fn a_drain_over_http_refuses_work_until_it_is_called_off() {
    let (world, _supervisor, http) = serving();
    let task = world.post_task(&http, &["mark:up", "forever"]);
    task.marked("up");
    let begun = http.post("/v1/drain", &json!({"deadline": "1h", "no_wait": true}));
    assert_eq!(
        (begun.status, &begun.json()["phase"]),
        (202, &json!("draining"))
    );
    assert_eq!(http.get("/readyz").status, 503);
    assert_eq!(
        http.get("/v1/drain").json()["drain"]["busy"],
        json!([task.id])
    );
    let refused = http.post("/v1/tasks", &world.task_body("late", &["exit:0"]));
    assert_eq!(refused.error(503)["code"], "draining");
    assert!(refused.header("retry-after").is_some());
    assert_eq!(
        http.ask("DELETE", "/v1/drain", "").json()["phase"],
        "admitting"
    );
    assert_eq!(http.get("/readyz").status, 200);
    assert_eq!(world.stop(&task.id, &[]), "stopped");
    world.check();
}

#[test]
fn the_operators_word_on_a_session_comes_through() {
    let (world, _supervisor, http) = serving();
    let missing = http.get("/v1/sessions/forge%3Aa%2Fb%2F1");
    assert_eq!(missing.error(404)["code"], "not_found");
    world.install_fake("claude");
    let key = "forge:a/b/1";
    let run = world.run().provider("claude").key(key).steps(["exit:0"]);
    let task = run.detached();
    let _ended = world.ended(&task.id);
    let at = "/v1/sessions/forge%3Aa%2Fb%2F1";
    for (act, state) in [("quarantine", "quarantined"), ("release", "resumable")] {
        let changed = http.ask("POST", &format!("{at}/{act}"), "");
        assert_eq!(changed.status, 200, "{changed:?}");
        assert_eq!(changed.json()["sessions"][0]["state"], state);
        assert_eq!(http.get(at).json()["sessions"][0]["state"], state);
    }
    world.check();
}

#[test]
fn what_makes_no_sense_is_refused_in_words() {
    let (world, _supervisor, http) = serving();
    assert_eq!(http.get("/v2").error(404)["code"], "not_found");
    let put = http.ask("PUT", "/v1/drain", "");
    assert_eq!(put.error(405)["code"], "usage");
    assert_eq!(put.header("allow"), Some("GET, HEAD, POST, DELETE"));
    let _words = http.ask("POST", "/v1/tasks", "{}").error(415);
    for body in [json!({"cwd": "/", "colour": 1}), json!({}), json!([])] {
        assert_eq!(http.post("/v1/tasks", &body).error(400)["code"], "usage");
    }
    let _words = http.get("/v1/tasks?colour=red").error(400);
    let _words = http.get("/v1/events?from=soon").error(400);
    assert_eq!(
        http.get("/v1/tasks/unknown").error(404)["code"],
        "not_found"
    );
    let announced = http.with("content-length", "99999999999");
    let _words = announced.ask("POST", "/v1/tasks", "").error(413);
    let long = http.with("x-long", &"x".repeat(1_000_000));
    assert_eq!(long.get("/v1/tasks").status, 431);
    assert!(world.ledger().tasks().is_empty());
    world.check();
}

/// A client that sends half a request, and one that reads nothing of the events, hold up nobody.
#[test]
fn a_dead_client_costs_the_others_nothing() {
    let (world, _supervisor, http) = serving();
    let mut half = TcpStream::connect(http.address()).expect("it listens");
    half.write_all(b"POST /v1/tasks HT").expect("it reads");
    let unread: Vec<_> = (0..50).map(|_| http.lines("/v1/events")).collect();
    let task = world.post_task(&http, &["exit:0"]);
    let _ended = world.ended(&task.id);
    assert_eq!(http.get("/healthz").status, 200);
    drop(unread);
    half.shutdown(std::net::Shutdown::Write).expect("connected");
    let mut rest = Vec::new();
    half.read_to_end(&mut rest).expect("it is ended");
    world.check();
}

#[test]
fn a_unix_socket_needs_no_token_and_names_the_peer() {
    let config = "[http]\nlisten = \"unix:{dir}/run/http.sock\"\n";
    let world = World::builder().config(config).build();
    let _supervisor = world.start();
    let socket = world.runtime_dir().join("http.sock");
    // The control socket is there first.
    wait_until("the gateway", GENEROUS, || {
        std::os::unix::net::UnixStream::connect(&socket).is_ok()
    });
    let http = Http::on_socket(socket);
    let task = world.post_task(&http, &["mark:up", "forever"]);
    task.marked("up");
    let stop = format!("{}/stop", path_of(&task.id));
    assert_eq!(http.ask("POST", &stop, "").status, 200);
    let by = &world.show(&task.id)["intents"][0]["requested_by"];
    assert_eq!(by["via"], "http");
    assert_eq!(by["pid"], json!(std::process::id()));
    world.check();
}

/// The supervisor dies between the commit and the answer: the client's second
/// try finds its task.
#[test]
fn a_retry_after_a_crash_makes_no_second_task() {
    let world = world_with(&["sup.commit.after"]);
    let first = world.start();
    let http = world.http();
    // Answered once the commit of the start is done.
    assert_eq!(http.get("/v1/status").status, 200);
    world.hooks().arm("sup.commit.after");
    let id = world.run().task_id().to_string();
    let body = world.task_body(&id, &["exit:0"]);
    let records = tests::harness::Records::new(world.path(&format!("{id}.record")));
    world.oracle().agents.push((id.clone(), records));
    let (client, sent) = (
        http.with("content-type", "application/json"),
        body.to_string(),
    );
    let asking = std::thread::spawn(move || client.try_ask("POST", "/v1/tasks", &sent));
    world.hooks().reached().die();
    assert!(asking.join().expect("no panic").is_err(), "nobody was told");
    let _status = first.ended();
    let _second = world.start();
    let http = wait_for("the next gateway", GENEROUS, || {
        let http = world.http();
        let asked = http.try_ask("GET", "/healthz", "");
        asked.map(|_| http)
    });
    let again = http.post("/v1/tasks", &body);
    assert_eq!((again.status, &again.json()["id"]), (200, &json!(id)));
    wait_until("one row", GENEROUS, || world.ledger().tasks().len() == 1);
    let _ended = world.ended(&id);
    world.check();
}

/// The figures are those of what happened.
#[test]
fn figures_and_document_say_what_is() {
    let (world, _supervisor, http) = serving();
    let task = world.post_task(&http, &["mark:up", "forever"]);
    task.marked("up");
    let stop = format!("{}/stop", path_of(&task.id));
    assert_eq!(http.ask("POST", &stop, "").status, 200);
    assert_eq!(http.bare().get("/metrics").status, 401);
    let figures = http.get("/metrics");
    let line = |wanted: &str| figures.body.lines().any(|line| line == wanted);
    let stopped = "{status=\"cancelled\",reason=\"user\",provider=\"exec\"} 1";
    for wanted in [
        &format!("agent_supervisor_tasks{stopped}"),
        "agent_supervisor_launch_duration_seconds_count 1",
        "agent_supervisor_stop_duration_seconds_count 1",
        "agent_supervisor_phase{phase=\"admitting\"} 1",
        "agent_supervisor_shims{presence=\"attached\"} 0",
    ] {
        assert!(line(wanted), "{wanted} in {}", figures.body);
    }
    let document = http.bare().get("/v1/openapi.json").json();
    let described = |name: &str| document["components"]["schemas"][name]["properties"].clone();
    for (schema, object) in [
        ("TaskDetail", http.get(&path_of(&task.id)).json()),
        ("Task", http.get("/v1/tasks?all").json()["tasks"][0].clone()),
        ("Status", http.get("/v1/status").json()),
    ] {
        let described = described(schema);
        let mut described: Vec<_> = described.as_object().expect(schema).keys().collect();
        let mut had: Vec<_> = object.as_object().expect(schema).keys().collect();
        described.sort();
        had.sort();
        assert_eq!(had, described, "{schema}");
    }
    world.check();
}

#[test]
fn the_operators_page_comes_without_a_token_and_holds_nothing() {
    let (world, _supervisor, http) = serving();
    let page = http.bare().get("/");
    assert_eq!(page.status, 200);
    let kind = page.header("content-type");
    assert_eq!(kind, Some("text/html; charset=utf-8"));
    let policy = page.header("content-security-policy").expect("it has one");
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    assert!(page.body.starts_with("<!doctype html>"));
    world.check();
}
