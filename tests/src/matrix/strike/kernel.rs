//! What the kernel does, or somebody with its means.

use std::fs;
use std::sync::Arc;

use nix::sys::signal::Signal;

use super::all_of;
use crate::harness::{GENEROUS, Stranger, World, kernel_kills, wait_until};
use crate::matrix::State;
use crate::matrix::ground::Ground;
use crate::matrix::reach::Reached;

/// Held here, the leader's exit is in the journal, and nothing is removed yet.
const EXIT_JOURNALLED: &str = "shim.reap.before";

/// Its own count is read before the cgroup goes.
pub(super) fn kill_leader(world: &World, reached: &Reached) {
    let cgroup = reached.memory_cgroup(world);
    let leader = reached.records.leaders().pop().expect("the agent is up");
    world.hooks().arm(EXIT_JOURNALLED);
    reached.spark.open();
    wait_until("its exit in the journal", GENEROUS, || {
        world.hooks().is_paused(EXIT_JOURNALLED)
    });
    world.killed_by_kernel(&leader, &cgroup);
}

/// A child is killed, the agent lives on; and then there is an ordinary stop.
pub(super) fn kill_child(world: &World, reached: &mut Reached) {
    let cgroup = reached.memory_cgroup(world);
    reached.spark.open();
    wait_until("the kernel's kill", GENEROUS, || kernel_kills(&cgroup) == 1);
    let leader = reached.records.leaders().pop().expect("the agent is up");
    assert!(leader.is_alive(), "it was to be a child");
    if reached.state == State::Idle {
        let stop = world.stop_in_background(&reached.task, &[]);
        wait_until("the stop", GENEROUS, || stop.has_ended());
        reached.stops.push(stop);
    }
}

/// Nothing is removed before it was looked at.
pub(super) fn kill_shim(world: &World, reached: &Reached) {
    let shim = world.shim_of(&reached.task).expect("the shim lives");
    let cgroup = reached.memory_cgroup(world);
    // As bad as if it had all of the memory; each child has an eighth.
    let score = format!("/proc/{}/oom_score_adj", shim.pid);
    fs::write(score, "1000").expect("anybody may be worse");
    reached.supervisor.signal(Signal::SIGSTOP);
    reached.spark.open();
    wait_until("the kernel's kill", GENEROUS, || !shim.is_alive());
    assert!(kernel_kills(&cgroup) > 0);
    reached.supervisor.signal(Signal::SIGCONT);
}

pub(super) fn kill_cgroup(world: &World, reached: &Reached) {
    let Ground::Delegated(group) = &reached.ground else {
        unreachable!("its ground is this one");
    };
    let all = all_of(world, reached);
    for process in &all {
        world
            .oracle()
            .killed
            .push((process.clone(), Signal::SIGKILL));
    }
    let kill = group.of(world, &reached.task).join("cgroup.kill");
    fs::write(kill, "1").expect("Linux 5.14 and later");
    wait_until("their deaths", GENEROUS, || {
        all.iter().all(|process| !process.is_alive())
    });
}

/// Where the supervisor is taking the task over, it stands still meanwhile: it
/// has looked at who was there before.
pub(super) fn wrap_pids(world: &World, reached: &mut Reached) {
    let supervisor = Arc::clone(&reached.supervisor);
    if reached.state == State::Adopting {
        supervisor.signal(Signal::SIGSTOP);
    } else {
        supervisor.kill();
    }
    let all = all_of(world, reached);
    for process in &all {
        world.kill(process, Signal::SIGKILL);
    }
    wait_until("their deaths", GENEROUS, || {
        all.iter().all(|process| !process.is_alive())
    });
    let strangers: Vec<_> = all.iter().map(Stranger::in_place_of).collect();
    let known = strangers.iter().map(Stranger::process);
    world.oracle().bystanders.extend(known);
    reached.strangers = strangers;
    supervisor.signal(Signal::SIGCONT);
}
