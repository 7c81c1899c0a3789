//! The task object of a task that is known by its row.

use protocol::view::TaskView;
use protocol::{Phase, Presence, Status};

use super::live::result_view;
use crate::folder::Shown;
use crate::ledger::TaskRow;

/// The task object of an ended task. Of a live one a row does not tell much:
/// see [`recorded_view`](super::live::recorded_view).
pub(super) fn row_view(row: TaskRow, shown: Shown) -> TaskView {
    TaskView {
        phase: match row.status {
            Status::Queued => Phase::Queued,
            Status::Running => Phase::Running,
            Status::Success
            | Status::Failure
            | Status::Cancelled
            | Status::Interrupted
            | Status::AbortedNoSkill => Phase::Ended,
        },
        presence: if row.status == Status::Running {
            Presence::Detached
        } else {
            Presence::None
        },
        id: row.id,
        key: row.key,
        provider: row.provider,
        agent: row.agent,
        agent_type: row.agent_type,
        model: row.model,
        repo: row.repo,
        issue_number: row.issue_number,
        user: row.user,
        name: row.name,
        cwd: shown.cwd,
        argv: shown.argv,
        status: row.status,
        archive_reason: row.reason,
        archive_label: row.reason.map(|reason| reason.label().to_owned()),
        archive_basis: row.basis,
        ended_by: row.ended_by,
        archived: row.archived,
        archived_by: row.archived_by,
        archived_at: row.archived_at,
        session_id: row.session_id,
        resumed: row.resumed,
        supervisor_pid: None,
        shim_pid: None,
        agent_pid: None,
        queued_at: row.queued_at,
        started_at: row.started_at,
        finished_at: row.finished_at,
        last_seen_at: row.last_seen_at,
        finished_basis: row.finished_basis,
        result: row.result.as_ref().map(result_view),
        links: row.links,
        exit: row.exit,
        turns: row.usage.turns,
        input_tokens: row.usage.input_tokens,
        output_tokens: row.usage.output_tokens,
        cost_usd: row.usage.cost_usd,
        last_progress: None,
        version: row.version,
    }
}
