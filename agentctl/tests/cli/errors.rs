//! Exit codes, and errors for people and for programs.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::thread;

use protocol::control::{ErrorBody, ErrorCode, Response};
use protocol::hello::{HELLO_LEN, Hello, Role};
use serde_json::{Value, json};

use crate::support::{Home, Server, code, stderr, stdout};

#[test]
fn refusals_have_their_codes_and_words() {
    for (error, expected) in [
        (ErrorCode::Internal, 1),
        (ErrorCode::Usage, 2),
        (ErrorCode::NotFound, 3),
        (ErrorCode::Ambiguous, 4),
        (ErrorCode::Draining, 6),
        (ErrorCode::NotPermitted, 7),
        (ErrorCode::NotGone, 8),
    ] {
        let home = Home::new();
        let _server = Server::start(&home, move |_, peer| {
            peer.send(&Response::Error(
                ErrorBody::new(error, "words").with_hint("do this"),
            ));
        });
        let output = home.output(&["show", "x"]);
        assert_eq!(code(&output), expected);
        assert_eq!(stderr(&output), "agentctl: words\n  hint: do this\n");
        let output = home.output(&["show", "x", "--json"]);
        let printed: Value = serde_json::from_str(&stderr(&output)).expect("JSON");
        let expected =
            json!({"error": {"code": error.as_str(), "message": "words", "hint": "do this"}});
        assert_eq!(printed, expected);
        assert_eq!(stdout(&output), "");
    }
}

/// Bug: it was 5 whatever was the matter, as if nobody were there.
#[test]
fn the_doctor_ends_with_the_code_of_what_kept_him_out() {
    for (error, expected) in [(ErrorCode::NotPermitted, 7), (ErrorCode::Storage, 1)] {
        let home = Home::new();
        let _server = Server::start(&home, move |_, peer| {
            peer.send(&Response::Error(ErrorBody::new(error, "words")));
        });
        let output = home.output(&["doctor"]);
        assert_eq!(code(&output), expected);
        assert!(stdout(&output).contains("FAILED"), "{}", stdout(&output));
    }
    let nobody = Home::new();
    assert_eq!(code(&nobody.output(&["doctor"])), 5);
}

#[test]
fn a_bad_command_line_is_usage_in_both_forms() {
    let home = Home::new();
    let output = home.output(&["wait", "x", "--timeout", "5"]);
    assert_eq!(code(&output), 2);
    assert!(
        stderr(&output).contains("90s, 10m, 1h30m"),
        "{}",
        stderr(&output)
    );
    let output = home.output(&["wait", "x", "--timeout", "5", "--json"]);
    assert_eq!(code(&output), 2);
    let printed: Value = serde_json::from_str(&stderr(&output)).expect("JSON");
    assert_eq!(printed["error"]["code"], "usage");
    assert!(
        printed["error"]["message"]
            .as_str()
            .expect("text")
            .contains("90s")
    );
    assert_eq!(code(&home.output(&["resurrect", "x"])), 2);
}

#[test]
fn without_a_supervisor_it_is_exit_code_5() {
    let home = Home::new();
    for line in [
        vec!["status"],
        vec!["list"],
        vec!["wait", "x"],
        vec!["stop", "x"],
    ] {
        let output = home.output(&line);
        assert_eq!(code(&output), 5, "{line:?}: {}", stderr(&output));
        assert!(
            stderr(&output).contains("no supervisor answers at "),
            "{}",
            stderr(&output)
        );
    }
    let output = home.output(&["run", "--no-start", "--", "true"]);
    assert_eq!(code(&output), 5);
    assert!(
        stderr(&output).contains("--no-start"),
        "{}",
        stderr(&output)
    );
    let output = home
        .agentctl(&["run", "--", "true"])
        .env("AGENTCTL_NO_START", "1")
        .output();
    assert_eq!(code(&output.expect("the binary starts")), 5);
}

#[test]
fn inside_a_task_none_is_started() {
    let home = Home::new();
    let output = home
        .agentctl(&["run", "--", "true"])
        .env("AGENT_TASK_abc", "1")
        .output();
    let output = output.expect("the binary starts");
    assert_eq!(code(&output), 5);
    assert!(
        stderr(&output).contains("inside a task"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn another_protocol_version_is_told_in_words() {
    let home = Home::new();
    let listener = UnixListener::bind(home.runtime_dir().join("control.sock")).expect("free");
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let mut hello = [0; HELLO_LEN];
        stream.read_exact(&mut hello).expect("its hello");
        let newer = Hello {
            role: Role::Supervisor,
            min: 8,
            max: 9,
            chosen: None,
        };
        stream
            .write_all(&newer.encode())
            .expect("the client is there");
    });
    let output = home.output(&["list"]);
    server.join().expect("it served");
    assert_eq!(code(&output), 1);
    assert!(
        stderr(&output).contains("upgrade the older of the two"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_socket_path_that_is_too_long_is_said() {
    let home = Home::new();
    let long = format!("/{}", "x".repeat(120));
    let output = home.output(&["list", "--runtime-dir", &long]);
    assert_eq!(code(&output), 2);
    assert!(
        stderr(&output).contains("--runtime-dir"),
        "{}",
        stderr(&output)
    );
}
