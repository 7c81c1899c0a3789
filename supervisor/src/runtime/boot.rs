//! From a command line to a running loop, and out again.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use lifecycle::{Event, EventBody};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::boot_error::BootError;
use super::clock;
use super::core_loop::{Core, LoopEnd};
use super::doors::{Doors, Ready};
use super::input::CoreInput;
use super::service::Service;
use super::signals::Signals;
use super::{background, damage, managed, offline, trial};
use crate::cli::{self, Cli, Command};
use crate::config::{Config, ConfigFile};
use crate::folder::Folders;
use crate::fswatch;
use crate::ledger::{self, Before, Ledger, OpenOptions};
use crate::places::{self, Held, Mode, Places};
use crate::provider::ProviderFiles;
use crate::shim::ShimProgram;
use crate::telemetry::{self, LogTarget};
use crate::text::in_words;

/// Inputs that wait for the loop. A sender that finds it full waits: a shim's
/// link is simply read later, since its journal holds what it has to say.
const INPUT_QUEUE: usize = 4096;

/// The log of a supervisor in the background, in the state folder.
const LOG_FILE: &str = "supervisor.log";

/// The folder of the task folders, in the state folder.
pub(super) const TASKS_DIR: &str = "tasks";

/// The whole program.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::from_arguments();
    if cli.background {
        // Whoever starts the first task may hold a lock or somebody's pipe.
        sys::descriptors::close_inherited();
    }
    let ran = match cli.command {
        Some(Command::Offline) => offline::run(&cli),
        Some(Command::Recover) => damage::recover(&cli),
        None => serve(&cli),
    };
    match ran {
        Ok(()) => ExitCode::from(cli::EXIT_OK),
        Err(error) => {
            let words = in_words(&error);
            if cli.background {
                background::report_failure(&words);
            } else {
                // A person or the journal reads this, whatever the log is set to.
                eprintln!("agent-supervisor: {words}");
            }
            ExitCode::from(error.exit_code())
        }
    }
}

/// The places and the configuration that a command line means.
pub(super) fn configured(cli: &Cli) -> Result<(Places, Mode, Config), BootError> {
    let (places, mode) = places::find(cli.place_flags(), cli.owner())?;
    let file = PathBuf::from(&places.config_file);
    let file = match places.config_origin {
        protocol::places::Origin::Named => ConfigFile::Named(file),
        protocol::places::Origin::Default => ConfigFile::Usual(file),
    };
    let config = Config::load(&file)?;
    Ok((places, mode, config))
}

fn serve(cli: &Cli) -> Result<(), BootError> {
    if cli.background {
        background::detach().map_err(BootError::system("leave the caller's session"))?;
    }
    let (places, mode, config) = configured(cli)?;
    let state_dir = PathBuf::from(&places.state_dir);
    let held = Held::take(places)?;
    let log_file = state_dir.join(LOG_FILE);
    let readiness = if cli.background {
        // All places are absolute: the caller's file system need not stay for us.
        std::env::set_current_dir("/").map_err(BootError::system("enter /"))?;
        telemetry::init(&LogTarget::File(log_file.clone()))?;
        Readiness::ToldTo(log_file)
    } else {
        telemetry::init(&LogTarget::Stderr)?;
        Readiness::Unasked
    };
    let nofile_soft = raise_file_limit();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(BootError::system("start the runtime"))?;
    let start = Start {
        held,
        mode,
        config,
        nofile_soft,
        readiness,
        trial: cli.trial,
    };
    let served = runtime.block_on(start.serve());
    // A sweep may wait for a process to end: the next supervisor sweeps again.
    runtime.shutdown_background();
    if cli.trial {
        trial::remove_folder(&state_dir);
    }
    served
}

/// Every shim costs descriptors: the soft limit becomes the hard one. Agents
/// get the old one back.
fn raise_file_limit() -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return 1024;
    };
    if let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        tracing::warn!(%error, soft, "the limit of open files could not be raised");
    }
    soft
}

/// Does a caller wait to hear that it serves?
enum Readiness {
    /// It is told, and the log is this file from then on.
    ToldTo(PathBuf),
    /// Nobody asked.
    Unasked,
}

/// A supervisor that holds its places.
struct Start {
    held: Held,
    mode: Mode,
    config: Config,
    nofile_soft: u64,
    readiness: Readiness,
    trial: bool,
}

impl Start {
    async fn serve(self) -> Result<(), BootError> {
        let Self {
            held,
            mode,
            config,
            nofile_soft,
            readiness,
            trial,
        } = self;
        let signals = Signals::listen(trial)?;
        let places = held.places().clone();
        let folders = Folders::new(&Path::new(&places.state_dir).join(TASKS_DIR));
        let here = sys::process::here().map_err(BootError::system("read /proc"))?;
        let ready = Ready::find(&config.http).await?;
        let opened = open_ledger(&places, &folders, here.boot_id.clone(), &config).await?;
        let (watches, driver) = fswatch::open();
        let mut doors = Doors::open(&held, &config, &watches, driver, ready)?;
        let rebuilt_seq = opened.report.rebuilt_seq;
        doors.gateway = doors.gateway.map(|gateway| gateway.over(rebuilt_seq));
        held.announce()?;
        let providers = ProviderFiles::load(Path::new(&places.providers_dir));
        for problem in providers.registry().problems() {
            tracing::warn!("{problem}");
        }
        let pid = std::process::id().cast_signed();
        let identity = sys::process::identity(pid)
            .and_then(|found| found.ok_or_else(|| std::io::Error::other("no such process")))
            .map_err(BootError::system("find this process in /proc"))?;
        let service = Service {
            managed: managed::find(Path::new(&places.state_dir)).await,
            account: super::service::own_account(),
            config,
            places,
            mode,
            folders,
            shim_program: ShimProgram::find()?,
            watches,
            identity,
            started_at: clock::now(),
            nofile_soft,
            path: std::env::var("PATH").ok(),
        };
        let Ledger {
            handle,
            front,
            threads,
            report,
        } = opened;
        let (inputs, received) = mpsc::channel(INPUT_QUEUE);
        let core = Core::new(
            (Arc::new(service), providers),
            (handle, front),
            &report,
            inputs,
        );
        let served = run(core, received, doors, signals, readiness).await;
        if let Err(error) = threads.close() {
            tracing::error!(%error, "the ledger was not closed in order; the next start looks it over");
        }
        drop(held);
        served
    }
}

async fn open_ledger(
    places: &Places,
    folders: &Folders,
    boot_id: String,
    config: &Config,
) -> Result<Ledger, BootError> {
    let options = OpenOptions {
        path: PathBuf::from(places.ledger()),
        tasks_dir: folders.tasks_dir().to_owned(),
        boot_id,
        task_folder: folders.any()?,
    };
    let ledger = damage::open(&options, folders, config.ledger.on_damage).await?;
    match ledger.report.before {
        Before::New => tracing::info!(path = places.ledger(), "a new ledger"),
        Before::Closed => {}
        Before::Abandoned => tracing::info!("the last supervisor was killed; recovering"),
    }
    if let Some(copy) = &ledger.report.kept_copy {
        tracing::info!(copy = %copy.display(), "the ledger was brought up to date; the old one is kept");
    }
    Ok(ledger)
}

/// Clients are served at once: what they ask waits until the running set is
/// rebuilt.
async fn run(
    mut core: Core,
    mut received: mpsc::Receiver<CoreInput>,
    doors: Doors,
    signals: Signals,
    readiness: Readiness,
) -> Result<(), BootError> {
    let mut servers = JoinSet::new();
    servers.spawn(doors.driver.run());
    let calls = core.inputs.clone();
    servers.spawn(async move {
        let mut connections = JoinSet::new();
        doors.control.serve(calls, &mut connections).await;
    });
    let links = core.inputs.clone();
    servers.spawn(async move {
        let mut accepted = JoinSet::new();
        doors.shims.serve(links, &mut accepted).await;
    });
    if let Some(gateway) = doors.gateway {
        let (inputs, last_word) = (core.inputs.clone(), core.last_word.clone());
        servers.spawn(super::gateway::serve(gateway, inputs, last_word));
    }
    servers.spawn(signals.forward(core.inputs.clone()));
    let ended = match core.begin().await {
        Ok(()) => {
            if let Readiness::ToldTo(log_file) = &readiness {
                background::report_ready(log_file);
            }
            core.pulse.notify().ready();
            core.run(&mut received).await
        }
        Err(error) => core.give_up(error),
    };
    core.close(&mut servers).await;
    match ended {
        LoopEnd::Asked => {
            tracing::info!("[shutdown] bye");
            Ok(())
        }
        LoopEnd::Ledger(error) => {
            tracing::error!(%error, "the ledger failed; leaving");
            let path = PathBuf::from(core.service.places.ledger());
            let on_damage = core.service.config.ledger.on_damage;
            Err(damage::met(&path, on_damage, error))
        }
    }
}

impl Core {
    /// Says that it is there, and rebuilds the running set.
    async fn begin(&mut self) -> Result<(), ledger::LedgerError> {
        let service = self.service.clone();
        self.batch.take_event(Event {
            at: service.started_at,
            task_id: None,
            record: None,
            body: EventBody::SupervisorStarted {
                pid: service.identity.pid,
                version: env!("CARGO_PKG_VERSION").to_string(),
                boot_id: service.identity.boot_id.clone(),
            },
        });
        self.end_last_prune().await?;
        self.recover().await?;
        tracing::info!(
            pid = service.identity.pid,
            tasks = self.running(),
            queued = self.queue.len(),
            runtime_dir = service.places.runtime_dir,
            "serving"
        );
        self.settle_leftovers().await?;
        self.retain();
        Ok(())
    }

    /// Answers that are on their way get a moment, then everything ends.
    async fn close(&mut self, servers: &mut JoinSet<()>) {
        const LAST_ANSWERS: std::time::Duration = std::time::Duration::from_millis(200);
        // Each turn of the runtime carries an answer one step further: from the
        // loop to its connection, and from there to the socket.
        const STEPS_TO_A_SOCKET: u32 = 64;
        for _ in 0..STEPS_TO_A_SOCKET {
            tokio::task::yield_now().await;
        }
        servers.abort_all();
        self.jobs.abort_all();
        let both = async {
            while servers.join_next().await.is_some() {}
            while self.jobs.join_next().await.is_some() {}
        };
        if tokio::time::timeout(LAST_ANSWERS, both).await.is_err() {
            tracing::debug!("some jobs did not end in time");
        }
    }
}
