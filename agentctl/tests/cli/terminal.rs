//! What a terminal gets: colours and signs, lines that fit, nothing that
//! steers it; and lists that draw themselves again.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};

use nix::pty::{Winsize, openpty};
use protocol::control::{LogChunk, Request, Response};
use protocol::view::EventView;
use protocol::vocab::Stream;

use crate::support::{Home, ID, NOW, Server, accepted, running, succeeded};

/// Everything that `command` writes to a terminal of 60 columns.
fn on_terminal(command: &mut Command) -> String {
    let size = Winsize {
        ws_row: 24,
        ws_col: 60,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    let pty = openpty(Some(&size), None).expect("a pseudo terminal");
    let mut child = command
        .stdout(Stdio::from(pty.slave))
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts");
    // The command holds the other end too, and would keep it open.
    command.stdout(Stdio::null());
    let mut written = Vec::new();
    // The end of a terminal is EIO.
    let _end = File::from(pty.master).read_to_end(&mut written);
    child.wait().expect("our child");
    String::from_utf8(written).expect("text")
}

#[test]
fn a_terminal_gets_signs_and_colours_that_fit() {
    let home = Home::new();
    let _server = Server::start(&home, |_, peer| {
        let mut task = running(ID);
        task.argv = vec!["x".repeat(200)];
        peer.send(&Response::Tasks(vec![task]));
    });
    let drawn = on_terminal(&mut home.agentctl(&["list"]));
    assert!(drawn.contains("\u{1b}[34m● running\u{1b}[0m"), "{drawn:?}");
    let plain = on_terminal(home.agentctl(&["list"]).env("NO_COLOR", "1"));
    assert!(!plain.contains('\u{1b}'), "{plain:?}");
    for line in plain.lines() {
        assert!(line.chars().count() <= 60, "{line:?}");
    }
}

#[test]
fn a_task_cannot_steer_the_terminal() {
    let home = Home::new();
    let _server = Server::start(&home, |request, peer| match request {
        Request::Run(_) => peer.send(&accepted(running("t"))),
        Request::Logs(logs) => {
            let bytes = match logs.stream {
                Stream::Stdout => b"\x1b]0;title\x07a\x1b[2Jb\n".to_vec(),
                Stream::Stderr => Vec::new(),
            };
            peer.send(&Response::Log(LogChunk { offset: 0, bytes }));
            peer.send(&Response::LogEnd {
                offset: 15,
                gap_bytes: 0,
            });
        }
        Request::Wait(_) => peer.send(&Response::Tasks(vec![succeeded("t")])),
        other => panic!("unexpected {other:?}"),
    });
    let drawn = on_terminal(&mut home.agentctl(&["run", "--id", "t", "--", "x"]));
    assert_eq!(drawn, "ab\r\n");
}

#[test]
fn a_watched_list_is_drawn_again_after_an_event() {
    let home = Home::new();
    let changed = Arc::new(AtomicBool::new(false));
    let (drawn, was_drawn) = mpsc::channel::<()>();
    let was_drawn = std::sync::Mutex::new(was_drawn);
    let _server = Server::start(&home, move |request, peer| match request {
        Request::List(_) if changed.load(Ordering::SeqCst) => {
            peer.send(&Response::Tasks(vec![running("b"), running("a")]));
        }
        Request::List(_) => peer.send(&Response::Tasks(vec![running("a")])),
        Request::Events(events) if events.follow => {
            assert_eq!(events.from_seq, Some(5));
            let waiting = was_drawn.lock().expect("nobody panicked");
            waiting.recv().expect("the test sends");
            changed.store(true, Ordering::SeqCst);
            peer.send(&Response::Event(EventView {
                seq: Some(5),
                at: NOW,
                kind: "task.started".into(),
                task_id: None,
                payload: String::new(),
            }));
            peer.until_hung_up();
        }
        Request::Events(_) => peer.send(&Response::EventsEnd { next_seq: 5 }),
        other => panic!("unexpected {other:?}"),
    });
    let mut child = home
        .agentctl(&["list", "-q", "--watch"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut line = || lines.next().expect("a line").expect("text");
    assert_eq!(line(), "a");
    drawn.send(()).expect("the server waits");
    assert_eq!((line(), line()), ("b".to_owned(), "a".to_owned()));
    child.kill().expect("our child");
    child.wait().expect("our child");
}
