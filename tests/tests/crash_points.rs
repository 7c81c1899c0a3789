//! Supervisor and shim die at each hook point of each path (MATRIX.md, F1 and
//! F2): the supervisor is started again, and every invariant holds.

use std::collections::BTreeSet;

use sys::hook::POINTS;
use tests::scenarios::{Path, Strike, strike_at};

/// At most so many hits of one point are tried: each path has fewer.
const MOST_OCCURRENCES: usize = 40;

/// The paths, and the points that each must pass at least once.
const EXPECTED: [(Path, &[&str]); 20] = [
    (Path::Boot, &["sup.commit", "sup.runtime_dir_write"]),
    (
        Path::Life,
        &[
            "sup.commit",
            "sup.spec_write",
            "sup.spawn",
            "sup.shim_send",
            "sup.control_send",
            "sup.settled_write",
            "shim.before_claim",
            "shim.claim",
            "shim.exec",
            "shim.journal_write",
            "shim.journal_sync",
            "shim.send",
            "shim.reap",
        ],
    ),
    (
        Path::Stop,
        &[
            "sup.commit",
            "sup.shim_send",
            "sup.control_send",
            "sup.settled_write",
            "shim.journal_write",
            "shim.journal_sync",
            "shim.send",
            "shim.signal",
            "shim.reap",
        ],
    ),
    (
        Path::ShimLost,
        &["sup.commit", "sup.signal", "sup.settled_write"],
    ),
    (
        Path::NeverStarted,
        &["sup.commit", "sup.claim", "sup.settled_write"],
    ),
    (
        Path::Drain,
        &[
            "sup.commit",
            "sup.shim_send",
            "sup.settled_write",
            "shim.journal_write",
            "shim.journal_sync",
            "shim.send",
            "shim.signal",
            "shim.reap",
        ],
    ),
    (
        Path::Archive,
        &["sup.commit", "sup.control_send", "sup.settled_write"],
    ),
    (Path::Rename, &["sup.commit", "sup.settled_write"]),
    (
        Path::Retry,
        &["sup.commit", "sup.spec_write", "sup.spawn", "sup.shim_send"],
    ),
    (
        Path::Replace,
        &["sup.commit", "sup.spec_write", "sup.spawn", "sup.shim_send"],
    ),
    (
        Path::Prune,
        &[
            "sup.prune_move",
            "sup.prune_sync",
            "sup.commit",
            "sup.prune_remove",
        ],
    ),
    (Path::PutBack, &["sup.prune_put_back"]),
    (
        Path::Queue,
        &[
            "sup.commit",
            "sup.spec_write",
            "sup.spec_sync",
            "sup.queue_mark",
            "sup.spawn",
            "sup.shim_send",
            "sup.control_send",
            "sup.settled_write",
        ],
    ),
    (
        Path::Follow,
        &[
            "sup.commit",
            "sup.spec_write",
            "sup.spec_sync",
            "sup.spawn",
            "sup.shim_send",
            "sup.control_send",
            "sup.settled_write",
        ],
    ),
    (
        Path::Release,
        &["sup.commit", "sup.control_send", "sup.settled_write"],
    ),
    (
        Path::ReleasePruned,
        &["sup.commit", "sup.control_send", "sup.settled_write"],
    ),
    (
        Path::Reopen,
        &["sup.commit", "sup.spec_write", "sup.spawn", "sup.shim_send"],
    ),
    (Path::HttpLife, &["sup.commit", "sup.http_send"]),
    (Path::HttpStop, &["sup.commit", "sup.http_send"]),
    (Path::HttpArchive, &["sup.commit", "sup.http_send"]),
];

/// The two points of a step, or the point itself.
fn points_of(step: &str) -> Vec<&'static str> {
    POINTS
        .iter()
        .copied()
        .filter(|point| {
            *point == step
                || point
                    .strip_prefix(step)
                    .is_some_and(|rest| matches!(rest, ".before" | ".after"))
        })
        .collect()
}

/// Every hit of every point of a path that a process passes, one after the other.
fn crash_everywhere(path: Path, process: &str) {
    let (_, steps) = EXPECTED
        .iter()
        .find(|(known, _)| *known == path)
        .expect("every path has its points");
    let steps = steps.iter().filter(|step| step.starts_with(process));
    strike_everywhere(path, Strike::Death, steps.copied());
}

fn strike_everywhere<'a>(path: Path, strike: Strike, steps: impl Iterator<Item = &'a str>) {
    let mut cases = 0;
    for step in steps {
        for point in points_of(step) {
            let hits = (0..MOST_OCCURRENCES)
                .take_while(|occurrence| {
                    println!("{path:?}: {strike:?} at {point}, hit {occurrence}");
                    strike_at(path, strike, point, *occurrence)
                })
                .count();
            assert!(hits > 0, "{path:?} never reached {point}");
            cases += hits;
        }
    }
    println!("{path:?}: {cases} times {strike:?}");
}

#[test]
fn the_supervisor_dies_in_its_boot() {
    crash_everywhere(Path::Boot, "sup.");
}

#[test]
fn the_supervisor_dies_in_a_dispatch() {
    crash_everywhere(Path::Life, "sup.");
}

#[test]
fn the_shim_dies_in_a_dispatch() {
    crash_everywhere(Path::Life, "shim.");
}

#[test]
fn the_supervisor_dies_in_a_stop() {
    crash_everywhere(Path::Stop, "sup.");
}

#[test]
fn the_shim_dies_in_a_stop() {
    crash_everywhere(Path::Stop, "shim.");
}

#[test]
fn the_supervisor_dies_while_it_ends_a_lost_shims_tree() {
    crash_everywhere(Path::ShimLost, "sup.");
}

#[test]
fn the_supervisor_dies_while_it_concludes_never_started() {
    crash_everywhere(Path::NeverStarted, "sup.");
}

#[test]
fn the_supervisor_dies_in_a_drain() {
    crash_everywhere(Path::Drain, "sup");
}

#[test]
fn the_shim_dies_in_a_drain() {
    crash_everywhere(Path::Drain, "shim");
}

#[test]
fn the_supervisor_dies_while_it_puts_a_task_aside() {
    crash_everywhere(Path::Archive, "sup.");
    crash_everywhere(Path::Rename, "sup.");
}

#[test]
fn the_supervisor_dies_while_it_replaces_a_task() {
    crash_everywhere(Path::Replace, "sup.");
    crash_everywhere(Path::Retry, "sup.");
}

/// The gateway: before and after every write to a client, and before and after every commit
/// that such a write tells of.
#[test]
fn the_supervisor_dies_in_a_dispatch_over_http() {
    crash_everywhere(Path::HttpLife, "sup.");
}

#[test]
fn the_supervisor_dies_in_a_stop_over_http() {
    crash_everywhere(Path::HttpStop, "sup.");
}

#[test]
fn the_supervisor_dies_while_it_puts_a_task_aside_over_http() {
    crash_everywhere(Path::HttpArchive, "sup.");
}

/// F17: what the disk was to keep is lost, or nobody knows. It is not tried
/// again; the supervisor goes, and the next one finds the agents alive.
#[test]
fn a_commit_fails_with_an_error_of_the_disk() {
    for path in [
        Path::Life,
        Path::Stop,
        Path::ShimLost,
        Path::Archive,
        Path::HttpLife,
        Path::HttpArchive,
    ] {
        strike_everywhere(path, Strike::Failure, ["sup.commit"].into_iter());
    }
}

/// The shim goes on from memory, and tells its supervisor all the same.
#[test]
fn the_journal_fails_with_an_error_of_the_disk() {
    let steps = ["shim.journal_write", "shim.journal_sync"];
    for path in [Path::Life, Path::Stop] {
        strike_everywhere(path, Strike::Failure, steps.into_iter());
    }
}

#[test]
fn the_supervisor_dies_while_it_prunes() {
    crash_everywhere(Path::Prune, "sup.");
}

#[test]
fn the_supervisor_dies_while_it_puts_a_folder_back() {
    crash_everywhere(Path::PutBack, "sup.");
}

#[test]
fn the_supervisor_dies_around_the_queue() {
    crash_everywhere(Path::Queue, "sup.");
}

#[test]
fn the_supervisor_dies_while_a_fresh_task_follows_a_lost_session() {
    crash_everywhere(Path::Follow, "sup.");
}

#[test]
fn the_supervisor_dies_while_a_session_is_given_back() {
    crash_everywhere(Path::Release, "sup.");
    crash_everywhere(Path::ReleasePruned, "sup.");
}

#[test]
fn the_supervisor_dies_while_a_conversation_is_reopened() {
    crash_everywhere(Path::Reopen, "sup.");
}

#[test]
fn every_point_is_on_a_path() {
    let covered: BTreeSet<&str> = EXPECTED
        .iter()
        .flat_map(|(_, steps)| steps.iter().flat_map(|step| points_of(step)))
        .collect();
    let all: BTreeSet<&str> = POINTS.iter().copied().collect();
    assert_eq!(covered, all, "a hook point that no crash test reaches");
}
