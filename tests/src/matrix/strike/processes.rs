//! Kills, freezes, races.

use std::sync::Arc;

use nix::sys::signal::Signal;

use crate::harness::{GENEROUS, Process, World, wait_for, wait_until};
use crate::matrix::reach::Reached;

pub(super) fn kill(world: &World, process: Option<Process>) {
    let process = process.expect("the state has this process");
    world.kill(&process, Signal::SIGKILL);
    wait_until("its death", GENEROUS, || !process.is_alive());
}

pub(super) fn kill_shim(world: &World, reached: &Reached) {
    kill(world, world.shim_of(&reached.task));
}

pub(super) fn kill_agent(world: &World, reached: &Reached) {
    // It writes itself down a moment after its exec.
    let leader = wait_for("the agent", GENEROUS, || {
        reached.records.leaders().pop().ok_or("no record")
    });
    kill(world, Some(leader));
}

/// It stands still until the task's agent has ended, or cannot go on.
pub(super) fn freeze(reached: &Reached) {
    let supervisor = Arc::clone(&reached.supervisor);
    supervisor.signal(Signal::SIGSTOP);
    reached.go_on();
    let records = reached.records.clone();
    let gate = reached.gate.clone();
    wait_until("the agent's end without a supervisor", GENEROUS, || {
        let _passed = gate.try_open();
        !records.leaders().is_empty() && records.alive().is_empty()
    });
    supervisor.signal(Signal::SIGCONT);
}

pub(super) fn unlink_socket(world: &World, reached: &Reached) {
    let socket = world.runtime_dir().join("control.sock");
    std::fs::remove_file(&socket).expect("the socket is there");
    reached.go_on();
    wait_until("the socket, bound again", GENEROUS, || socket.exists());
}

pub(super) fn race_stops(world: &World, reached: &mut Reached) {
    for reason in ["runner_stop", "user"] {
        let options = ["--reason", reason, "--force"];
        let client = world.stop_in_background(&reached.task, &options);
        reached.stops.push(client);
    }
    let all = reached.stops.len();
    wait_until("all intents in the ledger", GENEROUS, || {
        world.ledger().intents(&reached.task).len() == all
    });
}
