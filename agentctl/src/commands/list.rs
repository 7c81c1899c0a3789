//! `list`: live and queued tasks; `-a` all.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use protocol::control::{EventsRequest, ListFilter, Request, Response};
use protocol::view::TaskView;
use protocol::{ArchiveReason, Status, Timestamp};
use serde_json::json;

use super::Context;
use crate::client::{Client, Start, Trouble, persist};
use crate::errors::CliError;
use crate::exit_code::Code;
use crate::follow::{EventFollower, position};
use crate::render::out::{self, Format};
use crate::render::task::Screen;
use crate::render::{json, task, time};
use crate::values::{self, ReasonWord, StatusWord};

/// A watched list shows running times that grow by themselves.
const TICK: Duration = Duration::from_secs(1);

/// A burst of events is drawn at most so often.
const REDRAW: Duration = Duration::from_millis(100);

/// What follows `agentctl list --watch` when the supervisor stays away.
const HINT: &str = "agentctl list --watch";

/// Options of `list`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Ended tasks as well
    #[arg(short, long)]
    all: bool,
    /// Only these; ended ones too if asked for
    #[arg(long, value_parser = StatusWord, value_delimiter = ',')]
    status: Vec<Status>,
    /// Only tasks that ended for these reasons
    #[arg(long, value_parser = ReasonWord, value_delimiter = ',')]
    reason: Vec<ArchiveReason>,
    /// Only tasks of this provider
    #[arg(long)]
    provider: Option<String>,
    /// Only tasks of this key
    #[arg(long)]
    key: Option<String>,
    /// Only tasks started since: 10m (ago), or 2026-11-20T11:26:42Z
    #[arg(long, value_name = "WHEN", value_parser = values::since)]
    since: Option<Timestamp>,
    /// At most N, newest first
    #[arg(short = 'n', long, value_name = "N", value_parser = values::whole_number::<u32>)]
    limit: Option<u32>,
    /// Draw again whenever something changes
    #[arg(long)]
    watch: bool,
    /// Ids only
    #[arg(short, long)]
    quiet: bool,
}

impl Args {
    fn filter(&self) -> ListFilter {
        // Who asks for ended tasks by status or reason means them.
        let ended =
            !self.reason.is_empty() || self.status.iter().any(|status| status.is_terminal());
        ListFilter {
            all: self.all || ended,
            status: self.status.clone(),
            reason: self.reason.clone(),
            provider: self.provider.clone(),
            key: self.key.clone(),
            since: self.since,
            limit: self.limit,
        }
    }
}

pub(super) fn execute(args: &Args, cx: &Context) -> Result<Code, CliError> {
    let request = Request::List(args.filter());
    if args.watch {
        return watch(args, &request, cx);
    }
    let Response::Tasks(tasks) = cx.client()?.ask_or_read(&request)? else {
        return Err(CliError::wrong_answer());
    };
    if tasks.is_empty() && cx.format == Format::Text && !args.quiet {
        out::say(match args.filter().all {
            true => "agentctl: no such tasks",
            false => "agentctl: no live tasks (`agentctl list -a` shows all)",
        });
        return Ok(Code::OK);
    }
    out::text(&rendered(args, &tasks, cx.format)?)?;
    Ok(Code::OK)
}

fn rendered(args: &Args, tasks: &[TaskView], format: Format) -> Result<String, CliError> {
    Ok(match format {
        Format::Json => format!("{}\n", json!({ "tasks": json::value(&tasks)? })),
        Format::Text if args.quiet => tasks.iter().map(|task| format!("{}\n", task.id)).collect(),
        Format::Text => task::list(tasks, time::now(), Screen::stdout()),
    })
}

/// Draws the list, and again after every event; running times grow in between.
fn watch(args: &Args, request: &Request, cx: &Context) -> Result<Code, CliError> {
    let client = Arc::new(cx.client()?);
    // The position first: what happens after it is drawn, if only once more.
    let from = position(&client)?;
    let mut tasks = fetch(&client, request, Start::MustBeThere)?;
    let (sender, changes) = mpsc::channel();
    let follower = Arc::clone(&client);
    thread::spawn(move || report_changes(&follower, from, &sender));
    let on_terminal = Screen::stdout().width.is_some() && cx.format == Format::Text;
    let mut drawn = String::new();
    loop {
        let text = rendered(args, &tasks, cx.format)?;
        if text != drawn {
            draw(&text, on_terminal)?;
            drawn = text;
        }
        let change = match on_terminal {
            true => changes.recv_timeout(TICK),
            false => changes.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match change {
            Ok(Ok(())) => {
                thread::sleep(REDRAW);
                while let Ok(Ok(())) = changes.try_recv() {}
                tasks = fetch(&client, request, Start::WasThere)?;
            }
            Ok(Err(error)) => return Err(error),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(Code::OK),
        }
    }
}

fn draw(text: &str, on_terminal: bool) -> Result<(), CliError> {
    /// Cursor to the corner, and away with what was below it.
    const HOME_AND_CLEAR: &str = "\u{1b}[H\u{1b}[2J";
    match on_terminal {
        true => out::text(&format!("{HOME_AND_CLEAR}{text}")),
        false => out::text(text),
    }
}

fn fetch(client: &Client, request: &Request, start: Start) -> Result<Vec<TaskView>, CliError> {
    persist(start, HINT, || {
        let Response::Tasks(tasks) = client.try_ask(request)? else {
            return Err(Trouble::Fatal(CliError::wrong_answer()));
        };
        Ok(tasks)
    })
}

fn report_changes(client: &Client, from: u64, changes: &Sender<Result<(), CliError>>) {
    let request = EventsRequest {
        from_seq: Some(from),
        task: None,
        follow: true,
        progress: true,
    };
    let ended = EventFollower::new(request).run(client, Start::WasThere, HINT, |_| {
        changes.send(Ok(())).map_err(|_| CliError::StdoutClosed)
    });
    // Nobody hears it once the list itself has ended.
    let _unheard = changes.send(ended);
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn args(line: &[&str]) -> Args {
        Line::try_parse_from(std::iter::once(&"list").chain(line))
            .expect("valid")
            .args
    }

    #[test]
    fn every_flag_is_in_the_filter() {
        let line = "-a --status running,failure --reason user --provider claude --key k \
            --since 1970-01-01T00:00:01Z -n 5";
        let filter = args(&line.split_whitespace().collect::<Vec<_>>()).filter();
        let expected = ListFilter {
            all: true,
            status: vec![Status::Running, Status::Failure],
            reason: vec![ArchiveReason::User],
            provider: Some("claude".into()),
            key: Some("k".into()),
            since: Some(Timestamp(1000)),
            limit: Some(5),
        };
        assert_eq!(filter, expected);
    }

    #[test]
    fn asking_for_ended_tasks_implies_all() {
        assert!(args(&["--status", "success"]).filter().all);
        assert!(args(&["--reason", "oom_killed"]).filter().all);
        assert!(!args(&["--status", "running"]).filter().all);
        assert_eq!(args(&[]).filter(), ListFilter::default());
    }

    #[test]
    fn an_unknown_word_lists_the_known_ones() {
        let error = Line::try_parse_from(["list", "--status", "dead"]).expect_err("unknown");
        assert!(error.to_string().contains("aborted_no_skill"), "{error}");
    }
}
