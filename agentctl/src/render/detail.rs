//! `show`: one task, whole, as a block to read.

use protocol::Timestamp;
use protocol::view::{EvidenceView, IntentView, Requester, ResultView, TaskDetail, TaskView};
use protocol::vocab::Via;

use crate::render::style::{Colour, Ink};
use crate::render::task::{Screen, ran_ms, usage};
use crate::render::text::{clean, clean_lines, fit, width};
use crate::render::time;
use crate::render::why::headline;

/// Lines of a result text that are shown; `--json` has it whole.
const RESULT_LINES: usize = 12;

/// The block.
pub(crate) fn show(detail: &TaskDetail, now: Timestamp, screen: Screen) -> String {
    let task = &detail.task;
    let colour = screen.colour;
    let mut out = format!("{}\n\n", headline(task, now, colour));
    for (name, value) in fields(task, now) {
        out.push_str(&format!(
            "  {}{value}\n",
            colour.paint(Ink::Dim, &format!("{name:<11}"))
        ));
    }
    if let Some(result) = &task.result {
        out.push_str(&result_block(result, screen));
    }
    if !detail.intents.is_empty() {
        out.push_str(&format!("\n{}\n", colour.paint(Ink::Bold, "Intents")));
        for intent in &detail.intents {
            out.push_str(&intent_lines(intent));
        }
    }
    if !detail.evidence.is_empty() {
        out.push_str(&format!("\n{}\n", colour.paint(Ink::Bold, "Evidence")));
        for evidence in &detail.evidence {
            out.push_str(&evidence_line(evidence, colour));
        }
    }
    out
}

type Field = (&'static str, Option<String>);

fn fields(task: &TaskView, now: Timestamp) -> Vec<(&'static str, String)> {
    let all = verdict_fields(task)
        .into_iter()
        .chain(identity_fields(task))
        .chain(life_fields(task, now));
    all.filter_map(|(name, value)| Some((name, value?)))
        .collect()
}

/// Which task it is, and how it stands or ended.
fn verdict_fields(task: &TaskView) -> [Field; 7] {
    let reason = task.archive_reason.map(|reason| match task.archive_basis {
        Some(basis) => format!("{reason} ({basis})"),
        None => reason.to_string(),
    });
    let (status, phase, presence) = (task.status, task.phase, task.presence);
    [
        ("id", Some(task.id.to_string())),
        ("name", safe(&task.name)),
        ("key", Some(clean(task.key.as_str()))),
        (
            "status",
            Some(format!("{status}, phase {phase}, presence {presence}")),
        ),
        ("reason", reason),
        ("ended by", safe(&task.ended_by)),
        (
            "exit",
            task.exit.as_ref().map(|exit| clean(&exit.to_string())),
        ),
    ]
}

/// What was asked for.
fn identity_fields(task: &TaskView) -> [Field; 9] {
    let session = task.session_id.as_ref().map(|id| match &task.resumed {
        Some(resumed) => format!("{id}, resumed {resumed}"),
        None => format!("{id}, fresh"),
    });
    let issue = task.issue_number.map(|issue| format!("#{issue}"));
    let repo = [safe(&task.repo), issue]
        .into_iter()
        .flatten()
        .collect::<String>();
    [
        ("provider", Some(task.provider.to_string())),
        ("model", safe(&task.model)),
        ("agent", safe(&task.agent)),
        ("agent type", safe(&task.agent_type)),
        ("session", session),
        ("repo", non_empty(repo)),
        ("user", safe(&task.user)),
        ("cwd", safe(&task.cwd)),
        ("command", non_empty(command(&task.argv))),
    ]
}

/// When it did what, and at which cost.
fn life_fields(task: &TaskView, now: Timestamp) -> [Field; 12] {
    let moment =
        |at: Option<Timestamp>| at.map(|at| format!("{} ({})", time::date(at), time::ago(at, now)));
    let pids = [
        ("supervisor", task.supervisor_pid),
        ("shim", task.shim_pid),
        ("agent", task.agent_pid),
    ];
    let pids = pids
        .iter()
        .filter_map(|(name, pid)| Some(format!("{name} {}", (*pid)?)));
    let ended = moment(task.finished_at).map(|at| match task.finished_basis {
        Some(basis) => format!("{at}, {basis}"),
        None => at,
    });
    let links = [
        ("retry of", &task.links.retry_of),
        ("fresh after", &task.links.fresh_after),
        ("reopened from", &task.links.reopened_from),
    ];
    let links = links
        .iter()
        .filter_map(|(name, id)| Some(format!("{name} {}", id.as_ref()?)));
    let progress = task.last_progress.as_ref();
    let by = task
        .archived_by
        .as_deref()
        .map(|by| format!("by {}", clean(by)));
    let archived = [by, task.archived_at.map(time::date)].into_iter().flatten();
    [
        ("pids", non_empty(pids.collect::<Vec<_>>().join(", "))),
        ("queued", moment(task.queued_at)),
        ("started", moment(task.started_at)),
        ("ended", ended),
        ("last seen", moment(task.last_seen_at)),
        ("ran", ran_ms(task, now).map(time::duration)),
        ("turns", task.turns.map(|turns| turns.to_string())),
        ("usage", non_empty(usage(task))),
        (
            "progress",
            progress.map(|last| format!("{} ({})", clean(&last.text), time::ago(last.at, now))),
        ),
        ("links", non_empty(links.collect::<Vec<_>>().join(", "))),
        (
            "archived",
            task.archived
                .then(|| archived.collect::<Vec<_>>().join(", ")),
        ),
        ("version", Some(task.version.to_string())),
    ]
}

fn safe(text: &Option<String>) -> Option<String> {
    text.as_deref().map(clean)
}

fn non_empty(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// The words of a command, quoted where a shell would need it.
fn command(argv: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+<>".contains(c);
    let quoted = argv
        .iter()
        .map(|word| match word.chars().all(plain) && !word.is_empty() {
            true => clean(word),
            false => format!("'{}'", clean(word).replace('\'', "'\\''")),
        });
    quoted.collect::<Vec<_>>().join(" ")
}

fn result_block(result: &ResultView, screen: Screen) -> String {
    let judgement = if result.success {
        "success"
    } else {
        "no success"
    };
    let title = screen.colour.paint(Ink::Bold, "Result");
    let mut out = format!("\n{title} ({judgement}, as the agent says)\n");
    let text = clean_lines(result.text.as_deref().unwrap_or_default());
    let mut lines = text.trim_end().lines();
    for line in lines.by_ref().take(RESULT_LINES) {
        let line = screen.width.map_or_else(
            || line.to_owned(),
            |limit| fit(line, limit.saturating_sub(2)),
        );
        out.push_str(&format!("  {line}\n"));
    }
    let left = lines.count();
    if left > 0 || result.truncated {
        let cut = if result.truncated {
            "; it was cut at 64 KiB"
        } else {
            ""
        };
        out.push_str(&format!("  … {left} more lines with --json{cut}\n"));
    }
    out
}

fn intent_lines(intent: &IntentView) -> String {
    let mut out = format!(
        "  #{} {}  {}  {} by {}\n",
        intent.id,
        intent.outcome,
        time::date(intent.requested_at),
        intent.reason,
        requester(&intent.requested_by),
    );
    let since = |at: Timestamp| format!("+{} ms", at.since_ms(intent.requested_at));
    let mut steps = Vec::new();
    steps.extend(
        intent
            .note
            .as_deref()
            .map(|note| format!("note «{}»", clean(note))),
    );
    steps.extend(
        intent
            .journalled_at
            .map(|at| format!("journalled {}", since(at))),
    );
    steps.extend(intent.signalled_at.map(|at| match intent.signalled_by {
        Some(who) => format!("signalled {} by the {who}", since(at)),
        None => format!("signalled {}", since(at)),
    }));
    if !steps.is_empty() {
        out.push_str(&format!("     {}\n", steps.join(", ")));
    }
    out
}

/// Who asked, in words.
fn requester(who: &Requester) -> String {
    let process = match (&who.comm, who.pid) {
        (Some(comm), Some(pid)) => Some(format!("{}[{pid}]", clean(comm))),
        (Some(comm), None) => Some(clean(comm)),
        (None, Some(pid)) => Some(format!("pid {pid}")),
        (None, None) => None,
    };
    let mut parts = Vec::new();
    if who.uid.is_none() && process.is_none() {
        parts.push(match who.via {
            Via::Http => "a client of the gateway".to_owned(),
            Via::Supervisor => "the supervisor".to_owned(),
            Via::Control | Via::Signal => "an unknown user".to_owned(),
        });
    }
    parts.extend(who.uid.map(|uid| format!("uid {uid}")));
    parts.extend(process);
    parts.push(format!("via {}", who.via));
    parts.extend(who.tty.as_deref().map(|tty| format!("on {}", clean(tty))));
    parts.extend(
        who.from_task
            .as_ref()
            .map(|task| format!("from task {task}")),
    );
    let parents: Vec<String> = who
        .ancestry
        .iter()
        .map(|parent| format!("{}[{}]", clean(&parent.comm), parent.pid))
        .collect();
    if !parents.is_empty() {
        parts.push(format!("under {}", parents.join(" ← ")));
    }
    parts.join(" ")
}

fn evidence_line(evidence: &EvidenceView, colour: Colour) -> String {
    /// The longest documented kind is `not_durable`.
    const KIND: usize = 11;
    let kind = clean(&evidence.kind);
    let pad = " ".repeat(KIND.saturating_sub(width(&kind)));
    format!(
        "  {}  {kind}{pad}  {}\n",
        colour.paint(Ink::Dim, &time::clock(evidence.at)),
        clean(&evidence.detail)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::task::tests::{NOW, ended_task};
    use protocol::StopReason;
    use protocol::view::Ancestor;
    use protocol::vocab::{IntentOutcome, SignalledBy};

    fn intent() -> IntentView {
        IntentView {
            id: 4,
            reason: StopReason::User,
            requested_by: Requester {
                uid: Some(1000),
                pid: Some(77),
                comm: Some("agentctl".into()),
                via: Via::Control,
                ancestry: vec![
                    Ancestor {
                        pid: 70,
                        comm: "bash".into(),
                    },
                    Ancestor {
                        pid: 1,
                        comm: "systemd".into(),
                    },
                ],
                tty: Some("pts/3".into()),
                from_task: None,
            },
            note: Some("enough".into()),
            requested_at: Timestamp(NOW.0 - 9),
            journalled_at: Some(Timestamp(NOW.0 - 8)),
            signalled_at: Some(Timestamp(NOW.0 - 7)),
            signalled_by: Some(SignalledBy::Shim),
            outcome: IntentOutcome::Effective,
        }
    }

    #[test]
    fn a_task_is_shown_whole() {
        let mut task = ended_task();
        task.result = Some(ResultView {
            success: false,
            text: Some("half a\u{1b}[31m story\nend".into()),
            truncated: false,
        });
        let evidence = EvidenceView {
            kind: "exit".into(),
            at: NOW,
            detail: "ended by SIGTERM".into(),
        };
        let whole = TaskDetail {
            task,
            intents: vec![intent()],
            evidence: vec![evidence],
        };
        let expected = "\
■ Task 019a3f2c-4d5e-7000-8000-000000000001 (forge:o/r:1104) was stopped on request by uid:1000 comm:agentctl after 2m04s; its agent ended by SIGTERM. This was declared: the wish to stop it was on record before the signal.

  id         019a3f2c-4d5e-7000-8000-000000000001
  key        forge:o/r:1104
  status     cancelled, phase ended, presence none
  reason     user (declared)
  ended by   uid:1000 comm:agentctl
  exit       ended by SIGTERM
  provider   claude
  session    5e55, fresh
  cwd        /home/u
  command    sleep 60
  started    2026-11-20 11:24:38.766 UTC (2m ago)
  ended      2026-11-20 11:26:42.766 UTC (now), exact
  ran        2m04s
  turns      3
  usage      1.2k→340 $0.03
  version    1

Result (no success, as the agent says)
  half a story
  end

Intents
  #4 effective  2026-11-20 11:26:42.757 UTC  user by uid 1000 agentctl[77] via control on pts/3 under bash[70] ← systemd[1]
     note «enough», journalled +1 ms, signalled +2 ms by the shim

Evidence
  11:26:42.766  exit         ended by SIGTERM
";
        let screen = Screen {
            width: None,
            colour: Colour::Off,
        };
        assert_eq!(show(&whole, NOW, screen), expected);
    }

    #[test]
    fn who_has_no_user_is_named_all_the_same() {
        let mut who = intent().requested_by;
        (who.uid, who.pid, who.comm, who.tty, who.via) = (None, None, None, None, Via::Http);
        who.ancestry.clear();
        assert_eq!(requester(&who), "a client of the gateway via http");
    }

    #[test]
    fn commands_are_quoted_for_a_shell() {
        let argv = ["sh", "-c", "echo it's; id", ""].map(str::to_owned);
        assert_eq!(command(&argv), "sh -c 'echo it'\\''s; id' ''");
        assert_eq!(
            command(&["claude".into(), "<prompt>".into()]),
            "claude <prompt>"
        );
    }
}
