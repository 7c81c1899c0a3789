//! One event of every kind.

use lifecycle::event::{BindKind, Ending};
use lifecycle::session::{Joined, PassedOver};
use lifecycle::{EventBody, SessionPlan, SessionRow, TaskSpec};
use protocol::shim::{
    AlarmKind, OomRecord, ProcessId, ProviderError, ResultRecord, SenderRecord, SpawnStage,
    SupersededBy, SweepRecord, Target, Usage,
};
use protocol::view::{Links, Survivor};
use protocol::vocab::{IntentOutcome, SessionState, SignalledBy};
use protocol::{ArchiveReason, Exit, Status, StopReason, Timestamp};

use super::support::{ending, id, key, provider, requester, session, spec};

/// The values that the events of [`every_body`] carry.
#[derive(Clone, Debug)]
pub(super) struct Values {
    pub(super) text: String,
    pub(super) number: u64,
    pub(super) small: i32,
    pub(super) cost: f64,
    pub(super) at: i64,
}

/// One event body of every kind; a new kind goes here.
pub(super) fn every_body(values: &Values) -> Vec<EventBody> {
    let mut all = of_the_agent(values);
    all.extend(of_sessions(values));
    all.extend(of_the_stop(values));
    all.extend(of_the_end(values));
    all.extend(of_the_drain(values));
    all
}

fn process(values: &Values) -> ProcessId {
    ProcessId {
        boot_id: values.text.clone(),
        pid_ns: values.number,
        pid: values.small,
        start_time: values.number,
    }
}

pub(super) fn usage(values: &Values) -> Usage {
    Usage {
        turns: Some(values.number),
        input_tokens: None,
        output_tokens: Some(values.number),
        cost_usd: Some(values.cost),
    }
}

fn of_the_agent(values: &Values) -> Vec<EventBody> {
    let text = || values.text.clone();
    let plan = SessionPlan::Resume(row(values));
    let full = TaskSpec {
        agent: Some(text()),
        issue_number: Some(i64::from(values.small)),
        links: Links {
            retry_of: Some(id("t0")),
            ..Links::default()
        },
        ..spec("t1", "k", plan)
    };
    vec![
        EventBody::Queued {
            spec: spec("t9", "k", SessionPlan::Undecided),
        },
        EventBody::StartRefused { detail: text() },
        EventBody::Admitted { spec: full },
        EventBody::Claimed {
            shim: process(values),
        },
        EventBody::Started {
            agent: process(values),
            program: text(),
        },
        EventBody::SpawnFailed {
            stage: SpawnStage::Exec,
            errno: values.small,
            path: text(),
        },
        EventBody::Adopted {
            shim: process(values),
        },
        EventBody::FirstOutput {},
        EventBody::LineKnown {},
        EventBody::OutOfMemory(oom(values)),
        EventBody::ModelSeen { model: text() },
        EventBody::Result(ResultRecord {
            at: Timestamp(values.at),
            success: values.small > 0,
            text: Some(text()),
            truncated: false,
            usage: usage(values),
        }),
        EventBody::ProviderFailed {
            error: ProviderError::Transient,
            detail: text(),
        },
        EventBody::UsageSeen {
            usage: usage(values),
        },
        EventBody::Alarm {
            kind: AlarmKind::JournalFull,
            detail: text(),
        },
        EventBody::Finished {
            output_bytes: (values.number, 1),
            gap_bytes: (0, values.number),
        },
        EventBody::SupervisorStarted {
            pid: values.small,
            version: text(),
            boot_id: text(),
        },
        EventBody::SupervisorStopped {
            pid: values.small,
            left_running: values.number,
        },
    ]
}

const fn oom(values: &Values) -> OomRecord {
    OomRecord {
        at: Timestamp(values.at),
        kills: values.number,
        since: Timestamp(values.at),
        leader_lives: values.small > 0,
    }
}

fn of_the_drain(values: &Values) -> Vec<EventBody> {
    vec![
        EventBody::HubDraining {
            reason: StopReason::HubRestart,
        },
        EventBody::HubGone {
            reason: StopReason::HubRestart,
        },
        EventBody::HubAdmitting {},
        EventBody::Draining {
            reason: StopReason::HubShutdown,
            requested_by: requester(),
            deadline: Timestamp(values.at),
        },
        EventBody::Drained {
            reason: StopReason::HubShutdown,
        },
        EventBody::Admitting {},
        EventBody::Archived {
            by: requester(),
            set_by: values.text.clone(),
        },
        EventBody::Unarchived { by: requester() },
        EventBody::SessionPassedOver(PassedOver {
            key: key("k"),
            provider: provider("claude"),
            session_id: session("s"),
            detail: values.text.clone(),
        }),
        EventBody::SessionJoined(Joined {
            key: key("k"),
            provider: provider("claude"),
            session_id: session("s"),
            totals: Usage::default(),
        }),
        EventBody::Renamed {
            name: values.text.clone(),
            by: requester(),
        },
        EventBody::ServiceShutdown {
            phase: "draining".to_string(),
            reason: StopReason::HubShutdown,
            drain_ms: 5,
            deadline: Timestamp(values.at),
            busy: vec![id("t1")],
            survives: vec![],
            will_stop: vec![id("t1")],
        },
    ]
}

fn row(values: &Values) -> SessionRow {
    SessionRow {
        key: key("k"),
        provider: provider("claude"),
        session_id: session("s1"),
        task_id: id("t0"),
        state: SessionState::Quarantined,
        quarantine_reason: Some(values.text.clone()),
        last_used_at: Timestamp(values.at),
        totals: usage(values),
        without_task: None,
    }
}

fn of_sessions(values: &Values) -> Vec<EventBody> {
    let (key, provider, session_id) = (key("k"), provider("claude"), session("s1"));
    vec![
        EventBody::SessionBound {
            key: key.clone(),
            provider: provider.clone(),
            session_id: session_id.clone(),
            how: BindKind::Confirmed,
        },
        EventBody::SessionResumable {
            key: key.clone(),
            provider: provider.clone(),
            session_id: session_id.clone(),
            totals: usage(values),
        },
        EventBody::SessionQuarantined {
            key: key.clone(),
            provider: provider.clone(),
            session_id: session_id.clone(),
            reason: values.text.clone(),
            totals: Some(usage(values)),
        },
        EventBody::SessionReleased {
            key: key.clone(),
            provider: provider.clone(),
            session_id: session_id.clone(),
            by: requester(),
        },
        EventBody::SessionRestored { row: row(values) },
        EventBody::SessionRemoved {
            key,
            provider,
            session_id,
        },
    ]
}

fn of_the_stop(values: &Values) -> Vec<EventBody> {
    let intent_id = values.number;
    vec![
        EventBody::NeverStarted {
            detail: values.text.clone(),
            intent_id: Some(values.number),
        },
        EventBody::StopRequested {
            intent_id,
            reason: StopReason::IdleTimeout,
            requested_by: requester(),
            note: Some(values.text.clone()),
            grace_ms: values.number,
            joined: false,
        },
        EventBody::StopJournalled { intent_id },
        EventBody::StopSuperseded {
            intent_id,
            by: SupersededBy::Zombie,
        },
        EventBody::Signalled {
            intent_id: Some(intent_id),
            signal: 15,
            target: Target::Tree(3),
            by: SignalledBy::Shim,
        },
        EventBody::UnitSeen {
            unit: values.text.clone(),
        },
        EventBody::SignalSeen {
            signal: 15,
            sender: SenderRecord {
                pid: values.small,
                uid: 7,
                comm: Some(values.text.clone()),
                exe: None,
            },
        },
    ]
}

fn of_the_end(values: &Values) -> Vec<EventBody> {
    let survivor = Survivor {
        pid: values.small,
        start_time: 9,
        comm: values.text.clone(),
    };
    vec![
        EventBody::Exited {
            exit: Exit::Signaled {
                signal: 9,
                core: true,
            },
        },
        EventBody::Swept {
            sweep: SweepRecord {
                at: Timestamp(values.at),
                empty: false,
                swept: 2,
                survivors: vec![survivor.clone()],
                marker_only: true,
            },
            by: SignalledBy::Supervisor,
        },
        EventBody::ShimLost {},
        EventBody::ExitLearned {
            exit: Exit::Exited { code: 7 },
        },
        EventBody::HostRebooted {
            detail: values.text.clone(),
        },
        EventBody::Ended(Ending {
            exit: Some(Exit::Unknown {
                why: values.text.clone(),
            }),
            usage: usage(values),
            intents: vec![(values.number, IntentOutcome::Moot)],
            survivors: vec![survivor],
            ..ending(Status::Interrupted, ArchiveReason::ShimLost, values.at)
        }),
    ]
}
