//! Memory: per supervised idle task, after a flood of output, and of the
//! supervisor with a thousand tasks.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use super::Bench;
use crate::crew::Hand;
use crate::processes::{cpu_time, page_tables_kib, pss_kib, rss_kib, run_time_ms};
use crate::report::{Group, Row};
use crate::world::{EXEC_PROVIDER, JSON_PROVIDER, World};

/// One line of this length, a hundred million bytes.
const LINE_BYTES: usize = 100_000_000;

/// The crowd that the target is of: the supervisor's own memory is shared by all.
const AIMED_AT: usize = 500;

/// How long the crowd is watched while nothing happens.
const IDLE: Duration = Duration::from_secs(3);

pub(super) fn measure(bench: &Bench) -> Result<Vec<Group>> {
    let world = World::running(&bench.scratch, &bench.programs)?;
    let mut hands = Vec::new();
    let mut rows = Vec::new();
    let supervisor = world.supervisor_pid()?;
    rows.push(Row::single(
        "supervisor, no task: PSS",
        pss_kib(supervisor)?,
        "KiB",
    ));
    for size in [100, bench.depth.pick(200, AIMED_AT)] {
        fill(&world, &mut hands, size)?;
        rows.extend(per_task(&world, size)?);
    }
    let many = bench.depth.pick(300, 1000);
    fill(&world, &mut hands, many)?;
    rows.push(
        Row::single(
            format!("supervisor at {many} tasks: RSS"),
            rss_kib(supervisor)?,
            "KiB",
        )
        .target("≤ 24 MB"),
    );
    rows.push(idle_time(&world, many)?);
    // In the crowd, so that what all shims share counts once, as above.
    rows.extend(after_output(bench, &world)?);
    Ok(vec![Group {
        name: "memory",
        rows,
    }])
}

/// Starts idle agents until there are `size`.
pub(super) fn fill(world: &World, hands: &mut Vec<Hand>, size: usize) -> Result<()> {
    let mut client = world.connect()?;
    while hands.len() < size {
        let dispatch = world.dispatch(EXEC_PROVIDER, world.hold());
        client.run(world.fresh_id()?, &dispatch)?;
        hands.push(world.crew.arrive()?);
    }
    Ok(())
}

fn shims(world: &World) -> Result<Vec<i32>> {
    let live = world.connect()?.live()?;
    live.iter()
        .map(|task| task.shim_pid.context("a live task without a shim"))
        .collect()
}

fn per_task(world: &World, size: usize) -> Result<Vec<Row>> {
    let shims = shims(world)?;
    let mut shim_kib = 0.0;
    let mut tables_kib = 0.0;
    for shim in &shims {
        shim_kib += pss_kib(*shim)?;
        tables_kib += page_tables_kib(*shim)?;
    }
    #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
    let count = shims.len() as f64;
    let supervisor = pss_kib(world.supervisor_pid()?)?;
    let all = Row::single(
        format!("per idle task at {size}: PSS, shim + supervisor's share"),
        (shim_kib + supervisor) / count,
        "KiB",
    );
    Ok(vec![
        if size == AIMED_AT {
            all.target("≤ 96 KiB")
        } else {
            all
        },
        Row::single(
            format!("per idle task at {size}: PSS of the shim"),
            shim_kib / count,
            "KiB",
        ),
        Row::single(
            format!("per idle task at {size}: page tables of the shim"),
            tables_kib / count,
            "KiB",
        ),
    ])
}

/// How much the crowd costs while nothing happens.
fn idle_time(world: &World, size: usize) -> Result<Row> {
    let shims = shims(world)?;
    let supervisor = world.supervisor_pid()?;
    let total = || -> Result<f64> {
        let own = cpu_time(supervisor)?.own_ms;
        shims
            .iter()
            .try_fold(own, |sum, shim| Ok(sum + run_time_ms(*shim)?))
    };
    let before = total()?;
    thread::sleep(IDLE);
    let percent = (total()? - before) / IDLE.as_secs_f64() / 10.0;
    Ok(Row::single(
        format!("idle with {size} tasks: supervisor and shims"),
        percent,
        "% of a CPU",
    )
    .target("0 %"))
}

/// A shim that has seen a very long line and a lot of output.
fn after_output(bench: &Bench, world: &World) -> Result<Vec<Row>> {
    let total = bench.depth.pick(2 * LINE_BYTES, 10 * LINE_BYTES);
    let mut rows = Vec::new();
    for (provider, what) in [(EXEC_PROVIDER, "bytes"), (JSON_PROVIDER, "JSON")] {
        let words = world.agent_words(&[
            "flood",
            &world.crew.path().to_string_lossy(),
            &LINE_BYTES.to_string(),
            &total.to_string(),
        ]);
        let mut client = world.connect()?;
        let task = client.run(world.fresh_id()?, &world.dispatch(provider, words))?;
        let mut hand = world.crew.arrive()?;
        hand.told_ns()?;
        let shim = task.shim_pid.context("no shim")?;
        wait_idle(shim)?;
        rows.push(
            Row::single(
                format!(
                    "shim after a 100 MB line and {} MB of {what}: PSS",
                    total / 1_000_000
                ),
                pss_kib(shim)?,
                "KiB",
            )
            .target("≤ 128 KiB"),
        );
    }
    Ok(rows)
}

/// Waits until a process no longer runs: what the agent had written by then
/// has passed through it.
pub(super) fn wait_idle(pid: i32) -> Result<()> {
    let mut before = run_time_ms(pid)?;
    loop {
        thread::sleep(Duration::from_millis(30));
        let now = run_time_ms(pid)?;
        if now - before < 0.01 {
            return Ok(());
        }
        before = now;
    }
}
