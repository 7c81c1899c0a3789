//! s6 without its scanner: the supervisors of its services go on, and the next
//! scanner finds them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread;

use anyhow::{Context, Result};

use super::super::Bench;
use super::installed;
use super::programs::{quiet, service};
use crate::clock::{ms_between, now_ns};
use crate::report::Row;
use crate::stats::Samples;
use crate::world::{BETWEEN_LOOKS, World};

/// Services.
const SERVICES: usize = 20;

/// From the start of the next scanner until it answers and each service has told its
/// state.
pub(super) fn measure(bench: &Bench) -> Result<Option<Row>> {
    if installed("s6-svscan").is_none() {
        return Ok(None);
    }
    let world = World::new(&bench.scratch, &bench.programs)?;
    let scanned = world.path("services");
    fs::create_dir(&scanned)?;
    let mut folders = Vec::new();
    for number in 0..SERVICES {
        let folder = scanned.join(format!("service-{number}"));
        service(&folder, &world.hold())?;
        folders.push(folder);
    }
    let mut scanner = scan(&scanned)?;
    let mut hands = Vec::new();
    for _ in 0..SERVICES {
        hands.push(world.crew.arrive()?);
    }
    let mut readings = Samples::default();
    for _ in 0..bench.depth.pick(2, 20) {
        scanner.kill()?;
        scanner.wait()?;
        let begun = now_ns();
        scanner = scan(&scanned)?;
        answers(&scanned, &folders)?;
        readings.add(ms_between(begun, now_ns()));
    }
    for folder in &folders {
        quiet("s6-svc").arg("-dx").arg(folder).status()?;
    }
    quiet("s6-svscanctl").arg("-t").arg(&scanned).status()?;
    drop(hands);
    scanner.wait()?;
    Ok(Some(Row::latency(
        format!("s6-svscan killed, {SERVICES} services: start → all answered"),
        readings.summary(),
    )))
}

fn scan(folder: &Path) -> Result<Child> {
    let mut command = quiet("s6-svscan");
    command.arg(folder).spawn().context("starting s6-svscan")
}

fn answers(scanned: &Path, folders: &[PathBuf]) -> Result<()> {
    let succeeds = |command: &mut Command| -> Result<bool> { Ok(command.status()?.success()) };
    while !succeeds(quiet("s6-svscanctl").arg("-a").arg(scanned))? {
        thread::sleep(BETWEEN_LOOKS);
    }
    for folder in folders {
        while !succeeds(quiet("s6-svstat").arg(folder))? {
            thread::sleep(BETWEEN_LOOKS);
        }
    }
    Ok(())
}
