//! Single facts in words, for the chain and the evidence alike.

use lifecycle::{Event, RunAs, Task};
use protocol::Exit;
use protocol::shim::{AlarmKind, OomRecord, ProviderError, SupersededBy, SweepRecord, Target};
use protocol::view::Survivor;
use protocol::vocab::SignalName;

use super::quote::quote;

/// The supervisor saw it itself, when it signalled past a shim that did not
/// answer.
pub(super) fn is_past_the_shim(task: Option<&Task>, event: &Event) -> bool {
    let overruled_at = task.and_then(|task| task.overruled_at);
    event.record.is_none() && overruled_at == Some(event.at)
}

/// Who runs it, if not the supervisor's own user.
pub(super) fn user_of(task: &Task) -> Option<&str> {
    task.spec.run_as.as_ref().map(|run_as| run_as.user.as_str())
}

/// Behind «its agent».
pub(super) fn runs_as(run_as: &RunAs) -> String {
    format!("runs as user {} (uid {})", quote(&run_as.user), run_as.uid)
}

pub(super) fn result(success: bool, text: Option<&str>) -> String {
    let judgement = if success {
        "its own result says success"
    } else {
        "its own result says failure"
    };
    match text.map(quote).filter(|text| !text.is_empty()) {
        Some(text) => format!("{judgement}: “{text}”"),
        None => judgement.to_owned(),
    }
}

pub(super) fn provider_error(error: ProviderError, detail: &str) -> String {
    let what = match error {
        ProviderError::SessionNotFound => "the provider does not know the session",
        ProviderError::Transient => "the provider failed for now",
        ProviderError::MissingSkill => "a skill was missing",
    };
    match quote(detail) {
        text if text.is_empty() => what.to_owned(),
        text => format!("{what}: “{text}”"),
    }
}

pub(super) fn signalled(signal: i32, target: Target, intent: Option<u64>) -> String {
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

pub(super) const fn superseded(by: SupersededBy) -> &'static str {
    match by {
        SupersededBy::Result => "the agent had already ended by itself: it had printed its result",
        SupersededBy::Zombie => "the agent had already ended by itself: it was a zombie",
        SupersededBy::Exiting => "the agent had already ended by itself: it was exiting",
        SupersededBy::Exited => "the agent had already ended by itself: its exit was on record",
    }
}

pub(super) fn out_of_memory(oom: &OomRecord) -> String {
    let count = match oom.kills {
        1 => "1 process of the task".to_owned(),
        kills => format!("{kills} processes of the task so far"),
    };
    let leader = if oom.leader_lives {
        "; the agent itself lived on"
    } else {
        ""
    };
    format!("the kernel killed {count} for want of memory{leader}")
}

pub(super) fn unit_seen(unit: &str) -> String {
    let unit = quote(unit);
    format!("a service manager signals the shim, which is of its unit {unit}")
}

pub(super) fn exit_learned(exit: &Exit) -> String {
    let exit = quote(&exit.to_string());
    format!("the leader {exit}, as the kernel tells after the shim's death")
}

pub(super) fn sweep(sweep: &SweepRecord) -> String {
    let left = match sweep.swept {
        0 => String::new(),
        1 => "1 process that outlived the agent was ended; ".to_owned(),
        count => format!("{count} processes that outlived the agent were ended; "),
    };
    let state = match (sweep.empty, sweep.survivors.is_empty(), sweep.marker_only) {
        (_, false, _) => format!("still alive: {}", survivors(&sweep.survivors)),
        (true, true, false) => "tree proven empty".to_owned(),
        (true, true, true) => "nothing is left that carries the task's marker (marker_only: a \
            process that wiped its environment could not be seen)"
            .to_owned(),
        (false, true, _) => "the tree could not be proven empty".to_owned(),
    };
    format!("{left}{state}")
}

fn survivors(survivors: &[Survivor]) -> String {
    let names: Vec<String> = survivors
        .iter()
        .map(|survivor| format!("{} (pid {})", quote(&survivor.comm), survivor.pid))
        .collect();
    names.join(", ")
}

pub(super) fn alarm(kind: AlarmKind, detail: &str) -> String {
    let what = match kind {
        AlarmKind::SessionUnacknowledged => "a session id was not acknowledged in time",
        AlarmKind::LogWriteFailed => "a log file could not be written",
        AlarmKind::JournalFull => "the shim's journal is full",
        AlarmKind::TooManySessions => "the output named more session ids than are kept",
        AlarmKind::InvalidSessionId => "the output named a session id that is none",
        AlarmKind::NotDurable => "done before it could be recorded",
        AlarmKind::Unexpected => "something does not fit what was known",
    };
    if detail.is_empty() {
        return what.to_owned();
    }
    format!("{what}: {}", quote(detail))
}
