//! The supervisor, its sessions and its providers for eyes.

use protocol::Timestamp;
use protocol::control::ErrorBody;
use protocol::json::{StopGoal, is_pending};
use protocol::view::{
    FoundBy, OrphansView, ProviderView, SessionView, StatusView, StopResult, UnitView,
};
use protocol::vocab::{SessionState, StopOutcome};

use crate::render::style::Ink;
use crate::render::table::{Cell, Give, Table};
use crate::render::task::Screen;
use crate::render::text::clean;
use crate::render::time;

/// `status`.
pub(crate) fn status(
    view: &StatusView,
    refusing: Option<&ErrorBody>,
    now: Timestamp,
    screen: Screen,
) -> String {
    let up = time::duration(now.since_ms(view.started_at));
    let process = match view.pid {
        0 => "not running (the ledger was read)".to_owned(),
        pid => format!("pid {pid}, {}, up {up}", clean(&view.phase)),
    };
    let tasks = &view.tasks;
    let mut fields = vec![
        (
            "tasks",
            format!(
                "{} running, {} queued, {} ended",
                tasks.running, tasks.queued, tasks.ended
            ),
        ),
        ("adopted", view.adopted.to_string()),
        ("sockets", clean(&view.runtime_dir)),
        (
            "ledger",
            format!(
                "{}, {}, schema {}, id {}",
                clean(&view.ledger.path),
                time::size(view.ledger.bytes),
                view.ledger.schema,
                clean(&view.ledger_id)
            ),
        ),
        (
            "protocol",
            format!("{} to {}", view.protocol.min, view.protocol.max),
        ),
    ];
    if let Some(unit) = &view.unit {
        fields.push(("unit", fate_in(unit)));
    }
    if let Some(drain) = &view.drain {
        let (reason, busy) = (clean(&drain.reason), drain.busy.len());
        fields.push((
            "drain",
            format!(
                "{reason}, {busy} busy, until {}",
                time::date(drain.deadline)
            ),
        ));
    }
    if let Some(refusal) = refusing {
        fields.insert(0, ("refusing", in_one_line(refusal)));
    }
    let title = format!(
        "agent-supervisor {} ({})",
        clean(&view.version),
        clean(&view.mode)
    );
    let mut out = format!("{}: {process}\n", screen.colour.paint(Ink::Bold, &title));
    for (name, value) in fields {
        out.push_str(&format!(
            "  {}{value}\n",
            screen.colour.paint(Ink::Dim, &format!("{name:<10}"))
        ));
    }
    out
}

fn in_one_line(refusal: &ErrorBody) -> String {
    let hint = refusal.hint.as_deref().map(|hint| format!("; {hint}"));
    clean(&format!("{}{}", refusal.message, hint.unwrap_or_default()))
}

/// What a restart of the unit would do.
fn fate_in(unit: &UnitView) -> String {
    let fate = if unit.survives_restart {
        "survive"
    } else {
        "do not survive"
    };
    let (name, mode) = (clean(&unit.name), clean(&unit.kill_mode));
    format!("{name}, KillMode={mode}: agents {fate} its restart")
}

/// `sessions`.
pub(crate) fn sessions(sessions: &[SessionView], now: Timestamp, screen: Screen) -> String {
    let mut table = Table::new(&[
        ("KEY", Give::To(12)),
        ("PROVIDER", Give::To(6)),
        ("STATE", Give::Never),
        ("USED", Give::Never),
        ("SESSION", Give::To(12)),
        ("TASK", Give::To(13)),
        ("REASON", Give::To(8)),
    ]);
    for session in sessions {
        let ink = match session.state {
            SessionState::Live => Ink::Blue,
            SessionState::Resumable => Ink::Green,
            SessionState::Quarantined => Ink::Yellow,
        };
        table.push(vec![
            Cell::new(Ink::Bold, session.key.as_str()),
            Cell::plain(session.provider.as_str()),
            Cell::new(ink, session.state.as_str()),
            Cell::new(Ink::Dim, &time::ago(session.last_used_at, now)),
            Cell::plain(session.session_id.as_str()),
            Cell::plain(session.task_id.as_str()),
            Cell::plain(session.quarantine_reason.as_deref().unwrap_or_default()),
        ]);
    }
    table.render(screen.width, screen.colour)
}

/// `providers list`.
pub(crate) fn providers(providers: &[ProviderView], screen: Screen) -> String {
    let mut table = Table::new(&[
        ("NAME", Give::Never),
        ("INSTALLED", Give::To(9)),
        ("RESUMES", Give::Never),
        ("TESTED", Give::Never),
        ("SOURCE", Give::To(8)),
        ("DESCRIPTION", Give::To(12)),
    ]);
    let yes = |said: bool| if said { "yes" } else { "no" };
    for provider in providers {
        let installed = match (&provider.found, &provider.command) {
            (Some(path), _) => Cell::new(Ink::Green, path),
            (None, Some(command)) => Cell::new(Ink::Red, &format!("no {command}")),
            (None, None) => Cell::new(Ink::Dim, "any command"),
        };
        table.push(vec![
            Cell::new(Ink::Bold, provider.name.as_str()),
            installed,
            Cell::plain(yes(provider.resumes)),
            if provider.tested {
                Cell::plain("yes")
            } else {
                Cell::new(Ink::Yellow, "untested")
            },
            Cell::new(Ink::Dim, &provider.source),
            Cell::plain(&provider.description),
        ]);
    }
    table.render(screen.width, screen.colour)
}

/// `orphans`: a line per process, and what lives on.
pub(crate) fn orphans(view: &OrphansView) -> String {
    let mut out = String::new();
    for orphan in &view.orphans {
        let by = match orphan.found_by {
            FoundBy::Marker => "its marker",
            FoundBy::Cgroup => "its cgroup",
            FoundBy::Container => "its marker, in its container",
            FoundBy::Shim => "its shim, which lives (the task is lost)",
        };
        let (pid, comm, task) = (orphan.pid, clean(&orphan.comm), &orphan.task_id);
        out.push_str(&format!(
            "{pid} {comm}: left by task {task}, known by {by}\n"
        ));
    }
    match view.survivors.as_deref() {
        None => {}
        Some([]) => out.push_str("all are gone\n"),
        Some(survivors) => {
            for one in survivors {
                out.push_str(&format!("still alive: {} {}\n", one.pid, clean(&one.comm)));
            }
        }
    }
    out
}

/// `stop-session`: a line per task, and one per survivor.
pub(crate) fn stopped(result: &StopResult, goal: StopGoal) -> String {
    let reason = result
        .archive_reason
        .map_or_else(String::new, |reason| format!(" ({reason})"));
    let outcome = match result.outcome {
        StopOutcome::Stopped => "stopped",
        StopOutcome::AlreadyGone => "already gone",
        StopOutcome::StillAlive if is_pending(result, goal) => "stop requested",
        StopOutcome::StillAlive => "still alive",
    };
    let mut out = format!("{} {outcome}: {}{reason}\n", result.id, result.status);
    for survivor in &result.survivors {
        out.push_str(&format!(
            "  survivor {} {}\n",
            survivor.pid,
            clean(&survivor.comm)
        ));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::style::Colour;
    use crate::render::task::tests::NOW;
    use protocol::view::{LedgerView, ProtocolRange, Survivor, TaskCounts};
    use protocol::{ArchiveReason, Key, ProviderName, SessionId, Status, TaskId};

    const PIPE: Screen = Screen {
        width: None,
        colour: Colour::Off,
    };

    #[test]
    fn the_status_is_a_block() {
        let view = StatusView {
            version: "0.1.0".into(),
            protocol: ProtocolRange { min: 1, max: 1 },
            pid: 42,
            boot_id: "b".into(),
            started_at: Timestamp(NOW.0 - 3_720_000),
            tasks: TaskCounts {
                queued: 0,
                running: 2,
                ended: 118,
            },
            adopted: 2,
            phase: "admitting".into(),
            unit: Some(UnitView {
                name: "x.service".into(),
                kill_mode: "process".into(),
                survives_restart: true,
            }),
            ledger: LedgerView {
                path: "/s/ledger.sqlite3".into(),
                schema: 1,
                bytes: 1_300_000,
            },
            drain: None,
            ledger_id: "abc".into(),
            runtime_dir: "/r".into(),
            mode: "user".into(),
        };
        let expected = "\
agent-supervisor 0.1.0 (user): pid 42, admitting, up 1h02m
  tasks     2 running, 0 queued, 118 ended
  adopted   2
  sockets   /r
  ledger    /s/ledger.sqlite3, 1.2 MiB, schema 1, id abc
  protocol  1 to 1
  unit      x.service, KillMode=process: agents survive its restart
";
        assert_eq!(status(&view, None, NOW, PIPE), expected);
    }

    #[test]
    fn sessions_are_a_table() {
        let session = SessionView {
            key: Key::new("k").expect("a valid key"),
            provider: ProviderName::new("claude").expect("a valid name"),
            session_id: SessionId::new("s1").expect("a valid id"),
            task_id: TaskId::new("t1").expect("a valid id"),
            state: SessionState::Quarantined,
            quarantine_reason: Some("interrupted".into()),
            last_used_at: Timestamp(NOW.0 - 60_000),
            version: 2,
        };
        let expected = "\
KEY  PROVIDER  STATE        USED    SESSION  TASK  REASON
k    claude    quarantined  1m ago  s1       t1    interrupted
";
        assert_eq!(sessions(&[session], NOW, PIPE), expected);
    }

    #[test]
    fn survivors_are_named() {
        let result = StopResult {
            id: TaskId::new("t1").expect("a valid id"),
            outcome: StopOutcome::StillAlive,
            status: Status::Cancelled,
            archive_reason: Some(ArchiveReason::User),
            survivors: vec![Survivor {
                pid: 9,
                start_time: 1,
                comm: "dd\u{1b}c".into(),
            }],
        };
        assert_eq!(
            stopped(&result, StopGoal::Gone),
            "t1 still alive: cancelled (user)\n  survivor 9 dd\n"
        );
    }
}
