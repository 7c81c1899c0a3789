//! What can happen next.

use super::world::{Agent, Said, World};

/// One step of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Move {
    /// The next person stops the task.
    Stop,
    /// The shim claims, execs, or fails to.
    Claim,
    Exec,
    FailToExec,
    /// The agent prints its result, or exits with 0.
    PrintResult,
    Exit,
    /// Somebody kills the agent, the shim, or signals the shim.
    KillAgent,
    KillShim,
    SignalShim,
    /// The shim reads output, takes a stop order, takes the look that precedes
    /// its first signal (the agent dies of it, or goes on for a while), takes
    /// the exit, sweeps the tree, leaves.
    ReadResult,
    TakeOrder,
    LookAndEnd,
    LookAndBeTrapped,
    TakeExit,
    Sweep,
    Leave,
    /// The supervisor hears the next record, finds the shim dead, is told that
    /// the tree is gone, is killed and started again.
    Hear,
    FindShimDead,
    HearOfSweep,
    Restart,
}

/// Every step that is possible in `world`.
pub(super) fn moves(world: &World) -> Vec<Move> {
    let mut found = Vec::new();
    let mut may = |step: Move, possible: bool| {
        if possible {
            found.push(step);
        }
    };
    let live = world.run.task.ending.is_none();
    may(Move::Stop, live && world.asked < world.people);
    may(
        Move::Hear,
        world.alive() && world.heard < world.journal.len(),
    );
    may(
        Move::FindShimDead,
        live && !world.alive() && !world.found_dead,
    );
    may(Move::HearOfSweep, live && world.sweeping);
    may(Move::Restart, live && world.restarts > 0);
    if world.shim_lives {
        of_the_agent(world, &mut may);
        of_the_shim(world, &mut may);
    }
    found
}

fn of_the_agent(world: &World, may: &mut impl FnMut(Move, bool)) {
    let runs = world.agent == Agent::Runs;
    may(Move::PrintResult, runs && !world.printed);
    may(Move::Exit, runs);
    may(Move::KillAgent, runs);
}

fn of_the_shim(world: &World, may: &mut impl FnMut(Move, bool)) {
    let claimed = world.said(Said::Claimed);
    let failed = world.said(Said::SpawnFailed);
    let reaped = world.reaped();
    let idle = world.looking.is_none();
    let started = world.agent != Agent::NotYet;
    may(Move::KillShim, true);
    may(Move::Claim, !claimed);
    may(Move::Exec, claimed && !started && !failed);
    may(Move::FailToExec, claimed && !started && !failed);
    may(
        Move::SignalShim,
        idle && world.agent == Agent::Runs && !world.said(Said::SignalSeen),
    );
    may(Move::ReadResult, world.unread);
    may(Move::TakeOrder, idle && started && !world.orders.is_empty());
    let looks = world.looking.is_some() && !world.unread;
    may(Move::LookAndEnd, looks);
    may(
        Move::LookAndBeTrapped,
        looks && world.agent == Agent::Runs && !world.said(Said::Result),
    );
    let gone = started && world.agent != Agent::Runs && !reaped;
    may(Move::TakeExit, idle && gone && !world.unread);
    may(Move::Sweep, idle && reaped && !world.said(Said::Swept));
    may(Move::Leave, failed || world.said(Said::Swept));
}
