//! Short tasks under a peer, as many at a time as under ours.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::Result;

use super::super::Bench;
use super::super::throughput::PARALLEL;
use super::{Peer, Place};
use crate::clock::{ms_between, now_ns};
use crate::report::Row;
use crate::stats::Samples;

/// Turns of the other rows are below this.
const FIRST_TURN: usize = 100_000;

/// Tasks per second, the middle of some batches.
pub(super) fn measure(bench: &Bench, peer: &Peer, place: &Place<'_>) -> Result<Vec<Row>> {
    let Some(short) = peer.short else {
        return Ok(Vec::new());
    };
    let tasks = bench.depth.pick(80, 500);
    let next = AtomicUsize::new(0);
    let mut rate = Samples::default();
    for batch in 1..=bench.depth.pick(1, 3) {
        let begun = now_ns();
        thread::scope(|scope| {
            let workers: Vec<_> = (0..PARALLEL)
                .map(|_| scope.spawn(|| work(place, short, &next, batch * tasks)))
                .collect();
            workers.into_iter().try_for_each(|worker| {
                worker
                    .join()
                    .map_err(|_| anyhow::anyhow!("a worker panicked"))?
            })
        })?;
        #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
        let count = tasks as f64;
        rate.add(count * 1000.0 / ms_between(begun, now_ns()));
    }
    Ok(vec![Row::single(
        format!("{}: short tasks, {PARALLEL} at a time", peer.name),
        rate.p50(),
        "tasks/s",
    )])
}

fn work(
    place: &Place<'_>,
    short: fn(&Place<'_>) -> Result<()>,
    next: &AtomicUsize,
    end: usize,
) -> Result<()> {
    let take = |next: usize| (next < end).then_some(next + 1);
    while let Ok(number) = next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) {
        short(&Place {
            turn: FIRST_TURN + number,
            ..*place
        })?;
    }
    Ok(())
}
