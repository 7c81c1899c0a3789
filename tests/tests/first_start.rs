//! Commands that start a supervisor of the user's own.

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
