//! Output: what it costs an agent that its shim reads along, and the shim.

use std::fs::File;

use anyhow::{Context, Result, ensure};

use super::Bench;
use super::crowd::wait_idle;
use super::floor::command;
use crate::clock::ms_between;
use crate::crew::Hand;
use crate::processes::run_time_ms;
use crate::report::{Group, Row};
use crate::stats::Samples;
use crate::world::{EXEC_PROVIDER, JSON_PROVIDER, World};

/// 20 MB in lines as a chatty agent prints them.
const LINES: usize = 200_000;
const LINE_BYTES: usize = 100;

/// How an agent writes.
#[derive(Clone, Copy, Debug)]
enum Manner {
    /// Each line at once, as a program does whose reader is to see it now.
    EachLine,
    /// Into a buffer first.
    Gathered,
}

impl Manner {
    const fn gather(self) -> usize {
        match self {
            Self::EachLine => 1,
            Self::Gathered => 8 << 10,
        }
    }
}

pub(super) fn measure(bench: &Bench) -> Result<Vec<Group>> {
    let world = World::running(&bench.scratch, &bench.programs)?;
    Ok(vec![
        Group {
            name: "output: 200,000 lines of 100 bytes, a write for each",
            rows: rows(bench, &world, Manner::EachLine)?,
        },
        Group {
            name: "output: the same in writes of 8 KiB, faster than any real agent",
            rows: rows(bench, &world, Manner::Gathered)?,
        },
    ])
}

fn rows(bench: &Bench, world: &World, manner: Manner) -> Result<Vec<Row>> {
    let [mut direct, mut bytes, mut json] = [(); 3].map(|()| Samples::default());
    let [mut bytes_cpu, mut json_cpu] = [(); 2].map(|()| Samples::default());
    for _ in 0..bench.depth.pick(3, 11) {
        direct.add(into_a_file(world, manner)?);
        for (provider, time, cpu) in [
            (EXEC_PROVIDER, &mut bytes, &mut bytes_cpu),
            (JSON_PROVIDER, &mut json, &mut json_cpu),
        ] {
            let (ms, shim_ms) = through_a_shim(world, provider, manner)?;
            time.add(ms);
            cpu.add(shim_ms);
        }
    }
    let slower = |time: &Samples| (time.p50() / direct.p50() - 1.0) * 100.0;
    let (bytes_slower, json_slower) = (slower(&bytes), slower(&json));
    Ok(vec![
        Row::latency("the agent writes into a file itself", direct.summary()),
        Row::latency("the agent, its bytes kept by a shim", bytes.summary()),
        Row::latency("the agent, its JSON lines read by a shim", json.summary()),
        Row::single("bytes: slower than into a file", bytes_slower, "%").target("≤ 5 %"),
        Row::single("JSON lines: slower than into a file", json_slower, "%").target("≤ 5 %"),
        Row::latency("time of the shim, bytes", bytes_cpu.summary()),
        Row::latency("time of the shim, JSON lines", json_cpu.summary()).target("≤ 100 ms"),
    ])
}

fn words(world: &World, manner: Manner) -> Vec<String> {
    world.agent_words(&[
        "lines",
        &world.crew.path().to_string_lossy(),
        &LINES.to_string(),
        &LINE_BYTES.to_string(),
        &manner.gather().to_string(),
    ])
}

/// By the agent's own clock, from the first write to the last.
fn told(hand: &mut Hand) -> Result<f64> {
    let (begun, ended) = (hand.told_ns()?, hand.told_ns()?);
    Ok(ms_between(begun, ended))
}

fn into_a_file(world: &World, manner: Manner) -> Result<f64> {
    let file = File::create(world.path("direct"))?;
    let mut child = command(&words(world, manner)).stdout(file).spawn()?;
    let mut hand = world.crew.arrive()?;
    let ms = told(&mut hand)?;
    hand.dismiss()?;
    child.wait()?;
    Ok(ms)
}

/// The agent's time, and its shim's.
fn through_a_shim(world: &World, provider: &str, manner: Manner) -> Result<(f64, f64)> {
    let mut client = world.connect()?;
    let id = world.fresh_id()?;
    let task = client.run(id.clone(), &world.dispatch(provider, words(world, manner)))?;
    let mut hand = world.crew.arrive()?;
    let ms = told(&mut hand)?;
    let shim = task.shim_pid.context("no shim")?;
    wait_idle(shim)?;
    let shim_ms = run_time_ms(shim)?;
    client.begin_wait(&id)?;
    hand.dismiss()?;
    ensure!(client.tasks()?.len() == 1, "no end");
    world.settle()?;
    Ok((ms, shim_ms))
}
