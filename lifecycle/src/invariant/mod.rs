//! What must hold of every task's events, whatever happened: one file each.
//! They look at events alone, so that the core's tests, the ledger's and
//! those with real processes can share them.
//!
//! Each `check` takes the events of **one** task in the order of their commit,
//! ended or not; [`check_all`] sorts a whole event log by task.

pub mod begin;
pub mod declared;
pub mod end;
pub mod exit;
pub mod figures;
pub mod intents;
pub mod journal;
pub mod oom;
pub mod session;
pub mod times;

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use protocol::TaskId;

use crate::event::{Ending, Event, EventBody};

/// Something that must never be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The file that found it.
    pub invariant: &'static str,
    /// The task.
    pub task: Option<TaskId>,
    /// In words.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let task = self.task.as_ref().map_or("no task", TaskId::as_str);
        write!(f, "{} of {task}: {}", self.invariant, self.detail)
    }
}

impl core::error::Error for Violation {}

type Check = fn(&[Event]) -> Result<(), Violation>;

/// Every invariant of one task.
const CHECKS: [Check; 10] = [
    begin::check,
    end::check,
    declared::check,
    exit::check,
    figures::check,
    intents::check,
    journal::check,
    oom::check,
    session::check,
    times::check,
];

/// Every invariant of one task.
///
/// # Errors
/// The first [`Violation`].
pub fn check(events: &[Event]) -> Result<(), Violation> {
    CHECKS.iter().try_for_each(|check| check(events))
}

/// Every invariant of every task of an event log.
///
/// # Errors
/// The first [`Violation`] of each task that has one.
pub fn check_all(log: &[Event]) -> Result<(), Vec<Violation>> {
    let mut by_task: BTreeMap<&TaskId, Vec<Event>> = BTreeMap::new();
    for event in log {
        if let Some(task) = &event.task_id {
            by_task.entry(task).or_default().push(event.clone());
        }
    }
    let found = by_task.values().filter_map(|events| check(events).err());
    let violations: Vec<Violation> = found.collect();
    if violations.is_empty() {
        Ok(())
    } else {
        Err(violations)
    }
}

fn violation(invariant: &'static str, events: &[Event], detail: String) -> Result<(), Violation> {
    Err(Violation {
        invariant,
        task: events.first().and_then(|event| event.task_id.clone()),
        detail,
    })
}

/// How the task ended, if it did.
fn ending(events: &[Event]) -> Option<&Ending> {
    events.iter().find_map(|event| match_ended(&event.body))
}

const fn match_ended(body: &EventBody) -> Option<&Ending> {
    if let EventBody::Ended(ending) = body {
        Some(ending)
    } else {
        None
    }
}

/// The place of the first event that fits.
fn position(events: &[Event], fits: impl Fn(&EventBody) -> bool) -> Option<usize> {
    events.iter().position(|event| fits(&event.body))
}

/// It was queued, and its turn never came.
fn never_left_the_queue(events: &[Event]) -> bool {
    let queued = position(events, |body| matches!(body, EventBody::Queued { .. }));
    let admitted = position(events, |body| matches!(body, EventBody::Admitted { .. }));
    queued.is_some() && admitted.is_none()
}

/// The supervisor told first that it never starts.
fn never_claimed(events: &[Event]) -> bool {
    let told = events.iter().find(|event| {
        matches!(
            event.body,
            EventBody::Started { .. }
                | EventBody::SpawnFailed { .. }
                | EventBody::NeverStarted { .. }
                | EventBody::StartRefused { .. }
        )
    });
    told.is_some_and(|event| matches!(event.body, EventBody::NeverStarted { .. }))
}

/// Its agent failed to start, or never did. The first report counts.
fn never_ran(events: &[Event]) -> bool {
    let started = position(events, |body| matches!(body, EventBody::Started { .. }));
    let failed = position(events, |body| {
        matches!(
            body,
            EventBody::SpawnFailed { .. }
                | EventBody::NeverStarted { .. }
                | EventBody::StartRefused { .. }
        )
    });
    failed.is_some_and(|failed| started.is_none_or(|started| failed < started))
}
