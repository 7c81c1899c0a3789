//! The task object of a task that is known by its events.

use lifecycle::event::Ending;
use lifecycle::{Event, Presence, Task};
use protocol::shim::{ResultRecord, Usage};
use protocol::view::{ProgressView, ResultView, TaskView};
use protocol::{Exit, Phase, Status, Timestamp};

use crate::folder::Shown;

/// The processes around an agent, as far as this supervisor knows them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Processes {
    /// This supervisor.
    pub supervisor: Option<i32>,
    /// The task's shim.
    pub shim: Option<i32>,
}

/// The task object as it is now. Of a task that has ended it is the one that
/// its row gives.
#[must_use]
pub fn live_view(
    task: &Task,
    presence: &Presence,
    shown: &Shown,
    processes: Processes,
) -> TaskView {
    let spec = &task.spec;
    let ending = task.ending.as_ref();
    let alive = ending.is_none();
    let usage = usage(task, presence);
    TaskView {
        id: spec.id.clone(),
        key: spec.key.clone(),
        provider: spec.provider.clone(),
        agent: spec.agent.clone(),
        agent_type: spec.agent_type.clone(),
        model: task.model.clone().or_else(|| spec.model.clone()),
        repo: spec.repo.clone(),
        issue_number: spec.issue_number,
        user: spec.user.clone(),
        name: spec.name.clone(),
        cwd: shown.cwd.clone(),
        argv: shown.argv.clone(),
        status: status(task),
        phase: task.phase(),
        presence: task.presence(presence),
        archive_reason: ending.map(|ending| ending.reason),
        archive_label: ending.map(|ending| ending.reason.label().to_owned()),
        archive_basis: ending.map(|ending| ending.basis),
        ended_by: ending.and_then(|ending| ending.ended_by.clone()),
        archived: false,
        archived_by: None,
        archived_at: None,
        session_id: task.session.clone(),
        resumed: spec.session.resumed().cloned(),
        supervisor_pid: processes.supervisor.filter(|_| alive),
        shim_pid: processes.shim.filter(|_| alive && task.lost.is_none()),
        agent_pid: task.agent().map(|agent| agent.pid),
        queued_at: task.queued_at,
        started_at: task.started_at,
        finished_at: ending.map(|ending| ending.finished_at),
        last_seen_at: last_seen(task, presence),
        finished_basis: ending.map(|ending| ending.finished_basis),
        result: task.result.as_ref().map(result_view),
        links: spec.links.clone(),
        exit: exit(task, ending),
        turns: usage.turns,
        input_tokens: usage.input_tokens,
        output_tokens: usage.output_tokens,
        cost_usd: usage.cost_usd,
        last_progress: presence
            .progress
            .as_ref()
            .filter(|_| alive)
            .map(|(at, text)| ProgressView {
                at: *at,
                text: text.clone(),
            }),
        version: task.version,
    }
}

/// The task object of what is on record of a task, where no supervisor knows
/// more; none if the events do not begin with its admission.
pub(super) fn recorded_view(events: &[Event], shown: &Shown) -> Option<TaskView> {
    let task = Task::fold(events)?;
    let shim = task.shim.as_ref().map(|shim| shim.pid);
    let processes = Processes {
        supervisor: None,
        shim,
    };
    Some(live_view(&task, &Presence::default(), shown, processes))
}

pub(super) fn result_view(result: &ResultRecord) -> ResultView {
    ResultView {
        success: result.success,
        text: result.text.clone(),
        truncated: result.truncated,
    }
}

fn status(task: &Task) -> Status {
    match &task.ending {
        Some(ending) => ending.status,
        None if task.waits() => Status::Queued,
        None => Status::Running,
    }
}

/// Nothing is there to be seen of a task that waits.
fn last_seen(task: &Task, presence: &Presence) -> Option<Timestamp> {
    match &task.ending {
        Some(ending) => Some(ending.last_seen_at),
        None => {
            let started_at = task.started_at?;
            let seen = presence.last_seen.unwrap_or(started_at);
            Some(seen.max(task.last_event_at))
        }
    }
}

fn exit(task: &Task, ending: Option<&Ending>) -> Option<Exit> {
    match (ending, &task.exited, task.phase()) {
        (Some(ending), _, _) => ending.exit.clone(),
        (None, Some((_, exit)), Phase::Stopping) => Some(exit.clone()),
        (None, _, _) => None,
    }
}

/// The task's own figures: what the provider printed last, less what the
/// conversation had before.
fn usage(task: &Task, presence: &Presence) -> Usage {
    if let Some(ending) = &task.ending {
        return ending.usage;
    }
    let (newest, durable) = (&presence.usage, &task.usage);
    let printed = Usage {
        turns: newest.turns.or(durable.turns),
        input_tokens: newest.input_tokens.or(durable.input_tokens),
        output_tokens: newest.output_tokens.or(durable.output_tokens),
        cost_usd: newest.cost_usd.or(durable.cost_usd),
    };
    task.own_usage_of(&printed)
}
