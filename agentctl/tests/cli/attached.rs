//! Attached runs: output as it comes, the verdict, and signals.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::{Arc, Condvar, Mutex};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use protocol::control::{LogChunk, Request, Response, StopRequest};
use protocol::view::{EventView, ResultView, StopResult, TaskView};
use protocol::vocab::{StopOutcome, Stream};
use protocol::{ArchiveReason, Exit, ProviderName, Status, StopReason, TaskId};
use serde_json::Value;

use crate::support::{
    Home, NOW, Peer, Server, accepted, code, ended, running, stderr, stdout, succeeded,
};

/// A gate that a test opens when it has seen enough.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    fn open(&self) {
        *self.0.0.lock().expect("nobody panicked") = true;
        self.0.1.notify_all();
    }

    fn pass(&self) {
        let opened = self.0.0.lock().expect("nobody panicked");
        let _opened = self
            .0
            .1
            .wait_while(opened, |open| !*open)
            .expect("nobody panicked");
    }
}

fn send_log(peer: &mut Peer, bytes: &[u8]) {
    peer.send(&Response::Log(LogChunk {
        offset: 0,
        bytes: bytes.to_vec(),
    }));
    peer.send(&Response::LogEnd {
        offset: bytes.len() as u64,
        gap_bytes: 0,
    });
}

/// An `exec` task that writes to both streams and ends with `verdict`.
fn exec_server(home: &Home, verdict: TaskView) -> Server {
    Server::start(home, move |request, peer| match request {
        Request::Run(run) => peer.send(&accepted(running(run.id.as_str()))),
        Request::Logs(logs) => match logs.stream {
            Stream::Stdout => send_log(peer, b"out\x1b[1m\xff\n"),
            Stream::Stderr => send_log(peer, b"err\n"),
        },
        Request::Wait(_) => peer.send(&Response::Tasks(vec![verdict.clone()])),
        other => panic!("unexpected {other:?}"),
    })
}

#[test]
fn an_exec_task_gives_its_streams_and_its_verdict() {
    let home = Home::new();
    let failed = ended(
        "t",
        Status::Failure,
        ArchiveReason::Failed,
        Exit::Exited { code: 3 },
    );
    let _server = exec_server(&home, failed);
    let output = home.output(&["run", "--id", "t", "--", "x"]);
    assert_eq!(code(&output), 10);
    assert_eq!(output.stdout, b"out\x1b[1m\xff\n");
    let said = stderr(&output);
    assert!(said.starts_with("err\n"), "{said}");
    assert!(
        said.contains("failure · Agent failed (exited with code 3)"),
        "{said}"
    );
    assert!(said.contains("agentctl why t"), "{said}");
}

#[test]
fn a_command_that_did_well_adds_nothing_of_ours() {
    let home = Home::new();
    let _server = exec_server(&home, succeeded("t"));
    let output = home.output(&["run", "--id", "t", "--", "x"]);
    assert_eq!((code(&output), stderr(&output).as_str()), (0, "err\n"));
}

#[test]
fn every_verdict_has_its_exit_code_and_json_is_the_task_alone() {
    for (status, expected) in [
        (Status::Success, 0),
        (Status::Failure, 10),
        (Status::Cancelled, 11),
        (Status::Interrupted, 12),
        (Status::AbortedNoSkill, 13),
    ] {
        let home = Home::new();
        let exit = Exit::Exited { code: 0 };
        let _server = exec_server(&home, ended("t", status, ArchiveReason::Unknown, exit));
        let output = home.output(&["run", "--id", "t", "--json", "--", "x"]);
        assert_eq!(code(&output), expected);
        let printed: Value = serde_json::from_str(&stdout(&output)).expect("one object");
        assert_eq!(printed["status"], status.as_str());
        assert_eq!(stderr(&output), "");
    }
}

#[test]
fn other_providers_show_progress_and_the_final_text() {
    let home = Home::new();
    let claude = |task: TaskView| TaskView {
        provider: ProviderName::new("claude").expect("valid"),
        ..task
    };
    let _server = Server::start(&home, move |request, peer| match request {
        Request::Run(_) => peer.send(&accepted(claude(running("t")))),
        Request::Events(events) => {
            assert_eq!(
                (events.from_seq, events.task.as_deref()),
                (Some(1), Some("t"))
            );
            peer.send(&Response::Event(EventView {
                seq: None,
                at: NOW,
                kind: "task.progress".into(),
                task_id: TaskId::new("t").ok(),
                payload: r#"{"text":"Reading main.rs"}"#.into(),
            }));
            peer.send(&Response::EventsEnd { next_seq: 2 });
        }
        Request::Wait(_) => {
            let text = Some("All done.".to_owned());
            let result = Some(ResultView {
                success: true,
                text,
                truncated: false,
            });
            peer.send(&Response::Tasks(vec![TaskView {
                result,
                ..claude(succeeded("t"))
            }]));
        }
        other => panic!("unexpected {other:?}"),
    });
    let output = home.output(&["run", "--id", "t", "--provider", "claude", "--prompt", "p"]);
    assert_eq!(
        (stdout(&output).as_str(), code(&output)),
        ("All done.\n", 0)
    );
    let said = stderr(&output);
    assert!(said.contains("task t (claude)"), "{said}");
    assert!(said.contains("11:26:42 Reading main.rs\n"), "{said}");
    assert!(said.contains("✓ success · Session completed"), "{said}");
}

/// A task that runs until the gate opens, and the stops that it got.
fn endless_server(home: &Home, gate: &Gate) -> Server {
    let gate = gate.clone();
    Server::start(home, move |request, peer| match request {
        Request::Run(run) => peer.send(&accepted(running(run.id.as_str()))),
        Request::Logs(_) => {
            peer.send(&Response::Log(LogChunk {
                offset: 0,
                bytes: b"up\n".to_vec(),
            }));
            gate.pass();
            peer.send(&Response::LogEnd {
                offset: 3,
                gap_bytes: 0,
            });
        }
        Request::Wait(_) => {
            gate.pass();
            let exit = Exit::Signaled {
                signal: 15,
                core: false,
            };
            let task = ended("t", Status::Cancelled, ArchiveReason::User, exit);
            peer.send(&Response::Tasks(vec![task]));
        }
        Request::Stop(_) => peer.send(&Response::Stopped {
            results: vec![StopResult {
                id: TaskId::new("t").expect("valid"),
                outcome: StopOutcome::StillAlive,
                status: Status::Running,
                archive_reason: None,
                survivors: vec![],
            }],
            failed: vec![],
        }),
        other => panic!("unexpected {other:?}"),
    })
}

fn attach(home: &Home) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut child = home
        .agentctl(&["run", "--id", "t", "--", "x"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
    let mut line = String::new();
    stdout.read_line(&mut line).expect("the first output");
    assert_eq!(line, "up\n");
    (child, stdout)
}

fn signal(child: &Child, signal: Signal) {
    let pid = i32::try_from(child.id()).expect("a pid");
    kill(Pid::from_raw(pid), signal).expect("our child");
}

fn next_stop(server: &Server) -> StopRequest {
    loop {
        if let Request::Stop(stop) = server.next() {
            return stop;
        }
    }
}

#[test]
fn ctrl_c_stops_and_a_second_one_forces() {
    let home = Home::new();
    let gate = Gate::default();
    let server = endless_server(&home, &gate);
    let (child, _stdout) = attach(&home);
    signal(&child, Signal::SIGINT);
    let first = next_stop(&server);
    assert_eq!(
        (first.ids, first.reason),
        (vec!["t".to_owned()], StopReason::User)
    );
    assert_eq!(
        (first.force, first.grace_ms, first.no_wait),
        (false, None, true)
    );
    signal(&child, Signal::SIGINT);
    let second = next_stop(&server);
    assert_eq!((second.force, second.grace_ms), (true, Some(0)));
    gate.open();
    let output = child.wait_with_output().expect("our child");
    assert_eq!(code(&output), 11);
    assert!(
        stderr(&output).contains("Ctrl-C again forces it"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn hup_and_term_only_detach() {
    use std::os::unix::process::ExitStatusExt;
    for name in [Signal::SIGTERM, Signal::SIGHUP] {
        let home = Home::new();
        let gate = Gate::default();
        let server = endless_server(&home, &gate);
        let (child, _stdout) = attach(&home);
        signal(&child, name);
        let output = child.wait_with_output().expect("our child");
        assert_eq!(output.status.signal(), Some(name as i32));
        assert!(stderr(&output).contains("the task goes on: agentctl wait t"));
        assert!(
            server
                .rest()
                .iter()
                .all(|request| !matches!(request, Request::Stop(_)))
        );
        gate.open();
    }
}

/// Bug: «the task goes on» was said of one that nobody had.
#[test]
fn who_leaves_before_the_answer_is_told_what_is_not_known() {
    let home = Home::new();
    let server = Server::start(&home, |_, peer| peer.until_hung_up());
    let child = home
        .agentctl(&["run", "--id", "t", "--", "true"])
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    assert!(matches!(server.next(), Request::Run(_)));
    signal(&child, Signal::SIGTERM);
    let said = stderr(&child.wait_with_output().expect("our child"));
    assert!(!said.contains("goes on"), "{said}");
    assert!(
        said.contains("`agentctl show t` says whether the task began"),
        "{said}"
    );
}

#[test]
fn a_reader_that_leaves_detaches() {
    let home = Home::new();
    let gate = Gate::default();
    let more = gate.clone();
    let _server = Server::start(&home, move |request, peer| match request {
        Request::Run(run) => peer.send(&accepted(running(run.id.as_str()))),
        Request::Logs(logs) if logs.stream == Stream::Stdout => {
            peer.send(&Response::Log(LogChunk {
                offset: 0,
                bytes: b"up\n".to_vec(),
            }));
            more.pass();
            peer.log_until_hung_up(3);
        }
        _ => peer.until_hung_up(),
    });
    let (child, stdout) = attach(&home);
    drop(stdout);
    gate.open();
    let output = child.wait_with_output().expect("our child");
    assert_eq!(code(&output), 0);
    assert!(
        stderr(&output).contains("the task goes on: agentctl wait t"),
        "{}",
        stderr(&output)
    );
}
