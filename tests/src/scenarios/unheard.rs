//! An end of which no supervisor hears.

use super::{assert_ended, exit_code_of};
use crate::harness::{Dispatched, GENEROUS, Process, World, wait_until};

/// A task whose agent ended with code 7 after its supervisor was killed, and the shim
/// that knows it: the exit is in the journal before the zombie is reaped.
#[must_use]
pub fn ended_unheard(world: &World) -> (Dispatched, Process) {
    let supervisor = world.start();
    let gate = world.gate("end");
    let run = world.run().steps([gate.step().as_str(), "exit:7"]);
    let task = run.detached();
    let leader = task.leader();
    let shim = world.shim_of(&task.id).expect("the shim lives");
    supervisor.kill();
    gate.open();
    wait_until("the reaping of the agent", GENEROUS, || {
        leader.state().is_none()
    });
    (task, shim)
}

/// The next supervisor tells it as it was.
pub fn next_tells_it(world: &World, task: &Dispatched) {
    let _next = world.start();
    let ended = world.ended(&task.id);
    assert_ended(&ended, "failure", "failed", "observed");
    assert_eq!(exit_code_of(&ended), Some(7));
    world.check();
}
