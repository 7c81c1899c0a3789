//! Which reasons are true in a cell. Written from DESIGN's rules and from what
//! the test itself did, not from what the programs say.

use super::{Fault, State, Workload};

/// The reasons that a task of this cell may end with.
pub(super) fn reasons(fault: Fault, state: State, workload: Workload) -> &'static [&'static str] {
    match fault {
        Fault::Supervisor | Fault::CrashLoop => supervisor_lost(state, workload),
        Fault::Shim | Fault::SupervisorAndShim => shim_lost(state),
        Fault::Agent | Fault::SupervisorAndAgent => agent_killed(state),
        Fault::FrozenSupervisor | Fault::SocketUnlinked | Fault::SecondSupervisor => {
            undisturbed(state, workload)
        }
        Fault::RacingStops => &["user"],
    }
}

/// Nothing happened to the agent: it exits with 3, or the stop ends it.
fn undisturbed(state: State, workload: Workload) -> &'static [&'static str] {
    if state.is_stopped() || !workload.ends_by_itself() {
        &["user"]
    } else {
        &["failed"]
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
        | State::Unsettled => undisturbed(state, workload),
    }
}

fn shim_lost(state: State) -> &'static [&'static str] {
    match state {
        State::RowOnly | State::Unclaimed => &["spawn_failed"],
        State::Claimed | State::Unreported | State::Idle | State::Flooding => &["shim_lost"],
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
        | State::Unsettled => &["external_signal"],
    }
}
