//! Launch, stop and completion, each repeat beside the physical limits.

use std::process::Child;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use protocol::TaskId;
use sys::PidFd;

use super::Bench;
use super::floor::Floor;
use crate::client::{Client, Which};
use crate::clock::{ms_between, now_ns};
use crate::report::{Group, Row};
use crate::stats::Samples;
use crate::world::{EXEC_PROVIDER, World};

/// Until a client that was just started waits for its answer. It is not part
/// of any reading.
pub(super) const UNTIL_BLOCKED: Duration = Duration::from_millis(6);

/// A stop that takes longer has failed.
const STOP_PATIENCE: Duration = Duration::from_secs(30);

/// The readings.
#[derive(Debug, Default)]
pub(super) struct Latency {
    launch_cli: Samples,
    launch_cli_answer: Samples,
    launch_kept: Samples,
    launch_kept_answer: Samples,
    stop_cli: Samples,
    stop_cli_answer: Samples,
    stop_kept: Samples,
    completion_cli: Samples,
    completion_kept: Samples,
}

pub(super) fn measure(bench: &Bench) -> Result<Vec<Group>> {
    let world = World::running(&bench.scratch, &bench.programs)?;
    let mut client = world.connect()?;
    let mut floor = Floor::new(&world)?;
    let mut latency = Latency::default();
    // The first one pays for caches that nobody has filled yet.
    Latency::default().read(&world, &mut client)?;
    for _ in 0..bench.depth.pick(20, 80) {
        floor.read()?;
        latency.read(&world, &mut client)?;
    }
    Ok(vec![
        Group {
            name: "physical limits",
            rows: floor.rows(),
        },
        Group {
            name: "latency",
            rows: latency.rows(bench),
        },
    ])
}

impl Latency {
    /// One reading of each.
    pub(super) fn read(&mut self, world: &World, client: &mut Client) -> Result<()> {
        self.by_command(world)?;
        self.by_connection(world, client)
    }

    fn by_command(&mut self, world: &World) -> Result<()> {
        let argv = world.hold();
        let mut words = vec!["run", "-d", "--"];
        words.extend(argv.iter().map(String::as_str));
        let mut run = world.agentctl(&words);
        let begun = now_ns();
        let child = run.spawn().context("starting agentctl")?;
        let hand = world.crew.arrive()?;
        let id = printed(child)?;
        self.launch_cli_answer.add(ms_between(begun, now_ns()));
        self.launch_cli.add(ms_between(begun, hand.started_ns));

        let agent = PidFd::open(hand.pid)?.context("the agent is gone")?;
        let mut stop = world.agentctl(&["stop-session", &id]);
        let begun = now_ns();
        let child = stop.spawn().context("starting agentctl")?;
        ensure!(agent.wait_ended(STOP_PATIENCE)?, "the agent does not end");
        let gone = now_ns();
        printed(child)?;
        self.stop_cli_answer.add(ms_between(begun, now_ns()));
        self.stop_cli.add(ms_between(begun, gone));
        world.settle()
    }

    fn by_connection(&mut self, world: &World, client: &mut Client) -> Result<()> {
        let dispatch = world.dispatch(EXEC_PROVIDER, world.hold());
        let first = world.fresh_id()?;
        let begun = now_ns();
        client.run(first.clone(), &dispatch)?;
        self.launch_kept_answer.add(ms_between(begun, now_ns()));
        let mut hand = world.crew.arrive()?;
        self.launch_kept.add(ms_between(begun, hand.started_ns));

        let waiting = world.agentctl(&["wait", first.as_str()]).spawn()?;
        thread::sleep(UNTIL_BLOCKED);
        hand.dismiss()?;
        printed(waiting)?;
        let told = now_ns();
        self.completion_cli.add(ms_between(hand.told_ns()?, told));

        let second = world.fresh_id()?;
        client.run(second.clone(), &dispatch)?;
        let mut hand = world.crew.arrive()?;
        client.begin_wait(&second)?;
        thread::sleep(UNTIL_BLOCKED);
        hand.dismiss()?;
        client.tasks()?;
        let told = now_ns();
        self.completion_kept.add(ms_between(hand.told_ns()?, told));

        let third = world.fresh_id()?;
        client.run(third.clone(), &dispatch)?;
        let hand = world.crew.arrive()?;
        self.stop_kept.add(stop(client, &third, hand.pid)?);
        world.settle()
    }

    fn rows(&self, bench: &Bench) -> Vec<Row> {
        let syncs = bench.syncs;
        vec![
            Row::latency(
                "launch: agentctl run -d → first instruction",
                self.launch_cli.summary(),
            )
            .target("≤ 1.2 ms, p99 ≤ 4")
            .syncs(syncs.map(|counts| counts.launch_exec)),
            Row::latency(
                "launch: agentctl run -d → answer",
                self.launch_cli_answer.summary(),
            )
            .syncs(syncs.map(|counts| counts.launch_answer)),
            Row::latency(
                "launch: kept connection → first instruction",
                self.launch_kept.summary(),
            )
            .target("≤ 0.8 ms")
            .syncs(syncs.map(|counts| counts.launch_exec)),
            Row::latency(
                "launch: kept connection → answer",
                self.launch_kept_answer.summary(),
            )
            .syncs(syncs.map(|counts| counts.launch_answer)),
            Row::latency(
                "completion: exit → agentctl wait has ended",
                self.completion_cli.summary(),
            )
            .target("≤ 0.8 ms")
            .syncs(syncs.map(|counts| counts.all_of_completion())),
            Row::latency(
                "completion: exit → kept connection",
                self.completion_kept.summary(),
            )
            .syncs(syncs.map(|counts| counts.all_of_completion())),
            Row::latency(
                "stop: agentctl stop-session → agent gone",
                self.stop_cli.summary(),
            )
            .target("≤ 1.2 ms")
            .syncs(syncs.map(|counts| counts.stop_signal)),
            Row::latency(
                "stop: agentctl stop-session → answer",
                self.stop_cli_answer.summary(),
            )
            .syncs(syncs.map(|counts| counts.stop_answer)),
            Row::latency("stop: kept connection → answer", self.stop_kept.summary())
                .syncs(syncs.map(|counts| counts.stop_answer)),
        ]
    }

    /// The rows that say something when each sync takes longer.
    pub(super) fn delayed_rows(&self) -> Vec<Row> {
        vec![
            Row::latency(
                "launch: agentctl run -d → first instruction",
                self.launch_cli.summary(),
            )
            .target("≤ 8 ms"),
            Row::latency(
                "launch: kept connection → first instruction",
                self.launch_kept.summary(),
            ),
            Row::latency(
                "completion: exit → agentctl wait has ended",
                self.completion_cli.summary(),
            ),
            Row::latency(
                "stop: agentctl stop-session → agent gone",
                self.stop_cli.summary(),
            ),
        ]
    }
}

/// Stops a task over a kept connection: milliseconds until the answer.
fn stop(client: &mut Client, id: &TaskId, agent: i32) -> Result<f64> {
    let begun = now_ns();
    client.stop(Which::One(id))?;
    let answered = now_ns();
    ensure!(
        sys::process::stat(agent)?.is_none_or(|stat| stat.is_dead()),
        "the agent lives on"
    );
    Ok(ms_between(begun, answered))
}

/// What it printed, once it has ended well.
fn printed(child: Child) -> Result<String> {
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "agentctl ended with {}: {said}",
        output.status
    );
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_string())
}
