//! What goes wrong.

use std::sync::Arc;

use nix::sys::signal::Signal;

use super::reach::Reached;
use crate::harness::{GENEROUS, Process, Supervisor, World, wait_for, wait_until};

/// A fault of MATRIX.md that is put into a state by hook points. Faults of the
/// kernel, of storage and of the service manager have test files of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// F1: the supervisor is killed.
    Supervisor,
    /// F2: the shim is killed.
    Shim,
    /// F3: the agent is killed from outside.
    Agent,
    /// F4: supervisor and shim.
    SupervisorAndShim,
    /// F5: supervisor and agent.
    SupervisorAndAgent,
    /// F6: the supervisor stands still while the task goes on.
    FrozenSupervisor,
    /// F8: the supervisor is killed again and again.
    CrashLoop,
    /// F21: the control socket is unlinked.
    SocketUnlinked,
    /// F29: a second supervisor is started on the same place.
    SecondSupervisor,
    /// F30: others stop it too, for other reasons.
    RacingStops,
}

/// All of them.
pub(super) const FAULTS: [Fault; 10] = [
    Fault::Supervisor,
    Fault::Shim,
    Fault::Agent,
    Fault::SupervisorAndShim,
    Fault::SupervisorAndAgent,
    Fault::FrozenSupervisor,
    Fault::CrashLoop,
    Fault::SocketUnlinked,
    Fault::SecondSupervisor,
    Fault::RacingStops,
];

/// How often a crash loop kills.
const CRASHES: usize = 3;

impl Fault {
    /// `F1` …
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Supervisor => "F1",
            Self::Shim => "F2",
            Self::Agent => "F3",
            Self::SupervisorAndShim => "F4",
            Self::SupervisorAndAgent => "F5",
            Self::FrozenSupervisor => "F6",
            Self::CrashLoop => "F8",
            Self::SocketUnlinked => "F21",
            Self::SecondSupervisor => "F29",
            Self::RacingStops => "F30",
        }
    }

    /// Lets it happen. Gives the supervisor of afterwards, dead or alive.
    pub(super) fn strike(self, world: &World, reached: &mut Reached) -> Arc<Supervisor> {
        let supervisor = Arc::clone(&reached.supervisor);
        match self {
            Self::Supervisor => supervisor.kill(),
            Self::Shim => kill_shim(world, reached),
            Self::Agent => kill_agent(world, reached),
            Self::SupervisorAndShim => {
                let shim = world.shim_of(&reached.task);
                supervisor.kill();
                kill(world, shim);
            }
            Self::SupervisorAndAgent => {
                supervisor.kill();
                kill_agent(world, reached);
            }
            Self::FrozenSupervisor => freeze(reached),
            Self::CrashLoop => {
                supervisor.kill();
                for _ in 1..CRASHES {
                    world.start().kill();
                }
            }
            Self::SocketUnlinked => {
                let socket = world.runtime_dir().join("control.sock");
                std::fs::remove_file(&socket).expect("the socket is there");
                reached.go_on();
                wait_until("the socket, bound again", GENEROUS, || socket.exists());
            }
            Self::SecondSupervisor => {
                let second = world.spawn_supervisor();
                assert_eq!(second.ended().code(), Some(3), "{}", world.log());
            }
            Self::RacingStops => {
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
        }
        supervisor
    }
}

fn kill(world: &World, process: Option<Process>) {
    let process = process.expect("the state has this process");
    world.kill(&process, Signal::SIGKILL);
    wait_until("its death", GENEROUS, || !process.is_alive());
}

fn kill_shim(world: &World, reached: &Reached) {
    kill(world, world.shim_of(&reached.task));
}

fn kill_agent(world: &World, reached: &Reached) {
    // It writes itself down a moment after its exec.
    let leader = wait_for("the agent", GENEROUS, || {
        reached.records.leaders().pop().ok_or("no record")
    });
    kill(world, Some(leader));
}

/// It stands still until the task's agent has ended, or cannot go on.
fn freeze(reached: &Reached) {
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
