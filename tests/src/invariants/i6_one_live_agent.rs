//! I6: never two live agents on one key or one session, and never two agents
//! for one task.

use std::collections::HashMap;

use super::id;
use crate::harness::{Row, World};

pub(super) fn violations(world: &World) -> Vec<String> {
    let mut found = doubled(world);
    let tasks = world.ledger().tasks();
    for column in ["key", "session_id"] {
        found.extend(overlaps(&tasks, column));
    }
    found
}

/// Tasks whose agent was started more than once, by its own record.
fn doubled(world: &World) -> Vec<String> {
    let agents = world.oracle().agents.clone();
    agents
        .into_iter()
        .filter(|(_, records)| records.leaders().len() > 1)
        .map(|(task, records)| format!("{task} was started twice: {:?}", records.leaders()))
        .collect()
}

/// Tasks of one key or session whose times overlap.
fn overlaps(tasks: &[Row], column: &str) -> Vec<String> {
    let mut by_value: HashMap<&str, Vec<&Row>> = HashMap::new();
    for row in tasks {
        if let (Some(value), Some(_)) = (row.text(column), row.text("started_at")) {
            by_value.entry(value).or_default().push(row);
        }
    }
    let mut found = Vec::new();
    for rows in by_value.values_mut() {
        // RFC 3339 with a fixed width sorts as text.
        rows.sort_by_key(|row| row.text("started_at"));
        for pair in rows.windows(2) {
            let free = pair[0].text("finished_at");
            if free.is_none_or(|free| Some(free) > pair[1].text("started_at")) {
                let (first, second) = (id(pair[0]), id(pair[1]));
                found.push(format!("{first} and {second} overlap on one {column}"));
            }
        }
    }
    found
}
