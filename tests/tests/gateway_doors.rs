//! Who comes in through the gateway, and what a stranger's web page gets.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;

use serde_json::json;
use tests::harness::{GENEROUS, World, wait_until};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn config(listen: &str) -> String {
    format!("[http]\nlisten = \"{listen}\"\ntoken_file = \"{{dir}}/token\"\n")
}

/// A page of another site, whose name may lead to this machine by now: it has no token, no
/// cookie would bring one, and no answer is opened to it.
#[test]
fn a_page_of_another_site_gets_nothing() {
    let world = World::builder().config(&config("127.0.0.1:0")).build();
    world.write_token();
    let _supervisor = world.start();
    let http = world.http();
    let rebound = http
        .bare()
        .with("host", "evil.example:7411")
        .with("origin", "http://evil.example")
        .with("cookie", &format!("token={TOKEN}"));
    let body = world.task_body("never", &["exit:0"]);
    assert_eq!(
        rebound.post("/v1/tasks", &body).error(401)["code"],
        "unauthorized"
    );
    for path in ["/v1/tasks", "/v1/status", "/v1/events", "/metrics"] {
        assert_eq!(rebound.get(path).status, 401, "{path}");
    }
    // By a form, which needs no permission of a browser; and by what needs one.
    let form = http.with("content-type", "text/plain");
    let posted = form.ask("POST", "/v1/tasks", &body.to_string());
    assert_eq!(posted.error(415)["code"], "usage");
    let asked =
        rebound
            .with("access-control-request-method", "POST")
            .ask("OPTIONS", "/v1/tasks", "");
    assert_eq!(asked.status, 405);
    assert_eq!(asked.header("allow"), Some("GET, HEAD, POST"));
    let read = http.with("origin", "http://evil.example").get("/v1/tasks");
    assert_eq!(read.status, 200);
    for answer in [asked, read] {
        let opened = |name: &str| name.starts_with("access-control-") || name == "set-cookie";
        assert!(
            !answer.headers.iter().any(|(name, _)| opened(name)),
            "{answer:?}"
        );
    }
    assert!(world.ledger().tasks().is_empty());
    world.check();
}

/// The token is in no address, so that no log has it; and in nothing that the supervisor writes.
#[test]
fn the_token_is_written_nowhere() {
    let world = World::builder()
        .config(&config("[::1]:0"))
        .variable("AGENT_SUPERVISOR_LOG", "debug")
        .build();
    world.write_token();
    let _supervisor = world.start();
    let http = world.http();
    let task = world.post_task(&http, &["exit:0"]);
    let _ended = world.ended(&task.id);
    assert_eq!(http.get(&format!("/v1/tasks?token={TOKEN}x")).status, 400);
    let wrong = http
        .bare()
        .with("authorization", &format!("Bearer {TOKEN}x"));
    assert_eq!(wrong.get("/v1/tasks").status, 401);
    let by_address = http.bare().get(&format!("/v1/tasks?access_token={TOKEN}"));
    assert_eq!(by_address.status, 401, "no address is taken for a token");
    // What is no request is logged, without a word of it.
    let mut nonsense = TcpStream::connect(http.address()).expect("it listens");
    write!(nonsense, "{TOKEN} is no request\r\n\r\n").expect("it reads");
    let _refused = nonsense.read_to_end(&mut Vec::new()).expect("an answer");
    wait_until("its line in the log", GENEROUS, || {
        world
            .log()
            .contains("a connection of the gateway was ended")
    });
    assert!(!world.log().contains(TOKEN), "it is in the log");
    for file in files(&world.state_dir()) {
        let bytes = fs::read(&file).unwrap_or_default();
        let found = bytes
            .windows(TOKEN.len())
            .any(|part| part == TOKEN.as_bytes());
        assert!(!found, "it is in {}", file.display());
    }
    world.check();
}

/// A file of a folder, and of those below.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").flatten();
    entries
        .flat_map(|entry| match entry.path() {
            path if path.is_dir() => files(&path),
            path => vec![path],
        })
        .collect()
}

/// An address that others reach works with a token, and is as closed.
#[test]
fn an_address_for_all_works_with_the_token() {
    let world = World::builder().config(&config("0.0.0.0:0")).build();
    world.write_token();
    let _supervisor = world.start();
    let http = world.http();
    assert_eq!(http.bare().get("/v1/status").status, 401);
    assert_eq!(http.get("/v1/status").json()["phase"], "admitting");
    let lower = http
        .bare()
        .with("authorization", &format!("bearer {TOKEN}"));
    assert_eq!(lower.get("/v1/status").status, 200);
    world.check();
}

/// What clients in other languages send: numbers where they can mean one thing, a null for
/// nothing; and what is wrong is named.
#[test]
fn a_body_is_taken_as_other_languages_write_it() {
    let world = World::builder().config(&config("127.0.0.1:0")).build();
    world.write_token();
    let _supervisor = world.start();
    let http = world.http();
    let mut body = world.task_body("numbers", &["exit:0"]);
    let more = json!({"max_cost": 2.5, "max_log": 65536, "issue": 7, "timeout": "1h",
        "name": null, "env": null, "fresh": null, "provider_arg": null, "model": null});
    let fields = body.as_object_mut().expect("an object");
    fields.extend(more.as_object().cloned().expect("an object"));
    assert_eq!(http.post("/v1/tasks", &body).status, 201);
    let ended = world.ended("numbers");
    assert_eq!(ended["status"], "success", "{ended:#}");
    assert_eq!(ended["issue_number"], 7);
    for (field, value) in [
        ("timeout", json!(90)),
        ("max_cost", json!("2,50")),
        ("env.PORT", json!({"PORT": 8080})),
        ("argv[0]", json!([1])),
        ("fresh", json!("true")),
        ("colour", json!("red")),
    ] {
        let mut body = json!({"cwd": "/", "argv": ["true"]});
        let name = field.split(['.', '[']).next().expect("a name");
        body[name] = value;
        let error = http.post("/v1/tasks", &body).error(400);
        let words = error["message"].as_str().expect("words");
        assert!(words.contains(field), "{field}: {words}");
    }
    world.check();
}

/// What is at the place of the socket is not ours to take away.
#[test]
fn a_file_at_the_place_of_the_socket_stays() {
    let world = World::builder()
        .config("[http]\nlisten = \"unix:{dir}/http.sock\"\n")
        .build();
    let place = world.path("http.sock");
    fs::write(&place, "precious").expect("written");
    let supervisor = world.spawn_supervisor();
    assert_eq!(supervisor.ended().code(), Some(2), "{}", supervisor.log());
    assert!(
        supervisor.log().contains("no socket"),
        "{}",
        supervisor.log()
    );
    assert_eq!(fs::read(&place).expect("there"), b"precious");
    fs::remove_file(&place).expect("ours");
    let other = UnixListener::bind(&place).expect("bound");
    let supervisor = world.spawn_supervisor();
    assert_eq!(supervisor.ended().code(), Some(2), "{}", supervisor.log());
    assert!(
        supervisor.log().contains("another program listens"),
        "{}",
        supervisor.log()
    );
    drop(other);
    // What a dead program left is replaced.
    let _supervisor = world.start();
    let _client = UnixStream::connect(&place).expect("it listens");
    world.check();
}

/// A start that was refused was none: the next one finds the ledger closed.
#[test]
fn a_refused_token_leaves_everything_as_it_was() {
    let world = World::builder().config(&config("127.0.0.1:0")).build();
    world.write_token();
    assert!(world.start().terminate().success());
    fs::set_permissions(world.path("token"), fs::Permissions::from_mode(0o644)).expect("ours");
    let refused = world.spawn_supervisor();
    assert_eq!(refused.ended().code(), Some(2), "{}", refused.log());
    fs::set_permissions(world.path("token"), fs::Permissions::from_mode(0o600)).expect("ours");
    let _supervisor = world.start();
    assert!(!world.log().contains("was killed"), "{}", world.log());
    world.check();
}

/// Whoever only connects takes no descriptors from the work.
#[test]
fn connections_without_a_token_leave_room() {
    const LIMIT: usize = 256;
    let world = World::builder().config(&config("127.0.0.1:0")).build();
    world.write_token();
    let supervisor = world.start();
    let http = world.http();
    let pid = supervisor.process.pid.to_string();
    let limit = format!("--nofile={LIMIT}:");
    let status = Command::new("prlimit")
        .args(["--pid", &pid, &limit])
        .status();
    assert!(status.expect("util-linux is there").success());
    let clients: Vec<TcpStream> = (0..LIMIT + 100)
        .map(|_| TcpStream::connect(http.address()).expect("it listens"))
        .collect();
    let task = world.run().steps(["exit:0"]).detached();
    assert_eq!(world.ended(&task.id)["status"], "success");
    drop(clients);
    world.check();
}
