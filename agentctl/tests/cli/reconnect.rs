//! Supervisors that vanish and come back: nothing is lost or repeated.

use std::process::{Child, Stdio};
use std::sync::mpsc;

use protocol::control::{EventsRequest, LogChunk, Request, Response};
use protocol::view::{EventView, TaskDetail};

use crate::support::{
    Home, ID, NOW, Peer, Server, accepted, code, running, stderr, stdout, succeeded,
};

fn spawn(home: &Home, args: &[&str]) -> Child {
    home.agentctl(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts")
}

/// A server that never answers.
fn silent(home: &Home) -> Server {
    Server::start(home, |_, peer| peer.until_hung_up())
}

#[test]
fn a_wait_goes_on_with_the_next_supervisor() {
    let home = Home::new();
    let first = silent(&home);
    let child = spawn(&home, &["wait", ID]);
    assert!(matches!(first.next(), Request::Wait(_)));
    drop(first);
    let second = Server::start(&home, |_, peer| {
        peer.send(&Response::Tasks(vec![succeeded(ID)]))
    });
    let output = child.wait_with_output().expect("our child");
    assert_eq!(
        stdout(&output),
        format!("{ID} success completed\n"),
        "{}",
        stderr(&output)
    );
    assert!(matches!(second.next(), Request::Wait(wait) if wait.ids == [ID]));
}

#[test]
fn a_dispatch_is_sent_again_with_the_same_id() {
    let home = Home::new();
    let first = silent(&home);
    let child = spawn(&home, &["run", "-d", "--", "true"]);
    let Request::Run(sent) = first.next() else {
        panic!("not a run")
    };
    drop(first);
    let second = Server::start(&home, |request, peer| {
        let Request::Run(run) = request else {
            panic!("{request:?}")
        };
        peer.send(&Response::Task {
            task: Box::new(running(run.id.as_str())),
            existing: true,
            warnings: vec![],
        });
    });
    let output = child.wait_with_output().expect("our child");
    assert_eq!(
        (stdout(&output), code(&output)),
        (format!("{}\n", sent.id), 0)
    );
    // It was this command's own task: no talk of an older one.
    assert_eq!(stderr(&output), "");
    let Request::Run(again) = second.next() else {
        panic!("not a run")
    };
    assert_eq!(again, sent);
}

/// Nobody brings back a supervisor that was started by a command: the next
/// command does, and a dispatch that is on its way is one.
#[test]
fn a_dispatch_starts_a_supervisor_where_none_comes_back() {
    let home = Home::new();
    let first = silent(&home);
    let script = home.script("echo 'ERROR the script was started'; exit 2");
    let child = home
        .agentctl(&["run", "-d", "--id", "mine", "--", "true"])
        .env("AGENT_SUPERVISOR_BIN", script)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let Request::Run(_) = first.next() else {
        panic!("not a run")
    };
    drop(first);
    let output = child.wait_with_output().expect("our child");
    assert_eq!(code(&output), 5);
    let said = stderr(&output);
    assert!(said.contains("the script was started"), "{said}");
}

fn send_log(peer: &mut Peer, from: u64, whole: &[u8]) {
    let at = usize::try_from(from).expect("small");
    peer.send(&Response::Log(LogChunk {
        offset: from,
        bytes: whole[at..].to_vec(),
    }));
}

#[test]
fn logs_go_on_where_they_were_left() {
    let home = Home::new();
    let (cut, was_cut) = mpsc::channel();
    let first = Server::start(&home, move |request, peer| {
        let Request::Logs(logs) = request else {
            panic!("{request:?}")
        };
        assert_eq!(logs.last_lines, Some(3));
        send_log(peer, logs.from_offset, b"one\ntwo\n");
        cut.send(()).expect("the test waits");
        peer.until_hung_up();
    });
    let child = spawn(&home, &["logs", ID, "-f", "-n", "3"]);
    was_cut.recv().expect("the first half was sent");
    drop(first);
    let _second = Server::start(&home, |request, peer| {
        let Request::Logs(logs) = request else {
            panic!("{request:?}")
        };
        if logs.from_offset > 0 {
            assert_eq!(logs.last_lines, None);
        }
        send_log(peer, logs.from_offset, b"one\ntwo\nthree\n");
        peer.send(&Response::LogEnd {
            offset: 14,
            gap_bytes: 0,
        });
    });
    let output = child.wait_with_output().expect("our child");
    assert_eq!(stdout(&output), "one\ntwo\nthree\n", "{}", stderr(&output));
    assert_eq!(code(&output), 0);
}

/// Events `from..=last` of a ledger.
fn send_events(peer: &mut Peer, from: u64, last: u64) {
    for seq in from..=last {
        peer.send(&Response::Event(EventView {
            seq: Some(seq),
            at: NOW,
            kind: "task.ended".into(),
            task_id: None,
            payload: String::new(),
        }));
    }
}

fn events(request: Request) -> EventsRequest {
    let Request::Events(events) = request else {
        panic!("{request:?}")
    };
    events
}

#[test]
fn events_go_on_behind_the_last_seq() {
    let home = Home::new();
    let (cut, was_cut) = mpsc::channel();
    let first = Server::start(&home, move |request, peer| {
        let request = events(request);
        match request.from_seq {
            // «From now on»: the log stands at 5.
            None => peer.send(&Response::EventsEnd { next_seq: 5 }),
            Some(from) => {
                send_events(peer, from, 6);
                cut.send(()).expect("the test waits");
                peer.until_hung_up();
            }
        }
    });
    let mut child = spawn(&home, &["events", "--follow", "--json"]);
    was_cut.recv().expect("the first half was sent");
    drop(first);
    let (sent, was_sent) = mpsc::channel();
    let second = Server::start(&home, move |request, peer| {
        send_events(peer, events(request).from_seq.expect("a number by now"), 8);
        sent.send(()).expect("the test waits");
        peer.until_hung_up();
    });
    was_sent.recv().expect("the second half was sent");
    let lines = {
        use std::io::{BufRead, BufReader};
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        stdout
            .lines()
            .take(4)
            .collect::<Result<Vec<_>, _>>()
            .expect("four lines")
    };
    child.kill().expect("our child");
    child.wait().expect("our child");
    let seqs: Vec<&str> = lines.iter().map(|line| &line[..8]).collect();
    assert_eq!(
        seqs,
        ["{\"seq\":5", "{\"seq\":6", "{\"seq\":7", "{\"seq\":8"]
    );
    drop(second);
}

#[test]
fn an_attached_run_survives_a_restart_of_the_supervisor() {
    let home = Home::new();
    let (cut, was_cut) = mpsc::channel();
    let first = Server::start(&home, move |request, peer| match request {
        Request::Run(run) => peer.send(&accepted(running(run.id.as_str()))),
        Request::Logs(logs) if logs.stream == protocol::vocab::Stream::Stdout => {
            send_log(peer, logs.from_offset, b"half ");
            cut.send(()).expect("the test waits");
            peer.until_hung_up();
        }
        _ => peer.until_hung_up(),
    });
    let child = spawn(&home, &["run", "--id", "t", "--", "x"]);
    was_cut.recv().expect("the first half was sent");
    drop(first);
    let _second = Server::start(&home, |request, peer| match request {
        Request::Logs(logs) => {
            let whole: &[u8] = match logs.stream {
                protocol::vocab::Stream::Stdout => b"half and half\n",
                protocol::vocab::Stream::Stderr => b"",
            };
            send_log(peer, logs.from_offset, whole);
            peer.send(&Response::LogEnd {
                offset: whole.len() as u64,
                gap_bytes: 0,
            });
        }
        Request::Wait(_) => peer.send(&Response::Tasks(vec![succeeded("t")])),
        other => panic!("unexpected {other:?}"),
    });
    let output = child.wait_with_output().expect("our child");
    assert_eq!(
        (stdout(&output).as_str(), code(&output)),
        ("half and half\n", 0)
    );
}

/// By then a newer task may have the name: what is asked again is the id.
#[test]
fn a_stop_by_a_name_goes_on_for_the_same_task() {
    let home = Home::new();
    let (stopping, was_asked) = mpsc::channel();
    let first = Server::start(&home, move |request, peer| match request {
        Request::Show { id } if id == "nightly" => {
            peer.send(&Response::Detail(Box::new(TaskDetail {
                task: running(ID),
                intents: vec![],
                evidence: vec![],
            })));
        }
        Request::Stop(stop) => {
            assert_eq!(stop.ids, [ID]);
            stopping.send(()).expect("the test waits");
            peer.until_hung_up();
        }
        other => panic!("unexpected {other:?}"),
    });
    let child = spawn(&home, &["stop", "nightly"]);
    was_asked.recv().expect("it was asked to stop");
    drop(first);
    let second = Server::start(&home, |_, peer| {
        peer.send(&Response::Stopped {
            results: vec![],
            failed: vec![],
        });
    });
    let output = child.wait_with_output().expect("our child");
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(matches!(second.next(), Request::Stop(stop) if stop.ids == [ID]));
}

/// What is alive then may be other tasks: what is asked again is those that lived.
#[test]
fn a_stop_of_all_goes_on_for_those_that_lived() {
    let home = Home::new();
    let (stopping, was_asked) = mpsc::channel();
    let first = Server::start(&home, move |request, peer| match request {
        Request::List(_) => peer.send(&Response::Tasks(vec![running(ID)])),
        Request::Stop(stop) => {
            assert!(stop.all && stop.ids.is_empty(), "{stop:?}");
            stopping.send(()).expect("the test waits");
            peer.until_hung_up();
        }
        other => panic!("unexpected {other:?}"),
    });
    let child = spawn(&home, &["stop", "--all"]);
    was_asked.recv().expect("it was asked to stop");
    drop(first);
    let second = Server::start(&home, |_, peer| {
        peer.send(&Response::Stopped {
            results: vec![],
            failed: vec![],
        });
    });
    let output = child.wait_with_output().expect("our child");
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(matches!(second.next(), Request::Stop(stop) if !stop.all && stop.ids == [ID]));
}

/// Nobody is known to whom it could be repeated.
#[test]
fn a_stop_of_all_of_nobody_is_not_sent_twice() {
    let home = Home::new();
    let (stopping, was_asked) = mpsc::channel();
    let first = Server::start(&home, move |request, peer| match request {
        Request::List(_) => peer.send(&Response::Tasks(vec![])),
        Request::Stop(_) => {
            stopping.send(()).expect("the test waits");
            peer.until_hung_up();
        }
        other => panic!("unexpected {other:?}"),
    });
    let child = spawn(&home, &["stop", "--all"]);
    was_asked.recv().expect("it was asked to stop");
    drop(first);
    let second = silent(&home);
    let output = child.wait_with_output().expect("our child");
    assert_eq!(code(&output), 5, "{}", stderr(&output));
    assert!(
        stderr(&output).contains("the stop may have been taken"),
        "{}",
        stderr(&output)
    );
    assert_eq!(second.rest(), []);
}
