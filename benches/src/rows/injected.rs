//! The same with 5 ms added to every sync: how a slower disk is felt.

use std::time::Duration;

use anyhow::Result;

use super::Bench;
use super::latency::Latency;
use super::throughput::{Door, run_batch};
use crate::hooks::Hooks;
use crate::report::{Group, Row};
use crate::syncs::SHIM_SYNC;
use crate::world::World;

/// For the supervisor by a variable of its own, for a shim by waiting at its
/// hook point (its environment is empty but for the hooks).
const DELAY: Duration = Duration::from_millis(5);

pub(super) fn measure(bench: &Bench) -> Result<Vec<Group>> {
    let Some(hooked) = &bench.hooked else {
        return Ok(Vec::new());
    };
    let world = World::new(&bench.scratch, hooked)?;
    let hooks = Hooks::serve(world.path("hooks"), world.path("syncs"), DELAY)?;
    let mut world = world
        .with_variable("AGENT_HOOKS", SHIM_SYNC)
        .with_variable("AGENT_HOOKS_SOCKET", &hooks.socket().to_string_lossy())
        .with_variable(
            "AGENT_SUPERVISOR_SYNC_DELAY_MS",
            &DELAY.as_millis().to_string(),
        );
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
