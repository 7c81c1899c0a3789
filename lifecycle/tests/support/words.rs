//! Events, records and endings in few words.

use lifecycle::event::{BindKind, Ending};
use lifecycle::session::Joined;
use lifecycle::{
    Action, Command, Effects, Event, EventBody, Input, Limits, LookBehind, Policy, Presence,
    SessionPlan, SessionRow, TaskSpec, Timer,
};
use protocol::control::OnNotFound;
use protocol::shim::{ProcessId, SenderRecord, StopOrder, SupersededBy, Usage};
use protocol::view::{Links, Requester};
use protocol::vocab::{SessionState, Via};
use protocol::{
    ArchiveReason, Basis, Exit, FinishedBasis, Key, ProviderName, SessionId, Status, StopReason,
    TaskId, Timestamp,
};

pub(crate) const TERM: i32 = 15;
pub(crate) const KILL: i32 = 9;
pub(crate) const SEGV: i32 = 11;

/// Times of tests: milliseconds from an arbitrary start.
pub(crate) fn at(ms: i64) -> Timestamp {
    Timestamp(1_800_000_000_000 + ms)
}

pub(crate) fn attached() -> Presence {
    Presence {
        attached: true,
        known: true,
        ..Presence::default()
    }
}

pub(crate) fn effects(events: Vec<Event>, actions: Vec<Action>) -> Effects {
    Effects { events, actions }
}

/// An event of the task that came from no record.
pub(crate) fn event(ms: i64, body: EventBody) -> Event {
    Event {
        at: at(ms),
        task_id: Some(task_id()),
        record: None,
        body,
    }
}

/// An event that came from this record.
pub(crate) fn of_record(number: u64, ms: i64, body: EventBody) -> Event {
    Event {
        record: Some(number),
        ..event(ms, body)
    }
}

pub(crate) const fn ack(upto: u64) -> Action {
    Action::Acknowledge { upto }
}

pub(crate) fn arm(timer: Timer, ms: i64) -> Action {
    Action::Arm { timer, due: at(ms) }
}

/// What follows every end.
pub(crate) fn farewell() -> Vec<Action> {
    vec![
        Action::Disarm(Timer::Start),
        Action::Disarm(Timer::Timeout),
        Action::Disarm(Timer::Idle),
        Action::Disarm(Timer::Answer),
        Action::Settle,
    ]
}

/// An acknowledged last record.
pub(crate) fn last_ack(upto: u64) -> Vec<Action> {
    let mut actions = vec![ack(upto)];
    actions.extend(farewell());
    actions
}

pub(crate) fn task_id() -> TaskId {
    TaskId::new("t1").expect("a legal id")
}

pub(crate) fn key() -> Key {
    Key::new("forge:dev:1").expect("a legal key")
}

pub(crate) fn provider() -> ProviderName {
    ProviderName::new("demo").expect("a legal name")
}

pub(crate) fn session(text: &str) -> SessionId {
    SessionId::new(text).expect("a legal session id")
}

/// A task without limits, of a provider that promises nothing.
pub(crate) fn spec() -> TaskSpec {
    TaskSpec {
        id: task_id(),
        key: key(),
        provider: provider(),
        agent: None,
        agent_type: None,
        model: None,
        repo: None,
        issue_number: None,
        user: None,
        name: None,
        session: SessionPlan::Fresh,
        on_not_found: OnNotFound::Fresh,
        limits: Limits {
            grace_ms: 5_000,
            ..Limits::default()
        },
        policy: Policy::default(),
        links: Links::default(),
        run_as: None,
    }
}

pub(crate) fn with_session(plan: SessionPlan) -> TaskSpec {
    TaskSpec {
        session: plan,
        ..spec()
    }
}

pub(crate) fn promising() -> TaskSpec {
    TaskSpec {
        policy: Policy {
            promises_result: true,
            ..Policy::default()
        },
        ..spec()
    }
}

/// A resumable session of an earlier task.
pub(crate) fn row(id: &str, totals: Usage) -> SessionRow {
    SessionRow {
        key: key(),
        provider: provider(),
        session_id: session(id),
        task_id: TaskId::new("t0").expect("a legal id"),
        state: SessionState::Resumable,
        quarantine_reason: None,
        last_used_at: at(-1000),
        totals,
        without_task: None,
    }
}

pub(crate) fn bound(id: &str, how: BindKind) -> EventBody {
    EventBody::SessionBound {
        key: key(),
        provider: provider(),
        session_id: session(id),
        how,
    }
}

pub(crate) fn joined(id: &str, totals: Usage) -> Joined {
    Joined {
        key: key(),
        provider: provider(),
        session_id: session(id),
        totals,
    }
}

pub(crate) fn quarantined(id: &str, reason: &str, totals: Option<Usage>) -> EventBody {
    EventBody::SessionQuarantined {
        key: key(),
        provider: provider(),
        session_id: session(id),
        reason: reason.to_string(),
        totals,
    }
}

pub(crate) fn resumable(id: &str, totals: Usage) -> EventBody {
    EventBody::SessionResumable {
        key: key(),
        provider: provider(),
        session_id: session(id),
        totals,
    }
}

pub(crate) fn process(pid: i32) -> ProcessId {
    ProcessId {
        boot_id: "boot".to_string(),
        pid_ns: 1,
        pid,
        start_time: 7,
    }
}

pub(crate) fn shim() -> ProcessId {
    process(100)
}

pub(crate) fn agent() -> ProcessId {
    process(200)
}

/// A person at a terminal.
pub(crate) fn person() -> Requester {
    Requester {
        uid: Some(1000),
        pid: Some(77),
        comm: Some("agentctl".to_string()),
        via: Via::Control,
        ancestry: Vec::new(),
        tty: None,
        from_task: None,
    }
}

/// The supervisor itself, for a limit.
pub(crate) fn supervisor() -> Requester {
    Requester::through(Via::Supervisor)
}

pub(crate) fn sender() -> SenderRecord {
    SenderRecord {
        pid: 55,
        uid: 0,
        comm: Some("kill".to_string()),
        exe: None,
    }
}

pub(crate) fn stop(reason: StopReason, grace_ms: Option<u64>) -> Input {
    Input::Command(Command::Stop {
        reason,
        requested_by: person(),
        note: None,
        grace_ms,
    })
}

pub(crate) fn requested(id: u64, reason: StopReason, grace_ms: u64) -> EventBody {
    EventBody::StopRequested {
        intent_id: id,
        reason,
        requested_by: person(),
        note: None,
        grace_ms,
        joined: id > 1,
    }
}

pub(crate) const fn send(intent_id: u64, reason: StopReason, grace_ms: u64) -> Action {
    Action::SendStop(StopOrder {
        intent_id,
        reason,
        grace_ms,
    })
}

/// What was seen behind a shim that did not answer.
pub(crate) const fn behind(known_records: u64, ended: Option<SupersededBy>) -> LookBehind {
    LookBehind {
        known_records,
        ended,
        processes: 3,
    }
}

pub(crate) const fn code(code: i32) -> Exit {
    Exit::Exited { code }
}

pub(crate) const fn signal(signal: i32) -> Exit {
    Exit::Signaled {
        signal,
        core: false,
    }
}

pub(crate) fn no_shim_exit() -> Exit {
    Exit::Unknown {
        why: "the shim died before it could record the exit".to_string(),
    }
}

/// An ending with nothing special about it.
pub(crate) fn ending(
    verdict: (Status, ArchiveReason, Basis),
    by: Option<&str>,
    exit: Option<Exit>,
    finished_ms: i64,
) -> Ending {
    Ending {
        status: verdict.0,
        reason: verdict.1,
        basis: verdict.2,
        ended_by: by.map(str::to_string),
        exit,
        finished_at: at(finished_ms),
        finished_basis: FinishedBasis::Exact,
        last_seen_at: at(finished_ms),
        usage: Usage::default(),
        intents: Vec::new(),
        survivors: Vec::new(),
    }
}

pub(crate) const SUCCESS: (Status, ArchiveReason, Basis) =
    (Status::Success, ArchiveReason::Completed, Basis::Observed);
pub(crate) const FAILED: (Status, ArchiveReason, Basis) =
    (Status::Failure, ArchiveReason::Failed, Basis::Observed);
pub(crate) const CANCELLED: (Status, ArchiveReason, Basis) =
    (Status::Cancelled, ArchiveReason::User, Basis::Declared);
pub(crate) const KILLED: (Status, ArchiveReason, Basis) = (
    Status::Interrupted,
    ArchiveReason::ExternalSignal,
    Basis::Observed,
);
pub(crate) const OOM_KILLED: (Status, ArchiveReason, Basis) = (
    Status::Interrupted,
    ArchiveReason::OomKilled,
    Basis::Inferred,
);
pub(crate) const CRASHED: (Status, ArchiveReason, Basis) =
    (Status::Failure, ArchiveReason::Crashed, Basis::Observed);
pub(crate) const SHIM_LOST: (Status, ArchiveReason, Basis) = (
    Status::Interrupted,
    ArchiveReason::ShimLost,
    Basis::Observed,
);
