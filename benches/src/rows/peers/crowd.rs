//! Memory of a peer per idle task.

use std::collections::HashSet;
use std::fs;

use anyhow::{Context, Result};

use super::super::Bench;
use super::{Peer, Place};
use crate::crew::Crew;
use crate::processes::pss_kib;
use crate::report::Row;

/// Turns of the other rows are below this.
const FIRST_TURN: usize = 200_000;

/// Everything of the peer's own, its server included, divided by the tasks; without
/// what had its name before.
pub(super) fn measure(
    bench: &Bench,
    peer: &Peer,
    place: &Place<'_>,
    crew: &Crew,
    strangers: &HashSet<i32>,
) -> Result<Vec<Row>> {
    let mut running = Vec::new();
    let mut rows = Vec::new();
    let filled = [bench.depth.pick(20, 100), bench.depth.pick(40, 500)]
        .into_iter()
        .try_for_each(|size| -> Result<()> {
            while running.len() < size {
                let place = Place {
                    turn: FIRST_TURN + running.len(),
                    ..*place
                };
                (peer.prepare)(&place)?;
                let starter = (peer.start)(&place).spawn().context("starting a peer")?;
                running.push((place, starter, crew.arrive()?));
            }
            rows.push(per_task(peer, strangers, size)?);
            Ok(())
        });
    for (place, mut starter, hand) in running {
        let _gone = (peer.stop)(&place, hand.pid).status()?;
        drop(hand);
        starter.wait()?;
    }
    filled?;
    Ok(rows)
}

fn per_task(peer: &Peer, strangers: &HashSet<i32>, size: usize) -> Result<Row> {
    let mut total = 0.0;
    for pid in processes(peer.processes)?.difference(strangers) {
        // One that ended right now has none.
        total += pss_kib(*pid).unwrap_or(0.0);
    }
    #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
    let count = size as f64;
    Ok(Row::single(
        format!("{}: per idle task at {size}: PSS", peer.name),
        total / count,
        "KiB",
    ))
}

/// Processes with one of these names.
pub(super) fn processes(names: &[&str]) -> Result<HashSet<i32>> {
    let mut found = HashSet::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let wanted = |comm: String| names.contains(&comm.as_str());
        if sys::process::comm(pid)?.is_some_and(wanted) {
            found.insert(pid);
        }
    }
    Ok(found)
}
