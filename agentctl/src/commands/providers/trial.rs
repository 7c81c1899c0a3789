//! `providers check FILE --try`: one run by the file, under a supervisor of its
//! own in a folder that is removed afterwards. The user's own supervisor and
//! ledger see nothing of it.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use protocol::control::{
    EventsRequest, ProvidersRequest, Request, Response, StopRequest, WaitRequest,
};
use protocol::places::{PlaceFlags, TRIAL_PREFIX};
use protocol::view::{EventView, GAP_EVENT, ProgressView, TaskView};
use protocol::{ArchiveReason, StopReason};
use serde_json::json;
use uuid::Uuid;

use super::super::{Context, run};
use crate::client::{Client, Connection, Trouble, accept};
use crate::errors::CliError;
use crate::exit_code::Code;
use crate::render::out::{self, Format};
use crate::render::text::{clean, fit};
use crate::render::{json, task};
use crate::start;
use crate::values;

/// Nothing is to be done, and the answer is short.
const PROMPT: &str = "Reply with the one word: ready. Use no tools and change no files.";
/// A model may think for a while, and a CLI may try a dead API again and again.
const LIMIT_MS: u64 = 120_000;
/// Most time that its supervisor may take to leave.
const LEAVE_LIMIT: Duration = Duration::from_secs(10);
/// Between two looks whether it has left.
const LEAVE_PAUSE: Duration = Duration::from_millis(2);
/// Nothing outlives a trial.
const CONFIG: &str = "[shutdown]\non_restart = \"drain\"\non_stop = \"drain\"\n\
                      drain_ms = 0\ngrace_ms = 0\n";
/// Columns of a text that are shown.
const SHOWN: usize = 160;

/// Options of a trial.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// With --try: the prompt [default: one that asks for a single word]
    #[arg(long, value_name = "TEXT", requires = "attempt")]
    prompt: Option<String>,
    /// With --try: one more argument for the provider's program
    #[arg(
        long,
        value_name = "ARG",
        allow_hyphen_values = true,
        requires = "attempt"
    )]
    provider_arg: Vec<String>,
    /// With --try: end it after this time [default: 2m]
    #[arg(long, value_name = "DUR", value_parser = values::limit_ms, requires = "attempt")]
    timeout: Option<u64>,
    /// With --try: the command of a provider that runs any; for others more arguments
    #[arg(last = true, value_name = "ARGV", requires = "attempt")]
    argv: Vec<String>,
}

impl Args {
    /// The words of `run`. A provider may take no prompt: then the one that nobody asked
    /// for is left out.
    fn words(&self, provider: String) -> Vec<String> {
        let mut words = vec!["run".to_owned(), "--provider".to_owned(), provider];
        let prompt = self.prompt.as_deref().unwrap_or(PROMPT);
        words.push(format!("--prompt={prompt}"));
        if self.prompt.is_none() {
            words.push("--prompt-if-taken".to_owned());
        }
        words.push(format!("--timeout={}ms", self.timeout.unwrap_or(LIMIT_MS)));
        let arguments = self.provider_arg.iter();
        words.extend(arguments.map(|argument| format!("--provider-arg={argument}")));
        words.push("--".to_owned());
        words.extend(self.argv.iter().cloned());
        words
    }
}

pub(super) fn execute(file: &str, args: &Args, cx: &Context) -> Result<Code, CliError> {
    let text = super::text_of(file)?;
    // Before the folder, so that no signal leaves it behind.
    let signals = run::Signals::take()?;
    let apart =
        Apart::make(&text).map_err(|error| CliError::io("make a folder to try it", error))?;
    let client = Arc::new(Client::new(&apart.places())?);
    let attempt = run::Attempt::new(&client, signals)?;
    let _ends_with_it = Supervisor(start::start_apart(&client)?);
    let problems = super::problems_in(client.ask(&super::check_request(file, &text))?)?;
    if !problems.is_empty() {
        return super::tell(file, &problems, cx.format);
    }
    let name = name_of(&client, &apart)?;
    // From before the start: a short run says what it does once.
    let mut events = client.open(&all_events())?;
    let started = attempt.start(&args.words(name))?;
    let watched = watch(&client, &mut events, &started);
    if watched.is_err() {
        // Whatever it is, an agent must not outlive its trial.
        let _best_effort = client.ask(&stop_of(&started));
    }
    let (ended, progress) = watched?;
    if ended.archive_reason == Some(ArchiveReason::SpawnFailed) {
        run::tell_spawn_failure(&client, &ended);
    }
    match cx.format {
        Format::Json => out::json(&json!({
            "file": file,
            "problems": [],
            "try": {"task": json::value(&ended)?, "progress": json::value(&progress)?},
        }))?,
        Format::Text => out::text(&report(file, &ended, progress.as_ref()))?,
    }
    Ok(Code::of_verdict(ended.status))
}

/// The name under which the file is known to the supervisor of the trial.
fn name_of(client: &Client, apart: &Apart) -> Result<String, CliError> {
    let list = Request::Providers(ProvidersRequest::List);
    let Response::Providers(providers) = client.ask(&list)? else {
        return Err(CliError::wrong_answer());
    };
    let source = apart.file().display().to_string();
    let ours = providers.into_iter().find(|view| view.source == source);
    ours.map(|view| view.name.to_string())
        .ok_or_else(CliError::wrong_answer)
}

fn stop_of(task: &TaskView) -> Request {
    Request::Stop(StopRequest {
        ids: vec![task.id.to_string()],
        all: false,
        reason: StopReason::User,
        note: None,
        grace_ms: Some(0),
        force: true,
        no_wait: false,
    })
}

/// Of its supervisor, which has one task.
fn all_events() -> Request {
    Request::Events(EventsRequest {
        from_seq: Some(1),
        task: None,
        follow: true,
        progress: true,
    })
}

/// The task when it has ended, and the last that it was seen to do.
fn watch(
    client: &Client,
    events: &mut Connection,
    task: &TaskView,
) -> Result<(TaskView, Option<ProgressView>), CliError> {
    let mut progress = None;
    loop {
        let answer = events.answer().map_err(Trouble::from)?;
        let Response::Event(event) = accept(answer)? else {
            return Err(CliError::wrong_answer());
        };
        let ours = event.task_id.as_ref() == Some(&task.id);
        match event.kind.as_str() {
            "task.progress" if ours => progress = said(&event).or(progress),
            "task.ended" if ours => break,
            // Some were missed; the end may be one of them.
            GAP_EVENT => break,
            _ => {}
        }
    }
    let wait = Request::Wait(WaitRequest {
        ids: vec![task.id.to_string()],
        timeout_ms: None,
    });
    let Response::Tasks(mut tasks) = client.ask(&wait)? else {
        return Err(CliError::wrong_answer());
    };
    let ended = tasks.pop().ok_or_else(CliError::wrong_answer)?;
    Ok((ended, progress))
}

fn said(event: &EventView) -> Option<ProgressView> {
    let payload: serde_json::Value = serde_json::from_str(&event.payload).ok()?;
    let text = payload.get("text")?.as_str()?.to_owned();
    Some(ProgressView { at: event.at, text })
}

fn report(file: &str, ended: &TaskView, progress: Option<&ProgressView>) -> String {
    let text = |text: &str| fit(&clean(text), SHOWN);
    let session = match &ended.session_id {
        Some(id) => id.to_string(),
        None => "none: its conversation could not be resumed".to_owned(),
    };
    let result = match &ended.result {
        Some(result) => {
            let word = if result.success { "success" } else { "failure" };
            format!(
                "{word}: {}",
                text(result.text.as_deref().unwrap_or("(no text)"))
            )
        }
        None => "none".to_owned(),
    };
    let usage = task::usage(ended);
    let turns = ended.turns.map(|turns| format!("{} ", task::turns(turns)));
    let usage = format!("{}{usage}", turns.unwrap_or_default());
    let progress = progress.map(|progress| text(&progress.text));
    let reason = ended.archive_label.as_deref().unwrap_or_default();
    let rows = [
        ("started", text(&ended.argv.join(" "))),
        ("session id", session),
        (
            "model",
            ended.model.as_deref().map_or("none".to_owned(), text),
        ),
        (
            "progress",
            progress.unwrap_or_else(|| "none seen".to_owned()),
        ),
        (
            "usage",
            if usage.is_empty() {
                "none".to_owned()
            } else {
                usage
            },
        ),
        ("result", result),
        ("ended", format!("{}: {reason}", ended.status)),
    ];
    let mut out = format!("{}: ok\n", clean(file));
    for (name, value) in rows {
        out.push_str(&format!("  {name:<12}{value}\n"));
    }
    out
}

/// A folder with the file in it, removed with this value.
struct Apart(PathBuf);

impl Apart {
    fn make(text: &str) -> io::Result<Self> {
        let dir = std::env::temp_dir().join(format!("{TRIAL_PREFIX}{}", Uuid::new_v4().simple()));
        DirBuilder::new().mode(0o700).create(&dir)?;
        let apart = Self(dir);
        fs::create_dir(apart.0.join("providers.d"))?;
        fs::write(apart.file(), text)?;
        // Not the user's own: it may open a port or keep agents at its end.
        fs::write(apart.0.join("config.toml"), CONFIG)?;
        Ok(apart)
    }

    fn file(&self) -> PathBuf {
        self.0.join("providers.d/trial.toml")
    }

    fn places(&self) -> PlaceFlags {
        let path = |name: &str| Some(self.0.join(name).display().to_string());
        PlaceFlags {
            state_dir: path("state"),
            runtime_dir: path("run"),
            config: path("config.toml"),
            providers_dir: path("providers.d"),
        }
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        match fs::remove_dir_all(&self.0) {
            Ok(()) => {}
            // Its supervisor did.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => out::say(&format!(
                "agentctl: cannot remove {}: {error}",
                show(&self.0)
            )),
        }
    }
}

fn show(path: &Path) -> String {
    clean(&path.display().to_string())
}

/// The supervisor of the trial; it leaves with this value, and ends what is left of
/// its task.
struct Supervisor(Child);

impl Drop for Supervisor {
    fn drop(&mut self) {
        // It leaves when this is closed.
        drop(self.0.stdin.take());
        let began = Instant::now();
        while began.elapsed() < LEAVE_LIMIT {
            match self.0.try_wait() {
                Ok(None) => thread::sleep(LEAVE_PAUSE),
                Ok(Some(_)) | Err(_) => return,
            }
        }
        let _ended_already = self.0.kill();
        let _status = self.0.wait();
    }
}
