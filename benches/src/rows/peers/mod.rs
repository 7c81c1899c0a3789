//! Other supervisors, as far as they are installed: the same agent, the same
//! machine, the same run. None of them keeps a durable record before it
//! starts anything.

mod programs;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sys::PidFd;

use super::Bench;
use crate::clock::{ms_between, now_ns};
use crate::crew::Crew;
use crate::report::{Group, Row};
use crate::stats::Samples;
use crate::world::World;

/// A stop that takes longer has failed.
const STOP_PATIENCE: Duration = Duration::from_secs(30);

/// One of them.
struct Peer {
    name: &'static str,
    program: &'static str,
    /// Brings its server up, if it has one.
    open: fn(&Place<'_>) -> Result<()>,
    /// What one start needs beforehand; not measured.
    prepare: fn(&Place<'_>) -> Result<()>,
    /// Starts the agent. It may stay until the agent ends.
    start: fn(&Place<'_>) -> Command,
    /// Ends the agent with this process id.
    stop: fn(&Place<'_>, i32) -> Command,
    /// Takes its server down, if it has one.
    close: fn(&Place<'_>) -> Result<()>,
}

/// Where a peer works.
struct Place<'a> {
    dir: &'a Path,
    crew: &'a Path,
    argv: &'a [String],
    /// Which start.
    turn: usize,
}

/// Launch and stop of every peer that is here, and why others are not.
pub(super) fn measure(bench: &Bench) -> Result<(Group, Vec<String>)> {
    let mut rows = Vec::new();
    let mut missing = Vec::new();
    for peer in programs::PEERS {
        if installed(peer.program).is_none() {
            missing.push(format!(
                "{}: `{}` is not installed",
                peer.name, peer.program
            ));
            continue;
        }
        let measured = one(bench, peer).with_context(|| format!("measuring {}", peer.name))?;
        rows.extend(measured);
    }
    let name = "peers (nothing durable before a start)";
    Ok((Group { name, rows }, missing))
}

fn one(bench: &Bench, peer: &Peer) -> Result<Vec<Row>> {
    let world = World::new(&bench.scratch, &bench.programs)?;
    let argv = world.hold();
    let dir = world.path("peer");
    std::fs::create_dir(&dir)?;
    let mut place = Place {
        dir: &dir,
        crew: world.crew.path(),
        argv: &argv,
        turn: 0,
    };
    (peer.open)(&place)?;
    let (mut launch, mut stop) = (Samples::default(), Samples::default());
    let done = (0..bench.depth.pick(20, 80)).try_for_each(|number| {
        place.turn = number;
        turn(peer, &place, &world.crew, &mut launch, &mut stop)
    });
    (peer.close)(&place)?;
    done?;
    Ok(vec![
        Row::latency(
            format!("{}: launch → first instruction", peer.name),
            launch.summary(),
        ),
        Row::latency(format!("{}: stop → agent gone", peer.name), stop.summary()),
    ])
}

fn turn(
    peer: &Peer,
    place: &Place<'_>,
    crew: &Crew,
    launch: &mut Samples,
    stop: &mut Samples,
) -> Result<()> {
    (peer.prepare)(place)?;
    let mut command = (peer.start)(place);
    let begun = now_ns();
    let mut starter = command.spawn().context("starting a peer")?;
    let hand = crew.arrive()?;
    launch.add(ms_between(begun, hand.started_ns));

    let agent = PidFd::open(hand.pid)?.context("the agent is gone")?;
    let mut command = (peer.stop)(place, hand.pid);
    let begun = now_ns();
    let mut stopper = command.spawn().context("stopping a peer")?;
    ensure!(agent.wait_ended(STOP_PATIENCE)?, "the agent does not end");
    stop.add(ms_between(begun, now_ns()));
    stopper.wait()?;
    starter.wait()?;
    Ok(())
}

fn installed(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
}
