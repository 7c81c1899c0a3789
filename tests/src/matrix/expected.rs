//! Which reasons are true in a cell. Written from DESIGN's rules and from what
//! the test itself did, not from what the programs say.

use super::cell::Cell;
use super::{Fault, State, Workload};

/// The reasons that a task of this cell may end with.
pub(super) fn reasons(cell: Cell) -> Vec<&'static str> {
    let reasons = of_fault(cell);
    let as_it_ends = |reason: &&'static str| match (*reason, cell.workload) {
        // Its own end is a core dump.
        ("failed", Workload::Dumps) => "crashed",
        (reason, _) => reason,
    };
    reasons.iter().map(as_it_ends).collect()
}

fn of_fault(cell: Cell) -> &'static [&'static str] {
    let Cell {
        fault,
        state,
        workload,
        lane: _,
    } = cell;
    match fault {
        Fault::Supervisor | Fault::CrashLoop => supervisor_lost(state, workload),
        Fault::Shim | Fault::CgroupKilled => shim_lost(state),
        Fault::SupervisorAndShim if state == State::Draining => &["hub_shutdown"],
        Fault::SupervisorAndShim => shim_lost(state),
        Fault::Agent | Fault::SupervisorAndAgent => agent_killed(state),
        Fault::Nothing
        | Fault::FrozenSupervisor
        | Fault::OlderShim
        | Fault::SocketUnlinked
        | Fault::SecondSupervisor => undisturbed(state, workload),
        Fault::LeaderOutOfMemory => &["oom_killed"],
        Fault::RacingStops if workload == Workload::LastMoment => &["failed"],
        Fault::ChildOutOfMemory | Fault::RacingStops => &["user"],
        Fault::ShimOutOfMemory | Fault::PidsWrap => &["shim_lost"],
        // There is no room for its claim, nor for its journal.
        Fault::FullDisk if state == State::RowOnly => &["spawn_failed"],
        Fault::FullDisk | Fault::BrokenDisk => undisturbed(state, workload),
        // Its last record is gone: what was in it is not known any more.
        Fault::TornJournal => &["shim_lost"],
        Fault::DamagedLedger | Fault::LostLedger if state == State::RowOnly => &["spawn_failed"],
        Fault::DamagedLedger | Fault::LostLedger | Fault::OldLedger => undisturbed(state, workload),
    }
}

/// Nothing happened to the agent: it exits with 3, or the stop ends it.
fn undisturbed(state: State, workload: Workload) -> &'static [&'static str] {
    match workload {
        // It ended before anybody signalled it.
        Workload::LastMoment => &["failed"],
        // It waits for ever.
        Workload::StopsItself => &["user"],
        Workload::Plain
        | Workload::Exits
        | Workload::IgnoresTerm
        | Workload::Daemons
        | Workload::HoldsPipes
        | Workload::Storm
        | Workload::TrapsTerm
        | Workload::ClosesOutput
        | Workload::Dumps
        | Workload::Garbage
        | Workload::WipesEnvironment => {
            if state.is_stopped() {
                &["user"]
            } else {
                &["failed"]
            }
        }
    }
}

fn supervisor_lost(state: State, workload: Workload) -> &'static [&'static str] {
    match state {
        State::RowOnly => &["spawn_failed"],
        // Shim and next supervisor race for the claim.
        State::Unclaimed => &["spawn_failed", "failed"],
        State::Claimed
        | State::Unreported
        | State::Idle
        | State::Flooding
        | State::Intended
        | State::Acknowledged
        | State::InGrace
        | State::Killed
        | State::Leaderless
        | State::Ending
        | State::OnDisk
        | State::Unsettled
        | State::Adopting
        // The next one does not drain.
        | State::Draining => undisturbed(state, workload),
    }
}

fn shim_lost(state: State) -> &'static [&'static str] {
    match state {
        State::RowOnly | State::Unclaimed => &["spawn_failed"],
        State::Claimed | State::Unreported | State::Idle | State::Flooding => &["shim_lost"],
        State::Adopting | State::Draining => &["shim_lost"],
        // Not journalled: nothing declares it.
        State::Intended => &["shim_lost"],
        State::Acknowledged | State::InGrace | State::Killed => &["user"],
        // Its exit is in the journal.
        State::Leaderless | State::OnDisk | State::Unsettled => &["failed"],
        // It is not, but the kernel may still tell.
        State::Ending => &["shim_lost", "failed"],
    }
}

fn agent_killed(state: State) -> &'static [&'static str] {
    match state {
        // Whose signal came first is decided by the shim's look.
        State::Acknowledged | State::InGrace => &["external_signal", "user"],
        State::RowOnly
        | State::Unclaimed
        | State::Claimed
        | State::Unreported
        | State::Idle
        | State::Flooding
        | State::Intended
        | State::Killed
        | State::Leaderless
        | State::Ending
        | State::OnDisk
        | State::Unsettled
        | State::Adopting
        | State::Draining => &["external_signal"],
    }
}
