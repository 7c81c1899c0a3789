//! Lets a fault happen.

mod kernel;
mod processes;
mod storage;

use std::sync::Arc;

pub(super) use storage::old_ledger;

use super::reach::{Reached, end_just_now};
use super::{Fault, State};
use crate::harness::{Process, Supervisor, World};
use crate::invariants::answers_although_others_stand;

/// How often a crash loop kills.
const CRASHES: usize = 3;

impl Fault {
    /// Gives the supervisor of afterwards, dead or alive.
    pub(super) fn strike(self, world: &World, reached: &mut Reached) -> Arc<Supervisor> {
        let supervisor = Arc::clone(&reached.supervisor);
        match self {
            Self::Nothing => {}
            Self::Supervisor => supervisor.kill(),
            Self::Shim => processes::kill_shim(world, reached),
            Self::Agent => processes::kill_agent(world, reached),
            Self::SupervisorAndShim => {
                let shim = world.shim_of(&reached.task);
                supervisor.kill();
                processes::kill(world, shim);
            }
            Self::SupervisorAndAgent => {
                supervisor.kill();
                processes::kill_agent(world, reached);
            }
            Self::FrozenSupervisor => processes::freeze(reached),
            Self::CrashLoop => {
                supervisor.kill();
                for _ in 1..CRASHES {
                    let next = world.start();
                    answers_although_others_stand(world, &reached.task);
                    next.kill();
                }
            }
            Self::LeaderOutOfMemory => kernel::kill_leader(world, reached),
            Self::ChildOutOfMemory => kernel::kill_child(world, reached),
            Self::ShimOutOfMemory => kernel::kill_shim(world, reached),
            Self::CgroupKilled => kernel::kill_cgroup(world, reached),
            Self::PidsWrap => kernel::wrap_pids(world, reached),
            Self::FullDisk => storage::fill(reached),
            Self::BrokenDisk => storage::break_disk(world, reached),
            Self::TornJournal => storage::tear_journal(world, reached),
            Self::DamagedLedger => return storage::damage_ledger(world, reached),
            Self::LostLedger => return storage::lose_ledger(world, reached),
            Self::OldLedger => return storage::put_back_ledger(world, reached),
            Self::SocketUnlinked => processes::unlink_socket(world, reached),
            // The supervisor is replaced, and the task ends while that is under way.
            Self::OlderShim if reached.state == State::Adopting => end_just_now(reached),
            Self::OlderShim => supervisor.kill(),
            Self::SecondSupervisor => {
                let second = world.spawn_supervisor();
                assert_eq!(second.ended().code(), Some(3), "{}", world.log());
            }
            Self::RacingStops => processes::race_stops(world, reached),
        }
        supervisor
    }
}

/// Every process of the task that its agent and the test know of.
fn all_of(world: &World, reached: &Reached) -> Vec<Process> {
    let mut all = reached.records.processes();
    all.extend(world.shim_of(&reached.task));
    all
}
