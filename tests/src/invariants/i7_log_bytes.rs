//! I7: what the logs hold is what the agent printed, to the last byte, unless
//! the end of it was not kept, which is counted, or the shim was killed: then
//! little is missing, and the evidence says so.

use std::fs;

use super::{id, is_terminal};
use crate::harness::{Records, Row, World};

const STREAMS: [&str; 2] = ["stdout", "stderr"];

/// A dead shim may leave so much in a pipe, and in its buffer.
const PIPE_AND_BUFFER: u64 = (64 << 10) + (16 << 10);

/// How the evidence says that the end of the output is not known.
const TAIL_UNKNOWN: &str = "tail_unknown";

pub(super) fn violations(world: &World) -> Vec<String> {
    let agents = world.oracle().agents.clone();
    let mut found = Vec::new();
    for row in world.ledger().tasks().iter().filter(|row| is_terminal(row)) {
        let task = id(row);
        let Some((_, records)) = agents.iter().find(|(known, _)| known == task) else {
            continue;
        };
        // Two agents on one record, or other programs, tell nothing; nor does a
        // folder that is gone.
        if records.leaders().len() == 1 && world.task_dir(task).exists() {
            found.extend(of_task(world, task, records));
        }
    }
    found
}

fn of_task(world: &World, task: &str, records: &Records) -> Vec<String> {
    let events = world.ledger().events(task);
    let of_kind = |kind: &str| events.iter().find(|event| event.text("type") == Some(kind));
    let finished = of_kind("task.finished");
    let mut found = Vec::new();
    for (at, stream) in STREAMS.iter().enumerate() {
        let log = fs::read(world.task_dir(task).join(format!("{stream}.log")));
        let log = log.unwrap_or_default();
        let (said, sure) = records.printed(stream);
        let mut complain = |what: String| found.push(format!("{task}: {stream}: {what}"));
        if !said.starts_with(&log) {
            let same = said
                .iter()
                .zip(&log)
                .take_while(|(one, other)| one == other);
            let (same, kept, said) = (same.count(), log.len(), said.len());
            complain(format!(
                "{kept} bytes differ from the {said} that it said at {same}"
            ));
        }
        match finished {
            Some(finished) => {
                let told = |name: &str| number(finished, name, at);
                let (total, gap) = (told("output_bytes"), told("gap_bytes"));
                let all = sure..=said.len() as u64;
                if !all.contains(&total) {
                    complain(format!("{total} bytes were counted, and {all:?} printed"));
                }
                if log.len() as u64 + gap != total {
                    let kept = log.len();
                    complain(format!("{kept} bytes and a gap of {gap} are not {total}"));
                }
            }
            None if log.len() as u64 + PIPE_AND_BUFFER < sure => {
                complain(format!("{} of {sure} bytes were kept", log.len()));
            }
            None => {}
        }
    }
    if of_kind("task.shim_lost").is_some() && finished.is_none() {
        let evidence = world.show(task)["evidence"].to_string();
        if !evidence.contains(TAIL_UNKNOWN) {
            found.push(format!("{task}: no {TAIL_UNKNOWN} in {evidence}"));
        }
    }
    found
}

fn number(event: &Row, name: &str, at: usize) -> u64 {
    let payload = event.json("payload");
    payload[name][at].as_u64().expect("bytes are counted")
}
