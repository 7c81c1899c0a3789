//! `run`: dispatch a task, and stay with it unless told otherwise.

mod args;
mod attached;
mod interrupt;
mod request;

use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use protocol::control::{Again, AgainRequest, ErrorCode, Request, Response, RunOption, RunRequest};
use protocol::view::TaskView;
use protocol::{ArchiveReason, Phase, TaskId};

use interrupt::{Left, Target};

pub(crate) use args::Args;
pub(super) use interrupt::Signals;

use super::{Context, naming};
use crate::client::{Client, Connection, Start, Trouble, accept, persist};
use crate::errors::CliError;
use crate::exit_code::Code;
use crate::place::Kind;
use crate::render::out::{self, Format};
use crate::render::text::clean;
use crate::render::{json, time};
use crate::start::{self, Permission};

/// Options of `retry` and `reopen`: those of `run`, for what is to be otherwise.
#[derive(Debug, clap::Args)]
pub(crate) struct AgainArgs {
    /// The task that has ended: its id or a prefix, a session id, a key, or a name
    #[arg(value_name = "ID")]
    of: String,
    #[command(flatten)]
    run: Args,
}

/// What is dispatched.
#[derive(Debug)]
enum What {
    /// What the options say.
    New,
    /// A task that has ended, with what the options say otherwise.
    Again(String, Again),
}

impl What {
    fn message(self, run: RunRequest, options: Vec<RunOption>) -> Request {
        match self {
            // As every version understands it.
            Self::New if options.is_empty() => Request::Run(Box::new(run)),
            Self::New => Request::RunWith(Box::new(run), options),
            Self::Again(of, how) => Request::Again(Box::new(AgainRequest {
                of,
                how,
                run,
                options,
            })),
        }
    }
}

/// A dispatch that is about to be sent.
struct Asked {
    /// The task's.
    id: TaskId,
    /// The caller's own, which goes to a supervisor of the same user only.
    environment: Vec<(String, String)>,
    message: Request,
}

/// A task that the supervisor has taken.
#[derive(Debug)]
struct Dispatched {
    task: Box<TaskView>,
    warnings: Vec<String>,
    existing: bool,
}

pub(super) fn execute(args: Args, cx: &Context) -> Result<Code, CliError> {
    dispatch_and_follow(args, What::New, cx)
}

pub(super) fn again(args: AgainArgs, how: Again, cx: &Context) -> Result<Code, CliError> {
    let AgainArgs { of, run } = args;
    let id = match naming::pin_one(&cx.client()?, &of) {
        // Asked once more: the earlier task need not be there any longer.
        Err(CliError::Refused(body)) if body.code == ErrorCode::NotFound && run.id.is_some() => of,
        pinned => pinned?,
    };
    dispatch_and_follow(run, What::Again(id, how), cx)
}

/// Dispatches of another verb to a supervisor of its own, which ends with this
/// process. Signals stop the newest.
pub(super) struct Attempt {
    client: Arc<Client>,
    target: Target,
}

impl Attempt {
    /// # Errors
    /// There is no id for a task.
    pub(super) fn new(client: &Arc<Client>, signals: Signals) -> Result<Self, CliError> {
        let none_yet = request::new_id()?;
        Ok(Self {
            target: signals.watch(Arc::clone(client), none_yet, Left::Ended),
            client: Arc::clone(client),
        })
    }

    /// Dispatches what these words of a command line say, and gives the task.
    ///
    /// # Errors
    /// Refused, or unreachable.
    pub(super) fn start(&self, words: &[String]) -> Result<Box<TaskView>, CliError> {
        let wrong = |error: clap::Error| CliError::usage(error.to_string());
        let args = Line::try_parse_from(words).map_err(wrong)?.args;
        let options = args.options();
        let mut request = request::build(args)?;
        // Before the dispatch, so that Ctrl-C can never miss the task.
        self.target.is(&request.id);
        let asked = Asked {
            id: request.id.clone(),
            environment: std::mem::take(&mut request.client_env),
            message: What::New.message(request, options),
        };
        let task = dispatch(&self.client, asked, Permission::Refuse)?.task;
        self.target.is(&task.id);
        Ok(task)
    }
}

/// `run` as it is put together by another verb.
#[derive(clap::Parser)]
#[command(name = "run")]
struct Line {
    #[command(flatten)]
    args: Args,
}

fn dispatch_and_follow(args: Args, kind: What, cx: &Context) -> Result<Code, CliError> {
    let (detach, permission) = (args.detach, args.permission());
    let own_folder = args.cwd.is_none();
    let options = args.options();
    let mut request = request::build(args)?;
    if own_folder && matches!(kind, What::Again(..)) {
        // Where it was before.
        request.cwd.clear();
    }
    let client = cx.client()?;
    let asked = Asked {
        id: request.id.clone(),
        environment: std::mem::take(&mut request.client_env),
        message: kind.message(request, options),
    };
    if detach {
        let dispatched = dispatch(&client, asked, permission)?;
        detached(&client, &dispatched, cx.format)
    } else {
        attached::run(client, asked, permission, cx.format)
    }
}

fn detached(client: &Client, dispatched: &Dispatched, format: Format) -> Result<Code, CliError> {
    let task = &dispatched.task;
    warn(dispatched);
    let told = match format {
        Format::Json => json::value(task).and_then(|task| out::json(&task)),
        Format::Text => out::text(&format!("{}\n", task.id)),
    };
    if told.is_err() {
        out::say(&format!(
            "agentctl: its id could not be printed; the task goes on: {}",
            hint(&task.id)
        ));
    }
    told?;
    if task.archive_reason == Some(ArchiveReason::SpawnFailed) {
        if format == Format::Text {
            tell_spawn_failure(client, task);
        }
        return Ok(Code::of_verdict(task.status));
    }
    Ok(Code::OK)
}

/// Sends the request until it is answered: the id is ours, so that it can be
/// sent again without starting a second task.
fn dispatch(client: &Client, asked: Asked, permission: Permission) -> Result<Dispatched, CliError> {
    let Asked {
        id,
        mut environment,
        mut message,
    } = asked;
    // Not `agentctl wait`: nobody has said yet that there is such a task.
    let hint = format!("ask again with --id {id}: it never starts a second task");
    let mut attempts = 0_u32;
    let mut send = || {
        let stream = client.connect()?;
        // The system's service uses its own environment; ours stays here.
        if client
            .place()
            .is_none_or(|place| place.kind != Kind::System)
            && let Some(request) = message.dispatch_mut()
            && request.client_env.is_empty()
        {
            request.client_env = std::mem::take(&mut environment);
        }
        attempts += 1;
        let mut connection = Connection::open(stream, &message)?;
        let answer = accept(connection.answer()?)?;
        let Response::Task {
            task,
            existing,
            warnings,
        } = answer
        else {
            return Err(Trouble::Fatal(CliError::wrong_answer()));
        };
        // What follows of an attached run goes on there.
        client.keep(connection);
        Ok(Dispatched {
            task,
            warnings,
            existing: existing && attempts == 1,
        })
    };
    match send() {
        Ok(dispatched) => return Ok(dispatched),
        Err(Trouble::Fatal(error)) => return Err(error),
        Err(Trouble::Lost(_)) => {}
        Err(Trouble::Absent { .. }) => start::start(client, permission)?,
    }
    let mut starter = Starter::new(permission);
    persist(Start::WasThere, &hint, || {
        let sent = send();
        match sent {
            Err(Trouble::Absent { .. }) => starter.absent(client).and(sent),
            Ok(_) | Err(Trouble::Fatal(_) | Trouble::Lost(_)) => sent,
        }
    })
}

/// How long a supervisor that vanished in a dispatch may take to come back by
/// itself, before another one is started.
const COMES_BACK: Duration = Duration::from_secs(5);

/// Starts a supervisor in the place of one that does not come back, once.
struct Starter {
    permission: Permission,
    absent_since: Option<Instant>,
}

impl Starter {
    const fn new(permission: Permission) -> Self {
        Self {
            permission,
            absent_since: None,
        }
    }

    /// Nobody was there.
    fn absent(&mut self, client: &Client) -> Result<(), Trouble> {
        let since = *self.absent_since.get_or_insert_with(Instant::now);
        if self.permission == Permission::Refuse || since.elapsed() < COMES_BACK {
            return Ok(());
        }
        self.permission = Permission::Refuse;
        start::start(client, Permission::Start).map_err(Trouble::Fatal)
    }
}

/// What to do when contact is lost.
fn hint(id: &TaskId) -> String {
    format!("agentctl wait {id}")
}

fn warn(dispatched: &Dispatched) {
    // Of a task that waits it is told where, which is no warning.
    let word = match dispatched.task.phase {
        Phase::Queued => "",
        Phase::Starting | Phase::Running | Phase::Stopping | Phase::Ended => "warning: ",
    };
    for warning in &dispatched.warnings {
        out::say(&format!("agentctl: {word}{}", clean(warning)));
    }
    if dispatched.existing {
        let id = &dispatched.task.id;
        out::say(&format!(
            "agentctl: task {id} was there already; nothing new was started"
        ));
    }
}

/// What was missing, in the supervisor's words.
/// What could not be started, and why.
/// The steps of a story that say why there is no agent; others tell who it was for.
const CAUSES: [&str; 3] = ["could not start", "never started", "not started"];

pub(super) fn tell_spawn_failure(client: &Client, task: &TaskView) {
    let label = task.archive_label.as_deref().unwrap_or("Could not start");
    let mut told = false;
    let id = task.id.to_string();
    if let Ok(Response::Why { chain, .. }) = client.ask(&Request::Why { id }) {
        let causes = chain
            .iter()
            .filter(|link| CAUSES.contains(&link.what.as_str()));
        for cause in causes {
            out::say(&format!(
                "agentctl: {}: {}",
                clean(label),
                clean(&cause.detail)
            ));
            told = true;
        }
    }
    if !told {
        out::say(&format!(
            "agentctl: {} (`agentctl why {}`)",
            clean(label),
            task.id
        ));
    }
}

/// The environment variable that forbids to start a supervisor.
const NO_START_VAR: &str = "AGENTCTL_NO_START";

impl Args {
    fn permission(&self) -> Permission {
        let refused = std::env::var_os(NO_START_VAR).is_some_and(|value| value == "1");
        if self.no_start || refused {
            Permission::Refuse
        } else {
            Permission::Start
        }
    }
}

/// A moment without its fraction, for lines on a terminal.
fn clock() -> String {
    let clock = time::clock(time::now());
    clock
        .split_once('.')
        .map_or(clock.clone(), |(seconds, _)| seconds.to_owned())
}
