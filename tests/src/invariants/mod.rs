//! What must hold in every world after every scenario (MATRIX.md), one file
//! per rule. Each check gives its violations in words; it looks only at the
//! ledger's public tables, at `/proc`, and at what the test itself knows.

mod i10_converges;
mod i11_acknowledged;
mod i12_nothing_left;
mod i1_one_end;
mod i2_no_invented_exit;
mod i3_declared;
mod i4_no_stranger;
mod i5_stopped_is_empty;
mod i6_one_live_agent;
mod i7_log_bytes;
mod i8_answers;
mod i9_resumable;

use crate::harness::{Row, World};

pub use i8_answers::answers_although_others_stand;
pub use i10_converges::{Settled, differences, wait_until_settled};
pub use i12_nothing_left::left_behind;

/// Finds the violations of one rule.
type Check = fn(&World) -> Vec<String>;

const CHECKS: [(&str, Check); 10] = [
    ("I1", i1_one_end::violations),
    ("I2", i2_no_invented_exit::violations),
    ("I3", i3_declared::violations),
    ("I4", i4_no_stranger::violations),
    ("I5", i5_stopped_is_empty::violations),
    ("I6", i6_one_live_agent::violations),
    ("I7", i7_log_bytes::violations),
    ("I9", i9_resumable::violations),
    ("I11", i11_acknowledged::violations),
    ("I12", i12_nothing_left::violations),
];

/// Checks every rule.
///
/// # Panics
/// When one is broken; the message names all violations.
#[track_caller]
pub fn check_all(world: &World) {
    let broken: Vec<String> = CHECKS
        .iter()
        .flat_map(|(name, check)| {
            check(world)
                .into_iter()
                .map(move |violation| format!("{name}: {violation}"))
        })
        .collect();
    assert!(
        broken.is_empty(),
        "broken invariants: {broken:#?}\nthe supervisors said:\n{}",
        world.log()
    );
}

/// The task's id.
fn id(row: &Row) -> &str {
    row.text("id").expect("a task has an id")
}

/// Does the row say that the task has ended?
fn is_terminal(row: &Row) -> bool {
    let status = row.text("status").expect("a task has a status");
    protocol::Status::parse(status)
        .unwrap_or_else(|| panic!("unknown status {status}"))
        .is_terminal()
}
