//! Commands that start a supervisor of the user's own.

use std::os::fd::AsFd;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use tests::harness::{Background, GENEROUS, Process, World, wait_until};

/// As many as a script may start at once.
const RACERS: usize = 6;

/// Bug: the supervisors that lost the race said so on the terminals of the
/// commands that had started them.
#[test]
fn of_racing_first_runs_one_starts_a_supervisor_and_the_others_say_nothing() {
    let world = World::new();
    let racers: Vec<Background> = (0..RACERS)
        .map(|_| {
            let mut command = world.run().steps(["print:hi"]).command(&[]);
            command.env_remove("AGENTCTL_NO_START");
            Background::start(command)
        })
        .collect();
    let mut told = Vec::new();
    for racer in racers {
        let output = racer.output().ok();
        assert_eq!(output.stdout, "hi\n");
        told.extend(output.stderr.lines().map(str::to_owned));
    }
    let status = world.ctl(&["status", "--json"]).ok().json();
    assert_eq!(status["tasks"]["ended"], RACERS, "{status:#}");
    let pid = status["pid"]
        .as_i64()
        .and_then(|pid| i32::try_from(pid).ok());
    let pid = pid.expect("a pid");
    let [line] = &told[..] else {
        panic!("one of them has one thing to say: {told:#?}")
    };
    assert!(line.contains(&format!("started one (pid {pid}")), "{line}");
    let supervisor = Process::now(pid).expect("it stays");
    supervisor.signal(Signal::SIGTERM);
    wait_until("the supervisor's end", GENEROUS, || !supervisor.is_alive());
    world.check();
}

/// Bug: it kept for ever what its caller had open: a lock of `flock`, the end of
/// somebody's pipe.
#[test]
fn what_the_caller_of_a_first_run_has_open_is_not_kept() {
    let world = World::new();
    let (reader, writer) = std::io::pipe().expect("a pipe");
    fcntl(&writer, FcntlArg::F_SETFD(FdFlag::empty())).expect("inherited from now on");
    let mut command = world.run().steps(["print:hi"]).command(&[]);
    command.env_remove("AGENTCTL_NO_START");
    let run = Background::start(command);
    drop(writer);
    assert_eq!(run.output().ok().stdout, "hi\n");
    wait_until("the end of what the caller had open", GENEROUS, || {
        let mut looked = [PollFd::new(reader.as_fd(), PollFlags::POLLIN)];
        let _ready = poll(&mut looked, PollTimeout::ZERO).expect("a pipe");
        looked[0]
            .revents()
            .is_some_and(|seen| seen.contains(PollFlags::POLLHUP))
    });
    let status = world.ctl(&["status", "--json"]).ok().json();
    let pid = status["pid"].as_i64().expect("it serves");
    let supervisor = Process::now(i32::try_from(pid).expect("a pid")).expect("it stays");
    let folder = std::fs::read_link(format!("/proc/{pid}/cwd")).expect("readable");
    assert_eq!(
        folder,
        std::path::Path::new("/"),
        "a mount of the caller's is not kept busy"
    );
    supervisor.signal(Signal::SIGTERM);
    wait_until("the supervisor's end", GENEROUS, || !supervisor.is_alive());
    world.check();
}
