//! Other supervisors, as far as they are installed: the same agent, the same
//! machine, the same run. None of them keeps a durable record before it
//! starts anything.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use sys::PidFd;

use super::Bench;
use crate::clock::{ms_between, now_ns};
use crate::crew::Crew;
use crate::report::{Group, Row};
use crate::stats::Samples;
use crate::world::World;

/// A stop that takes longer has failed.
const STOP_PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// One of them: how it starts, stops and waits.
struct Peer {
    name: &'static str,
    program: &'static str,
    /// Brings its server up, if it has one.
    prepare: fn(&Place<'_>) -> Result<()>,
    start: fn(&Place<'_>) -> Command,
    /// How it ends what it started.
    stop: fn(&Place<'_>) -> Command,
    /// How its server ends.
    leave: fn(&Place<'_>) -> Option<Command>,
}

/// Where a peer works.
struct Place<'a> {
    dir: &'a Path,
    argv: &'a [String],
}

const PEERS: &[Peer] = &[
    Peer {
        name: "tmux",
        program: "tmux",
        prepare: |place| run(tmux(place).args(["new-session", "-d", "-s", "keep", "cat"])),
        start: |place| {
            let mut command = tmux(place);
            command
                .args(["new-session", "-d", "-s", "bench"])
                .args(place.argv);
            command
        },
        stop: |place| {
            let mut command = tmux(place);
            command.args(["kill-session", "-t", "bench"]);
            command
        },
        leave: |place| {
            let mut command = tmux(place);
            command.arg("kill-server");
            Some(command)
        },
    },
    Peer {
        name: "task-spooler",
        program: "tsp",
        prepare: |place| run(tsp(place).args(["-S", "8"])),
        start: |place| {
            let mut command = tsp(place);
            command.args(place.argv);
            command
        },
        stop: |place| {
            let mut command = tsp(place);
            command.arg("-k");
            command
        },
        leave: |place| {
            let mut command = tsp(place);
            command.arg("-K");
            Some(command)
        },
    },
];

/// Launch and stop of every peer that is here, and why others are not.
pub(super) fn measure(bench: &Bench) -> Result<(Group, Vec<String>)> {
    let mut rows = Vec::new();
    let mut missing = Vec::new();
    for peer in PEERS {
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
    Ok((
        Group {
            name: "peers",
            rows,
        },
        missing,
    ))
}

fn one(bench: &Bench, peer: &Peer) -> Result<Vec<Row>> {
    let world = World::new(&bench.programs)?;
    let argv = world.hold();
    let dir = world.path("peer");
    std::fs::create_dir(&dir)?;
    let place = Place {
        dir: &dir,
        argv: &argv,
    };
    (peer.prepare)(&place)?;
    let (mut launch, mut stop) = (Samples::default(), Samples::default());
    let repeats = bench.depth.pick(20, 80);
    let done =
        (0..repeats).try_for_each(|_| turn(peer, &place, &world.crew, &mut launch, &mut stop));
    if let Some(mut leave) = (peer.leave)(&place) {
        run(&mut leave)?;
    }
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
    let mut command = (peer.start)(place);
    let begun = now_ns();
    run(&mut command)?;
    let hand = crew.arrive()?;
    launch.add(ms_between(begun, hand.started_ns));
    let agent = PidFd::open(hand.pid)?.context("the agent is gone")?;
    let mut command = (peer.stop)(place);
    let begun = now_ns();
    let mut child = command.spawn()?;
    ensure!(agent.wait_ended(STOP_PATIENCE)?, "the agent does not end");
    stop.add(ms_between(begun, now_ns()));
    child.wait()?;
    Ok(())
}

fn tmux(place: &Place<'_>) -> Command {
    let mut command = quiet("tmux");
    command
        .arg("-f")
        .arg("/dev/null")
        .arg("-S")
        .arg(place.dir.join("tmux"));
    command
}

fn tsp(place: &Place<'_>) -> Command {
    let mut command = quiet("tsp");
    command
        .env("TS_SOCKET", place.dir.join("tsp"))
        .env("TMPDIR", place.dir);
    command
}

fn quiet(program: &str) -> Command {
    let mut command = Command::new(program);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.env_remove("TMUX");
    command
}

fn run(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("starting {command:?}"))?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(())
}

fn installed(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
}
