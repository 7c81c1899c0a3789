//! I5: a stop that answered `stopped` means that the tree is empty.

use crate::harness::World;

pub(super) fn violations(world: &World) -> Vec<String> {
    let oracle = world.oracle().clone();
    let mut found = Vec::new();
    for (task, outcome) in &oracle.stops {
        if outcome == "still_alive" {
            continue;
        }
        let marked = world.marked(task);
        if !marked.is_empty() {
            found.push(format!(
                "{task} is {outcome}, and these carry its marker: {marked:?}"
            ));
        }
        for (_, records) in oracle.agents.iter().filter(|(known, _)| known == task) {
            let alive = world.alive(records);
            if !alive.is_empty() {
                found.push(format!("{task} is {outcome}, and these live: {alive:?}"));
            }
        }
    }
    found
}
