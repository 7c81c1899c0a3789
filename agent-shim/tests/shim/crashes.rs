//! The shim, killed at each of its points. Whatever it had established is in
//! its journal, nothing else is, and no agent lives on.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::process::Command;

use protocol::Exit;
use protocol::shim::Record;
use sys::claim;
use sys::hook::POINTS;
use sys::journal::{self, JournalError};

use super::harness::{Rig, is_gone, kind, order, pids_in, poll_until, shim_command, state};

/// Runs a task whose shim dies the `count`th time that it reaches `point`;
/// says whether it got there.
fn die_at(point: &str, count: usize) -> bool {
    let state = state();
    let harness = state.path().join("hooks");
    let listener = UnixListener::bind(&harness).expect("free");
    let pids = state.path().join("pids");
    // What it leaves behind goes with the test.
    let script = format!(
        "echo $$ >> {0}; (while [ -d {1} ]; do sleep 0.1; done & echo $! >> {0}); echo x; exit 3",
        pids.display(),
        state.path().display()
    );
    let mut command: Command = shim_command();
    command
        .env("AGENT_HOOKS", point)
        .env("AGENT_HOOKS_SOCKET", &harness);
    let mut rig = Rig::start_with(command, state, order(&script));
    let died = serve(&listener, count, &mut rig);
    if died {
        let _ = rig.wait_shim();
    }
    check(&rig, point);
    sys::temp_folder::remove_of(&rig.task_dir()).expect("ours");
    if let Some(leader) = pids_in(&pids).first() {
        poll_until(|| is_gone(*leader));
    }
    died
}

/// Lets the shim pass until it is time to die; `false` if it ends before.
fn serve(listener: &UnixListener, count: usize, rig: &mut Rig) -> bool {
    let ended = sys::PidFd::open(rig.shim_pid()).expect("allowed");
    listener.set_nonblocking(true).expect("a socket");
    let mut reached = 0;
    loop {
        if let Ok((mut stream, _)) = listener.accept() {
            stream.set_nonblocking(false).expect("a socket");
            let mut line = String::new();
            BufReader::new(&stream)
                .read_line(&mut line)
                .expect("a name");
            reached += 1;
            let answer = if reached == count { "die\n" } else { "go\n" };
            stream.write_all(answer.as_bytes()).expect("it waits");
            if reached == count {
                return true;
            }
        }
        if rig.journal_ends() {
            rig.link = None;
            let _ = std::fs::remove_file(rig.task_dir().join(journal::FILE_NAME));
        }
        if ended
            .as_ref()
            .is_none_or(|pidfd| pidfd.has_ended().expect("poll"))
        {
            return false;
        }
        std::thread::yield_now();
    }
}

fn check(rig: &Rig, point: &str) {
    let claim = claim::read(&rig.task_dir()).expect("whole or not there");
    let replay = match journal::read_from(&rig.task_dir().join(journal::FILE_NAME), 0) {
        Ok(replay) => replay,
        Err(JournalError::Io { .. }) => return,
        Err(error) => panic!("{point}: {error}"),
    };
    assert!(claim.is_some(), "{point}: a journal has a claim");
    let records: Vec<Record> = replay
        .entries
        .into_iter()
        .filter_map(|entry| entry.record)
        .collect();
    let kinds: Vec<_> = records.iter().map(kind).collect();
    let whole = [
        "claimed",
        "execd",
        "output",
        "exited",
        "signalled",
        "swept",
        "finished",
    ];
    let mut expected = whole.iter();
    for kind in &kinds {
        assert!(expected.any(|next| next == kind), "{point}: {kinds:?}");
    }
    for record in records {
        if let Record::Exited { exit, .. } = record {
            assert_eq!(exit, Exit::Exited { code: 3 }, "{point}");
        }
    }
}

#[test]
fn at_every_point_the_truth_is_kept() {
    let mut reached = Vec::new();
    for point in POINTS.iter().filter(|point| point.starts_with("shim.")) {
        let mut count = 1;
        while die_at(point, count) {
            reached.push(*point);
            count += 1;
            assert!(count < 40, "{point} is reached without end");
        }
    }
    reached.dedup();
    let all: Vec<_> = POINTS
        .iter()
        .filter(|point| point.starts_with("shim."))
        .copied()
        .collect();
    assert_eq!(reached, all, "each is reached in the life of a task");
}
