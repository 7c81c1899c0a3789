//! `why`: first the conclusion in one sentence, then what happened, in order.

use protocol::view::{ChainLink, TaskView};
use protocol::{ArchiveReason, Basis, Phase, Timestamp};

use crate::render::style::{Colour, Ink};
use crate::render::task::{Screen, glyph, ran_ms, telling_exit, what};
use crate::render::text::{clean, width};
use crate::render::time;

/// The whole answer.
pub(crate) fn why(task: &TaskView, chain: &[ChainLink], now: Timestamp, screen: Screen) -> String {
    let (sign, ink) = glyph(task.status);
    let colour = screen.colour;
    let mut out = format!("{} {}\n\n", colour.paint(ink, sign), conclusion(task, now));
    let widest = chain
        .iter()
        .map(|link| width(&clean(&link.what)))
        .max()
        .unwrap_or(0);
    let mut before: Option<Timestamp> = None;
    for link in chain {
        let step = before.map_or_else(String::new, |at| delta(link.at.0 - at.0));
        before = Some(link.at);
        let name = clean(&link.what);
        let pad = " ".repeat(widest - width(&name));
        let mut line = format!(
            "  {}  {}  {}{pad}",
            colour.paint(Ink::Dim, &time::clock(link.at)),
            colour.paint(Ink::Dim, &format!("{step:>9}")),
            colour.paint(Ink::Bold, &name),
        );
        let rest = [clean(&link.who), clean(&link.detail)];
        let rest: Vec<&str> = rest
            .iter()
            .map(String::as_str)
            .filter(|text| !text.is_empty())
            .collect();
        if !rest.is_empty() {
            // Under the text, not under the time.
            let indent = 2 + 12 + 2 + 9 + 2 + widest + 2;
            line.push_str("  ");
            line.push_str(&wrap(&rest.join(": "), indent, screen.width));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    if let Some(first) = chain.first() {
        let text = format!("  times are UTC, from {}", time::date(first.at));
        out.push_str(&format!("\n{}\n", colour.paint(Ink::Dim, &text)));
    }
    out
}

/// What happened to the task, in one sentence.
pub(crate) fn conclusion(task: &TaskView, now: Timestamp) -> String {
    let name = match what(task) {
        name if name.is_empty() => format!("Task {}", task.id),
        name => format!("Task {} ({name})", task.id),
    };
    let ran = ran_ms(task, now).map(time::duration);
    let Some(reason) = task.archive_reason else {
        let since = ran.map_or_else(String::new, |ran| format!(" for {ran}"));
        let progress = task.last_progress.as_ref();
        let waits = progress.filter(|_| task.phase == Phase::Queued);
        let why = waits.map_or_else(String::new, |why| format!(": {}", clean(&why.text)));
        return format!("{name} has not ended: it is {}{since}{why}.", task.phase);
    };
    let after = ran.map_or_else(String::new, |ran| format!(" after {ran}"));
    let exit = telling_exit(task).map_or_else(String::new, |exit| {
        format!("; its agent {}", clean(&exit.to_string()))
    });
    let by = task.ended_by.as_deref().map(|by| match by {
        "http" => "a client of the gateway (over HTTP)".to_owned(),
        _ => clean(by),
    });
    let says = match (&task.result, reason) {
        (Some(_), ArchiveReason::Completed) => ": its own result says success",
        (Some(_) | None, _) => "",
    };
    let basis = task.archive_basis.map_or("", |basis| match basis {
        // It waited, or was never executed: nothing was signalled.
        Basis::Declared if task.exit.is_none() => {
            "This was declared: the wish to stop it was on record before its end."
        }
        Basis::Declared | Basis::Observed | Basis::Inferred => basis_in_words(basis),
    });
    format!(
        "{name} {}{after}{says}{exit}. {basis}",
        sentence(reason, by.as_deref())
    )
    .trim_end()
    .to_owned()
}

fn sentence(reason: ArchiveReason, by: Option<&str>) -> String {
    let asked = |text: &str| match by {
        Some(who) => format!("{text} by {who}"),
        None => text.to_owned(),
    };
    match reason {
        ArchiveReason::Completed => "completed".into(),
        ArchiveReason::Failed => "failed by itself".into(),
        ArchiveReason::AbortedNoSkill => "gave up by itself because a skill was missing".into(),
        ArchiveReason::SessionNotFound => {
            "ended because its provider did not find the session to resume".into()
        }
        ArchiveReason::SpawnFailed => "could not be started".into(),
        ArchiveReason::Crashed => "crashed".into(),
        ArchiveReason::User => asked("was stopped on request"),
        ArchiveReason::RunnerStop => asked("was stopped by automation"),
        ArchiveReason::HubRestart => "was ended because the supervisor was restarted".into(),
        ArchiveReason::HubShutdown => "was ended because the supervisor was stopped".into(),
        ArchiveReason::HostShutdown => "was ended because the machine was shut down".into(),
        ArchiveReason::StartTimeout => {
            "was stopped because it showed no sign of life in time".into()
        }
        ArchiveReason::Timeout => "was stopped because it ran too long".into(),
        ArchiveReason::IdleTimeout => "was stopped because it was silent too long".into(),
        ArchiveReason::Budget => "was stopped because it used up its budget".into(),
        ArchiveReason::SupersededByTask => "was replaced by a newer task of its key".into(),
        ArchiveReason::OomKilled => "was killed because memory ran out".into(),
        ArchiveReason::ExternalSignal => {
            "was killed from outside by a signal that nobody declared".into()
        }
        ArchiveReason::ShimLost => "was ended because its shim died".into(),
        ArchiveReason::HostReboot => "was cut off by a reboot of the machine".into(),
        ArchiveReason::Unknown => "ended, and nothing is known about why".into(),
    }
}

const fn basis_in_words(basis: Basis) -> &'static str {
    match basis {
        Basis::Declared => {
            "This was declared: the wish to stop it was on record before the signal."
        }
        Basis::Observed => "This was observed at its end.",
        Basis::Inferred => "This was inferred afterwards from what was left.",
    }
}

/// Time since the step before: `+12ms`, `+1.204s`, `+2m04s`.
fn delta(ms: i64) -> String {
    let sign = if ms < 0 { '-' } else { '+' };
    match ms.unsigned_abs() {
        ms @ 0..1000 => format!("{sign}{ms}ms"),
        ms @ 1000..60_000 => format!("{sign}{}.{:03}s", ms / 1000, ms % 1000),
        ms @ 60_000.. => format!("{sign}{}", time::duration(ms)),
    }
}

/// Breaks at blanks, so that lines fit; following lines are indented.
fn wrap(text: &str, indent: usize, limit: Option<usize>) -> String {
    /// Narrower columns than this are worse than long lines.
    const LEAST: usize = 24;
    let Some(room) = limit
        .and_then(|limit| limit.checked_sub(indent))
        .filter(|room| *room >= LEAST)
    else {
        return text.to_owned();
    };
    let mut out = String::new();
    let mut used = 0;
    for word in text.split(' ') {
        let cells = width(word);
        if used > 0 && used + 1 + cells > room {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent));
            used = 0;
        } else if used > 0 {
            out.push(' ');
            used += 1;
        }
        out.push_str(word);
        used += cells;
    }
    out
}

/// The conclusion with its sign, for other commands.
pub(crate) fn headline(task: &TaskView, now: Timestamp, colour: Colour) -> String {
    let (sign, ink) = glyph(task.status);
    format!("{} {}", colour.paint(ink, sign), conclusion(task, now))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::task::tests::{NOW, ended_task, running_task};

    #[test]
    fn the_conclusion_comes_first_and_the_chain_is_in_order() {
        let link = |ms: i64, what: &str, who: &str, detail: &str| ChainLink {
            at: Timestamp(NOW.0 + ms),
            what: what.into(),
            who: who.into(),
            detail: detail.into(),
        };
        let chain = [
            link(
                -1250,
                "dispatched",
                "uid 1000 agentctl[7]",
                "provider claude",
            ),
            link(
                -3,
                "stop requested",
                "uid 1000 agentctl[9]",
                "reason user, \u{1b}[1m«enough»",
            ),
            link(0, "ended", "", "ended by SIGTERM"),
        ];
        let expected = "\
■ Task 019a3f2c-4d5e-7000-8000-000000000001 (forge:o/r:1104) was stopped on request by uid:1000 comm:agentctl after 2m04s; its agent ended by SIGTERM. This was declared: the wish to stop it was on record before the signal.

  11:26:41.516             dispatched      uid 1000 agentctl[7]: provider claude
  11:26:42.763    +1.247s  stop requested  uid 1000 agentctl[9]: reason user, «enough»
  11:26:42.766       +3ms  ended           ended by SIGTERM

  times are UTC, from 2026-11-20 11:26:41.516 UTC
";
        let screen = Screen {
            width: None,
            colour: Colour::Off,
        };
        assert_eq!(why(&ended_task(), &chain, NOW, screen), expected);
    }

    #[test]
    fn a_live_task_has_no_reason_yet() {
        assert_eq!(
            conclusion(&running_task("t"), NOW),
            "Task t (sleep 60) has not ended: it is running for 2m04s."
        );
    }

    #[test]
    fn long_details_wrap_under_themselves() {
        let text = "one two three four five six seven eight nine";
        assert_eq!(
            wrap(text, 4, Some(30)),
            "one two three four five\n    six seven eight nine"
        );
        assert_eq!(wrap(text, 4, Some(20)), text);
        assert_eq!(wrap(text, 4, None), text);
    }
}
