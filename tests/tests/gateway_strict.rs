//! Requests that could mean two things, and those with more to say than anybody hears: all
//! are refused in words.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use serde_json::json;
use tests::harness::{Http, HttpAnswer, Supervisor, World};

const CONFIG: &str = "[http]\nlisten = \"127.0.0.1:0\"\ntoken_file = \"{dir}/token\"\n";
const TOKEN: &str = "authorization: Bearer 0123456789abcdef0123456789abcdef\r\n";

fn serving() -> (World, Arc<Supervisor>, Http) {
    let world = World::builder().config(CONFIG).build();
    world.write_token();
    let supervisor = world.start();
    let http = world.http();
    (world, supervisor, http)
}

/// Everything that is answered to these bytes, until the connection is closed.
fn raw(http: &Http, bytes: &str) -> String {
    let mut stream = TcpStream::connect(http.address()).expect("it listens");
    stream
        .set_read_timeout(Some(tests::harness::GENEROUS))
        .expect("a socket");
    stream.write_all(bytes.as_bytes()).expect("it reads");
    let mut said = Vec::new();
    stream.read_to_end(&mut said).expect("it is closed");
    String::from_utf8(said).expect("text")
}

fn status(said: &str) -> u16 {
    let word = said.split(' ').nth(1).unwrap_or_default();
    word.parse().unwrap_or_else(|_| panic!("no answer: {said}"))
}

fn refusal(answer: &HttpAnswer) -> String {
    answer.error(400)["message"].to_string()
}

/// RFC 9110, section 13.1.1.
#[test]
fn a_change_names_its_versions_as_http_has_it() {
    let (world, _supervisor, http) = serving();
    let task = world.post_task(&http, &["exit:0"]);
    let _ended = world.ended(&task.id);
    let path = format!("/v1/tasks/{}", task.id);
    let typed = http.with("content-type", "application/json");
    let rename = |client: &Http| client.ask("PATCH", &path, r#"{"name":"other"}"#);
    let version = || {
        http.get(&path).json()["version"]
            .as_u64()
            .expect("a version")
    };
    let now = version();
    for stale in [
        format!("W/\"{now}\""),
        format!("\"0{now}\""),
        "\"another\"".to_owned(),
        format!("\"{}\", W/\"{now}\", \"{}\"", now - 1, now + 1),
    ] {
        let answer = rename(&typed.with("if-match", &stale));
        assert_eq!(answer.error(409)["code"], "conflict", "{stale}");
        assert_eq!(answer.json()["task"]["version"], json!(now), "{stale}");
    }
    for bad in [
        now.to_string(),
        format!("\"{now}"),
        format!("*, \"{now}\""),
        "\"a\" \"b\"".to_owned(),
        String::new(),
    ] {
        let answer = rename(&typed.with("if-match", &bad));
        assert!(refusal(&answer).contains("entity tags"), "{bad}");
    }
    assert_eq!(version(), now, "nothing was changed");
    let listed = format!("\"0\", ,\"{now}\"");
    assert_eq!(rename(&typed.with("if-match", &listed)).status, 200);
    let two_lines = typed
        .with("if-match", "\"0\"")
        .with("if-match", &format!("\"{}\"", version()));
    assert_eq!(rename(&two_lines).status, 200);
    assert_eq!(rename(&typed.with("if-match", "*")).status, 200);
    let unknown = typed.with("if-match", "*");
    let unknown = unknown.ask("PATCH", "/v1/tasks/unknown", r#"{"name":"other"}"#);
    assert_eq!(unknown.error(404)["code"], "not_found");
    world.check();
}

/// What was to be done in one state only is not done in every one.
#[test]
fn a_condition_that_nobody_looks_at_is_refused() {
    let (world, _supervisor, http) = serving();
    let task = world.post_task(&http, &["mark:up", "forever"]);
    task.marked("up");
    let path = format!("/v1/tasks/{}", task.id);
    for (name, value) in [
        ("If-Match", "\"1\""),
        ("If-None-Match", "*"),
        ("If-Unmodified-Since", "Sat, 29 Oct 1994 19:43:31 GMT"),
    ] {
        let client = http.with(name, value);
        let stopped = client.ask("POST", &format!("{path}/stop"), "");
        assert!(refusal(&stopped).contains(name), "{stopped:?}");
    }
    let typed = http.with("content-type", "application/json");
    let patched = typed.with("if-none-match", "*");
    let patched = patched.ask("PATCH", &path, r#"{"name":"other"}"#);
    assert!(refusal(&patched).contains("If-None-Match"), "{patched:?}");
    // A cache asks so, and gets everything.
    let cached = http.with("if-none-match", "\"1\"").get(&path);
    assert_eq!(cached.json()["status"], "running");
    assert_eq!(world.stop(&task.id, &[]), "stopped");
    world.check();
}

/// A body where none is taken, and the empty ones that clients and proxies send.
#[test]
fn a_body_that_nobody_reads_is_refused() {
    let (world, _supervisor, http) = serving();
    let begun = http.post("/v1/drain", &json!({"deadline": "1h", "no_wait": true}));
    assert_eq!(begun.status, 202);
    for (method, path) in [
        ("DELETE", "/v1/drain"),
        ("GET", "/v1/tasks"),
        ("GET", "/v1/events"),
        ("GET", "/v1/tasks/x/logs"),
        ("GET", "/metrics"),
        ("GET", "/healthz"),
        ("GET", "/"),
    ] {
        let typed = http.with("content-type", "application/json");
        for body in ["{}", " "] {
            let answer = typed.ask(method, path, body);
            assert!(refusal(&answer).contains("no body"), "{method} {path}");
        }
        let head = format!("{method} {path} HTTP/1.1\r\nhost: x\r\n{TOKEN}");
        let pieces = raw(
            &http,
            &format!("{head}transfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"),
        );
        assert_eq!(status(&pieces), 400, "{method} {path}: {pieces}");
    }
    // Nothing called it off.
    assert_eq!(http.get("/v1/status").json()["phase"], "drained");
    for empty in [
        "content-length: 0\r\n\r\n",
        "content-type: application/json\r\ncontent-length: 0\r\n\r\n",
        "transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "transfer-encoding: chunked\r\n\r\n0\r\nx-trailer: 1\r\n\r\n",
    ] {
        for target in ["GET /v1/tasks", "GET /healthz", "HEAD /v1/tasks"] {
            let head = format!("{target} HTTP/1.1\r\nhost: x\r\n{TOKEN}connection: close\r\n");
            let said = raw(&http, &format!("{head}{empty}"));
            assert_eq!(status(&said), 200, "{target} {empty}: {said}");
        }
    }
    let cancelled = http
        .with("content-length", "0")
        .ask("DELETE", "/v1/drain", "");
    assert_eq!(cancelled.json()["phase"], "admitting");
    world.check();
}

/// Parameters and headers: unknown, twice, or not what they should be.
#[test]
fn what_is_said_twice_or_means_nothing_is_refused() {
    let (world, _supervisor, http) = serving();
    for (path, words) in [
        ("/v1/events?type=bogus", "`bogus` is no type"),
        ("/v1/events?type=task.endet", "is `task.ended` meant?"),
        ("/v1/events?type=", "no type"),
        ("/v1/events?from=-1", "not a number"),
        ("/v1/events?from=%2B1", "not a number"),
        ("/v1/events?from=1&from=2", "`from` is given more than once"),
        ("/v1/events?colour=red", "no query parameter `colour`"),
        ("/v1/tasks?n=1&n=1", "`n` is given more than once"),
        ("/v1/tasks?n=-1", "not a number"),
        ("/v1/tasks/x/why?all", "no query parameter `all`"),
        ("/v1/tasks/x/logs?lines=1e3", "not a number"),
        ("/v1/status?x", "no query parameter `x`"),
        ("/metrics?x", "no query parameter `x`"),
    ] {
        let answer = http.get(path);
        assert!(refusal(&answer).contains(words), "{path}: {answer:?}");
    }
    let body = json!({"cwd": "/", "argv": ["true"]});
    let last = |value: &str| http.with("last-event-id", value);
    for (answer, words) in [
        (
            last("1").with("last-event-id", "2").get("/v1/events"),
            "says two things",
        ),
        (last("+1").get("/v1/events"), "Last-Event-ID"),
        (
            last("99999999999999999999").get("/v1/events"),
            "Last-Event-ID",
        ),
        (
            http.with("idempotency-key", "\"\"\"one")
                .post("/v1/tasks", &body),
            "Idempotency-Key",
        ),
        (
            http.with("idempotency-key", "\u{ff}")
                .post("/v1/tasks", &body),
            "Idempotency-Key",
        ),
        (
            http.with("content-type", "text/plain")
                .post("/v1/tasks", &body),
            "says two things",
        ),
    ] {
        assert!(refusal(&answer).contains(words), "{words}: {answer:?}");
    }
    let packed = http.with("content-encoding", "gzip");
    let packed = packed.post("/v1/tasks", &body);
    assert_eq!(packed.error(415)["code"], "usage");
    let twice = http.with("authorization", "Bearer 0123456789abcdef0123456789abcdef");
    assert_eq!(twice.get("/v1/status").status, 401);
    // A last id that no ledger has reached is a gap, however large.
    let (_source, hello) =
        tests::harness::Source::open(&last("18446744073709551615"), "/v1/events");
    assert_eq!(hello["resume"], "gap");
    assert!(world.ledger().tasks().is_empty());
    world.check();
}

/// RFC 9112, sections 3.2 and 6.3: nobody in between may see other requests than we do.
#[test]
fn a_proxy_in_front_sees_the_same_requests() {
    let (world, _supervisor, http) = serving();
    for (hosts, expected) in [
        ("", 400),
        ("host: a\r\nhost: b\r\n", 400),
        ("host: a/b\r\n", 400),
        ("host: u@a\r\n", 400),
        ("host: \r\n", 200),
        ("host: any.example:1\r\n", 200),
    ] {
        let request = format!("GET /healthz HTTP/1.1\r\n{hosts}connection: close\r\n\r\n");
        let said = raw(&http, &request);
        assert_eq!(status(&said), expected, "{hosts}: {said}");
    }
    let old = raw(&http, "GET /healthz HTTP/1.0\r\n\r\n");
    assert_eq!(status(&old), 200, "{old}");
    // What follows a body in pieces is not taken for a request, whatever it looks like.
    let head = format!("POST /v1/tasks/x/stop HTTP/1.1\r\nhost: x\r\n{TOKEN}");
    let next = format!("GET /v1/status HTTP/1.1\r\nhost: x\r\n{TOKEN}connection: close\r\n\r\n");
    for lengths in [
        "transfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 5\r\n",
        "content-length: 5\r\ntransfer-encoding: chunked\r\n",
    ] {
        let said = raw(&http, &format!("{head}{lengths}\r\n0\r\n\r\n{next}"));
        assert_eq!(status(&said), 404, "{lengths}: {said}");
        assert_eq!(said.matches("HTTP/1.1 ").count(), 1, "{lengths}: {said}");
        assert!(said.contains("connection: close\r\n"), "{lengths}: {said}");
    }
    let counted = raw(&http, &format!("{head}content-length: 0\r\n\r\n{next}"));
    assert_eq!(counted.matches("HTTP/1.1 ").count(), 2, "{counted}");
    world.check();
}

/// SQLite's own tools, and whoever reads the ledger with them, would see half of such a text.
#[test]
fn a_nul_byte_reaches_no_ledger() {
    let (world, _supervisor, http) = serving();
    let fields = ["cwd", "name", "user", "repo", "agent", "agent_type", "key"];
    for field in fields {
        let mut body = json!({"cwd": "/", "argv": ["true"]});
        body[field] = json!("/a\0b");
        let answer = http.post("/v1/tasks", &body);
        assert!(refusal(&answer).contains(field.split('_').next().expect("one")));
    }
    assert!(world.ledger().tasks().is_empty());
    let task = world.post_task(&http, &["mark:up", "forever"]);
    task.marked("up");
    let path = format!("/v1/tasks/{}", task.id);
    let stopped = http.post(&format!("{path}/stop"), &json!({"note": "a\0b"}));
    assert!(refusal(&stopped).contains("note"), "{stopped:?}");
    let typed = http.with("content-type", "application/json");
    let renamed = typed.ask("PATCH", &path, r#"{"name":"a\u0000b"}"#);
    assert!(refusal(&renamed).contains("name"), "{renamed:?}");
    assert_eq!(world.show(&task.id)["status"], "running");
    assert_eq!(world.stop(&task.id, &[]), "stopped");
    world.check();
}
