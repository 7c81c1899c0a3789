//! The supervisor is killed and started again while its agents go on.

use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use protocol::vocab::Presence;

use super::Bench;
use super::crowd::fill;
use crate::clock::{ms_between, now_ns};
use crate::report::{Group, Row};
use crate::stats::Samples;
use crate::world::World;

/// When something is wrong, in ms.
const LATE_MS: f64 = 60_000.0;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(1);

pub(super) fn measure(bench: &Bench) -> Result<Vec<Group>> {
    let repeats = bench.depth.pick(3, 20);
    let mut rows = adopt(bench, 20, repeats)?;
    for row in &mut rows {
        row.target = Some("≤ 25 ms to all controllable");
    }
    let mut large = adopt(bench, bench.depth.pick(100, 1000), bench.depth.pick(1, 3))?;
    for row in &mut large {
        row.target = Some("1,000: ≤ 0.5 s");
    }
    rows.extend(large);
    Ok(vec![Group {
        name: "supervisor killed and started again",
        rows,
    }])
}

fn adopt(bench: &Bench, size: usize, repeats: usize) -> Result<Vec<Row>> {
    let mut world = World::running(&bench.scratch, &bench.programs)?;
    let mut hands = Vec::new();
    fill(&world, &mut hands, size)?;
    let (mut answers, mut controllable) = (Samples::default(), Samples::default());
    for _ in 0..repeats {
        world.kill_supervisor()?;
        let begun = now_ns();
        world.start()?;
        answers.add(ms_between(begun, now_ns()));
        let mut client = world.connect()?;
        // A look at the numbers costs it little, one at all tasks milliseconds.
        while client.status()?.adopted < size as u64 {
            let late = ms_between(begun, now_ns()) > LATE_MS;
            ensure!(!late, "not all of {size} tasks were taken over");
            thread::sleep(PAUSE);
        }
        loop {
            let live = client.live()?;
            ensure!(
                live.len() == size,
                "{} of {size} tasks are live",
                live.len()
            );
            // A shim that gave a connection up has another one.
            if live.iter().all(|task| task.presence == Presence::Attached) {
                break;
            }
        }
        controllable.add(ms_between(begun, now_ns()));
    }
    Ok(vec![
        Row::latency(
            format!("{size} tasks: start → status answered"),
            answers.summary(),
        ),
        Row::latency(
            format!("{size} tasks: start → all attached"),
            controllable.summary(),
        ),
    ])
}
