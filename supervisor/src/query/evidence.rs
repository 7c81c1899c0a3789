//! What was seen of a task, one line each.

use lifecycle::task::Cause;
use lifecycle::{Event, EventBody, Task};
use protocol::shim::{AlarmKind, ProviderError, SupersededBy, SweepRecord, Target};
use protocol::view::{EvidenceView, Survivor};
use protocol::vocab::SignalName;
use protocol::{ArchiveReason, Exit};

use super::because::SENDER_UNKNOWN;
use super::spawn_failure::SpawnFailure;
use super::who;
use crate::text::printable;

/// Longest text of others that is quoted, in bytes.
pub(super) const MAX_QUOTE: usize = 400;

/// Everything that was seen of a task, in order. `events` are all of its
/// events, `search_path` is where its command was searched.
pub(super) fn evidence(events: &[Event], search_path: Option<&str>) -> Vec<EvidenceView> {
    let task = Task::fold(events);
    let task = task.as_ref();
    let mut seen = Vec::new();
    for event in events {
        let Some((kind, detail)) = of_event(task, &event.body, search_path) else {
            continue;
        };
        seen.push(EvidenceView {
            kind: kind.to_owned(),
            at: event.at,
            detail,
        });
    }
    seen
}

fn of_event(
    task: Option<&Task>,
    body: &EventBody,
    search_path: Option<&str>,
) -> Option<(&'static str, String)> {
    Some(match body {
        EventBody::Exited { exit } => ("exit", printable(&exit.to_string(), MAX_QUOTE)),
        EventBody::Result(result) => (
            "result",
            result_words(result.success, result.text.as_deref()),
        ),
        EventBody::ProviderFailed { error, detail } => {
            ("result", provider_error_words(*error, detail))
        }
        EventBody::Signalled {
            signal,
            target,
            by,
            intent_id,
        } => {
            let (text, by) = (
                signalled_words(*signal, *target, *intent_id),
                who::signaller(*by),
            );
            ("signal", format!("{text}, by {by}"))
        }
        EventBody::SignalSeen { signal, sender } => (
            "signal",
            format!(
                "{} reached the shim, sent by {}",
                SignalName(*signal),
                who::sender(sender)
            ),
        ),
        EventBody::StopSuperseded { intent_id, by } => (
            "shim",
            format!("{}, before intent {intent_id}", superseded_words(*by)),
        ),
        EventBody::Swept { sweep, by } => (
            "sweep",
            format!(
                "{}; looked at by {}",
                sweep_words(sweep),
                who::signaller(*by)
            ),
        ),
        EventBody::SpawnFailed { stage, errno, path } => (
            "shim",
            SpawnFailure {
                stage: *stage,
                errno: *errno,
                path,
                search_path,
            }
            .in_words(),
        ),
        EventBody::NeverStarted { detail } => (
            "supervisor",
            format!("never started: {}", printable(detail, MAX_QUOTE)),
        ),
        EventBody::Adopted { shim } => (
            "supervisor",
            format!("a new supervisor took over the shim (pid {})", shim.pid),
        ),
        EventBody::HostRebooted { detail } => (
            "supervisor",
            format!(
                "the host was booted again: {}",
                printable(detail, MAX_QUOTE)
            ),
        ),
        EventBody::ShimLost {} => (
            "shim",
            "the shim's process was gone before it had finished".to_owned(),
        ),
        EventBody::Alarm { kind, detail } => ("shim", alarm_words(*kind, detail)),
        EventBody::Finished {
            gap_bytes: (out, err),
            ..
        } if *out + *err > 0 => (
            "shim",
            format!("not kept: {out} bytes of stdout, {err} bytes of stderr"),
        ),
        EventBody::Ended(ending) => return of_the_end(task, ending),
        EventBody::Finished { .. }
        | EventBody::Admitted { .. }
        | EventBody::Claimed { .. }
        | EventBody::Started { .. }
        | EventBody::FirstOutput {}
        | EventBody::ModelSeen { .. }
        | EventBody::SessionBound { .. }
        | EventBody::SessionResumable { .. }
        | EventBody::SessionQuarantined { .. }
        | EventBody::SessionReleased { .. }
        | EventBody::SessionRestored { .. }
        | EventBody::SessionRemoved { .. }
        | EventBody::UsageSeen { .. }
        | EventBody::StopRequested { .. }
        | EventBody::StopJournalled { .. }
        | EventBody::SupervisorStarted { .. }
        | EventBody::SupervisorStopped { .. } => return None,
    })
}

/// What only the end itself tells.
fn of_the_end(
    task: Option<&Task>,
    ending: &lifecycle::event::Ending,
) -> Option<(&'static str, String)> {
    if let Some(exit @ Exit::Unknown { .. }) = &ending.exit {
        return Some(("exit", printable(&exit.to_string(), MAX_QUOTE)));
    }
    let told = task.is_some_and(|task| matches!(task.cause, Some(Cause::ShimSignalled { .. })));
    if ending.reason == ArchiveReason::ExternalSignal && !told {
        return Some(("signal", format!("nobody declared it; {SENDER_UNKNOWN}")));
    }
    None
}

pub(super) fn result_words(success: bool, text: Option<&str>) -> String {
    let judgement = if success {
        "its own result says success"
    } else {
        "its own result says failure"
    };
    match text
        .map(|text| printable(text, MAX_QUOTE))
        .filter(|text| !text.is_empty())
    {
        Some(text) => format!("{judgement}: “{text}”"),
        None => judgement.to_owned(),
    }
}

pub(super) fn provider_error_words(error: ProviderError, detail: &str) -> String {
    let what = match error {
        ProviderError::SessionNotFound => "the provider does not know the session",
        ProviderError::Transient => "the provider failed for now",
        ProviderError::MissingSkill => "a skill was missing",
    };
    format!("{what}: “{}”", printable(detail, MAX_QUOTE))
}

pub(super) fn signalled_words(signal: i32, target: Target, intent: Option<u64>) -> String {
    let target = match target {
        Target::Group => "the agent's group".to_owned(),
        Target::Tree(1) => "1 process that was left of the tree".to_owned(),
        Target::Tree(count) => format!("{count} processes that were left of the tree"),
    };
    let under = match intent {
        Some(id) => format!(" under intent {id}"),
        None => String::new(),
    };
    format!("{} to {target}{under}", SignalName(signal))
}

pub(super) const fn superseded_words(by: SupersededBy) -> &'static str {
    match by {
        SupersededBy::Result => "the agent had already ended by itself: it had printed its result",
        SupersededBy::Zombie => "the agent had already ended by itself: it was a zombie",
        SupersededBy::Exiting => "the agent had already ended by itself: it was exiting",
        SupersededBy::Exited => "the agent had already ended by itself: its exit was on record",
    }
}

pub(super) fn sweep_words(sweep: &SweepRecord) -> String {
    let left = match sweep.swept {
        0 => String::new(),
        1 => "1 process that outlived the agent was ended; ".to_owned(),
        count => format!("{count} processes that outlived the agent were ended; "),
    };
    let state = match (sweep.empty, sweep.survivors.is_empty(), sweep.marker_only) {
        (_, false, _) => format!("still alive: {}", survivors(&sweep.survivors)),
        (true, true, false) => "tree proven empty".to_owned(),
        (true, true, true) => "nothing is left that carries the task's marker (a process that \
            wiped its environment could not be seen)"
            .to_owned(),
        (false, true, _) => "the tree could not be proven empty".to_owned(),
    };
    format!("{left}{state}")
}

fn survivors(survivors: &[Survivor]) -> String {
    let names: Vec<String> = survivors
        .iter()
        .map(|survivor| {
            format!(
                "{} (pid {})",
                printable(&survivor.comm, MAX_QUOTE),
                survivor.pid
            )
        })
        .collect();
    names.join(", ")
}

pub(super) fn alarm_words(kind: AlarmKind, detail: &str) -> String {
    let what = match kind {
        AlarmKind::SessionUnacknowledged => "a session id was not acknowledged in time",
        AlarmKind::LogWriteFailed => "a log file could not be written",
        AlarmKind::JournalFull => "the shim's journal is full",
        AlarmKind::TooManySessions => "the output named more session ids than are kept",
        AlarmKind::InvalidSessionId => "the output named a session id that is none",
        AlarmKind::Unexpected => "something unexpected was reported",
    };
    if detail.is_empty() {
        return what.to_owned();
    }
    format!("{what}: {}", printable(detail, MAX_QUOTE))
}
