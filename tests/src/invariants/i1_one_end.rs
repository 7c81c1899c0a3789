//! I1: exactly one terminal record per task, and a row that agrees with it.

use super::{id, is_terminal};
use crate::harness::World;

/// The columns that are set exactly in ended rows.
const END_COLUMNS: [&str; 4] = [
    "finished_at",
    "finished_basis",
    "archive_reason",
    "archive_basis",
];

pub(super) fn violations(world: &World) -> Vec<String> {
    let ledger = world.ledger();
    let mut found = Vec::new();
    for row in ledger.tasks() {
        let task = id(&row);
        let types = ledger.event_types(task);
        let ends = types.iter().filter(|kind| *kind == "task.ended").count();
        let expected = usize::from(is_terminal(&row));
        if ends != expected {
            found.push(format!(
                "{task} has {ends} ends, and its row wants {expected}: {types:?}"
            ));
        }
        for column in END_COLUMNS {
            if row.is_null(column) == is_terminal(&row) {
                found.push(format!("{task}: {column} does not fit the status: {row:?}"));
            }
        }
    }
    found
}
