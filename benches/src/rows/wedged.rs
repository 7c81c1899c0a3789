//! Shims that stand still (SIGSTOP) delay nobody: neither a client of a
//! supervisor that knows them, nor the start of the next one.

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use protocol::vocab::Presence;

use super::Bench;
use super::crowd::fill;
use crate::clock::{ms_between, now_ns};
use crate::report::{Group, Row};
use crate::stats::Samples;
use crate::world::World;

/// Shims that go on beside them.
const SOUND: usize = 20;

pub(super) fn measure(bench: &Bench) -> Result<Vec<Group>> {
    let wedged = bench.depth.pick(20, 100);
    let mut world = World::running(&bench.scratch, &bench.programs)?;
    let mut hands = Vec::new();
    fill(&world, &mut hands, wedged + SOUND)?;
    let still = Still::of(&world, wedged)?;
    let mut rows = while_it_runs(&world, wedged, bench.depth.pick(50, 500))?;
    rows.extend(after_a_kill(&mut world, &still, bench.depth.pick(2, 20))?);
    drop(still);
    Ok(vec![Group {
        name: "control socket beside shims that stand still",
        rows,
    }])
}

/// Shims that stand still until this is dropped.
struct Still(Vec<Pid>);

impl Still {
    fn of(world: &World, count: usize) -> Result<Self> {
        let mut still = Self(Vec::new());
        for task in world.connect()?.live()?.iter().take(count) {
            let shim = Pid::from_raw(task.shim_pid.context("a live task without a shim")?);
            still.0.push(shim);
        }
        still.stand()?;
        Ok(still)
    }

    /// The kernel wakes those whose supervisor ends: they stand in a group of their
    /// own, which nobody of their session cares for any more.
    fn stand(&self) -> Result<()> {
        for shim in &self.0 {
            kill(*shim, Signal::SIGSTOP)?;
        }
        Ok(())
    }
}

impl Drop for Still {
    fn drop(&mut self) {
        for shim in &self.0 {
            // One that is gone needs nothing.
            let _gone = kill(*shim, Signal::SIGCONT);
        }
    }
}

fn while_it_runs(world: &World, wedged: usize, repeats: usize) -> Result<Vec<Row>> {
    let (mut status, mut list) = (Samples::default(), Samples::default());
    for _ in 0..repeats {
        let begun = now_ns();
        world.connect()?.status()?;
        status.add(ms_between(begun, now_ns()));
        let begun = now_ns();
        let live = world.connect()?.live()?;
        list.add(ms_between(begun, now_ns()));
        ensure!(
            live.len() == wedged + SOUND,
            "{} tasks are live",
            live.len()
        );
    }
    Ok(vec![
        Row::latency(
            format!("{wedged} wedged: connect → status"),
            status.summary(),
        )
        .target("≤ 100 ms"),
        Row::latency(format!("{wedged} wedged: connect → list"), list.summary()).target("≤ 100 ms"),
    ])
}

fn after_a_kill(world: &mut World, still: &Still, repeats: usize) -> Result<Vec<Row>> {
    let wedged = still.0.len();
    let (mut answers, mut controllable) = (Samples::default(), Samples::default());
    for _ in 0..repeats {
        world.kill_supervisor()?;
        still.stand()?;
        let begun = now_ns();
        world.start()?;
        answers.add(ms_between(begun, now_ns()));
        let mut client = world.connect()?;
        let mut attached = 0;
        while attached < SOUND {
            attached = client
                .live()?
                .iter()
                .filter(|task| task.presence == Presence::Attached)
                .count();
        }
        controllable.add(ms_between(begun, now_ns()));
        ensure!(attached == SOUND, "{attached} shims are attached");
    }
    Ok(vec![
        Row::latency(
            format!("{wedged} wedged: start → status answered"),
            answers.summary(),
        )
        .target("≤ 100 ms"),
        Row::latency(
            format!("{wedged} wedged: start → the other {SOUND} attached"),
            controllable.summary(),
        ),
    ])
}
