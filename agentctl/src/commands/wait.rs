//! `wait ID…`: until terminal; the exit code is the verdict.

use std::time::{Duration, Instant};

use protocol::control::{ErrorBody, ErrorCode, Request, Response, WaitRequest};
use protocol::view::TaskView;
use serde_json::json;

use super::{Context, follower, namesake, naming};
use crate::client::{Client, Start, Trouble, persist};
use crate::errors::CliError;
use crate::exit_code::Code;
use crate::render::json;
use crate::render::out::{self, Format};
use crate::values;

/// Options of `wait`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Task ids or their prefixes, session ids, keys, or names
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
    /// Give up after this time with exit code 8
    #[arg(long, value_name = "DUR", value_parser = values::duration_ms)]
    timeout: Option<u64>,
}

pub(super) fn execute(args: &Args, cx: &Context) -> Result<Code, CliError> {
    let client = cx.client()?;
    let (began, began_at) = (Instant::now(), sys::clock::now());
    let ids = naming::pin(&client, &args.ids)?;
    let deadline = args.timeout.map(|ms| began + Duration::from_millis(ms));
    let tasks = until_ended(&client, &ids, deadline, Start::MustBeThere)?;
    match cx.format {
        Format::Json => out::json(&json!({ "tasks": json::value(&tasks)? }))?,
        Format::Text => {
            out::text(&tasks.iter().map(line).collect::<String>())?;
            for task in &tasks {
                follower::tell(&client, task);
                // Who waited for it to end meant it.
                if task.finished_at.is_some_and(|at| at < began_at) {
                    namesake::tell(&client, &task.id, "wait");
                }
            }
        }
    }
    Ok(Code::first_bad(
        tasks.iter().map(|task| Code::of_verdict(task.status)),
    ))
}

/// The tasks, ended, in the order of `ids`; over reconnects.
///
/// # Errors
/// Exit code 8 at the deadline, 5 when the supervisor stays away.
pub(super) fn until_ended(
    client: &Client,
    ids: &[String],
    deadline: Option<Instant>,
    start: Start,
) -> Result<Vec<TaskView>, CliError> {
    let hint = format!("agentctl wait {}", ids.join(" "));
    let mut asked = false;
    persist(start, &hint, || {
        let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        if asked && left == Some(Duration::ZERO) {
            return Err(timed_out(&hint).into());
        }
        asked = true;
        let timeout_ms = left.map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX));
        let request = WaitRequest {
            ids: ids.to_vec(),
            timeout_ms,
        };
        let Response::Tasks(tasks) = client.try_ask(&Request::Wait(request))? else {
            return Err(Trouble::Fatal(CliError::wrong_answer()));
        };
        Ok(tasks)
    })
}

fn timed_out(again: &str) -> CliError {
    let over = ErrorBody::new(ErrorCode::Timeout, "the time to wait is over");
    CliError::Refused(over.with_hint(format!("nothing was stopped; `{again}` waits again")))
}

/// `id status reason`: one line to cut.
fn line(task: &TaskView) -> String {
    let reason = task.archive_reason.map_or("-", |reason| reason.as_str());
    format!("{} {} {reason}\n", task.id, task.status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::task::tests::ended_task;

    #[test]
    fn a_verdict_is_three_words() {
        assert_eq!(
            line(&ended_task()),
            "019a3f2c-4d5e-7000-8000-000000000001 cancelled user\n"
        );
    }
}
