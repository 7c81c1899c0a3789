//! I11: an acknowledged answer is never lost.

use super::is_terminal;
use crate::harness::World;

pub(super) fn violations(world: &World) -> Vec<String> {
    let ledger = world.ledger();
    let oracle = world.oracle().clone();
    let mut found = Vec::new();
    for task in &oracle.acknowledged {
        if ledger.task(task).is_none() {
            found.push(format!("{task} was acknowledged and has no row"));
        }
    }
    for (task, outcome) in &oracle.stops {
        let ended = ledger.task(task).is_some_and(|row| is_terminal(&row));
        if outcome != "still_alive" && !ended {
            found.push(format!("{task} was answered {outcome} and has not ended"));
        }
        if outcome == "stopped" && ledger.intents(task).is_empty() {
            found.push(format!("{task} was stopped without an intent"));
        }
    }
    found
}
