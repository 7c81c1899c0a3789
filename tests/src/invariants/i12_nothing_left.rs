//! I12: no live process carries a task's marker, or stands in its agent's own
//! record, once the task has ended, survivors aside.

use super::{id, is_terminal};
use crate::harness::{Process, Row, World};

pub(super) fn violations(world: &World) -> Vec<String> {
    left_behind(world)
}

/// The live processes of ended tasks, in words.
pub fn left_behind(world: &World) -> Vec<String> {
    let agents = world.oracle().agents.clone();
    let ledger = world.ledger();
    let mut found = Vec::new();
    for row in ledger.tasks().iter().filter(|row| is_terminal(row)) {
        let task = id(row);
        let survivors = survivors(world, task);
        let recorded = agents
            .iter()
            .filter(|(known, _)| known == task)
            .flat_map(|(_, records)| world.alive(records));
        let mut left: Vec<Process> = world.marked(task);
        left.extend(recorded);
        left.retain(|process| process.is_alive() && !survivors.contains(&process.pid));
        if !left.is_empty() {
            let named: Vec<_> = left
                .iter()
                .map(|process| (process.pid, process.argv()))
                .collect();
            found.push(format!("{task} has ended, and these live: {named:?}"));
        }
    }
    found
}

/// The pids that the task's end itself names.
fn survivors(world: &World, task: &str) -> Vec<i32> {
    let of_event = |event: &Row| event.json("payload")["survivors"].clone();
    world
        .ledger()
        .events(task)
        .iter()
        .filter(|event| event.text("type") == Some("task.ended"))
        .filter_map(|event| of_event(event).as_array().cloned())
        .flatten()
        .filter_map(|survivor| survivor["pid"].as_i64())
        .filter_map(|pid| i32::try_from(pid).ok())
        .collect()
}
