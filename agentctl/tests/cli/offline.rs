//! No supervisor: reading the ledger through the helper, and starting one.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::mpsc;

use protocol::codec;
use protocol::control::{Request, Response};
use protocol::frame::FrameDecoder;
use protocol::hello::{HELLO_LEN, Hello};
use protocol::limits::MAX_CONTROL_FRAME;

use crate::support::{Home, Server, accepted, code, running, stderr, stdout};

/// Says which part this very test program plays when a script starts it.
const PART: &str = "AGENTCTL_TEST_PART";

fn own_program() -> PathBuf {
    std::env::current_exe().expect("a test program")
}

/// A test only where another one starts it: the helper `agent-supervisor offline`, on fd 0.
#[test]
fn play_offline_helper() {
    if std::env::var(PART).as_deref() != Ok("offline") {
        return;
    }
    let fd = std::io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .expect("a descriptor");
    let mut stream = UnixStream::from(fd);
    let mut hello = [0; HELLO_LEN];
    stream.read_exact(&mut hello).expect("a hello");
    let client = Hello::decode(&hello).expect("a client");
    stream
        .write_all(&Hello::answer(&client).encode())
        .expect("the client is there");
    let mut decoder = FrameDecoder::new(MAX_CONTROL_FRAME);
    let mut buffer = [0; 4096];
    let request: Request = loop {
        if let Some(payload) = decoder.next_frame().expect("valid") {
            break codec::from_payload(payload).expect("a request");
        }
        let count = stream.read(&mut buffer).expect("the client is there");
        decoder.push(&buffer[..count]);
    };
    assert!(matches!(request, Request::List(_)));
    let answer = Response::Tasks(vec![running("from-the-ledger")]);
    let frame = codec::to_frame(&answer, MAX_CONTROL_FRAME).expect("small");
    stream.write_all(&frame).expect("the client is there");
}

fn script_of_helper(home: &Home) -> PathBuf {
    home.script(&format!(
        "echo \"$@\" > '{}'\n{PART}=offline exec '{}' --exact offline::play_offline_helper",
        home.path.join("args").display(),
        own_program().display()
    ))
}

#[test]
fn the_ledger_is_read_where_no_supervisor_runs() {
    let home = Home::new();
    fs::create_dir_all(home.state_dir()).expect("a writable home");
    fs::write(home.state_dir().join("ledger.sqlite3"), "").expect("a writable home");
    let script = script_of_helper(&home);
    let output = home
        .agentctl(&["list", "-q"])
        .env("AGENT_SUPERVISOR_BIN", &script)
        .output();
    let output = output.expect("the binary starts");
    assert_eq!(stdout(&output), "from-the-ledger\n", "{}", stderr(&output));
    assert!(stderr(&output).contains("no supervisor is running; reading the ledger read-only"));
    assert_eq!(
        fs::read_to_string(home.path.join("args")).expect("it ran"),
        "offline\n"
    );
    let state = home.state_dir();
    let state = state.to_str().expect("text");
    let output = home
        .agentctl(&["list", "-q", "--state-dir", state])
        .env("AGENT_SUPERVISOR_BIN", &script)
        .output();
    assert_eq!(code(&output.expect("the binary starts")), 0);
    let args = fs::read_to_string(home.path.join("args")).expect("it ran");
    assert_eq!(args, format!("offline --state-dir {state}\n"));
}

#[test]
fn without_a_ledger_there_is_nothing_to_read() {
    let home = Home::new();
    let output = home.output(&["list"]);
    assert_eq!(code(&output), 5);
    assert!(
        stderr(&output).contains("there is no ledger to read"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_helper_that_fails_is_told() {
    let home = Home::new();
    fs::create_dir_all(home.state_dir()).expect("a writable home");
    fs::write(home.state_dir().join("ledger.sqlite3"), "").expect("a writable home");
    let script = home.script("echo 'the ledger is newer' >&2; exit 4");
    let output = home
        .agentctl(&["list"])
        .env("AGENT_SUPERVISOR_BIN", script)
        .output();
    let output = output.expect("the binary starts");
    assert_eq!(code(&output), 5);
    assert!(
        stderr(&output).contains("the ledger is newer"),
        "{}",
        stderr(&output)
    );
}

/// For programs: nothing but the object, with everything that there was to say.
#[test]
fn with_json_an_error_stands_alone_on_stderr() {
    let home = Home::new();
    fs::create_dir_all(home.state_dir()).expect("a writable home");
    fs::write(home.state_dir().join("ledger.sqlite3"), "").expect("a writable home");
    let error = |script: &str, words: &[&str]| -> serde_json::Value {
        let mut command = home.agentctl(words);
        command.env("AGENT_SUPERVISOR_BIN", home.script(script));
        let output = command.output().expect("the binary starts");
        assert_eq!(code(&output), 5, "{}", stderr(&output));
        let told: serde_json::Value = serde_json::from_str(&stderr(&output)).expect("one object");
        told["error"].clone()
    };
    let list = error(
        "echo 'agent-supervisor: the ledger is newer' >&2; exit 4",
        &["list", "--json"],
    );
    assert_eq!(
        list["message"],
        "no supervisor answers, and its ledger could not be read: the ledger is newer"
    );
    let reading = "agentctl: no supervisor is running; reading the ledger read-only";
    assert_eq!(list["notes"], serde_json::json!([reading]));
    let run = error(
        "echo 'half a word' >&2; echo 'ERROR config: unknown key max_task'; exit 2",
        &["run", "--json", "--", "true"],
    );
    let message = run["message"].as_str().expect("words");
    assert!(message.contains("unknown key max_task"), "{message}");
    assert_eq!(run["notes"], serde_json::Value::Null);
}

/// A test only where another one starts it: a supervisor that was started in the background.
#[test]
fn play_supervisor() {
    if std::env::var(PART).as_deref() != Ok("supervisor") {
        return;
    }
    let runtime_dir =
        PathBuf::from(std::env::var("AGENTCTL_TEST_RUNTIME").expect("set by the script"));
    let (answered, was_answered) = mpsc::channel();
    let _server = Server::start_at(&runtime_dir, move |request, peer| {
        let Request::Run(run) = request else {
            panic!("{request:?}")
        };
        peer.send(&accepted(running(run.id.as_str())));
        answered.send(()).expect("the test program waits");
    });
    let mut ready = fs::OpenOptions::new()
        .write(true)
        .open("/dev/fd/3")
        .expect("the script's");
    ready.write_all(b"READY\n").expect("agentctl waits");
    drop(ready);
    was_answered.recv().expect("a request");
}

#[test]
fn run_starts_a_supervisor_and_says_so() {
    let home = Home::new();
    let script = home.script(&format!(
        "echo \"$@\" > '{}'\nAGENTCTL_TEST_RUNTIME='{}' {PART}=supervisor exec '{}' \
         --exact offline::play_supervisor 3>&1 1>/dev/null",
        home.path.join("args").display(),
        home.runtime_dir().display(),
        own_program().display()
    ));
    let output = home
        .agentctl(&[
            "run", "-d", "--id", "t", "--config", "/c.toml", "--", "true",
        ])
        .env("AGENT_SUPERVISOR_BIN", script)
        .output();
    let output = output.expect("the binary starts");
    assert_eq!(
        (stdout(&output).as_str(), code(&output)),
        ("t\n", 0),
        "{}",
        stderr(&output)
    );
    assert!(stderr(&output).contains("no supervisor was running; started one"));
    let args = fs::read_to_string(home.path.join("args")).expect("it ran");
    assert_eq!(args, "--background --config /c.toml\n");
}

#[test]
fn a_supervisor_that_cannot_start_is_exit_code_5_with_its_words() {
    let home = Home::new();
    let script = home.script("echo 'ERROR config: unknown key max_task'; exit 2");
    let output = home
        .agentctl(&["run", "--", "true"])
        .env("AGENT_SUPERVISOR_BIN", script)
        .output();
    let output = output.expect("the binary starts");
    assert_eq!(code(&output), 5);
    assert!(
        stderr(&output).contains("unknown key max_task"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn the_loser_of_a_race_talks_to_the_winner() {
    let home = Home::new();
    // The winner is there by the time that the loser has found the lock.
    let script =
        home.script("mv rt/agent-supervisor/away rt/agent-supervisor/control.sock; exit 3");
    let _winner = Server::start(&home, |request, peer| {
        let Request::Run(run) = request else {
            panic!("{request:?}")
        };
        peer.send(&accepted(running(run.id.as_str())));
    });
    let socket = home.runtime_dir().join("control.sock");
    fs::rename(&socket, home.runtime_dir().join("away")).expect("our own file");
    let output = home
        .agentctl(&["run", "-d", "--id", "t", "--", "true"])
        .env("AGENT_SUPERVISOR_BIN", script)
        .output();
    let output = output.expect("the binary starts");
    assert_eq!(
        (stdout(&output).as_str(), code(&output)),
        ("t\n", 0),
        "{}",
        stderr(&output)
    );
    assert_eq!(stderr(&output), "");
}

#[test]
fn the_runtime_dir_that_a_supervisor_wrote_down_is_followed() {
    let home = Home::new();
    let elsewhere = home.path.join("elsewhere");
    let _server = Server::start_at(&elsewhere, |_, peer| {
        peer.send(&Response::Tasks(vec![running("there")]));
    });
    fs::create_dir_all(home.state_dir()).expect("a writable home");
    let text = format!("{}\n", elsewhere.display());
    fs::write(home.state_dir().join("runtime-dir"), text).expect("a writable home");
    assert_eq!(stdout(&home.output(&["list", "-q"])), "there\n");
    let named = home.runtime_dir();
    let line = ["list", "-q", "--runtime-dir", named.to_str().expect("text")];
    assert_eq!(code(&home.output(&line)), 5);
}
