//! The table of verdicts, whole: every combination of facts, against rules
//! that are written down a second time and in another form. In the core the
//! first matching arm decides; in `oracle` every reason has one full condition,
//! and for any facts exactly one of them must hold.
//!
//! The result is printed, and kept in `table.md` beside this file.

mod oracle;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use lifecycle::event::EventBody;
use lifecycle::task::{Cause, Lost, Start};
use lifecycle::verdict::{status_of, verdict};
use lifecycle::{Policy, SessionPlan, Task, TaskSpec, evolve};
use protocol::shim::{ProviderError, SpawnStage, Usage};
use protocol::{ArchiveReason, Basis, Exit, StopReason};

use self::oracle::{Case, FACTS, Facts, RULES, expected, expected_exit, status_by_the_book};
use crate::support::{
    at, code, event, oom_of, process, requested, result_of, row, sender, signal, spec,
};

/// A task with exactly these facts, whether or not a life leads there.
fn task_with(facts: &Facts) -> Task {
    let case = Case::new(facts);
    let policy = Policy {
        promises_result: case.promises == "yes",
        ..Policy::default()
    };
    let session = match case.session {
        "new" => SessionPlan::Fresh,
        _resumed => SessionPlan::Resume(row("s-1", Usage::default())),
    };
    let asked = TaskSpec {
        policy,
        session,
        ..spec()
    };
    let mut task = Task::admitted(asked, at(0));
    task.session_seen = case.session == "goes on";
    task.start = match case.start {
        "failed" => Start::Failed {
            at: at(1),
            stage: SpawnStage::Exec,
            errno: 2,
            path: String::new(),
        },
        "never" => Start::Never {
            at: at(1),
            detail: String::new(),
        },
        "exec'd" => Start::Execd {
            at: at(1),
            agent: process(200),
        },
        _pending => Start::Pending,
    };
    task = evolve(task, &event(2, requested(1, StopReason::User, 0)));
    task.cause = match case.cause {
        "intent" => Some(Cause::Intent(1)),
        "signal at the shim" => Some(Cause::ShimSignalled {
            at: at(2),
            signal: 15,
            sender: sender(),
        }),
        _none => None,
    };
    task.result = match case.result {
        "none" => None,
        word => Some(result_of(3, word == "success")),
    };
    let error = |error| Some((error, String::new()));
    task.provider_error = match case.error {
        "transient" => error(ProviderError::Transient),
        "not found" => error(ProviderError::SessionNotFound),
        "no skill" => error(ProviderError::MissingSkill),
        _none => None,
    };
    task.exited = exit_named(case.exit).map(|exit| (at(4), exit));
    task.oom = (case.exit == "OOM KILL").then_some(oom_of(4, 3, false));
    task.lost = match case.lost {
        "shim" => Some(Lost::Shim),
        "host" => Some(Lost::Host("b".to_string())),
        _no => None,
    };
    task
}

fn exit_named(name: &str) -> Option<Exit> {
    Some(match name {
        "none" => return None,
        "TERM" => signal(15),
        "KILL" | "OOM KILL" => signal(9),
        "SEGV" => signal(11),
        "unknown" => Exit::Unknown {
            why: "reaped by another".to_string(),
        },
        number => code(number.parse().expect("an exit code")),
    })
}

fn told(facts: &Facts) -> String {
    let verdict = verdict(&task_with(facts));
    let by = match verdict.ended_by.as_deref() {
        Some("uid:1000 comm:agentctl") => "who asked",
        Some("uid:0 comm:kill") => "its sender",
        Some(other) => other,
        None => "null",
    };
    format!(
        "{} | {} | {} | {by}",
        verdict.status, verdict.reason, verdict.basis
    )
}

fn told_exit(facts: &Facts) -> &'static str {
    let task = task_with(facts);
    let seen = task.exited.as_ref().map(|(_, exit)| exit);
    match &verdict(&task).exit {
        None => "null",
        Some(exit) if Some(exit) == seen => "as seen",
        Some(Exit::Unknown { why }) if why.starts_with("the shim died") => "unknown (shim died)",
        Some(Exit::Unknown { why }) if why.contains("booted again") => "unknown (reboot)",
        Some(Exit::Unknown { .. }) => "unknown (not recorded)",
        Some(invented) => panic!("an invented exit: {invented}"),
    }
}

/// Rows of the table below a choice of the first facts: equal branches become
/// one row, and a fact that makes no difference becomes `*`.
fn rows(chosen: &mut Vec<&'static str>, outcome: &dyn Fn(&Facts) -> String) -> Vec<String> {
    let Some((_, values)) = FACTS.get(chosen.len()) else {
        let facts: Facts = chosen[..].try_into().expect("one value for each fact");
        return vec![format!("{} |", outcome(&facts))];
    };
    let mut branches: Vec<(Vec<&str>, Vec<String>)> = Vec::new();
    for value in *values {
        chosen.push(value);
        let below = rows(chosen, outcome);
        chosen.pop();
        match branches.iter_mut().find(|(_, known)| *known == below) {
            Some((names, _)) => names.push(value),
            None => branches.push((vec![value], below)),
        }
    }
    let mut lines = Vec::new();
    for (names, below) in branches {
        let cell = if names.len() == values.len() {
            "*".to_string()
        } else {
            names.join(", ")
        };
        lines.extend(below.into_iter().map(|line| format!("{cell} | {line}")));
    }
    lines
}

fn heading(columns: &[&str]) -> String {
    let dashes = vec!["---"; columns.len()];
    format!("| {} |\n| {} |\n", columns.join(" | "), dashes.join(" | "))
}

fn statuses() -> String {
    let mut text = heading(&["reason", "label", "declared", "observed", "inferred"]);
    for reason in ArchiveReason::ALL {
        let cell = |basis: Basis| {
            status_by_the_book(*reason, basis).map_or("–", |status| {
                assert_eq!(status_of(*reason, basis), status, "{reason} {basis}");
                status.as_str()
            })
        };
        writeln!(
            text,
            "| {reason} | {} | {} | {} | {} |",
            reason.label(),
            cell(Basis::Declared),
            cell(Basis::Observed),
            cell(Basis::Inferred),
        )
        .expect("a String takes anything");
    }
    text
}

/// All facts against `outcome`, which has these columns.
fn by_facts(columns: &[&str], outcome: &dyn Fn(&Facts) -> String) -> String {
    let names = FACTS.iter().map(|(name, _)| *name);
    let all: Vec<&str> = names.chain(columns.iter().copied()).collect();
    let mut text = heading(&all);
    for row in rows(&mut Vec::new(), outcome) {
        writeln!(text, "| {row}").expect("a String takes anything");
    }
    text
}

fn whole_table() -> String {
    let verdicts = by_facts(&["status", "reason", "basis", "ended by"], &|facts| {
        let is = told(facts);
        assert_eq!(is, expected(facts), "facts: {facts:?}");
        is
    });
    let exits = by_facts(&["exit in the record"], &|facts| {
        let is = told_exit(facts);
        assert_eq!(is, expected_exit(facts), "facts: {facts:?}");
        is.to_string()
    });
    format!(
        "# Verdicts\n\nWritten by `lifecycle/tests/table.rs`, and compared by it. `*`: makes no \
         difference.\n\n## Status by reason and basis\n\n{}\n## Reason by facts\n\nAn intent \
         stands for every reason that one can have; here it is `user`.\n\n{verdicts}\n\
         ## Exit by facts\n\n{exits}",
        statuses()
    )
}

#[test]
fn the_table_of_verdicts_is_as_written_down() {
    let table = whole_table();
    println!("{table}");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/table.md");
    if std::env::var_os("WRITE_TABLE").is_some() {
        std::fs::write(&file, &table).expect("the repository can be written");
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        table == kept,
        "the verdicts are not those of lifecycle/tests/table.md; if the change is meant, write \
         it with `WRITE_TABLE=1 cargo test -p lifecycle table` and look at the difference"
    );
}

#[test]
fn every_reason_that_a_running_task_can_have_has_a_rule() {
    let by_rule: BTreeSet<_> = RULES.iter().map(|(reason, _, _)| *reason).collect();
    let by_intent = StopReason::ALL
        .iter()
        .map(|reason| ArchiveReason::from(*reason));
    let known: BTreeSet<_> = by_rule.into_iter().chain(by_intent).collect();
    let missing: Vec<_> = ArchiveReason::ALL
        .iter()
        .filter(|reason| !known.contains(reason))
        .collect();
    assert_eq!(missing, [&ArchiveReason::SpawnFailed; 0]);
}

#[test]
fn every_intent_declares_its_own_reason() {
    for reason in StopReason::ALL {
        let mut facts: Facts = FACTS.map(|(_, values)| values[0]);
        facts[0] = "exec'd";
        let mut task = task_with(&facts);
        task.intents[0].reason = *reason;
        task.cause = Some(Cause::Intent(1));
        let verdict = verdict(&task);
        let word = ArchiveReason::from(*reason);
        assert_eq!((verdict.reason, verdict.basis), (word, Basis::Declared));
        let status = status_by_the_book(word, Basis::Declared);
        assert_eq!(Some(verdict.status), status);
        assert_eq!(verdict.by_intent, Some(1));
    }
}

#[test]
fn a_fact_that_is_no_event_changes_nothing() {
    // `evolve` is total: even an admission in the middle is only counted.
    let facts: Facts = FACTS.map(|(_, values)| values[0]);
    let task = task_with(&facts);
    let again = evolve(
        task.clone(),
        &event(9, EventBody::Admitted { spec: spec() }),
    );
    assert_eq!(verdict(&again), verdict(&task));
}
