//! I4: no stranger is ever signalled. Bystanders block every signal that can be
//! blocked, so that one that came still waits; the others would end or stop them.

use std::fs;

use crate::harness::World;

pub(super) fn violations(world: &World) -> Vec<String> {
    let bystanders = world.oracle().bystanders.clone();
    let mut found = Vec::new();
    for bystander in bystanders {
        let status = fs::read_to_string(format!("/proc/{}/status", bystander.pid));
        let status = status.unwrap_or_default();
        let pending = status.lines().any(|line| {
            let (name, bits) = line.split_once(':').unwrap_or_default();
            matches!(name, "SigPnd" | "ShdPnd") && !bits.trim().trim_matches('0').is_empty()
        });
        let state = bystander.state();
        if pending || !bystander.is_alive() || matches!(state, Some('T' | 't')) {
            found.push(format!("{bystander:?} was signalled ({state:?}): {status}"));
        }
    }
    found
}
