//! Tasks for eyes: the table of `list`, the one-line verdict, and the words
//! that both share.

use protocol::view::TaskView;
use protocol::{ArchiveReason, Exit, Phase, Presence, Status, Timestamp};

use crate::render::style::{Colour, Ink, stdout_width};
use crate::render::table::{Cell, Give, Table};
use crate::render::text::clean;
use crate::render::time;

/// Shortest id that is shown: the whole millisecond of a UUIDv7, so that it
/// also tells a task from those that are not in the list.
const SHORTEST_ID: usize = 13;

/// What is written to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Screen {
    /// Its cells per line, if it is a terminal.
    pub(crate) width: Option<usize>,
    /// Its colours.
    pub(crate) colour: Colour,
}

impl Screen {
    /// Stdout.
    pub(crate) fn stdout() -> Self {
        Self {
            width: stdout_width(),
            colour: Colour::stdout(),
        }
    }
}

/// The sign and the colour of a status.
pub(crate) const fn glyph(status: Status) -> (&'static str, Ink) {
    match status {
        Status::Queued => ("◌", Ink::Dim),
        Status::Running => ("●", Ink::Blue),
        Status::Success => ("✓", Ink::Green),
        Status::Failure => ("✗", Ink::Red),
        Status::Cancelled => ("■", Ink::Yellow),
        Status::Interrupted => ("↯", Ink::Magenta),
        Status::AbortedNoSkill => ("∅", Ink::Yellow),
    }
}

/// `list`.
pub(crate) fn list(tasks: &[TaskView], now: Timestamp, screen: Screen) -> String {
    let mut table = Table::new(&[
        ("ID", Give::Never),
        ("STATUS", Give::Never),
        ("PROVIDER", Give::To(6)),
        ("TASK", Give::To(12)),
        ("STARTED", Give::Never),
        ("TIME", Give::Never),
        ("USAGE", Give::To(6)),
        ("DETAIL", Give::To(10)),
    ]);
    // Where all are alive the running time says it already.
    let with_start = tasks.iter().any(|task| task.status.is_terminal());
    for (task, id) in tasks.iter().zip(short_ids(tasks)) {
        let (sign, ink) = glyph(task.status);
        // Signs are for eyes; `awk` wants the word in the second column.
        let status = match screen.width {
            Some(_) => format!("{sign} {}", task.status),
            None => task.status.to_string(),
        };
        let start = task.started_at.or(task.queued_at);
        let started = start.filter(|_| with_start).map(|at| time::ago(at, now));
        table.push(vec![
            Cell::new(Ink::Bold, &id),
            Cell::new(ink, &status),
            Cell::plain(task.provider.as_str()),
            Cell::plain(&what(task)),
            Cell::new(Ink::Dim, &started.unwrap_or_default()),
            Cell::plain(&ran_ms(task, now).map(time::duration).unwrap_or_default()),
            Cell::new(Ink::Dim, &usage(task)),
            Cell::plain(&detail(task)),
        ]);
    }
    table.render(screen.width, screen.colour)
}

/// `3 turns`.
pub(crate) fn turns(turns: u64) -> String {
    match turns {
        1 => "1 turn".to_owned(),
        _ => format!("{turns} turns"),
    }
}

/// One line at the end of an attached run, or of a wait on a terminal.
pub(crate) fn verdict(task: &TaskView, now: Timestamp, colour: Colour) -> String {
    let (sign, ink) = glyph(task.status);
    let mut parts = vec![colour.paint(ink, &format!("{sign} {}", task.status))];
    let mut why = clean(task.archive_label.as_deref().unwrap_or("not ended"));
    if let Some(exit) = telling_exit(task) {
        why.push_str(&format!(" ({})", clean(&exit.to_string())));
    }
    parts.push(why);
    parts.extend(ran_ms(task, now).map(time::duration));
    parts.extend(task.turns.map(turns));
    let usage = usage(task);
    if !usage.is_empty() {
        parts.push(usage);
    }
    parts.join(" · ")
}

/// What people call a task: its name, else its key, else its command.
pub(crate) fn what(task: &TaskView) -> String {
    if let Some(name) = &task.name {
        return clean(name);
    }
    if task.key.as_str() != task.id.as_str() {
        return clean(task.key.as_str());
    }
    clean(&task.argv.join(" "))
}

/// Tokens in and out, and cost, as far as the agent said.
pub(crate) fn usage(task: &TaskView) -> String {
    let tokens = match (task.input_tokens, task.output_tokens) {
        (None, None) => None,
        (input, output) => {
            let side = |count: Option<u64>| count.map_or_else(|| "?".to_owned(), time::count);
            Some(format!("{}→{}", side(input), side(output)))
        }
    };
    let cost = task.cost_usd.map(|cost| format!("${cost:.2}"));
    [tokens, cost]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(" ")
}

/// How long it ran, or has been running, in milliseconds.
pub(crate) fn ran_ms(task: &TaskView, now: Timestamp) -> Option<u64> {
    let started = task.started_at?;
    let until = match task.status.is_terminal() {
        true => task.finished_at?,
        false => now,
    };
    Some(until.since_ms(started))
}

/// The exit, where it says more than the reason.
pub(crate) fn telling_exit(task: &TaskView) -> Option<&Exit> {
    let exit = task.exit.as_ref()?;
    match (exit, task.status) {
        (Exit::Exited { code: 0 }, Status::Success) => None,
        (Exit::Exited { .. } | Exit::Signaled { .. }, _) => Some(exit),
        // «not started», «nobody saw it»: `why` says that better.
        (Exit::Unknown { .. }, _) => None,
    }
}

fn detail(task: &TaskView) -> String {
    if task.status.is_terminal() {
        let mut label = clean(task.archive_label.as_deref().unwrap_or_default());
        let by_itself = matches!(
            task.archive_reason,
            // A success that did not exit as one is worth a look.
            Some(
                ArchiveReason::Completed
                    | ArchiveReason::Failed
                    | ArchiveReason::Crashed
                    | ArchiveReason::ExternalSignal
            )
        );
        if let Some(exit) = telling_exit(task).filter(|_| by_itself) {
            label.push_str(&format!(" ({})", clean(&exit.to_string())));
        }
        return label;
    }
    let state = match (task.phase, task.presence) {
        (Phase::Queued, _) => "waiting for its turn",
        (Phase::Starting, _) => "starting",
        (Phase::Stopping, _) => "stopping",
        (Phase::Running | Phase::Ended, Presence::Detached) => "(link down)",
        (Phase::Running | Phase::Ended, Presence::Attached | Presence::None) => "",
    };
    let progress = task
        .last_progress
        .as_ref()
        .map(|progress| clean(&progress.text));
    match (state, progress) {
        ("", progress) => progress.unwrap_or_default(),
        // Of a task without a process it is what keeps it waiting.
        (state, Some(progress)) if task.phase == Phase::Queued => format!("{state}: {progress}"),
        (state, _) => state.to_owned(),
    }
}

/// Per task the shortest prefix of its id that no other one in the list has.
/// Ids that were chosen by a caller are short already and stay whole.
pub(crate) fn short_ids(tasks: &[TaskView]) -> Vec<String> {
    let mut sorted: Vec<&str> = tasks.iter().map(|task| task.id.as_str()).collect();
    sorted.sort_unstable();
    let shortest = |id: &str| {
        let at = sorted.partition_point(|other| *other < id);
        let before = at.checked_sub(1).map_or(0, |at| common(sorted[at], id));
        let after = sorted.get(at + 1).map_or(0, |other| common(other, id));
        (before.max(after) + 1).max(SHORTEST_ID)
    };
    let is_uuid = |id: &str| id.len() == 36 && id.bytes().filter(|byte| *byte == b'-').count() == 4;
    tasks
        .iter()
        .map(|task| task.id.as_str())
        .map(|id| {
            if is_uuid(id) {
                &id[..shortest(id).min(id.len())]
            } else {
                id
            }
        })
        .map(str::to_owned)
        .collect()
}

fn common(a: &str, b: &str) -> usize {
    a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use protocol::view::{Links, ProgressView};
    use protocol::{Basis, FinishedBasis, Key, ProviderName, SessionId, TaskId};

    /// 2026-11-20T11:26:42.766Z
    pub(crate) const NOW: Timestamp = Timestamp(1_795_174_002_766);

    pub(crate) fn running_task(id: &str) -> TaskView {
        let id = TaskId::new(id).expect("a valid id");
        TaskView {
            key: Key::from(&id),
            id,
            provider: ProviderName::new("exec").expect("a valid name"),
            agent: None,
            agent_type: None,
            model: None,
            repo: None,
            issue_number: None,
            user: None,
            name: None,
            cwd: Some("/home/u".into()),
            argv: vec!["sleep".into(), "60".into()],
            status: Status::Running,
            phase: Phase::Running,
            presence: Presence::Attached,
            archive_reason: None,
            archive_label: None,
            archive_basis: None,
            ended_by: None,
            archived: false,
            archived_by: None,
            archived_at: None,
            session_id: None,
            resumed: None,
            supervisor_pid: Some(10),
            shim_pid: Some(11),
            agent_pid: Some(12),
            queued_at: None,
            started_at: Some(Timestamp(NOW.0 - 124_000)),
            finished_at: None,
            last_seen_at: None,
            finished_basis: None,
            result: None,
            links: Links::default(),
            exit: None,
            turns: None,
            input_tokens: None,
            output_tokens: None,
            cost_usd: None,
            last_progress: None,
            version: 1,
        }
    }

    pub(crate) fn ended_task() -> TaskView {
        TaskView {
            provider: ProviderName::new("claude").expect("a valid name"),
            key: Key::new("forge:o/r:1104").expect("a valid key"),
            status: Status::Cancelled,
            phase: Phase::Ended,
            presence: Presence::None,
            archive_reason: Some(ArchiveReason::User),
            archive_label: Some("User terminated".into()),
            archive_basis: Some(Basis::Declared),
            ended_by: Some("uid:1000 comm:agentctl".into()),
            session_id: Some(SessionId::new("5e55").expect("a valid id")),
            supervisor_pid: None,
            shim_pid: None,
            agent_pid: None,
            finished_at: Some(NOW),
            finished_basis: Some(FinishedBasis::Exact),
            exit: Some(Exit::Signaled {
                signal: 15,
                core: false,
            }),
            turns: Some(3),
            input_tokens: Some(1_234),
            output_tokens: Some(340),
            cost_usd: Some(0.031),
            ..running_task("019a3f2c-4d5e-7000-8000-000000000001")
        }
    }

    const PIPE: Screen = Screen {
        width: None,
        colour: Colour::Off,
    };

    #[test]
    fn a_list_in_a_pipe_is_plain_and_whole() {
        let mut second = running_task("019a3f2c-4d5e-7000-9000-000000000002");
        let text = "Reading\u{1b}[31m src\nmain.rs".into();
        second.last_progress = Some(ProgressView { at: NOW, text });
        let mut third = running_task("build-7");
        third.name = Some("nightly".into());
        third.phase = Phase::Stopping;
        let expected = "\
ID                    STATUS     PROVIDER  TASK            STARTED  TIME   USAGE           DETAIL
019a3f2c-4d5e-7000-8  cancelled  claude    forge:o/r:1104  2m ago   2m04s  1.2k→340 $0.03  User terminated
019a3f2c-4d5e-7000-9  running    exec      sleep 60        2m ago   2m04s                  Reading src main.rs
build-7               running    exec      nightly         2m ago   2m04s                  stopping
";
        assert_eq!(list(&[ended_task(), second, third], NOW, PIPE), expected);
    }

    #[test]
    fn a_list_on_a_terminal_has_signs_and_fits() {
        let mut task = running_task("019a3f2c-4d5e-7000-8000-000000000001");
        task.argv = vec![
            "sh".into(),
            "-c".into(),
            "for i in 1 2 3; do echo $i; done".into(),
        ];
        let screen = Screen {
            width: Some(60),
            colour: Colour::Off,
        };
        let expected = "\
ID             STATUS     PROVIDER  TASK               TIME
019a3f2c-4d5e  ● running  exec      sh -c for i in 1…  2m04s
";
        assert_eq!(list(&[task], NOW, screen), expected);
    }

    #[test]
    fn a_verdict_is_one_line() {
        assert_eq!(
            verdict(&ended_task(), NOW, Colour::Off),
            "■ cancelled · User terminated (ended by SIGTERM) · 2m04s · 3 turns · 1.2k→340 $0.03"
        );
        let done = TaskView {
            status: Status::Success,
            archive_label: Some("Session completed".into()),
            exit: Some(Exit::Exited { code: 0 }),
            finished_at: Some(NOW),
            ..running_task("t")
        };
        assert_eq!(
            verdict(&done, NOW, Colour::Off),
            "✓ success · Session completed · 2m04s"
        );
    }

    #[test]
    fn prefixes_are_unique_within_the_list() {
        let ids = [
            "019a3f2c-4d5e-7000-8000-000000000001",
            "019a3f2c-4d5e-7000-8000-000000000002",
            "x",
        ];
        let tasks: Vec<TaskView> = ids.iter().map(|id| running_task(id)).collect();
        assert_eq!(short_ids(&tasks), ids);
        let alone = [running_task(ids[0])];
        assert_eq!(short_ids(&alone), ["019a3f2c-4d5e"]);
    }
}
