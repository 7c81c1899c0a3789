//! Other supervisors, as far as they are installed: the same agent, the same
//! machine, the same run. None of them keeps a durable record before it
//! starts anything.

mod containerd;
mod crowd;
mod programs;
mod rescan;
mod short;
mod until;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sys::PidFd;

use self::until::Until;
use super::Bench;
use super::latency::UNTIL_BLOCKED;
use crate::clock::{ms_between, now_ns};
use crate::crew::Crew;
use crate::options::Peers;
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
    /// How its end is waited for, if it can be.
    wait: Option<fn(&Place<'_>) -> Result<Until>>,
    /// Runs one short task until its end is known, if that can be.
    short: Option<fn(&Place<'_>) -> Result<()>>,
    /// The names of its own processes.
    processes: &'static [&'static str],
    /// Takes its server down, if it has one.
    close: fn(&Place<'_>) -> Result<()>,
}

/// Where a peer works.
#[derive(Clone, Copy)]
struct Place<'a> {
    dir: &'a Path,
    crew: &'a Path,
    argv: &'a [String],
    /// Which start.
    turn: usize,
}

/// Launch and stop of every peer that is here, and why others are not.
pub(super) fn measure(bench: &Bench, peers: &Peers) -> Result<(Group, Vec<String>)> {
    let mut rows = Vec::new();
    let mut missing = Vec::new();
    if let Peers::Named(names) = peers {
        let known: Vec<&str> = programs::PEERS.iter().map(|peer| peer.name).collect();
        for name in names {
            let known = known.contains(&name.as_str());
            ensure!(known, "there is no peer `{name}`");
        }
    }
    let is_wanted = |peer: &&Peer| match peers {
        Peers::Ignored => false,
        Peers::All => true,
        Peers::Named(names) => names.iter().any(|name| name == peer.name),
    };
    for peer in programs::PEERS.iter().filter(is_wanted) {
        if installed(peer.program).is_none() {
            missing.push(format!(
                "{}: `{}` is not installed",
                peer.name, peer.program
            ));
            continue;
        }
        eprintln!("benches: {}", peer.name);
        // What is wrong with one of them says nothing about the others.
        match one(bench, peer) {
            Ok(measured) => rows.extend(measured),
            Err(error) => missing.push(format!("{}: {error:#}", peer.name)),
        }
    }
    let name = "peers (nothing durable before a start)";
    match rescan::measure(bench)? {
        Some(row) => rows.push(row),
        None => missing.push("s6-svscan: not installed".to_string()),
    }
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
    let strangers = crowd::processes(peer.processes)?;
    (peer.open)(&place)?;
    let mut latency = Latency::default();
    let done = (0..bench.depth.pick(20, 80)).try_for_each(|number| {
        place.turn = number;
        latency.turn(peer, &place, &world.crew)
    });
    let further = done.and_then(|()| {
        let mut rows = short::measure(bench, peer, &place)?;
        rows.extend(crowd::measure(
            bench,
            peer,
            &place,
            &world.crew,
            &strangers,
        )?);
        Ok(rows)
    });
    (peer.close)(&place)?;
    let mut rows = latency.rows(peer);
    rows.extend(further?);
    Ok(rows)
}

/// The readings of one peer.
#[derive(Default)]
struct Latency {
    launch: Samples,
    stop: Samples,
    completion: Samples,
}

impl Latency {
    /// One agent is stopped, another one ends by itself.
    fn turn(&mut self, peer: &Peer, place: &Place<'_>, crew: &Crew) -> Result<()> {
        let place = Place {
            turn: 2 * place.turn,
            ..*place
        };
        (peer.prepare)(&place)?;
        let mut command = (peer.start)(&place);
        let begun = now_ns();
        let mut starter = command.spawn().context("starting a peer")?;
        let hand = crew.arrive()?;
        self.launch.add(ms_between(begun, hand.started_ns));

        let agent = PidFd::open(hand.pid)?.context("the agent is gone")?;
        let mut command = (peer.stop)(&place, hand.pid);
        let begun = now_ns();
        let mut stopper = command.spawn().context("stopping a peer")?;
        ensure!(agent.wait_ended(STOP_PATIENCE)?, "the agent does not end");
        self.stop.add(ms_between(begun, now_ns()));
        stopper.wait()?;
        starter.wait()?;
        match peer.wait {
            Some(wait) => self.end(peer, &place, crew, wait),
            None => Ok(()),
        }
    }

    fn end(
        &mut self,
        peer: &Peer,
        place: &Place<'_>,
        crew: &Crew,
        wait: fn(&Place<'_>) -> Result<Until>,
    ) -> Result<()> {
        let place = Place {
            turn: place.turn + 1,
            ..*place
        };
        (peer.prepare)(&place)?;
        let mut starter = (peer.start)(&place).spawn().context("starting a peer")?;
        let mut hand = crew.arrive()?;
        let until = wait(&place)?;
        thread::sleep(UNTIL_BLOCKED);
        hand.dismiss()?;
        until.comes()?;
        let told = now_ns();
        self.completion.add(ms_between(hand.told_ns()?, told));
        // One that starts its agents again has to be told to leave.
        let _gone = (peer.stop)(&place, hand.pid).status()?;
        starter.wait()?;
        Ok(())
    }

    fn rows(&self, peer: &Peer) -> Vec<Row> {
        let name = peer.name;
        let mut rows = vec![
            Row::latency(
                format!("{name}: launch → first instruction"),
                self.launch.summary(),
            ),
            Row::latency(format!("{name}: stop → agent gone"), self.stop.summary()),
        ];
        if peer.wait.is_some() {
            rows.push(Row::latency(
                format!("{name}: completion, exit → known"),
                self.completion.summary(),
            ));
        }
        rows
    }
}

fn installed(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
}
