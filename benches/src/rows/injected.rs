//! The same with 5 ms added to every sync: how a slower disk is felt.

use anyhow::Result;

use super::Bench;
use super::latency::Latency;
use super::throughput::{Door, run_batch};
use crate::report::{Group, Row};
use crate::world::World;

/// In milliseconds, as the programs read it.
const DELAY_MS: &str = "5";

pub(super) fn measure(bench: &Bench) -> Result<Vec<Group>> {
    let Some(hooked) = &bench.hooked else {
        return Ok(Vec::new());
    };
    let mut world = World::new(hooked)?.with_variable("AGENT_SUPERVISOR_SYNC_DELAY_MS", DELAY_MS);
    world.start()?;
    let mut client = world.connect()?;
    let mut latency = Latency::default();
    Latency::default().read(&world, &mut client)?;
    for _ in 0..bench.depth.pick(10, 40) {
        latency.read(&world, &mut client)?;
    }
    let mut rows = latency.delayed_rows();
    for (parallel, target) in [(8, "≥ 400/s"), (64, "≥ 1500/s")] {
        let tasks = bench.depth.pick(200, 500);
        let batch = run_batch(&world, Door::Connection, tasks, parallel)?;
        let name = format!("kept connections, {parallel} at a time");
        rows.push(Row::single(name, batch.per_second, "tasks/s").target(target));
    }
    Ok(vec![Group {
        name: "5 ms added to every sync (a build with hooks)",
        rows,
    }])
}
