//! With real processes, of the kinds that agents leave behind.

use super::*;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};

const NONCE: &str = "5eed";

/// A task of this test alone: tests run side by side.
fn task(name: &str) -> TaskId {
    TaskId::new(format!("sweep-test-{}-{name}", std::process::id())).expect("legal")
}

fn order(task: &TaskId, grace_ms: u64) -> SweepOrder {
    SweepOrder {
        task: task.clone(),
        nonce: NONCE.into(),
        shim: None,
        uid: nix::unistd::getuid().as_raw(),
        grace_ms,
        proven: None,
    }
}

/// Starts `script` with the marker and waits until it has printed `lines`
/// lines, each a pid.
fn left_behind(task: &TaskId, nonce: &str, lines: usize, script: &str) -> (Child, Vec<i32>) {
    let (child, pids, _stdout) = heard(task, nonce, lines, script);
    (child, pids)
}

/// The same, and the pipe that all of them hold.
fn heard(
    task: &TaskId,
    nonce: &str,
    lines: usize,
    script: &str,
) -> (Child, Vec<i32>, BufReader<ChildStdout>) {
    let mut child = Command::new("sh")
        .args(["-c", script])
        .env(marker::marker_name(task), nonce)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a shell");
    let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
    let pids = stdout
        .by_ref()
        .lines()
        .take(lines)
        .map(|line| line.expect("readable").trim().parse().expect("a pid"));
    let pids = pids.collect();
    (child, pids, stdout)
}

/// Nobody holds the other end of the pipe any more.
fn is_let_go(stdout: &mut BufReader<ChildStdout>) -> bool {
    let mut fds = [PollFd::new(stdout.get_ref().as_fd(), PollFlags::POLLIN)];
    let timeout = PollTimeout::from(10_000_u16);
    assert!(poll(&mut fds, timeout).is_ok());
    let seen = fds[0].revents().unwrap_or(PollFlags::empty());
    seen.contains(PollFlags::POLLHUP)
}

/// Gone or a zombie of somebody who has not looked yet.
fn is_dead(pid: i32) -> bool {
    process::stat(pid)
        .expect("readable")
        .is_none_or(|stat| stat.is_dead())
}

#[test]
fn sessions_and_orphans_are_found_and_asked_first() {
    let task = task("orphans");
    // One in the group, one in a session of its own, one whose parents ended.
    let script = "sleep 1000 & echo $!
        setsid sh -c 'echo $$; exec sleep 1000' &
        (setsid sh -c 'sleep 1000 & echo $!' &)
        wait";
    let (mut child, pids) = left_behind(&task, NONCE, 3, script);
    let record = run(&order(&task, 10_000));
    child.wait().expect("ours");
    assert!(record.empty && record.marker_only, "{record:?}");
    assert!(record.survivors.is_empty());
    assert!(record.swept >= 4, "the shell and three: {record:?}");
    for pid in pids {
        assert!(is_dead(pid), "{pid}");
    }
}

#[test]
fn what_ignores_the_request_is_killed_when_the_grace_is_over() {
    let task = task("deaf");
    let script = "trap '' TERM; sleep 1000 & echo $!; wait";
    let (mut child, pids) = left_behind(&task, NONCE, 1, script);
    let began = Instant::now();
    let record = run(&order(&task, 200));
    assert!(
        began.elapsed() >= Duration::from_millis(200),
        "the grace was given"
    );
    assert!(record.empty, "{record:?}");
    assert_eq!(record.swept, 2);
    assert!(is_dead(pids[0]));
    use std::os::unix::process::ExitStatusExt;
    assert_eq!(child.wait().expect("ours").signal(), Some(KILL));
}

#[test]
fn what_forks_on_while_it_is_ended_is_ended_too() {
    let task = task("forks");
    // Each process replaces itself by a child in a new session, for ever.
    let script =
        "echo $$; f='sleep 0.01; setsid sh -c \"$0\" \"$0\" & exit'; exec sh -c \"$f\" \"$f\"";
    // Strangers of the same user that begin and end all the time, as long as we are there.
    let mut busy = ["", ""].map(|_| {
        let mut shell = Command::new("sh");
        let shell = shell.args(["-c", "while kill -0 $PPID; do /bin/true; done"]);
        shell.spawn().expect("a shell")
    });
    for _ in 0..20 {
        let (mut child, _, mut stdout) = heard(&task, NONCE, 1, script);
        let record = run(&order(&task, 0));
        child.wait().expect("ours");
        assert!(record.empty, "{record:?}");
        assert!(is_let_go(&mut stdout), "one of them lives on");
    }
    for shell in &mut busy {
        shell.kill().expect("ours");
        shell.wait().expect("ours");
    }
}

#[test]
fn another_nonce_user_or_time_is_a_stranger() {
    let task = task("stranger");
    let (mut child, _) = left_behind(&task, "other", 1, "echo $$; exec sleep 1000");
    let nothing = |order: &SweepOrder| {
        let record = run(order);
        assert!(
            record.empty && record.swept == 0 && record.survivors.is_empty(),
            "{record:?}"
        );
    };
    nothing(&order(&task, 0));
    let here = process::here().expect("readable");
    let mut fitting = SweepOrder {
        nonce: "other".into(),
        ..order(&task, 0)
    };
    let shim = ProcessId {
        boot_id: here.boot_id.clone(),
        pid_ns: here.pid_ns,
        pid: 1,
        start_time: u64::MAX,
    };
    fitting.shim = Some(shim.clone());
    nothing(&fitting);
    fitting.shim = Some(ProcessId {
        boot_id: "another".into(),
        start_time: 0,
        ..shim
    });
    nothing(&fitting);
    fitting.shim = None;
    let of_another = SweepOrder {
        uid: fitting.uid + 1,
        ..fitting.clone()
    };
    let record = run(&of_another);
    assert!(!record.empty && record.swept == 0, "{record:?}");
    let pid = i32::try_from(child.id()).expect("a pid");
    assert_eq!(
        record
            .survivors
            .iter()
            .map(|one| one.pid)
            .collect::<Vec<_>>(),
        [pid]
    );
    assert_eq!(record.survivors[0].comm, "sleep");
    assert!(!is_dead(pid), "nobody signalled it");
    assert_eq!(run(&fitting).swept, 1);
    child.wait().expect("ours");
}

#[test]
fn nothing_left_is_empty_at_once() {
    let began = Instant::now();
    let record = run(&order(&task("nothing"), 60_000));
    assert!(record.empty && record.swept == 0);
    assert!(
        began.elapsed() < Duration::from_secs(30),
        "no grace for nobody"
    );
    let unproven = unproven(Timestamp(7));
    assert!(!unproven.empty && unproven.marker_only && unproven.at == Timestamp(7));
}
