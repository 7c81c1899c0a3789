//! What people see, and what scripts cut out of it.

use std::process::Stdio;

use protocol::control::{ErrorBody, ErrorCode, LogChunk, Request, Response};
use protocol::view::StopResult;
use protocol::vocab::StopOutcome;
use protocol::{ArchiveReason, Exit, Status, TaskId};

use crate::support::{Home, ID, Server, code, ended, running, stderr, stdout, succeeded};

#[test]
fn a_list_is_a_table_and_q_is_ids() {
    let home = Home::new();
    let _server = Server::start(&home, |_, peer| {
        peer.send(&Response::Tasks(vec![running(ID)]))
    });
    let output = home.output(&["list"]);
    let table = stdout(&output);
    assert!(
        table.starts_with("ID             STATUS   PROVIDER  TASK"),
        "{table}"
    );
    assert!(
        table.contains("019a3f2c-4d5e  running  exec      sleep 60"),
        "{table}"
    );
    assert!(!table.contains('\u{1b}'), "no colours in a pipe");
    assert_eq!(stdout(&home.output(&["list", "-q"])), format!("{ID}\n"));
}

#[test]
fn an_empty_list_says_so_beside_stdout() {
    let home = Home::new();
    let _server = Server::start(&home, |_, peer| peer.send(&Response::Tasks(vec![])));
    let output = home.output(&["list"]);
    assert_eq!((stdout(&output).as_str(), code(&output)), ("", 0));
    assert!(stderr(&output).contains("no live tasks"));
}

#[test]
fn a_wait_prints_a_line_per_task_and_exits_with_the_first_bad_verdict() {
    let home = Home::new();
    let failed = ended(
        "b",
        Status::Failure,
        ArchiveReason::Failed,
        Exit::Exited { code: 3 },
    );
    let _server = Server::start(&home, move |_, peer| {
        peer.send(&Response::Tasks(vec![succeeded(ID), failed.clone()]));
    });
    let output = home.output(&["wait", ID, "019a3f2c-4d5e-7000-8000-000000000002"]);
    assert_eq!(
        stdout(&output),
        format!("{ID} success completed\nb failure failed\n")
    );
    assert_eq!(code(&output), 10);
}

#[test]
fn names_are_pinned_before_a_wait() {
    let home = Home::new();
    let server = Server::start(&home, |request, peer| match request {
        Request::Show { id } if id == "nightly" => {
            let (task, intents, evidence) = (running(ID), vec![], vec![]);
            let detail = protocol::view::TaskDetail {
                task,
                intents,
                evidence,
            };
            peer.send(&Response::Detail(Box::new(detail)));
        }
        Request::Wait(wait) if wait.ids == [ID] && wait.timeout_ms.is_some() => {
            let error = ErrorBody::new(ErrorCode::Timeout, "still running");
            peer.send(&Response::Error(error));
        }
        other => panic!("unexpected {other:?}"),
    });
    let output = home.output(&["wait", "nightly", "--timeout", "1s"]);
    assert_eq!(code(&output), 8, "{}", stderr(&output));
    drop(server);
}

#[test]
fn a_stop_prints_outcomes_and_names_what_is_unknown() {
    let home = Home::new();
    let _server = Server::start(&home, |request, peer| {
        let unknown = ErrorBody::new(ErrorCode::NotFound, "no task is called zzz");
        match request {
            Request::Show { id } if id == "zzz" => return peer.send(&Response::Error(unknown)),
            Request::Stop(stop) => assert_eq!(stop.ids, [ID]),
            other => panic!("{other:?}"),
        }
        let result = StopResult {
            id: TaskId::new("a").expect("valid"),
            outcome: StopOutcome::AlreadyGone,
            status: Status::Success,
            archive_reason: Some(ArchiveReason::Completed),
            survivors: vec![],
        };
        peer.send(&Response::Stopped {
            results: vec![result],
            failed: vec![],
        });
    });
    let output = home.output(&["stop-session", ID, "zzz"]);
    assert_eq!(stdout(&output), "a already gone: success (completed)\n");
    assert_eq!(stderr(&output), "agentctl: no task is called zzz\n");
    assert_eq!(code(&output), 3);
}

fn serve_log(bytes: &'static [u8]) -> (Home, Server) {
    let home = Home::new();
    let server = Server::start(&home, move |_, peer| {
        for (at, piece) in bytes.chunks(3).enumerate() {
            let offset = (at * 3) as u64;
            peer.send(&Response::Log(LogChunk {
                offset,
                bytes: piece.to_vec(),
            }));
        }
        peer.send(&Response::LogEnd {
            offset: bytes.len() as u64,
            gap_bytes: 2048,
        });
    });
    (home, server)
}

#[test]
fn logs_are_clean_unless_raw() {
    const BYTES: &[u8] = b"a\x1b[31mred\x1b[0m\xff\nend\n";
    let (home, server) = serve_log(BYTES);
    let output = home.output(&["logs", "x", "-n", "5", "--stderr"]);
    assert_eq!(stdout(&output), "ared\u{fffd}\nend\n");
    assert!(
        stderr(&output).contains("2.0 KiB more were written"),
        "{}",
        stderr(&output)
    );
    let Request::Logs(request) = server.next() else {
        panic!("not logs")
    };
    assert_eq!((request.last_lines, request.follow), (Some(5), false));
    assert_eq!(request.stream, protocol::vocab::Stream::Stderr);
    assert_eq!(home.output(&["logs", "x", "--raw"]).stdout, BYTES);
    let json = stdout(&home.output(&["logs", "x", "--json"]));
    assert!(
        json.starts_with("{\"stream\":\"stdout\",\"offset\":0,\"text\":"),
        "{json}"
    );
}

#[test]
fn a_reader_that_leaves_ends_it_quietly() {
    let home = Home::new();
    let _server = Server::start(&home, |_, peer| peer.log_until_hung_up(0));
    let mut child = home
        .agentctl(&["logs", "x"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("our child");
    assert_eq!((code(&output), stderr(&output).as_str()), (0, ""));
}

#[test]
fn completions_and_help_need_no_supervisor() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish"] {
        let output = home
            .agentctl(&["completions", shell])
            .env_remove("HOME")
            .output();
        let output = output.expect("the binary starts");
        assert!(stdout(&output).contains("stop-session"), "{shell}");
    }
    assert_eq!(code(&home.output(&["--help"])), 0);
    assert_eq!(stdout(&home.output(&["--version"])), "agentctl 0.1.0\n");
}
