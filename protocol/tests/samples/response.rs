//! What the supervisor answers.

use protocol::control::{ErrorBody, ErrorCode, LogChunk, Response};
use protocol::shim::ScanFormat;
use protocol::view::ChainLink;
use protocol::view::{FoundBy, OrphanView, OrphansView, PruneView, PrunedTask, Survivor};

use super::views::{detail, event, provider, session, status, stop_result, task};
use super::{AT, Named, key, task_id};

const CODES: [(&str, ErrorCode); 16] = [
    ("error_internal", ErrorCode::Internal),
    ("error_usage", ErrorCode::Usage),
    ("error_not_found", ErrorCode::NotFound),
    ("error_ambiguous", ErrorCode::Ambiguous),
    ("error_key_busy", ErrorCode::KeyBusy),
    ("error_session_refused", ErrorCode::SessionRefused),
    ("error_id_conflict", ErrorCode::IdConflict),
    ("error_conflict", ErrorCode::Conflict),
    ("error_limit", ErrorCode::Limit),
    ("error_draining", ErrorCode::Draining),
    ("error_not_permitted", ErrorCode::NotPermitted),
    ("error_not_gone", ErrorCode::NotGone),
    ("error_timeout", ErrorCode::Timeout),
    ("error_storage", ErrorCode::Storage),
    ("error_unsupported", ErrorCode::Unsupported),
    ("error_crash_loop", ErrorCode::CrashLoop),
];

pub(crate) fn responses() -> Vec<Named<Response>> {
    let mut found: Vec<Named<Response>> = CODES
        .into_iter()
        .map(|(name, code)| (name, Response::Error(ErrorBody::new(code, "what"))))
        .collect();
    let hinted = ErrorBody::new(ErrorCode::Usage, "what").with_hint("do this");
    found.push(("error_hinted", Response::Error(hinted.clone())));
    found.extend(of_tasks(hinted));
    found.extend(of_streams());
    found.extend([
        ("sessions", Response::Sessions(vec![session()])),
        ("status", Response::Status(Box::new(status()))),
        (
            "status_with",
            Response::of_status(
                status(),
                Some(ErrorBody::new(ErrorCode::Limit, "full").with_hint("free")),
            ),
        ),
        ("providers", Response::Providers(vec![provider()])),
        (
            "provider_checked",
            Response::ProviderChecked {
                problems: vec!["line 3: no".into()],
            },
        ),
        ("orphans", Response::Orphans(orphans(FoundBy::Cgroup))),
        (
            "kept",
            Response::Kept {
                task: Box::new(task()),
                changed: true,
            },
        ),
        (
            "conflict",
            Response::Conflict {
                refusal: ErrorBody::new(ErrorCode::Conflict, "it has version 3"),
                task: Box::new(task()),
            },
        ),
        ("pruned", Response::Pruned(pruned())),
        (
            "stopped_from_memory",
            Response::StoppedFromMemory {
                results: vec![stop_result()],
                failed: vec![("x".into(), ErrorBody::new(ErrorCode::NotFound, "what"))],
            },
        ),
    ]);
    found.extend(later_ones());
    found
}

fn later_ones() -> [Named<Response>; 4] {
    [
        (
            "orphans_partly",
            Response::OrphansPartly {
                view: orphans(FoundBy::Marker),
                unseen: vec!["container c is paused".into()],
            },
        ),
        (
            "orphans_in_container",
            Response::Orphans(orphans(FoundBy::Container)),
        ),
        (
            "provider_output",
            Response::ProviderOutput(ScanFormat::Opaque),
        ),
        (
            "orphans_below_a_lost_shim",
            Response::Orphans(orphans(FoundBy::Shim)),
        ),
    ]
}

fn of_tasks(error: ErrorBody) -> Vec<Named<Response>> {
    let link = ChainLink {
        at: AT,
        what: "stop requested".into(),
        who: "uid 1000".into(),
        detail: "reason user".into(),
    };
    vec![
        (
            "task",
            Response::Task {
                task: Box::new(task()),
                existing: true,
                warnings: vec!["not resumed".into()],
            },
        ),
        ("tasks", Response::Tasks(vec![task()])),
        ("detail", Response::Detail(Box::new(detail()))),
        (
            "why",
            Response::Why {
                task: Box::new(task()),
                chain: vec![link],
            },
        ),
        (
            "stopped",
            Response::Stopped {
                results: vec![stop_result()],
                failed: vec![("x".into(), error)],
            },
        ),
    ]
}

fn of_streams() -> Vec<Named<Response>> {
    let chunk = LogChunk {
        offset: 5,
        bytes: b"secret-output\n\xff\0".to_vec(),
    };
    vec![
        ("log", Response::Log(chunk)),
        (
            "log_end",
            Response::LogEnd {
                offset: 20,
                gap_bytes: 3,
            },
        ),
        ("event", Response::Event(event())),
        ("events_end", Response::EventsEnd { next_seq: 43 }),
    ]
}

fn orphans(found_by: FoundBy) -> OrphansView {
    let orphan = OrphanView {
        task_id: task_id("t-1"),
        pid: 4242,
        start_time: 1 << 40,
        comm: "sh".into(),
        found_by,
    };
    let survivor = Survivor {
        pid: 4242,
        start_time: 1 << 40,
        comm: "sh".into(),
    };
    OrphansView {
        orphans: vec![orphan],
        survivors: Some(vec![survivor]),
    }
}

fn pruned() -> PruneView {
    PruneView {
        applied: true,
        count: 1,
        bytes: 4096,
        tasks: vec![PrunedTask {
            id: task_id("t-1"),
            key: key(),
            status: protocol::Status::Failure,
            finished_at: AT,
            bytes: 4096,
        }],
        kept: 2,
        events: Some(3),
    }
}
