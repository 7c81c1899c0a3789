//! The steps of a story, one function each.

use lifecycle::event::BindKind;
use lifecycle::{EventBody, SessionPlan, TaskSpec};
use protocol::shim::{
    AlarmKind, OomRecord, ProviderError, ResultRecord, SenderRecord, SupersededBy, SweepRecord,
    Target,
};
use protocol::view::Requester;
use protocol::vocab::{SignalName, SignalledBy};
use protocol::{Exit, SessionId, StopReason};

use super::facts;
use super::quote::quote;
use super::who;

const NOBODY: &str = "";
const AGENT: &str = "the agent";
const KERNEL: &str = "the kernel";
pub(super) const SHIM: &str = "the shim";
/// Who the supervisor is in a story.
pub const SUPERVISOR: &str = "the supervisor";

/// What, by whom, and the rest.
pub(super) struct Step {
    pub(super) what: &'static str,
    pub(super) who: String,
    pub(super) detail: String,
}

pub(super) fn step(what: &'static str, who: &str, detail: impl Into<String>) -> Option<Step> {
    Some(Step {
        what,
        who: who.to_owned(),
        detail: detail.into(),
    })
}

/// In the queue.
pub(super) fn waited(body: &EventBody) -> Option<Step> {
    if let EventBody::Queued { spec } = body {
        return queued(spec);
    }
    if let EventBody::StartRefused { detail } = body {
        return step("not started", SUPERVISOR, quote(detail));
    }
    None
}

fn queued(spec: &TaskSpec) -> Option<Step> {
    let (provider, key) = (&spec.provider, &spec.key);
    let detail =
        format!("provider {provider}, key {key}; its row is committed, and it waits for its turn");
    step("queued", &dispatcher(spec), detail)
}

/// The turn of a queued task.
pub(super) fn turn_came(spec: &TaskSpec) -> Option<Step> {
    let mut detail = format!("{}; its row says running", session(&spec.session));
    if let Some(run_as) = &spec.run_as {
        detail.push_str(&format!("; its agent {}", facts::runs_as(run_as)));
    }
    step("its turn came", SUPERVISOR, detail)
}

fn dispatcher(spec: &TaskSpec) -> String {
    match &spec.user {
        Some(user) => format!("on behalf of {}", quote(user)),
        None => NOBODY.to_owned(),
    }
}

pub(super) fn dispatched(spec: &TaskSpec) -> Option<Step> {
    let session = session(&spec.session);
    let (provider, key) = (&spec.provider, &spec.key);
    let mut detail = format!("provider {provider}, key {key}, {session}; its row is committed");
    if let Some(run_as) = &spec.run_as {
        detail.push_str(&format!("; its agent {}", facts::runs_as(run_as)));
    }
    step("dispatched", &dispatcher(spec), detail)
}

fn session(plan: &SessionPlan) -> String {
    match plan {
        SessionPlan::Fresh => "a fresh session".to_owned(),
        SessionPlan::Chosen(id) => format!("a fresh session, {id}"),
        SessionPlan::Resume(row) => format!("resumes session {}", row.session_id),
        SessionPlan::Undecided => "a session that is decided at its turn".to_owned(),
    }
}

pub(super) fn claimed(pid: i32) -> Option<Step> {
    let detail = format!("it has the claim (pid {pid}): it alone may start the agent");
    step("claimed", SHIM, detail)
}

pub(super) fn started(pid: i32, program: &str) -> Option<Step> {
    step(
        "started",
        SHIM,
        format!("agent pid {pid}: {}", quote(program)),
    )
}

pub(super) fn never_started(detail: &str, under: Option<u64>) -> Option<Step> {
    let why = quote(detail);
    let detail = match under {
        Some(id) => format!("no shim was spawned, and under intent {id} none will be: {why}"),
        None => format!("it took the claim, so that no shim can ever start the agent: {why}"),
    };
    step("never started", SUPERVISOR, detail)
}

pub(super) fn adopted(pid: i32) -> Option<Step> {
    step(
        "adopted",
        SUPERVISOR,
        format!("it took over the live shim (pid {pid})"),
    )
}

pub(super) fn first_output() -> Option<Step> {
    step("first output", AGENT, "")
}

pub(super) fn model(model: &str) -> Option<Step> {
    step("model", AGENT, quote(model))
}

pub(super) fn result(result: &ResultRecord) -> Option<Step> {
    step(
        "result",
        AGENT,
        facts::result(result.success, result.text.as_deref()),
    )
}

pub(super) fn provider_error(error: ProviderError, detail: &str) -> Option<Step> {
    step(
        "provider error",
        AGENT,
        facts::provider_error(error, detail),
    )
}

pub(super) fn alarm(kind: AlarmKind, detail: &str) -> Option<Step> {
    let who = match kind {
        AlarmKind::NotDurable => SUPERVISOR,
        AlarmKind::SessionUnacknowledged
        | AlarmKind::LogWriteFailed
        | AlarmKind::JournalFull
        | AlarmKind::TooManySessions
        | AlarmKind::InvalidSessionId
        | AlarmKind::Unexpected => SHIM,
    };
    step("alarm", who, facts::alarm(kind, detail))
}

pub(super) fn bound(body: &EventBody) -> Option<Step> {
    let EventBody::SessionBound {
        session_id: id,
        how,
        ..
    } = body
    else {
        return None;
    };
    match how {
        BindKind::Chosen => step(
            "session",
            SUPERVISOR,
            format!("{id}, chosen before the start"),
        ),
        BindKind::Resumed => step("session", SUPERVISOR, format!("{id} is resumed")),
        BindKind::Reported => step("session", AGENT, format!("{id}, as the output tells")),
        BindKind::Confirmed => step("session", AGENT, format!("{id}, confirmed by the output")),
    }
}

pub(super) fn resumable(id: &SessionId) -> Option<Step> {
    let detail = format!("{id}: the next task of the key resumes it");
    step("session resumable", SUPERVISOR, detail)
}

pub(super) fn quarantined(body: &EventBody) -> Option<Step> {
    let EventBody::SessionQuarantined {
        key,
        session_id: id,
        reason,
        ..
    } = body
    else {
        return None;
    };
    let detail = format!(
        "{id}: {}; it is kept, and not resumed unless `agentctl sessions release {key} \
         --session-id {id}` allows it",
        quote(reason)
    );
    step("session quarantined", SUPERVISOR, detail)
}

pub(super) fn passed_over(detail: &str) -> Option<Step> {
    step("session passed over", SUPERVISOR, quote(detail))
}

pub(super) fn joined(id: &SessionId) -> Option<Step> {
    let detail = format!(
        "it goes on with session {id} of its own accord, which was there before: what that \
         had cost is not the task's"
    );
    step("session joined", AGENT, detail)
}

pub(super) fn released(id: &SessionId, by: &Requester) -> Option<Step> {
    step("session released", &who::requester(by), id.as_str())
}

pub(super) fn kept(body: &EventBody) -> Option<Step> {
    if let EventBody::Archived { by, .. } = body {
        let detail = "put aside; why it ended stays";
        return step("archived", &who::requester(by), detail);
    }
    if let EventBody::KeyReleased { key, by } = body {
        let detail = format!("key {key} may have tasks again");
        return step("key released", &who::requester(by), detail);
    }
    if let EventBody::Unarchived { by } = body {
        return step("unarchived", &who::requester(by), "");
    }
    if let EventBody::Renamed { name, by } = body {
        return step("renamed", &who::requester(by), quote(name));
    }
    None
}

/// The supervisor's own end, as far as it may explain the task's.
pub(super) fn hub(body: &EventBody) -> Option<Step> {
    if let EventBody::HubDraining { reason } = body {
        return hub_draining(*reason);
    }
    if let EventBody::HubGone { reason } = body {
        return hub_gone(*reason);
    }
    hub_admitting()
}

pub(super) fn restored(id: &SessionId) -> Option<Step> {
    let detail = format!("{id}: it is as it was, for it was never used");
    step("session restored", SUPERVISOR, detail)
}

pub(super) fn removed(id: &SessionId) -> Option<Step> {
    let detail = format!("{id}: it was chosen and never used");
    step("session removed", SUPERVISOR, detail)
}

pub(super) fn journalled(id: u64) -> Option<Step> {
    let detail =
        format!("intent {id} is in the shim's journal; no signal went out under it before");
    step("stop journalled", SHIM, detail)
}

pub(super) fn superseded(id: u64, by: SupersededBy) -> Option<Step> {
    let detail = format!("{}, so intent {id} did not end it", facts::superseded(by));
    step("stop superseded", SHIM, detail)
}

pub(super) fn signalled(
    intent: Option<u64>,
    signal: i32,
    target: Target,
    by: SignalledBy,
) -> Option<Step> {
    step(
        "signalled",
        who::signaller(by),
        facts::signalled(signal, target, intent),
    )
}

pub(super) fn signal_seen(signal: i32, sender: &SenderRecord) -> Option<Step> {
    let signal = SignalName(signal);
    let detail = format!("{signal} reached the shim itself: somebody ends this task");
    step("shim signalled", &who::sender(sender), detail)
}

pub(super) fn out_of_memory(oom: &OomRecord) -> Option<Step> {
    step("out of memory", KERNEL, facts::out_of_memory(oom))
}

pub(super) fn unit_seen(unit: &str) -> Option<Step> {
    step("unit", SHIM, facts::unit_seen(unit))
}

pub(super) fn exited(exit: &Exit) -> Option<Step> {
    step("exit", AGENT, quote(&exit.to_string()))
}

pub(super) fn exit_learned(exit: &Exit) -> Option<Step> {
    step("exit", KERNEL, facts::exit_learned(exit))
}

pub(super) fn swept(sweep: &SweepRecord, by: SignalledBy) -> Option<Step> {
    step("tree", who::signaller(by), facts::sweep(sweep))
}

fn hub_draining(reason: StopReason) -> Option<Step> {
    let detail = format!("reason {reason}: no new work, and what runs may finish in time");
    step("drain began", SUPERVISOR, detail)
}

fn hub_gone(reason: StopReason) -> Option<Step> {
    let detail =
        format!("reason {reason}: the supervisor was gone before every task of it had ended");
    step("drain not done", SUPERVISOR, detail)
}

fn hub_admitting() -> Option<Step> {
    step("drain called off", SUPERVISOR, "it may go on")
}

pub(super) fn shim_lost() -> Option<Step> {
    let detail = "the shim's process was gone before it had finished; its leader dies with it";
    step("shim lost", NOBODY, detail)
}

pub(super) fn host_rebooted(detail: &str) -> Option<Step> {
    step("host rebooted", NOBODY, quote(detail))
}

pub(super) fn finished(printed: (u64, u64), lost: (u64, u64)) -> Option<Step> {
    let mut text = format!(
        "printed: {} bytes on stdout, {} on stderr",
        printed.0, printed.1
    );
    if lost.0 > 0 || lost.1 > 0 {
        text.push_str(&format!("; not kept: {} and {}", lost.0, lost.1));
    }
    step("finished", SHIM, text)
}
