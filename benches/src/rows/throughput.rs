//! Many short tasks, several at a time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Result, ensure};
use nix::sys::resource::UsageWho;

use super::Bench;
use super::floor::command;
use crate::client::Client;
use crate::clock::{ms_between, now_ns};
use crate::processes::{cpu_time, own_usage_ms};
use crate::report::{Group, Row};
use crate::stats::Samples;
use crate::world::{EXEC_PROVIDER, World};

/// Tasks at a time.
pub(super) const PARALLEL: usize = 8;

/// One batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Batch {
    /// Tasks per second.
    pub(super) per_second: f64,
    /// Milliseconds on the processors per task, everyone included.
    pub(super) cpu_ms: f64,
}

/// How a batch is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    /// No supervisor: spawn and wait.
    Raw,
    /// One attached `agentctl run` per task.
    Command,
    /// The same for a program (`--json`), which wants the verdict and no output: as
    /// the peers are asked.
    Verdict,
    /// Connections that stay.
    Connection,
}

/// Batches through one door.
#[derive(Debug, Default)]
struct Batches {
    rate: Samples,
    cpu: Samples,
}

pub(super) fn measure(bench: &Bench) -> Result<Vec<Group>> {
    let tasks = bench.depth.pick(160, 500);
    let world = World::running(&bench.scratch, &bench.programs)?;
    let doors = [Door::Raw, Door::Command, Door::Verdict, Door::Connection];
    let mut batches = doors.map(|_| Batches::default());
    for _ in 0..bench.depth.pick(1, 5) {
        for (door, all) in doors.iter().zip(&mut batches) {
            let batch = run_batch(&world, *door, tasks, PARALLEL)?;
            all.rate.add(batch.per_second);
            all.cpu.add(batch.cpu_ms);
        }
    }
    let [raw, by_command, verdict, kept] = batches;
    let rows = vec![
        Row::single("raw: spawn and wait", raw.rate.p50(), "tasks/s"),
        Row::single("raw: time per task", raw.cpu.p50(), "ms CPU"),
        Row::single("agentctl run, attached", by_command.rate.p50(), "tasks/s").target("≥ 1000/s"),
        Row::single(
            "agentctl run: time per task, all",
            by_command.cpu.p50(),
            "ms CPU",
        )
        .target("≤ 2 ms"),
        Row::single("agentctl run --json", verdict.rate.p50(), "tasks/s"),
        Row::single(
            "agentctl run --json: time per task, all",
            verdict.cpu.p50(),
            "ms CPU",
        ),
        Row::single("kept connections", kept.rate.p50(), "tasks/s"),
        Row::single(
            "kept connections: time per task, all",
            kept.cpu.p50(),
            "ms CPU",
        ),
    ];
    Ok(vec![Group {
        name: "throughput: short tasks, 8 at a time",
        rows,
    }])
}

/// Runs `tasks` short tasks, `parallel` at a time.
pub(super) fn run_batch(world: &World, door: Door, tasks: usize, parallel: usize) -> Result<Batch> {
    let supervisor = world.supervisor_pid()?;
    let supervised = || cpu_time(supervisor).map(|time| time.own_ms + time.children_ms);
    let ours = || {
        Ok::<_, anyhow::Error>(
            own_usage_ms(UsageWho::RUSAGE_SELF)? + own_usage_ms(UsageWho::RUSAGE_CHILDREN)?,
        )
    };
    let (supervised_before, ours_before) = (supervised()?, ours()?);
    let left = AtomicUsize::new(tasks);
    let begun = now_ns();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..parallel)
            .map(|_| scope.spawn(|| work(world, door, &left)))
            .collect();
        workers.into_iter().try_for_each(|worker| {
            worker
                .join()
                .map_err(|_| anyhow::anyhow!("a worker panicked"))?
        })
    })?;
    let ms = ms_between(begun, now_ns());
    world.settle()?;
    let cpu = supervised()? - supervised_before + ours()? - ours_before;
    #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
    let count = tasks as f64;
    Ok(Batch {
        per_second: count * 1000.0 / ms,
        cpu_ms: cpu / count,
    })
}

fn work(world: &World, door: Door, left: &AtomicUsize) -> Result<()> {
    let mut client = match door {
        Door::Connection => Some(world.connect()?),
        Door::Raw | Door::Command | Door::Verdict => None,
    };
    let take = |left: usize| left.checked_sub(1);
    while left
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
        .is_ok()
    {
        let argv = world.agent_words(&["true"]);
        match &mut client {
            Some(client) => by_connection(world, client, argv)?,
            None if door == Door::Raw => {
                let status = command(&argv).status()?;
                ensure!(status.success(), "the agent ended with {status}");
            }
            None if door == Door::Verdict => by_command(world, &["run", "--json", "--"], &argv)?,
            None => by_command(world, &["run", "--"], &argv)?,
        }
    }
    Ok(())
}

fn by_connection(world: &World, client: &mut Client, argv: Vec<String>) -> Result<()> {
    let id = world.fresh_id()?;
    client.run(id.clone(), &world.dispatch(EXEC_PROVIDER, argv))?;
    client.begin_wait(&id)?;
    let tasks = client.tasks()?;
    ensure!(tasks.len() == 1, "{} answers to one wait", tasks.len());
    Ok(())
}

fn by_command(world: &World, words: &[&str], argv: &[String]) -> Result<()> {
    let mut words = words.to_vec();
    words.extend(argv.iter().map(String::as_str));
    let output = world.agentctl(&words).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "agentctl ended with {}: {said}",
        output.status
    );
    Ok(())
}
