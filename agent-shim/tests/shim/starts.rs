//! How a task begins, or does not.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use protocol::hello::{Hello, Role};
use protocol::shim::{ProcessId, Record, SpawnStage};
use protocol::{Exit, Timestamp};
use sys::claim::{self, Claim, ClaimedBy};

use super::harness::{Finished, Rig, kind, order, spawn_shim, state};

#[test]
fn the_common_path_is_told_whole_and_in_order() {
    let rig = Rig::start(order("echo hello; echo oh >&2; exit 3"));
    let shim_pid = rig.shim_pid();
    let done = rig.finish();
    assert_eq!(
        done.kinds(),
        ["claimed", "execd", "output", "exited", "swept", "finished"]
    );
    assert_eq!(done.exit(), Exit::Exited { code: 3 });
    assert_eq!(done.log("stdout.log"), b"hello\n");
    assert_eq!(done.log("stderr.log"), b"oh\n");
    let swept = done.swept();
    assert!(swept.empty && swept.swept == 0 && swept.survivors.is_empty());
    let claimed = done.find(|record| match record {
        Record::Claimed { shim, .. } => Some(shim.clone()),
        _ => None,
    });
    let task_dir = done.state.path().join("tasks/task");
    let claim = claim::read(&task_dir).expect("readable").expect("made");
    assert_eq!((claim.by, &claim.process), (ClaimedBy::Shim, &claimed));
    assert_eq!(claimed.pid, shim_pid);
    let bytes = done.find(|record| match record {
        Record::Finished {
            output_bytes,
            gap_bytes,
            ..
        } => Some((*output_bytes, *gap_bytes)),
        _ => None,
    });
    assert_eq!(bytes, ((6, 3), (0, 0)));
    for name in ["stdout.log", "stderr.log", "journal", "claim"] {
        let mode = std::fs::metadata(task_dir.join(name))
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn the_agent_gets_what_the_order_says_and_nothing_else() {
    let mut order = order("cat; env; echo $0; ls -ld \"$TMPDIR\"; touch \"$TMPDIR/x\"; tty; pwd");
    order.stdin = Some(b"the prompt\n".to_vec());
    order.env.push(("MARK".into(), "1".into()));
    order.cwd = "/usr".into();
    let done = Rig::start(order).finish();
    let output = String::from_utf8(done.log("stdout.log")).expect("text");
    assert!(output.starts_with("the prompt\n"), "{output}");
    assert!(
        output.contains("\nMARK=1\n") && output.contains("not a tty\n/usr\n"),
        "{output}"
    );
    assert!(
        output.contains("\nAGENT_SUPERVISOR_RUNTIME_DIR="),
        "{output}"
    );
    let names = [
        "PATH",
        "MARK",
        "TMPDIR",
        "AGENT_SUPERVISOR_RUNTIME_DIR",
        "PWD",
        "_",
        "SHLVL",
        "OLDPWD",
    ];
    let foreign = output
        .lines()
        .filter_map(|line| line.split_once('='))
        .find(|(name, _)| !names.contains(name));
    assert_eq!(foreign, None);
    let temp = output
        .lines()
        .find_map(|line| line.strip_prefix("TMPDIR="))
        .expect("set");
    assert!(temp.len() < 25, "{temp} is short");
    assert!(output.contains("drwx------"), "{output}");
    assert!(!std::path::Path::new(temp).exists(), "it is removed");
    let task_dir = done.state.path().join("tasks/task");
    assert_eq!(sys::temp_folder::find(&task_dir).expect("readable"), None);
}

#[test]
fn a_long_prompt_goes_through_a_small_pipe() {
    let mut long = order("wc -c");
    long.stdin = Some(vec![b'x'; 3_000_000]);
    assert_eq!(Rig::start(long).finish().log("stdout.log"), b"3000000\n");
    // And one that nobody reads does no harm.
    let mut unread = order("exit 0");
    unread.stdin = Some(vec![b'x'; 3_000_000]);
    assert_eq!(Rig::start(unread).finish().exit(), Exit::Exited { code: 0 });
}

#[test]
fn failed_starts_name_their_stage() {
    let failed = |change: fn(&mut protocol::shim::Start)| -> (Finished, SpawnStage, i32, String) {
        let mut order = order("exit 0");
        change(&mut order);
        let done = Rig::start(order).finish();
        assert_eq!(done.kinds(), ["claimed", "spawn_failed", "finished"]);
        let (stage, errno, path) = done.find(|record| match record {
            Record::SpawnFailed {
                stage, errno, path, ..
            } => Some((*stage, *errno, path.clone())),
            _ => None,
        });
        (done, stage, errno, path)
    };
    let (_, stage, errno, path) = failed(|order| order.argv = vec!["no-such-agent".into()]);
    assert_eq!(
        (stage, errno, path.as_str()),
        (SpawnStage::Search, 2, "no-such-agent")
    );
    let (_, stage, errno, path) = failed(|order| order.argv = vec!["/etc/passwd".into()]);
    assert_eq!(
        (stage, errno, path.as_str()),
        (SpawnStage::Search, 13, "/etc/passwd")
    );
    let (_, stage, errno, path) = failed(|order| order.cwd = "/no/such/folder".into());
    assert_eq!(
        (stage, errno, path.as_str()),
        (SpawnStage::Chdir, 2, "/no/such/folder")
    );
}

#[test]
fn a_lost_claim_starts_nothing() {
    let state = state();
    let task_dir = state.path().join("tasks/task");
    let process = ProcessId {
        boot_id: "b".into(),
        pid_ns: 1,
        pid: 2,
        start_time: 3,
    };
    let theirs = Claim {
        by: ClaimedBy::Supervisor,
        process,
        at: Timestamp(4),
    };
    claim::create(&task_dir, &theirs, &sys::hook::SUP_CLAIM).expect("free");
    let marker = state.path().join("started");
    let mut rig = Rig::start_in(state, order(&format!("touch {}", marker.display())));
    assert!(rig.wait_shim().success());
    assert!(!marker.exists());
    let mut names: Vec<_> = std::fs::read_dir(&task_dir)
        .expect("there")
        .map(|entry| entry.expect("there").file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["claim"]);
    assert_eq!(claim::read(&task_dir).expect("whole"), Some(theirs));
}

#[test]
fn without_an_order_nothing_happens() {
    let (mut shim, socket) = spawn_shim();
    drop(socket);
    assert!(shim.wait().expect("ours").success());

    let (mut shim, mut socket) = spawn_shim();
    socket
        .write_all(&Hello::opening(Role::Supervisor).encode())
        .expect("open");
    drop(socket);
    assert!(shim.wait().expect("ours").success());

    // Told to end before its order: nobody wants it any more.
    let (mut shim, mut socket) = spawn_shim();
    socket
        .write_all(&Hello::opening(Role::Supervisor).encode())
        .expect("open");
    let pid = i32::try_from(shim.id()).expect("a pid");
    super::harness::poll_until(|| {
        sys::process::comm(pid).expect("readable").as_deref() == Some("agent-shim")
            && std::fs::read_to_string(format!("/proc/{pid}/status"))
                .is_ok_and(|status| !status.contains("SigBlk:\t0000000000000000"))
    });
    super::harness::signal(pid, 15);
    assert!(shim.wait().expect("ours").success());
}

#[test]
fn a_stranger_as_a_supervisor_is_refused() {
    for opening in [
        b"GET / HTTP/1.1\r\n\r\n".as_slice(),
        &Hello::opening(Role::Client).encode(),
    ] {
        let (mut shim, mut socket) = spawn_shim();
        socket.write_all(opening).expect("open");
        assert!(!shim.wait().expect("ours").success());
    }
}

#[test]
fn an_agent_of_one_millisecond_is_told_whole() {
    for _ in 0..20 {
        let mut order = order("");
        order.argv = vec!["true".into()];
        let done = Rig::start(order).finish();
        let kinds: Vec<_> = done.records.iter().map(kind).collect();
        assert_eq!(kinds, ["claimed", "execd", "exited", "swept", "finished"]);
    }
}
