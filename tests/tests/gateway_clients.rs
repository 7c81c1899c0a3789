//! Clients of the gateway that misbehave: each loses its own connection, and nobody else
//! notices.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::{Value, json};
use tests::harness::{GENEROUS, Http, Source, Supervisor, World, wait_until};

const CONFIG: &str = "[http]\nlisten = \"unix:{dir}/run/http.sock\"\n";

fn serving() -> (World, Arc<Supervisor>, Http) {
    let world = World::builder().config(CONFIG).build();
    let supervisor = world.start();
    let http = Http::on_socket(world.runtime_dir().join("http.sock"));
    wait_until("the gateway", GENEROUS, || {
        http.try_ask("GET", "/healthz", "").is_ok()
    });
    (world, supervisor, http)
}

fn connect(world: &World) -> UnixStream {
    let stream = UnixStream::connect(world.runtime_dir().join("http.sock")).expect("it listens");
    stream.set_read_timeout(Some(GENEROUS)).expect("a socket");
    stream
}

/// Asks for something and does not read the answer.
fn ask(stream: &mut UnixStream, head: &str) {
    let request = format!("{head}\r\nhost: test\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it reads");
}

/// Has the other side closed it? What is still to be read stays there.
fn is_closed(stream: &UnixStream) -> bool {
    let mut polled = [PollFd::new(stream.as_fd(), PollFlags::empty())];
    poll(&mut polled, PollTimeout::ZERO).expect("it can be asked");
    let seen = polled[0].revents().expect("known flags");
    seen.contains(PollFlags::POLLHUP)
}

/// Resident memory in KiB.
fn memory_kib(supervisor: &Supervisor) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", supervisor.process.pid));
    let status = status.expect("it lives");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let words = line.and_then(|line| line.split_whitespace().next());
    words.and_then(|kib| kib.parse().ok()).expect("a number")
}

/// The seqs of whole events in what was read of a stream.
fn seqs(text: &str) -> Vec<u64> {
    let whole = text.rsplit_once("\n\n").map_or("", |(whole, _)| whole);
    let ids = whole.lines().filter_map(|line| line.strip_prefix("id: "));
    ids.map(|id| id.parse().expect("a seq")).collect()
}

/// Readers of the events that read nothing: they are dropped, cost no memory that grows with
/// what they miss, and the others get everything meanwhile. One that comes back with its last
/// id goes on where its stream broke off.
#[test]
fn a_reader_that_reads_nothing_is_dropped_and_misses_nothing_when_it_is_back() {
    const STUCK: usize = 100;
    const CHANGES: usize = 1500;
    const CLIENTS: usize = 50;
    // A page of the log and a full queue for each. All that they miss is twice as much.
    const BOUND_KIB: u64 = 80 << 10;
    let (world, supervisor, http) = serving();
    let tasks: Vec<_> = (0..CLIENTS)
        .map(|_| world.post_task(&http, &["exit:0"]).id)
        .collect();
    for task in &tasks {
        let _ended = world.ended(task);
    }
    let (live, _) = Source::open(&http, "/v1/events");
    // Everything that happens from now on, for one that reads.
    let live = thread::spawn(move || {
        let renamed = live.filter(|sent| sent.kind == "task.renamed");
        renamed.take(CHANGES).count()
    });
    let mut stuck: Vec<UnixStream> = (0..STUCK).map(|_| connect(&world)).collect();
    for stream in &mut stuck {
        ask(stream, "GET /v1/events?from=1 HTTP/1.1");
    }
    let before = memory_kib(&supervisor);
    let typed = http.with("content-type", "application/json");
    thread::scope(|scope| {
        for task in &tasks {
            let (typed, path) = (&typed, format!("/v1/tasks/{task}"));
            scope.spawn(move || {
                for n in 0..CHANGES / CLIENTS {
                    let name = format!("{n}-{}", "x".repeat(1000));
                    let answer = typed.ask("PATCH", &path, &json!({ "name": name }).to_string());
                    assert_eq!(answer.status, 200, "{answer:?}");
                }
            });
        }
    });
    let grown = memory_kib(&supervisor).saturating_sub(before);
    assert!(
        grown <= BOUND_KIB,
        "{grown} KiB for readers that read nothing"
    );
    let last = world.ctl(&["status", "--json"]).ok().json();
    assert_eq!(last["phase"], "admitting");
    assert_eq!(live.join().expect("no panic"), CHANGES);
    wait_until("the end of who reads nothing", GENEROUS, || {
        stuck.iter().all(is_closed)
    });
    let mut left = Vec::new();
    stuck[0].read_to_end(&mut left).expect("what was sent");
    let heard = seqs(&String::from_utf8_lossy(&left));
    let whole: Vec<u64> = (1..=heard.len() as u64).collect();
    assert_eq!(heard, whole, "a part of the log without holes");
    assert!(heard.len() < CHANGES, "it missed something");
    let back = http.with("last-event-id", &heard.len().to_string());
    let (source, hello) = Source::open(&back, "/v1/events");
    assert_eq!(hello["resume"], "ok");
    let next: Vec<_> = source.take(CHANGES - heard.len()).collect();
    let ids: Vec<_> = next.iter().filter_map(|sent| sent.id).collect();
    let expected: Vec<u64> = (heard.len() as u64 + 1..=CHANGES as u64).collect();
    assert_eq!(ids, expected);
    world.check();
}

/// One client too many is told so, and there is room when another one has left.
#[test]
fn there_are_so_many_connections_and_no_more() {
    const MOST: usize = 2048;
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("it has one");
    assert!(hard >= 4096, "too few descriptors for this test: {hard}");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("up to the hard limit");
    let (world, _supervisor, http) = serving();
    let mut clients: Vec<UnixStream> = (0..MOST).map(|_| connect(&world)).collect();
    // The last one was accepted.
    let kept = clients.last_mut().expect("many");
    ask(kept, "GET /healthz HTTP/1.1");
    let mut said = [0; 12];
    kept.read_exact(&mut said).expect("an answer");
    assert_eq!(&said, b"HTTP/1.1 200");
    let refused = http.get("/healthz");
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.header("retry-after").is_some(), "{refused:?}");
    assert!(world.ctl(&["status"]).status.success());
    clients.truncate(MOST / 2);
    wait_until("room again", GENEROUS, || {
        http.try_ask("GET", "/healthz", "")
            .is_ok_and(|answer| answer.status == 200)
    });
    world.check();
}

/// A body without an announced length is read up to the limit and no further.
#[test]
fn a_body_without_end_is_refused() {
    let (world, supervisor, http) = serving();
    let before = memory_kib(&supervisor);
    let mut stream = connect(&world);
    ask(
        &mut stream,
        "POST /v1/tasks HTTP/1.1\r\ncontent-type: application/json\r\ntransfer-encoding: chunked",
    );
    let chunk = [b"10000\r\n".as_slice(), &[b' '; 0x10000], b"\r\n"].concat();
    // It stops reading.
    let mut sent = 0_u64;
    while stream.write_all(&chunk).is_ok() {
        sent += 0x10000;
        assert!(sent < 64 << 20, "it reads on and on");
    }
    let mut said = [0; 12];
    stream.read_exact(&mut said).expect("an answer");
    assert_eq!(&said, b"HTTP/1.1 413");
    let grown = memory_kib(&supervisor).saturating_sub(before);
    assert!(grown <= 64 << 10, "{grown} KiB");
    assert_eq!(http.get("/healthz").status, 200);
    world.check();
}

/// Several requests at once on one connection are answered in their order.
#[test]
fn a_connection_is_kept_and_its_requests_are_answered_in_order() {
    let (world, _supervisor, _http) = serving();
    let mut stream = connect(&world);
    let paths = ["/healthz", "/readyz", "/v1/status", "/nothing", "/healthz"];
    let requests: String = paths
        .iter()
        .map(|path| format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n"))
        .collect();
    stream.write_all(requests.as_bytes()).expect("it reads");
    ask(&mut stream, "GET /healthz HTTP/1.1\r\nconnection: close");
    let mut said = String::new();
    stream.read_to_string(&mut said).expect("it is closed");
    let statuses: Vec<&str> = said
        .split("HTTP/1.1 ")
        .skip(1)
        .map(|answer| &answer[..3])
        .collect();
    assert_eq!(statuses, ["200", "200", "200", "404", "200", "200"]);
    world.check();
}

/// The answer to HEAD has no body and no end that is waited for, of a stream either.
#[test]
fn head_asks_for_the_head_alone() {
    let (world, _supervisor, http) = serving();
    let task = world.post_task(&http, &["mark:up", "forever"]);
    task.marked("up");
    let logs = format!("/v1/tasks/{}/logs?follow", task.id);
    for path in ["/", "/metrics", "/v1/tasks", "/v1/events", logs.as_str()] {
        let answer = http.ask("HEAD", path, "");
        assert_eq!((answer.status, answer.body.as_str()), (200, ""), "{path}");
    }
    let unknown = http.ask("HEAD", "/v1/tasks/unknown", "");
    assert_eq!((unknown.status, unknown.body.as_str()), (404, ""));
    assert_eq!(world.stop(&task.id, &[]), "stopped");
    world.check();
}

/// Who follows the log of an agent that is silent has the head of the answer at once.
#[test]
fn a_log_is_followed_from_before_its_first_word() {
    let (world, _supervisor, http) = serving();
    let unknown = http.get("/v1/tasks/unknown/logs?follow");
    assert_eq!(unknown.error(404)["code"], "not_found");
    let gate = world.gate("word");
    let task = world.post_task(&http, &["mark:up", &gate.step(), "print:hello", "exit:0"]);
    task.marked("up");
    let lines = http.lines(&format!("/v1/tasks/{}/logs?follow&raw", task.id));
    gate.open();
    let lines: Vec<_> = lines.map_while(Result::ok).collect();
    assert_eq!(lines, ["hello"]);
    let _ended = world.ended(&task.id);
    world.check();
}

/// A task's version is its entity tag: whoever changed it first wins.
#[test]
fn a_change_is_for_the_version_that_its_client_saw() {
    let (world, _supervisor, http) = serving();
    let task = world.post_task(&http, &["exit:0"]);
    let _ended = world.ended(&task.id);
    let path = format!("/v1/tasks/{}", task.id);
    let typed = http.with("content-type", "application/json");
    let rename = |version: &str, name: &str| {
        let body = json!({ "name": name }).to_string();
        typed.with("if-match", version).ask("PATCH", &path, &body)
    };
    let seen = http.get(&path);
    let tag = seen.header("etag").expect("it has one").to_owned();
    assert_eq!(tag, format!("\"{}\"", seen.json()["version"]));
    let changed = rename(&tag, "first");
    assert_eq!(changed.status, 200, "{changed:?}");
    let stale = rename(&tag, "second");
    assert_eq!(stale.error(409)["code"], "conflict");
    let now: &Value = &stale.json()["task"];
    assert_eq!(now["name"], "first");
    assert_eq!(
        changed.header("etag"),
        Some(format!("\"{}\"", now["version"]).as_str())
    );
    let again = rename(changed.header("etag").expect("it has one"), "second");
    assert_eq!(again.status, 200, "{again:?}");
    assert_eq!(rename("*", "third").status, 200);
    assert_eq!(rename("soon", "fourth").error(400)["code"], "usage");
    for act in ["archive", "unarchive", "stop"] {
        let unknown = http.ask("POST", &format!("/v1/tasks/unknown/{act}"), "");
        assert_eq!(unknown.error(404)["code"], "not_found", "{act}");
    }
    world.check();
}
