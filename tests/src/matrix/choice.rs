//! Which cells there are.

use super::cell::Cell;
use super::fault::FAULTS;
use super::state::STATES;
use super::workload::WORKLOADS;
use super::{Fault, Lane, State, Workload};

/// Every cell that can exist and is run here.
#[must_use]
pub fn cells() -> Vec<Cell> {
    FAULTS.into_iter().flat_map(cells_of).collect()
}

/// The cells of one fault.
#[must_use]
pub fn cells_of(fault: Fault) -> Vec<Cell> {
    let mut cells = Vec::new();
    for state in STATES {
        for workload in WORKLOADS {
            let chosen = workload == usual(state) && can_strike(fault, state);
            if chosen || is_tried(fault, state, workload) {
                let lanes = LANES.into_iter();
                let cell = |lane| Cell {
                    fault,
                    state,
                    workload,
                    lane,
                };
                cells.extend(lanes.map(cell).filter(|cell| matters(*cell)));
            }
        }
    }
    cells
}

const LANES: [Lane; 3] = [Lane::Plain, Lane::Delegated, Lane::NoExitInfo];

/// Where a shim is lost, how its tree is found and its agent's exit is known depends
/// on the machine.
fn matters(cell: Cell) -> bool {
    let of_a_lost_shim = matches!(cell.fault, Fault::Shim | Fault::SupervisorAndShim)
        && matches!(cell.state, State::Idle | State::Leaderless | State::Ending);
    let tells = [usual(cell.state), Workload::WipesEnvironment].contains(&cell.workload);
    cell.lane == Lane::Plain || (of_a_lost_shim && tells)
}

/// Does the fault meet anything in this state?
fn can_strike(fault: Fault, state: State) -> bool {
    match fault {
        Fault::Nothing => false,
        Fault::Supervisor => true,
        Fault::CrashLoop => state != State::Draining,
        Fault::Shim | Fault::SupervisorAndShim => state.has_shim(),
        Fault::Agent | Fault::SupervisorAndAgent => state.has_live_agent(),
        // The supervisor itself stands at the point of the others, or the task
        // cannot come to its end without it.
        Fault::FrozenSupervisor => matches!(
            state,
            State::Claimed | State::Idle | State::Flooding | State::Leaderless | State::Ending
        ),
        // It has no hook points: those of the supervisor have to do.
        Fault::OlderShim => matches!(state, State::Idle | State::Adopting),
        Fault::SocketUnlinked | Fault::SecondSupervisor => {
            matches!(state, State::Idle | State::Acknowledged | State::Ending)
        }
        Fault::RacingStops => matches!(
            state,
            State::Intended | State::Acknowledged | State::InGrace
        ),
        Fault::LeaderOutOfMemory | Fault::ShimOutOfMemory => state == State::Idle,
        Fault::ChildOutOfMemory => matches!(
            state,
            State::Idle | State::Intended | State::Acknowledged | State::InGrace
        ),
        Fault::CgroupKilled => matches!(
            state,
            State::Claimed
                | State::Idle
                | State::Intended
                | State::Acknowledged
                | State::InGrace
                | State::Leaderless
                | State::OnDisk
        ),
        Fault::PidsWrap => matches!(state, State::Idle | State::Adopting),
        Fault::FullDisk
        | Fault::BrokenDisk
        | Fault::DamagedLedger
        | Fault::LostLedger
        | Fault::OldLedger => {
            matches!(state, State::RowOnly | State::Intended | State::Ending)
        }
        // Before S3 there is no journal.
        Fault::TornJournal => {
            matches!(state, State::Intended | State::Ending | State::OnDisk)
        }
    }
}

/// The workload that a state needs.
pub(super) fn usual(state: State) -> Workload {
    match state {
        State::InGrace | State::Killed => Workload::IgnoresTerm,
        State::Leaderless => Workload::Daemons,
        State::RowOnly
        | State::Unclaimed
        | State::Claimed
        | State::Unreported
        | State::Idle
        | State::Flooding
        | State::Intended
        | State::Acknowledged
        | State::Ending
        | State::OnDisk
        | State::Unsettled
        | State::Adopting
        | State::Draining => Workload::Plain,
    }
}

/// Beside the usual ones: most workloads in a running task and in one that is to
/// be stopped, and the others where they mean something.
fn is_tried(fault: Fault, state: State, workload: Workload) -> bool {
    match workload {
        // It is over before anything could be said of it.
        Workload::Exits => {
            let by = matches!(
                fault,
                Fault::Supervisor | Fault::Shim | Fault::SupervisorAndShim
            );
            by && matches!(state, State::Claimed | State::Unreported)
        }
        Workload::Dumps => {
            let by = matches!(
                fault,
                Fault::Supervisor | Fault::Shim | Fault::SupervisorAndShim
            );
            by && matches!(state, State::Ending | State::OnDisk)
        }
        Workload::LastMoment => {
            let by = matches!(
                fault,
                Fault::Nothing | Fault::Supervisor | Fault::RacingStops
            );
            by && state == State::Acknowledged
        }
        Workload::Daemons if fault == Fault::Nothing => state == State::Leaderless,
        Workload::HoldsPipes if state == State::Leaderless => {
            matches!(
                fault,
                Fault::Supervisor | Fault::Shim | Fault::SupervisorAndShim
            )
        }
        Workload::Plain
        | Workload::IgnoresTerm
        | Workload::Daemons
        | Workload::HoldsPipes
        | Workload::Storm
        | Workload::StopsItself
        | Workload::TrapsTerm
        | Workload::ClosesOutput
        | Workload::Garbage
        | Workload::WipesEnvironment => match fault {
            Fault::Supervisor | Fault::Shim | Fault::SupervisorAndShim => {
                matches!(state, State::Idle | State::Acknowledged)
            }
            Fault::Agent => state == State::Idle,
            Fault::Nothing
            | Fault::SupervisorAndAgent
            | Fault::FrozenSupervisor
            | Fault::CrashLoop
            | Fault::LeaderOutOfMemory
            | Fault::ChildOutOfMemory
            | Fault::ShimOutOfMemory
            | Fault::CgroupKilled
            | Fault::PidsWrap
            | Fault::FullDisk
            | Fault::BrokenDisk
            | Fault::TornJournal
            | Fault::DamagedLedger
            | Fault::LostLedger
            | Fault::OldLedger
            | Fault::SocketUnlinked
            | Fault::OlderShim
            | Fault::SecondSupervisor
            | Fault::RacingStops => false,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What must not go missing again, less what cannot exist (a torn journal before
    /// there is one, and the like) and F26, whose cells are `unit`'s.
    #[test]
    fn the_cells_that_count_most_are_all_there() {
        let states = |from: usize, to: usize| STATES[from - 1..to].to_vec();
        let storage = vec![State::RowOnly, State::Intended, State::Ending];
        let wanted: [(Fault, Vec<State>); 13] = [
            (Fault::Supervisor, states(1, 14)),
            (Fault::Shim, states(2, 12)),
            (Fault::SupervisorAndShim, states(5, 13)),
            (Fault::RacingStops, states(7, 9)),
            (Fault::PidsWrap, vec![State::Adopting]),
            (Fault::FullDisk, storage.clone()),
            (Fault::BrokenDisk, storage.clone()),
            (Fault::TornJournal, vec![State::Intended, State::Ending]),
            (Fault::DamagedLedger, storage.clone()),
            (Fault::LostLedger, storage.clone()),
            (Fault::OldLedger, storage),
            (Fault::OlderShim, vec![State::Adopting]),
            (Fault::ChildOutOfMemory, vec![State::Idle]),
        ];
        let there = |fault, state, workload| {
            let cell =
                |cell: Cell| (cell.fault, cell.state, cell.workload) == (fault, state, workload);
            cells().into_iter().any(cell)
        };
        for (fault, states) in wanted {
            for state in states {
                assert!(there(fault, state, usual(state)), "{fault:?} {state:?}");
            }
        }
        for (state, workload) in [
            (State::Leaderless, Workload::Daemons),
            (State::Acknowledged, Workload::LastMoment),
        ] {
            assert!(
                there(Fault::Supervisor, state, workload),
                "{state:?} {workload:?}"
            );
        }
    }
}
