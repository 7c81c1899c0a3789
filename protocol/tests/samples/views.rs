//! What users see.

use protocol::view::{
    Ancestor, DrainView, EventView, EvidenceView, IntentView, LedgerView, Links, ProgressView,
    ProtocolRange, ProviderView, Requester, ResultView, SessionView, StatusView, StopResult,
    Survivor, TaskCounts, TaskDetail, TaskView, UnitView,
};
use protocol::vocab::{IntentOutcome, SessionState, SignalledBy, StopOutcome, Via};
use protocol::{ArchiveReason, Basis, Exit, FinishedBasis, Phase, Presence, Status, StopReason};

use super::{AT, key, provider_name, session_id, some, task_id};

pub(crate) fn task() -> TaskView {
    TaskView {
        id: task_id("t-1"),
        key: key(),
        provider: provider_name(),
        agent: some("a"),
        agent_type: some("at"),
        model: some("m"),
        repo: some("r"),
        issue_number: Some(1104),
        user: some("u"),
        name: some("n"),
        cwd: some("/home/u"),
        argv: vec!["claude".into(), "<prompt>".into()],
        status: Status::Cancelled,
        phase: Phase::Ended,
        presence: Presence::None,
        archive_reason: Some(ArchiveReason::User),
        archive_label: some("User terminated"),
        archive_basis: Some(Basis::Declared),
        ended_by: some("uid:1000 comm:agentctl"),
        archived: false,
        archived_by: None,
        archived_at: None,
        session_id: Some(session_id()),
        resumed: None,
        supervisor_pid: None,
        shim_pid: Some(12),
        agent_pid: Some(-1),
        queued_at: None,
        started_at: Some(AT),
        finished_at: Some(AT.plus_ms(1500)),
        last_seen_at: Some(AT.plus_ms(1499)),
        finished_basis: Some(FinishedBasis::Exact),
        result: Some(ResultView {
            success: false,
            text: some("text"),
            truncated: true,
        }),
        links: Links {
            retry_of: Some(task_id("t-0")),
            fresh_after: None,
            reopened_from: None,
        },
        exit: Some(Exit::Signaled {
            signal: 9,
            core: false,
        }),
        turns: Some(3),
        input_tokens: Some(1_000),
        output_tokens: Some(200),
        cost_usd: Some(0.125),
        last_progress: Some(ProgressView {
            at: AT,
            text: "reading".into(),
        }),
        version: 9,
    }
}

pub(crate) fn requester() -> Requester {
    Requester {
        uid: Some(1000),
        pid: Some(4242),
        comm: some("agentctl"),
        via: Via::Control,
        ancestry: vec![Ancestor {
            pid: 4000,
            comm: "bash".into(),
        }],
        tty: some("pts/3"),
        from_task: Some(task_id("t-0")),
    }
}

pub(crate) fn survivor() -> Survivor {
    Survivor {
        pid: 77,
        start_time: 123_456,
        comm: "stuck".into(),
    }
}

pub(crate) fn detail() -> TaskDetail {
    TaskDetail {
        task: task(),
        intents: vec![IntentView {
            id: 1,
            reason: StopReason::User,
            requested_by: requester(),
            note: some("note"),
            requested_at: AT,
            journalled_at: Some(AT),
            signalled_at: None,
            signalled_by: Some(SignalledBy::Shim),
            outcome: IntentOutcome::Effective,
        }],
        evidence: vec![EvidenceView {
            kind: "exit".into(),
            at: AT,
            detail: "ended by SIGKILL".into(),
        }],
    }
}

pub(crate) fn stop_result() -> StopResult {
    StopResult {
        id: task_id("t-1"),
        outcome: StopOutcome::StillAlive,
        status: Status::Cancelled,
        archive_reason: Some(ArchiveReason::User),
        survivors: vec![survivor()],
    }
}

pub(crate) fn session() -> SessionView {
    SessionView {
        key: key(),
        provider: provider_name(),
        session_id: session_id(),
        task_id: task_id("t-1"),
        state: SessionState::Quarantined,
        quarantine_reason: some("user"),
        last_used_at: AT,
        version: 2,
    }
}

pub(crate) fn event() -> EventView {
    EventView {
        seq: Some(42),
        at: AT,
        kind: "task.ended".into(),
        task_id: Some(task_id("t-1")),
        payload: "{\"status\":\"success\"}".into(),
    }
}

pub(crate) fn status() -> StatusView {
    StatusView {
        version: "0.1.0".into(),
        protocol: ProtocolRange { min: 1, max: 1 },
        pid: 10,
        boot_id: "b".into(),
        started_at: AT,
        tasks: TaskCounts {
            queued: 1,
            running: 2,
            ended: 3,
        },
        adopted: 4,
        phase: "admitting".into(),
        unit: Some(UnitView {
            name: "agent-supervisor.service".into(),
            kill_mode: "process".into(),
            survives_restart: true,
        }),
        ledger: LedgerView {
            path: "/s/ledger.sqlite3".into(),
            schema: 1,
            bytes: 4096,
        },
        drain: Some(DrainView {
            reason: "hub_shutdown".into(),
            since: AT,
            deadline: AT.plus_ms(60_000),
            busy: vec![task_id("t-1")],
        }),
        ledger_id: "l".into(),
        runtime_dir: "/run/x".into(),
        mode: "user".into(),
    }
}

pub(crate) fn provider() -> ProviderView {
    ProviderView {
        name: provider_name(),
        source: "built-in".into(),
        description: "Claude Code".into(),
        command: some("claude"),
        found: some("/bin/claude"),
        resumes: true,
        chooses_session: true,
        tested: true,
        text: some("name = \"claude\""),
    }
}
