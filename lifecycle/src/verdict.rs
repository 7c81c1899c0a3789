//! Why a task ended: the table of reasons, in one place.
//!
//! There is no default. Every arm names the fact that establishes its reason;
//! where there is no such fact, the reason is `unknown` and says so.

use alloc::format;
use alloc::string::{String, ToString};

use protocol::shim::{ProviderError, SenderRecord};
use protocol::view::Requester;
use protocol::vocab::Via;
use protocol::{ArchiveReason, Basis, Exit, Status, StopReason, Timestamp};

use crate::task::{Cause, Hub, Lost, Start, Task};

/// The verdict on a task.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Terminal.
    pub status: Status,
    /// Why.
    pub reason: ArchiveReason,
    /// How that is known.
    pub basis: Basis,
    /// By whom, as far as it is known.
    pub ended_by: Option<String>,
    /// How the process ended; none if there never was one.
    pub exit: Option<Exit>,
    /// The intent that ended it.
    pub by_intent: Option<u64>,
}

/// Signals by which a program shows a fault of its own.
pub(crate) const FAULT_SIGNALS: [i32; 7] = [4, 5, 6, 7, 8, 11, 31];

/// A kill for want of memory explains a death so soon after it, in ms.
pub(crate) const OOM_WITHIN_MS: u64 = 1_000;

pub(crate) const SIGKILL: i32 = 9;

/// `status = f(reason, basis)`. Every reason is named: a new one does not
/// compile before it has its place here.
#[must_use]
pub const fn status_of(reason: ArchiveReason, basis: Basis) -> Status {
    match reason {
        ArchiveReason::Completed => Status::Success,
        ArchiveReason::AbortedNoSkill => Status::AbortedNoSkill,
        ArchiveReason::Failed | ArchiveReason::SessionNotFound | ArchiveReason::Crashed => {
            Status::Failure
        }
        ArchiveReason::SpawnFailed => match basis {
            Basis::Observed | Basis::Declared => Status::Failure,
            Basis::Inferred => Status::Interrupted,
        },
        ArchiveReason::User
        | ArchiveReason::RunnerStop
        | ArchiveReason::StartTimeout
        | ArchiveReason::Timeout
        | ArchiveReason::IdleTimeout
        | ArchiveReason::Budget
        | ArchiveReason::SupersededByTask => match basis {
            Basis::Declared => Status::Cancelled,
            Basis::Observed | Basis::Inferred => Status::Interrupted,
        },
        ArchiveReason::HubRestart
        | ArchiveReason::HubShutdown
        | ArchiveReason::HostShutdown
        | ArchiveReason::OomKilled
        | ArchiveReason::ExternalSignal
        | ArchiveReason::ShimLost
        | ArchiveReason::HostReboot
        | ArchiveReason::Unknown => Status::Interrupted,
    }
}

/// The verdict on a task whose end is established.
#[must_use]
pub fn verdict(task: &Task) -> Verdict {
    match &task.start {
        Start::Queued => of_the_queue(task),
        Start::Failed { .. } | Start::Refused { .. } => not_started(Basis::Observed),
        // Decided against under an intent: that is what ended it, before it began.
        Start::Never { .. } => match task.cause {
            Some(Cause::Intent(_)) => Verdict {
                exit: None,
                ..of_a_process(task)
            },
            Some(Cause::ShimSignalled { .. }) | None => not_started(Basis::Inferred),
        },
        Start::Pending | Start::Execd { .. } => of_a_process(task),
    }
}

fn not_started(basis: Basis) -> Verdict {
    let reason = ArchiveReason::SpawnFailed;
    Verdict {
        status: status_of(reason, basis),
        reason,
        basis,
        ended_by: None,
        exit: None,
        by_intent: None,
    }
}

/// Only a word can end a task that waits: there is nothing to signal, so the
/// word is what ended it.
fn of_the_queue(task: &Task) -> Verdict {
    let (reason, basis, intent) = match task.intents.first() {
        Some(intent) => (
            ArchiveReason::from(intent.reason),
            Basis::Declared,
            Some(intent),
        ),
        None => (ArchiveReason::Unknown, Basis::Inferred, None),
    };
    Verdict {
        status: status_of(reason, basis),
        reason,
        basis,
        ended_by: intent.and_then(|intent| asker(&intent.requested_by)),
        exit: None,
        by_intent: intent.map(|intent| intent.id),
    }
}

fn of_a_process(task: &Task) -> Verdict {
    let by_intent = match &task.cause {
        Some(Cause::Intent(id)) => task.intent(*id),
        Some(Cause::ShimSignalled { .. }) | None => None,
    };
    let (reason, basis, ended_by) = match (&task.cause, by_intent) {
        (_, Some(intent)) => (
            ArchiveReason::from(intent.reason),
            Basis::Declared,
            asker(&intent.requested_by),
        ),
        (Some(Cause::ShimSignalled { sender, .. }), None) => {
            let reason = match task.hub {
                Some(hub) if sender.is_service_manager() => ArchiveReason::from(hub.reason()),
                Some(_) | None => ArchiveReason::ExternalSignal,
            };
            (reason, Basis::Observed, name_of_sender(sender))
        }
        (Some(Cause::Intent(_)) | None, None) => by_itself(task),
    };
    Verdict {
        status: status_of(reason, basis),
        reason,
        basis,
        ended_by,
        exit: (!task.provably_never_execd()).then(|| exit_of(task)),
        by_intent: by_intent.map(|intent| intent.id),
    }
}

fn exit_of(task: &Task) -> Exit {
    match (&task.exited, &task.lost) {
        (Some((_, exit)), _) => exit.clone(),
        (None, Some(Lost::Shim)) if let Some(exit) = &task.learned_exit => exit.clone(),
        (None, Some(Lost::Shim)) => Exit::Unknown {
            why: "the shim died before it could record the exit".to_string(),
        },
        (None, Some(Lost::Host(detail))) => Exit::Unknown {
            why: format!("the host was booted again: {detail}"),
        },
        (None, None) => Exit::Unknown {
            why: "no exit was recorded".to_string(),
        },
    }
}

/// Nobody declared anything: what the agent and the kernel show.
fn by_itself(task: &Task) -> (ArchiveReason, Basis, Option<String>) {
    let agent = || Some("agent".to_string());
    let observed = |reason| (reason, Basis::Observed, agent());
    // The provider's words explain an end of its own: one with a result or an
    // exit. Words in the output do not explain a kill.
    let has_own_end = task.result.is_some() || has_own_exit(task);
    let succeeded = task.result.as_ref().map(|result| result.success);
    match (&task.provider_error, succeeded) {
        (Some((ProviderError::MissingSkill, _)), _) if has_own_end => {
            return observed(ArchiveReason::AbortedNoSkill);
        }
        (_, Some(true)) => return observed(ArchiveReason::Completed),
        (Some((ProviderError::SessionNotFound, _)), _)
            if has_own_end && task.may_miss_its_session() =>
        {
            return observed(ArchiveReason::SessionNotFound);
        }
        (_, Some(false)) => return observed(ArchiveReason::Failed),
        (Some(_) | None, None) => {}
    }
    let supervisor = Some("supervisor".to_string());
    match (&task.exited, &task.lost, task.hub) {
        (Some((at, exit)), _, _) if is_out_of_memory(task, *at, exit) => (
            ArchiveReason::OomKilled,
            Basis::Inferred,
            Some("kernel".to_string()),
        ),
        (Some((_, exit)), _, _) => by_exit(task, exit),
        (None, Some(Lost::Shim), Some(Hub::Gone(reason))) => {
            (ArchiveReason::from(reason), Basis::Inferred, supervisor)
        }
        (None, Some(Lost::Shim), Some(Hub::Draining(_)) | None) => (
            ArchiveReason::ShimLost,
            Basis::Observed,
            Some("kernel".to_string()),
        ),
        (None, Some(Lost::Host(_)), Some(hub)) if hub.reason() == StopReason::HostShutdown => {
            (ArchiveReason::HostShutdown, Basis::Inferred, supervisor)
        }
        (None, Some(Lost::Host(_)), Some(_) | None) => {
            (ArchiveReason::HostReboot, Basis::Inferred, None)
        }
        (None, None, _) => (ArchiveReason::Unknown, Basis::Inferred, None),
    }
}

/// SIGKILL ended it, and the kernel's count of kills in the task's own cgroup
/// rose right before. A kill that the leader lived through, or of which nobody
/// knows when it was, explains nothing.
fn is_out_of_memory(task: &Task, exited_at: Timestamp, exit: &Exit) -> bool {
    let killed = match exit {
        Exit::Signaled { signal, .. } => *signal == SIGKILL,
        Exit::Exited { .. } | Exit::Unknown { .. } => false,
    };
    let rose = task
        .oom
        .is_some_and(|oom| !oom.leader_lives && exited_at.since_ms(oom.since) <= OOM_WITHIN_MS);
    killed && rose
}

/// It ended by a call of `exit`, or nobody could see how.
const fn has_own_exit(task: &Task) -> bool {
    match &task.exited {
        Some((_, Exit::Exited { .. } | Exit::Unknown { .. })) => true,
        Some((_, Exit::Signaled { .. })) | None => false,
    }
}

fn by_exit(task: &Task, exit: &Exit) -> (ArchiveReason, Basis, Option<String>) {
    let agent = Some("agent".to_string());
    match exit {
        Exit::Exited { code: 0 } if !task.spec.policy.promises_result => {
            (ArchiveReason::Completed, Basis::Observed, agent)
        }
        Exit::Exited { .. } => (ArchiveReason::Failed, Basis::Observed, agent),
        Exit::Signaled { signal, .. } if FAULT_SIGNALS.contains(signal) => {
            (ArchiveReason::Crashed, Basis::Observed, agent)
        }
        // The sender of a signal to the agent alone cannot be known.
        Exit::Signaled { .. } => (ArchiveReason::ExternalSignal, Basis::Observed, None),
        Exit::Unknown { .. } => (ArchiveReason::Unknown, Basis::Inferred, None),
    }
}

fn asker(requester: &Requester) -> Option<String> {
    requester.is_known().then(|| name_of(requester))
}

/// Who asked, as `ended_by` and `archived_by` say it.
#[must_use]
pub fn name_of(requester: &Requester) -> String {
    let comm = requester.comm.as_deref().unwrap_or("?");
    match (requester.via, requester.uid) {
        (Via::Supervisor, _) => "supervisor".to_string(),
        // Whoever has the token: no kernel named a user.
        (Via::Http, None) => "http".to_string(),
        (Via::Control | Via::Signal, None) => format!("uid:? comm:{comm}"),
        (Via::Control | Via::Http | Via::Signal, Some(uid)) => format!("uid:{uid} comm:{comm}"),
    }
}

fn name_of_sender(sender: &SenderRecord) -> Option<String> {
    if sender.pid == 0 {
        return Some("kernel".to_string());
    }
    let comm = sender.comm.as_deref().unwrap_or("?");
    Some(format!("uid:{} comm:{comm}", sender.uid))
}
