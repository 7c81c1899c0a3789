//! `stop-session ID…`: stop with an intent, and prove it.

use protocol::control::{ErrorBody, ErrorCode, ListFilter, Request, Response, StopRequest};
use protocol::json::{OnDisk, StopGoal, is_pending};
use protocol::view::StopResult;
use protocol::vocab::StopOutcome;
use protocol::{ArchiveReason, StopReason};

use super::{Context, follower, namesake, naming};
use crate::client::{Client, Start, Trouble, persist};
use crate::errors::CliError;
use crate::exit_code::Code;
use crate::render::out::{self, Format};
use crate::render::{json, service};
use crate::values;

/// Options of `stop-session`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Task ids or their prefixes, session ids, keys, or names
    #[arg(value_name = "ID", required_unless_present = "all")]
    ids: Vec<String>,
    /// Every live and queued task
    #[arg(long)]
    all: bool,
    /// On whose behalf
    #[arg(long, value_enum, default_value = "user")]
    reason: Reason,
    /// In your words; kept with the intent
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// Time between TERM and KILL; the task's own if left out
    #[arg(long, value_name = "DUR", value_parser = values::duration_ms, conflicts_with = "force")]
    grace: Option<u64>,
    /// No grace
    #[arg(long)]
    force: bool,
    /// Return once the wish is on record
    #[arg(long)]
    no_wait: bool,
}

/// The reasons that may be declared from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Reason {
    /// A person asks
    #[value(name = "user")]
    User,
    /// Automation asks
    #[value(name = "runner_stop")]
    RunnerStop,
}

impl From<Reason> for StopReason {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::User => Self::User,
            Reason::RunnerStop => Self::RunnerStop,
        }
    }
}

pub(super) fn execute(args: Args, cx: &Context) -> Result<Code, CliError> {
    let client = cx.client()?;
    let request = StopRequest {
        ids: args.ids,
        all: args.all,
        reason: args.reason.into(),
        note: args.note,
        grace_ms: if args.force { Some(0) } else { args.grace },
        force: args.force,
        no_wait: args.no_wait,
    };
    let goal = if args.no_wait {
        StopGoal::OnRecord
    } else {
        StopGoal::Gone
    };
    let Answered {
        results,
        failed,
        record,
    } = stop(&client, request)?;
    match cx.format {
        Format::Json => out::json(&json::stopped(&results, goal, record)?)?,
        Format::Text if results.is_empty() && failed.is_empty() => {
            out::say("agentctl: nothing to stop");
        }
        Format::Text => {
            let lines = results.iter().map(|result| service::stopped(result, goal));
            out::text(&lines.collect::<String>())?;
            for result in results.iter().filter(|result| may_go_on(result)) {
                follower::tell_of(&client, result.id.as_str());
            }
            for result in results.iter().filter(|result| was_gone(result)) {
                namesake::tell(&client, &result.id, "stop-session");
            }
        }
    }
    match record {
        OnDisk::Yes => {}
        OnDisk::NotYet => out::say(
            "agentctl: done from memory: the ledger could not be written, and it is recorded when \
             it can be",
        ),
    }
    let code = exit_code(&results, &failed, goal);
    for (_, error) in failed {
        let error = CliError::Refused(error);
        out::say(
            match cx.format {
                Format::Json => error.json(&[]),
                Format::Text => error.text(),
            }
            .trim_end(),
        );
    }
    Ok(code)
}

/// It had ended before, and another task may go on for it.
fn may_go_on(result: &StopResult) -> bool {
    let missed = result.archive_reason == Some(ArchiveReason::SessionNotFound);
    missed && was_gone(result)
}

fn was_gone(result: &StopResult) -> bool {
    result.outcome == StopOutcome::AlreadyGone
}

/// What became of a stop.
struct Answered {
    results: Vec<StopResult>,
    failed: Vec<(String, ErrorBody)>,
    record: OnDisk,
}

/// A stop may be repeated over a lost connection only where it would mean the
/// same tasks again: names are made ids first, and `--all` is repeated for those that
/// lived before.
fn stop(client: &Client, mut request: StopRequest) -> Result<Answered, CliError> {
    let mut unknown = Vec::new();
    let mut ids = Vec::new();
    for name in std::mem::take(&mut request.ids) {
        match naming::pin_one(client, &name) {
            Ok(id) => ids.push(id),
            // All are tried, whatever is wrong with one.
            Err(CliError::Refused(refusal)) => unknown.push((name, refusal)),
            Err(error) => return Err(error),
        }
    }
    if ids.is_empty() && !request.all {
        return Ok(Answered {
            results: Vec::new(),
            failed: unknown,
            record: OnDisk::Yes,
        });
    }
    if request.all {
        ids.extend(live(client)?);
    }
    let hint = format!("agentctl wait {}", ids.join(" "));
    let again = Request::Stop(StopRequest {
        ids: ids.clone(),
        all: false,
        ..request.clone()
    });
    let nobody = ids.is_empty();
    request.ids = if request.all { Vec::new() } else { ids };
    let mut next = Request::Stop(request);
    let mut answered = persist(Start::MustBeThere, hint.trim_end(), || {
        let answer = client.try_ask(&next).map_err(|trouble| match trouble {
            Trouble::Lost(_) if nobody => Trouble::Fatal(unanswered(trouble)),
            Trouble::Lost(_) | Trouble::Absent { .. } | Trouble::Fatal(_) => trouble,
        });
        next = again.clone();
        let answer = answer?;
        let record = if matches!(answer, Response::StoppedFromMemory { .. }) {
            OnDisk::NotYet
        } else {
            OnDisk::Yes
        };
        let (Response::Stopped { results, failed }
        | Response::StoppedFromMemory { results, failed }) = answer
        else {
            return Err(Trouble::Fatal(CliError::wrong_answer()));
        };
        Ok(Answered {
            results,
            failed,
            record,
        })
    })?;
    unknown.append(&mut answered.failed);
    answered.failed = unknown;
    Ok(answered)
}

/// The ids of all live and queued tasks.
fn live(client: &Client) -> Result<Vec<String>, CliError> {
    let Response::Tasks(tasks) = client.ask(&Request::List(ListFilter::default()))? else {
        return Err(CliError::wrong_answer());
    };
    Ok(tasks.iter().map(|task| task.id.to_string()).collect())
}

fn unanswered(lost: Trouble) -> CliError {
    CliError::Unreachable {
        message: format!("{}: the stop may have been taken", CliError::from(lost)),
        hint: Some("`agentctl list` shows what is still alive".into()),
    }
}

/// 8 if any is alive that should not be, else 3 if any is unknown, else what else went wrong.
fn exit_code(results: &[StopResult], failed: &[(String, ErrorBody)], goal: StopGoal) -> Code {
    let lives = |result: &StopResult| {
        result.outcome == StopOutcome::StillAlive && !is_pending(result, goal)
    };
    if results.iter().any(lives) {
        return Code::NOT_GONE;
    }
    if failed
        .iter()
        .any(|(_, error)| error.code == ErrorCode::NotFound)
    {
        return Code::NOT_FOUND;
    }
    Code::first_bad(failed.iter().map(|(_, error)| Code::of_error(error.code)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::{Status, TaskId};

    fn result(outcome: StopOutcome) -> StopResult {
        StopResult {
            id: TaskId::new("t").expect("a valid id"),
            outcome,
            status: Status::Cancelled,
            archive_reason: None,
            survivors: vec![],
        }
    }

    fn failure(code: ErrorCode) -> (String, ErrorBody) {
        ("x".into(), ErrorBody::new(code, "no"))
    }

    #[test]
    fn alive_beats_unknown_beats_the_rest() {
        let alive = || result(StopOutcome::StillAlive);
        let gone = || result(StopOutcome::AlreadyGone);
        let (unknown, ambiguous) = (ErrorCode::NotFound, ErrorCode::Ambiguous);
        let code = |results: &[StopResult], failed: &[ErrorCode]| {
            let failed: Vec<_> = failed.iter().map(|code| failure(*code)).collect();
            exit_code(results, &failed, StopGoal::Gone)
        };
        assert_eq!(code(&[gone(), alive()], &[unknown]), Code::NOT_GONE);
        assert_eq!(code(&[gone()], &[ambiguous, unknown]), Code::NOT_FOUND);
        assert_eq!(code(&[gone()], &[ambiguous]), Code(4));
        assert_eq!(code(&[gone(), result(StopOutcome::Stopped)], &[]), Code::OK);
    }
}
