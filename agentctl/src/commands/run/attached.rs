//! An attached run: the task's output or progress as it comes, its verdict at
//! the end.
//!
//! One thing after the other, on the connection of the dispatch: what it prints,
//! then the verdict. Only the other stream of an `exec` task has a thread and a
//! connection beside that.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use protocol::control::{EventsRequest, LogChunk};
use protocol::view::TaskView;
use protocol::vocab::Stream;
use protocol::{ArchiveReason, Status, TaskId};

use super::interrupt::{Left, Signals};
use super::{Asked, Dispatched, clock, dispatch, hint, tell_spawn_failure, warn};
use crate::client::{Client, Start};
use crate::commands::{follower, wait};
use crate::errors::CliError;
use crate::exit_code::Code;
use crate::follow::{EventFollower, LogFollower};
use crate::render::out::{self, Format};
use crate::render::style::{Colour, Ink, stderr_width};
use crate::render::text::{Stripper, clean_lines};
use crate::render::{event, json, task, time};
use crate::start::Permission;

/// The provider whose output is its own words.
const EXEC: &str = "exec";

/// Dispatches, follows, and gives the verdict.
///
/// # Errors
/// Refused, or unreachable for too long.
pub(super) fn run(
    client: Client,
    asked: Asked,
    permission: Permission,
    format: Format,
) -> Result<Code, CliError> {
    let client = Arc::new(client);
    let id = asked.id.clone();
    // Before the dispatch, so that Ctrl-C can never miss the task.
    let target = Signals::take()?.watch(Arc::clone(&client), id, Left::Alone);
    let mut dispatched = dispatch(&client, asked, permission)?;
    target.is(&dispatched.task.id);
    warn(&dispatched);
    if dispatched.task.archive_reason == Some(ArchiveReason::SpawnFailed) {
        return conclude(&client, &dispatched.task, format);
    }
    loop {
        let Some(ended) = follow(&client, &dispatched.task, format)? else {
            return Ok(Code::OK);
        };
        let Some(next) = follower::of(&client, &ended) else {
            return conclude(&client, &ended, format);
        };
        out::say(&format!(
            "agentctl: the session of task {} was not found; task {} goes on in a fresh one",
            ended.id, next.id
        ));
        target.is(&next.id);
        dispatched = Dispatched {
            task: next,
            warnings: Vec::new(),
            existing: false,
        };
    }
}

/// The task when it has ended and everything was shown; `None` if nobody
/// reads our output any more.
fn follow(
    client: &Arc<Client>,
    task: &TaskView,
    format: Format,
) -> Result<Option<Box<TaskView>>, CliError> {
    match (format, task.provider.as_str() == EXEC) {
        (Format::Json, _) => {}
        (Format::Text, true) => {
            announce(task, io::stderr().is_terminal());
            let stderr = beside(client, &task.id);
            match heed(show_log(client, &task.id, Stream::Stdout)) {
                Err(CliError::StdoutClosed) => {
                    out::say(&format!(
                        "agentctl: stdout was closed; the task goes on: {}",
                        hint(&task.id)
                    ));
                    return Ok(None);
                }
                shown => shown?,
            }
            heed(stderr.join().unwrap_or(Ok(())))?;
        }
        (Format::Text, false) => {
            announce(task, true);
            heed(show_progress(client, task))?;
        }
    }
    let tasks = wait::until_ended(client, &[task.id.to_string()], None, Start::WasThere)?;
    match tasks.into_iter().next() {
        Some(task) => Ok(Some(Box::new(task))),
        None => Err(CliError::wrong_answer()),
    }
}

/// Output that cannot be shown is worth a warning: the verdict counts. Not where
/// it cannot be had either, or nobody reads on.
fn heed(shown: Result<(), CliError>) -> Result<(), CliError> {
    match shown {
        Err(error @ (CliError::StdoutClosed | CliError::Unreachable { .. })) => Err(error),
        Err(error) => {
            out::say(&format!("agentctl: warning: {}", error.message()));
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// The other stream, on a connection of its own.
fn beside(client: &Arc<Client>, id: &TaskId) -> JoinHandle<Result<(), CliError>> {
    let (client, id) = (Arc::clone(client), id.clone());
    thread::spawn(move || show_log(&client, &id, Stream::Stderr))
}

fn show_log(client: &Client, id: &TaskId, stream: Stream) -> Result<(), CliError> {
    let mut sink = Sink::of(stream);
    let mut follower = LogFollower::whole(id, stream);
    follower.run(client, Start::WasThere, &hint(id), |chunk| {
        sink.chunk(chunk)
    })?;
    sink.end()
}

fn show_progress(client: &Client, task: &TaskView) -> Result<(), CliError> {
    let (id, width, colour) = (&task.id, stderr_width(), Colour::stderr());
    // One that did not wait has told it in its answer.
    let waited = task.queued_at.is_some();
    let request = EventsRequest {
        from_seq: Some(1),
        task: Some(id.to_string()),
        follow: true,
        progress: true,
    };
    EventFollower::new(request).run(client, Start::WasThere, &hint(id), |event| {
        if waited && let Some(warning) = event::passed_over(event) {
            out::say(&format!("agentctl: {warning}"));
        }
        if let Some(line) = event::progress(event, width, colour) {
            out::say(&line);
        }
        Ok(())
    })
}

/// Where the output of an `exec` task goes: bytes as they are, but for a
/// terminal, which is not to be steered by them.
struct Sink {
    stream: Stream,
    stripper: Option<Stripper>,
}

impl Sink {
    fn of(stream: Stream) -> Self {
        let terminal = match stream {
            Stream::Stdout => io::stdout().is_terminal(),
            Stream::Stderr => io::stderr().is_terminal(),
        };
        Self {
            stream,
            stripper: terminal.then(Stripper::new),
        }
    }

    fn chunk(&mut self, chunk: &LogChunk) -> Result<(), CliError> {
        match &mut self.stripper {
            Some(stripper) => {
                let text = stripper.strip(&chunk.bytes);
                self.write(text.as_bytes())
            }
            None => self.write(&chunk.bytes),
        }
    }

    fn end(&mut self) -> Result<(), CliError> {
        match &mut self.stripper {
            Some(stripper) => {
                let text = stripper.finish();
                self.write(text.as_bytes())
            }
            None => Ok(()),
        }
    }

    fn write(&self, bytes: &[u8]) -> Result<(), CliError> {
        match self.stream {
            Stream::Stdout => out::bytes(bytes),
            Stream::Stderr => {
                // Whoever closed stderr does not want to know.
                let _unheard = io::stderr().lock().write_all(bytes);
                Ok(())
            }
        }
    }
}

/// Which task it is, where people look.
fn announce(task: &TaskView, wanted: bool) {
    if !wanted {
        return;
    }
    let colour = Colour::stderr();
    let resumed = match &task.resumed {
        Some(session) => format!(", resumes session {session}"),
        None => String::new(),
    };
    let key = match task.key.as_str() == task.id.as_str() {
        true => String::new(),
        false => format!(", key {}", task.key),
    };
    let text = format!("task {} ({}{key}{resumed})", task.id, task.provider);
    out::say(&format!(
        "{} {}",
        colour.paint(Ink::Dim, &clock()),
        colour.paint(Ink::Bold, &text)
    ));
}

fn conclude(client: &Client, ended: &TaskView, format: Format) -> Result<Code, CliError> {
    let code = Code::of_verdict(ended.status);
    if format == Format::Json {
        out::json(&json::value(ended)?)?;
        return Ok(code);
    }
    if ended.archive_reason == Some(ArchiveReason::SpawnFailed) {
        tell_spawn_failure(client, ended);
        out::say(&format!("agentctl why {}", ended.id));
        return Ok(code);
    }
    let exec = ended.provider.as_str() == EXEC;
    // A command that did well has said all there is to say.
    if !(exec && ended.status == Status::Success) {
        out::say(&task::verdict(ended, time::now(), Colour::stderr()));
        if ended.status != Status::Success {
            out::say(&format!("agentctl why {}", ended.id));
        }
    }
    if let Some(text) = ended
        .result
        .as_ref()
        .and_then(|result| result.text.as_deref())
    {
        let text = match io::stdout().is_terminal() {
            true => clean_lines(text),
            false => text.to_owned(),
        };
        out::text(&format!("{}\n", text.trim_end_matches('\n')))?;
    }
    Ok(code)
}
