//! What was seen of a task, one line each.

use lifecycle::event::Ending;
use lifecycle::task::Cause;
use lifecycle::{Event, EventBody, Task, TaskSpec};
use protocol::shim::{AlarmKind, SenderRecord, SupersededBy, SweepRecord, Target};
use protocol::view::EvidenceView;
use protocol::vocab::{SignalName, SignalledBy};
use protocol::{ArchiveReason, Exit};

use super::because::SENDER_UNKNOWN;
use super::facts;
use super::quote::quote;
use super::spawn_failure::SpawnFailure;
use super::who;

/// Everything that was seen of a task, in order. `events` are all of its
/// events, `search_path` is where its command was searched.
pub(super) fn evidence(events: &[Event], search_path: Option<&str>) -> Vec<EvidenceView> {
    let task = Task::fold(events);
    let seen = |event: &Event| {
        let (kind, detail) = seen(task.as_ref(), &event.body, search_path)?;
        let kind = match (facts::is_past_the_shim(task.as_ref(), event), kind) {
            (true, "shim") => "supervisor",
            (true | false, kind) => kind,
        };
        let kind = kind.to_owned();
        Some(EvidenceView {
            kind,
            at: event.at,
            detail,
        })
    };
    events.iter().filter_map(seen).collect()
}

/// A kind of CONTRACT §2, and words.
type Seen = Option<(&'static str, String)>;

fn seen(task: Option<&Task>, body: &EventBody, search_path: Option<&str>) -> Seen {
    use EventBody as E;
    match body {
        E::OutOfMemory(oom) => Some(("oom", facts::out_of_memory(oom))),
        E::UnitSeen { unit } => Some(("signal", facts::unit_seen(unit))),
        E::Exited { exit } => exited(exit),
        E::Result(result) => Some((
            "result",
            facts::result(result.success, result.text.as_deref()),
        )),
        E::ProviderFailed { error, detail } => {
            Some(("result", facts::provider_error(*error, detail)))
        }
        E::Signalled {
            signal,
            target,
            by,
            intent_id,
        } => signalled(*signal, *target, *by, *intent_id),
        E::SignalSeen { signal, sender } => signal_seen(*signal, sender),
        E::StopSuperseded { intent_id, by } => superseded(*intent_id, *by),
        E::Swept { sweep, by } => swept(sweep, *by),
        E::SpawnFailed { .. } => spawn_failed(task, body, search_path),
        E::NeverStarted { detail, .. } => by_supervisor("never started", detail),
        E::StartRefused { detail } => by_supervisor("it could not be started", detail),
        E::HostRebooted { detail } => by_supervisor("the host was booted again", detail),
        E::Adopted { shim } => adopted(shim.pid),
        E::ExitLearned { exit } => Some(("exit", facts::exit_learned(exit))),
        E::ShimLost {} => shim_lost(),
        E::HubDraining { reason } => {
            by_supervisor("it began to drain", &format!("reason {reason}"))
        }
        E::HubGone { reason } => by_supervisor(
            "it ended before its drain was done",
            &format!("reason {reason}"),
        ),
        E::Alarm { kind, detail } => Some((alarm_kind(*kind), facts::alarm(*kind, detail))),
        E::Finished { gap_bytes, .. } => not_kept(*gap_bytes),
        E::Ended(ending) => ended(task, ending),
        E::Admitted { spec } => runs_as(spec),
        E::Queued { .. }
        | E::Claimed { .. }
        | E::Started { .. }
        | E::FirstOutput {}
        | E::LineKnown {}
        | E::ModelSeen { .. }
        | E::SessionBound { .. }
        | E::SessionResumable { .. }
        | E::SessionQuarantined { .. }
        | E::SessionReleased { .. }
        | E::SessionPassedOver(_)
        | E::SessionJoined(_)
        | E::SessionRestored { .. }
        | E::SessionRemoved { .. }
        | E::UsageSeen { .. }
        | E::StopRequested { .. }
        | E::StopJournalled { .. }
        | E::SupervisorStarted { .. }
        | E::HubAdmitting {}
        | E::Archived { .. }
        | E::KeyReleased { .. }
        | E::Unarchived { .. }
        | E::Renamed { .. }
        | E::Draining { .. }
        | E::Drained { .. }
        | E::Admitting {}
        | E::ServiceShutdown { .. }
        | E::SupervisorStopped { .. } => None,
    }
}

const fn alarm_kind(kind: AlarmKind) -> &'static str {
    match kind {
        AlarmKind::NotDurable => "not_durable",
        AlarmKind::SessionUnacknowledged
        | AlarmKind::LogWriteFailed
        | AlarmKind::JournalFull
        | AlarmKind::TooManySessions
        | AlarmKind::InvalidSessionId
        | AlarmKind::Unexpected => "shim",
    }
}

fn runs_as(spec: &TaskSpec) -> Seen {
    let text = facts::runs_as(spec.run_as.as_ref()?);
    Some(("supervisor", format!("its agent {text}")))
}

fn exited(exit: &Exit) -> Seen {
    Some(("exit", quote(&exit.to_string())))
}

fn signalled(signal: i32, target: Target, by: SignalledBy, intent: Option<u64>) -> Seen {
    let text = facts::signalled(signal, target, intent);
    Some(("signal", format!("{text}, by {}", who::signaller(by))))
}

fn signal_seen(signal: i32, sender: &SenderRecord) -> Seen {
    let (signal, sender) = (SignalName(signal), who::sender(sender));
    Some((
        "signal",
        format!("{signal} reached the shim, sent by {sender}"),
    ))
}

fn superseded(intent: u64, by: SupersededBy) -> Seen {
    Some((
        "shim",
        format!("{}, before intent {intent}", facts::superseded(by)),
    ))
}

fn swept(sweep: &SweepRecord, by: SignalledBy) -> Seen {
    let (text, by) = (facts::sweep(sweep), who::signaller(by));
    Some(("sweep", format!("{text}; looked at by {by}")))
}

fn spawn_failed(task: Option<&Task>, body: &EventBody, search_path: Option<&str>) -> Seen {
    let EventBody::SpawnFailed { stage, errno, path } = body else {
        return None;
    };
    let failure = SpawnFailure {
        stage: *stage,
        errno: *errno,
        path,
        search_path,
        user: task.and_then(facts::user_of),
    };
    Some((failure.kind(), failure.in_words()))
}

fn by_supervisor(what: &str, detail: &str) -> Seen {
    Some(("supervisor", format!("{what}: {}", quote(detail))))
}

fn adopted(pid: i32) -> Seen {
    Some((
        "supervisor",
        format!("a new supervisor took over the shim (pid {pid})"),
    ))
}

fn shim_lost() -> Seen {
    let detail = "the shim's process was gone before it had finished (tail_unknown: what stood in \
        its pipes is lost, the logs are an exact beginning of the output)";
    Some(("shim", detail.to_owned()))
}

fn not_kept((out, err): (u64, u64)) -> Seen {
    let lost = out > 0 || err > 0;
    lost.then(|| {
        (
            "shim",
            format!("not kept: {out} bytes of stdout, {err} bytes of stderr"),
        )
    })
}

/// What only the end itself tells.
fn ended(task: Option<&Task>, ending: &Ending) -> Seen {
    if let Some(exit @ Exit::Unknown { .. }) = &ending.exit {
        return exited(exit);
    }
    let told = task.is_some_and(|task| matches!(task.cause, Some(Cause::ShimSignalled { .. })));
    if ending.reason == ArchiveReason::ExternalSignal && !told {
        return Some(("signal", format!("nobody declared it; {SENDER_UNKNOWN}")));
    }
    None
}
