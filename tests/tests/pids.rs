//! F13: after everything of a task is dead, strangers have its pids.

use std::fs;
use std::process::{Child, Command, Stdio};

use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use tests::harness::{GENEROUS, Process, World, wait_until};
use tests::scenarios::assert_ended;
use tests::skip;

/// The pid that the kernel gave last: the next one is the first free above it.
const LAST_PID: &str = "/proc/sys/kernel/ns_last_pid";

/// Others on the machine take pids, too.
const MOST_TRIES: usize = 1000;

/// A process of somebody else, gone with the test.
struct Stranger(Child);

impl Stranger {
    /// With the pid that `dead` had.
    fn in_place_of(dead: &Process) -> Self {
        // Ours since its parent died, which may have been a moment ago.
        wait_until("its pid is free", GENEROUS, || {
            let _reaped = waitpid(Pid::from_raw(dead.pid), Some(WaitPidFlag::WNOHANG));
            Process::now(dead.pid).is_none()
        });
        let wanted = dead.pid.to_string();
        for _ in 0..MOST_TRIES {
            let below = (dead.pid - 1).to_string();
            fs::write(LAST_PID, below).expect("root may set it");
            let mut sleep = Command::new("sleep");
            let child = sleep.arg("1000").env_clear().stdout(Stdio::null()).spawn();
            let stranger = Self(child.expect("sleep starts"));
            if stranger.0.id().to_string() == wanted {
                return stranger;
            }
            // Somebody else on this machine was started in between.
            drop(stranger);
        }
        panic!("the pid of {dead:?} is never given");
    }

    fn is_alive(&mut self) -> bool {
        self.0.try_wait().expect("our child").is_none()
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _killed = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// R9: a pid alone means nothing. Nobody touches them, at the start, in a stop,
/// or in the guard's sweep; and the task is not taken for a live one.
#[test]
fn strangers_with_recorded_pids_are_left_alone() {
    if !nix::unistd::geteuid().is_root() {
        skip!("only root can choose the next pid");
    }
    prctl::set_child_subreaper(true).expect("no right is needed");
    let world = World::new();
    let first = world.start();
    let run = world.run().key("k");
    let task = run.steps(["mark:up", "forever"]).detached();
    task.marked("up");
    let shim = world.shim_of(&task.id).expect("the shim lives");
    let mut dead = task.records.processes();
    dead.push(shim.clone());
    first.kill();
    for process in [&[shim][..], &task.records.processes()].concat() {
        world.kill(&process, Signal::SIGKILL);
    }
    let mut strangers: Vec<Stranger> = dead.iter().map(Stranger::in_place_of).collect();
    let _second = world.start();
    let ended = world.ended(&task.id);
    assert_ended(&ended, "interrupted", "shim_lost", "observed");
    assert_eq!(world.stop(&task.id, &[]), "already_gone");
    let _swept = world.ctl(&["orphans", "kill"]).ok();
    let next = world.run().key("k").steps(["exit:0"]).detached();
    assert_eq!(world.ended(&next.id)["status"], "success");
    assert!(strangers.iter_mut().all(Stranger::is_alive));
    drop(strangers);
    world.check();
}
