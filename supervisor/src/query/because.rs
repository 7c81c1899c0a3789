//! What a verdict rests on, in words.

use lifecycle::Task;
use lifecycle::event::Ending;
use lifecycle::task::{Cause, Lost, Start};
use protocol::vocab::{IntentOutcome, SignalName};
use protocol::{ArchiveReason, Basis, Exit};

use super::facts;
use super::quote::quote;
use super::spawn_failure::SpawnFailure;
use super::who;

/// What nobody can find out.
pub(super) const SENDER_UNKNOWN: &str = "the sender of a signal to the agent alone cannot be known";

/// Completes «concluded: R, because …».
pub(super) fn because(task: &Task, ending: &Ending, search_path: Option<&str>) -> String {
    if let Some(text) = declared(task, ending) {
        return text;
    }
    match ending.reason {
        ArchiveReason::Completed => completed(task, ending),
        ArchiveReason::Failed => failed(task, ending),
        ArchiveReason::AbortedNoSkill => provider_says(task, "a skill was missing"),
        ArchiveReason::SessionNotFound => {
            provider_says(task, "the session that it was to resume does not exist")
        }
        ArchiveReason::SpawnFailed => not_started(task, search_path),
        ArchiveReason::Crashed => format!(
            "{}, a fault of the program itself, and nobody had declared a stop",
            ended_by_signal(ending)
        ),
        ArchiveReason::ExternalSignal => external(task, ending),
        ArchiveReason::ShimLost => "the shim died before it could record an exit; what it left \
            behind was looked for and ended"
            .to_owned(),
        ArchiveReason::HostReboot => match &task.lost {
            Some(Lost::Host(detail)) => {
                format!("the machine was booted again: {}", quote(detail))
            }
            Some(Lost::Shim) | None => "the machine was booted again".to_owned(),
        },
        ArchiveReason::OomKilled => {
            "SIGKILL ended it, the kernel's count of out-of-memory kills in the task's own cgroup \
                had just risen, and nobody had declared a stop"
                .to_owned()
        }
        ArchiveReason::HubRestart
        | ArchiveReason::HubShutdown
        | ArchiveReason::HostShutdown
        | ArchiveReason::User
        | ArchiveReason::RunnerStop
        | ArchiveReason::StartTimeout
        | ArchiveReason::Timeout
        | ArchiveReason::IdleTimeout
        | ArchiveReason::Budget
        | ArchiveReason::SupersededByTask => match ending.basis {
            Basis::Declared | Basis::Observed => "it was under way when the task ended".to_owned(),
            Basis::Inferred => {
                "it was under way, and the task was found gone afterwards".to_owned()
            }
        },
        ArchiveReason::Unknown => "no exit, no result and no cause were recorded".to_owned(),
    }
}

/// The intent that ended the task.
fn declared(task: &Task, ending: &Ending) -> Option<String> {
    if ending.basis != Basis::Declared {
        return None;
    }
    let (id, _) = ending
        .intents
        .iter()
        .find(|(_, outcome)| *outcome == IntentOutcome::Effective)?;
    let intent = task.intent(*id)?;
    if task.start == Start::Queued {
        return Some(format!(
            "it waited in the queue, and intent {id} took it out"
        ));
    }
    if let Start::Never { .. } = &task.start
        && intent.signalled.is_none()
    {
        return Some(format!(
            "no agent was started, and intent {id} kept the supervisor from it"
        ));
    }
    let before = if intent.signalled.is_some() {
        "the signal"
    } else {
        "the end"
    };
    let where_ = if intent.journalled_at.is_some() {
        "was journalled"
    } else {
        "was in the ledger"
    };
    Some(format!("intent {id} {where_} before {before}"))
}

fn completed(task: &Task, ending: &Ending) -> String {
    match (&task.result, &ending.exit) {
        (Some(_), None | Some(Exit::Exited { code: 0 })) => {
            "its own result says success".to_owned()
        }
        (Some(_), Some(exit)) => format!(
            "its own result says success, which its later exit ({}) does not take back",
            quote(&exit.to_string())
        ),
        (None, _) => "it exited with code 0, and its provider promises no result".to_owned(),
    }
}

fn failed(task: &Task, ending: &Ending) -> String {
    match (&task.result, &ending.exit) {
        (Some(_), _) => "its own result says that it failed".to_owned(),
        (None, Some(Exit::Exited { code: 0 })) => {
            "it exited with code 0 without the result that its provider promises".to_owned()
        }
        (None, Some(exit)) => format!("it {}", quote(&exit.to_string())),
        (None, None) => "it ended by itself, badly".to_owned(),
    }
}

fn provider_says(task: &Task, what: &str) -> String {
    let detail = task
        .provider_error
        .as_ref()
        .map(|(_, detail)| quote(detail));
    match detail.filter(|text| !text.is_empty()) {
        Some(text) => format!("its output says that {what}: “{text}”"),
        None => format!("its output says that {what}"),
    }
}

fn not_started(task: &Task, search_path: Option<&str>) -> String {
    match &task.start {
        Start::Failed {
            stage, errno, path, ..
        } => SpawnFailure {
            stage: *stage,
            errno: *errno,
            path,
            search_path,
            user: facts::user_of(task),
        }
        .in_words(),
        Start::Never { detail, .. } => format!(
            "the supervisor took the claim, so that no shim can ever start the agent: {}",
            quote(detail)
        ),
        Start::Refused { detail, .. } => {
            format!(
                "when its turn had come, it could not be started: {}",
                quote(detail)
            )
        }
        Start::Queued | Start::Pending | Start::Execd { .. } => {
            "the agent was never executed".to_owned()
        }
    }
}

fn external(task: &Task, ending: &Ending) -> String {
    match &task.cause {
        Some(Cause::ShimSignalled { signal, sender, .. }) => format!(
            "{} reached the shim, sent by {}, and nobody had declared a stop",
            SignalName(*signal),
            who::sender(sender)
        ),
        Some(Cause::Intent(_)) | None => {
            format!(
                "{}, and nobody had declared a stop; {SENDER_UNKNOWN}",
                ended_by_signal(ending)
            )
        }
    }
}

fn ended_by_signal(ending: &Ending) -> String {
    match &ending.exit {
        Some(Exit::Signaled { signal, core }) => {
            let dumped = if *core { " (core dumped)" } else { "" };
            format!("{} ended it{dumped}", SignalName(*signal))
        }
        Some(Exit::Exited { .. } | Exit::Unknown { .. }) | None => "a signal ended it".to_owned(),
    }
}
