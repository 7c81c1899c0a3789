//! A private world: folders, environment, supervisor and `agentctl` of one
//! test, and the end of everything that it started.

mod build;
mod end;
mod tasks;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard};

use nix::sys::signal::Signal;

use crate::harness::background::Background;
use crate::harness::bins::Bins;
use crate::harness::ctl::Output;
use crate::harness::gate::Gate;
use crate::harness::hooks::Hooks;
use crate::harness::ledger::Ledger;
use crate::harness::process::Process;
use crate::harness::record::Records;
use crate::harness::run::Run;
use crate::harness::supervisor::Supervisor;
use crate::invariants;

pub use build::WorldBuilder;

/// In the environment of everything that a world starts.
const WORLD_VAR: &str = "AGENT_TEST_WORLD";

/// What the test itself knows, owing nothing to the programs under test.
#[derive(Clone, Debug, Default)]
pub struct Oracle {
    /// Every task that anybody tried to dispatch, with its agent's own record.
    pub agents: Vec<(String, Records)>,
    /// Tasks whose dispatch was acknowledged.
    pub acknowledged: Vec<String>,
    /// Answers to stops: task and outcome.
    pub stops: Vec<(String, String)>,
    /// Signals that the test sent to agents from outside.
    pub killed: Vec<(Process, Signal)>,
    /// Processes of nobody's task that a careless program might take for one's.
    pub bystanders: Vec<Process>,
}

/// One private world.
#[derive(Debug)]
pub struct World {
    dir: PathBuf,
    bins: Bins,
    active: Vec<String>,
    variables: Vec<(String, String)>,
    hooks: Option<Hooks>,
    supervisors: Mutex<Vec<Arc<Supervisor>>>,
    oracle: Mutex<Oracle>,
    forgiven: Mutex<Vec<String>>,
    /// Words in front of every command, where the world is inside of a guest.
    entrance: Vec<String>,
}

impl World {
    /// A world with defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// A world with defaults and a running supervisor.
    #[must_use]
    pub fn running() -> Self {
        let world = Self::new();
        let _supervisor = world.start();
        world
    }

    /// A world with wishes.
    #[must_use]
    pub fn builder() -> WorldBuilder {
        WorldBuilder::default()
    }

    /// Its folder; everything is below.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The programs.
    #[must_use]
    pub const fn bins(&self) -> &Bins {
        &self.bins
    }

    /// A path for the test's own use.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The state folder.
    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// The folder of the sockets.
    #[must_use]
    pub fn runtime_dir(&self) -> PathBuf {
        self.dir.join("run")
    }

    /// The user's provider files.
    #[must_use]
    pub fn providers_dir(&self) -> PathBuf {
        self.dir.join("config/agent-supervisor/providers.d")
    }

    /// A task's folder.
    #[must_use]
    pub fn task_dir(&self, task: &str) -> PathBuf {
        self.state_dir().join("tasks").join(task)
    }

    /// The ledger.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        Ledger::new(self.state_dir().join(protocol::places::LEDGER_FILE))
    }

    /// The hooks.
    ///
    /// # Panics
    /// When the world was built without any.
    #[must_use]
    pub fn hooks(&self) -> &Hooks {
        self.hooks.as_ref().expect("the world was built with hooks")
    }

    /// A new gate.
    #[must_use]
    pub fn gate(&self, name: &str) -> Gate {
        Gate::new(self.dir.join("gates").join(name))
    }

    /// What the test knows.
    ///
    /// # Panics
    /// When another thread of the test panicked.
    pub fn oracle(&self) -> MutexGuard<'_, Oracle> {
        self.oracle.lock().expect("no thread of the test panicked")
    }

    /// An error in the supervisor's log with `text` in it is expected.
    ///
    /// # Panics
    /// When another thread of the test panicked.
    pub fn forgive(&self, text: &str) {
        let mut forgiven = self.forgiven.lock().expect("no thread panicked");
        forgiven.push(text.to_string());
    }

    /// Puts a program of the name `command` on the agents' `PATH` that is the
    /// fake agent. Under the name of a real CLI it behaves like that one.
    ///
    /// # Panics
    /// When the link cannot be made.
    pub fn install_fake(&self, command: &str) {
        std::os::unix::fs::symlink(self.bins.fake_agent(), self.dir.join("bin").join(command))
            .expect("a link can be made");
    }

    /// A program with the world's whole environment and nothing else.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = match self.entrance.split_first() {
            None => Command::new(program),
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(program);
                command
            }
        };
        command
            .env_clear()
            .env("HOME", self.dir.join("home"))
            .env("XDG_CONFIG_HOME", self.dir.join("config"))
            .env("XDG_STATE_HOME", self.dir.join("home/state"))
            .env("AGENT_SUPERVISOR_STATE_DIR", self.state_dir())
            .env("AGENT_SUPERVISOR_RUNTIME_DIR", self.runtime_dir())
            .env("AGENTCTL_NO_START", "1")
            .env("LANG", "C.UTF-8")
            .env("PATH", self.search_path())
            .env(WORLD_VAR, &self.dir)
            .current_dir(self.dir.join("work"));
        command
    }

    /// Its commands run inside of a guest from now on, by the programs that are
    /// installed there.
    pub fn move_into(&mut self, entrance: Vec<String>, bins: Bins) {
        self.entrance = entrance;
        self.bins = bins;
    }

    /// What the supervisor's environment is.
    #[must_use]
    pub fn supervisor_environment(&self) -> Vec<(String, String)> {
        let command = self.supervisor_command();
        let text = |text: &OsStr| text.to_string_lossy().into_owned();
        let variables = command.get_envs();
        variables
            .filter_map(|(name, value)| Some((text(name), text(value?))))
            .collect()
    }

    /// Starts the supervisor and waits until it answers.
    #[must_use]
    pub fn start(&self) -> Arc<Supervisor> {
        let socket = self.runtime_dir().join(protocol::places::CONTROL_SOCKET);
        // A socket that a killed supervisor left behind would look like one
        // that answers.
        let _absent = fs::remove_file(&socket);
        let supervisor = Supervisor::start(self.supervisor_command(), self.log_file(), &socket);
        self.remember(supervisor)
    }

    /// Starts the supervisor by another program, which is given its path as the
    /// last argument, and waits until it answers.
    #[must_use]
    pub fn start_by(&self, program: &str, arguments: &[&str]) -> Arc<Supervisor> {
        let inner = self.supervisor_command();
        let mut command = Command::new(program);
        command
            .env_clear()
            .args(arguments)
            .arg(inner.get_program())
            .current_dir(self.dir.join("work"));
        let variables = inner.get_envs();
        command.envs(variables.filter_map(|(name, value)| Some((name, value?))));
        let socket = self.runtime_dir().join(protocol::places::CONTROL_SOCKET);
        let _absent = fs::remove_file(&socket);
        self.remember(Supervisor::start(command, self.log_file(), &socket))
    }

    /// Starts the supervisor and waits for nothing.
    #[must_use]
    pub fn spawn_supervisor(&self) -> Arc<Supervisor> {
        self.remember(Supervisor::spawn(
            self.supervisor_command(),
            self.log_file(),
        ))
    }

    /// The log of all its supervisors.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log_file()).unwrap_or_default()).into_owned()
    }

    /// Runs `agentctl` to its end.
    pub fn ctl<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Output {
        self.finish(self.ctl_command(arguments))
    }

    /// Runs `agentctl` while the test goes on.
    #[must_use]
    pub fn ctl_in_background<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Background {
        Background::start(self.ctl_command(arguments))
    }

    /// An `agentctl` that the test starts by itself.
    #[must_use]
    pub fn ctl_command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = self.command(self.bins.agentctl());
        command.args(arguments);
        command
    }

    /// Runs a command of this world to its end.
    #[must_use]
    pub fn finish(&self, command: Command) -> Output {
        Background::start(command).output()
    }

    /// A dispatch.
    #[must_use]
    pub fn run(&self) -> Run<'_> {
        Run::new(self)
    }

    /// Checks every invariant.
    #[track_caller]
    pub fn check(&self) {
        invariants::check_all(self);
    }

    /// The last lines of the supervisors' log, for messages.
    #[must_use]
    pub fn tail(&self) -> Vec<String> {
        const LINES: usize = 12;
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let from = lines.len().saturating_sub(LINES);
        lines[from..]
            .iter()
            .map(|line| (*line).to_string())
            .collect()
    }

    fn search_path(&self) -> String {
        format!("{}/bin:/usr/local/bin:/usr/bin:/bin", self.dir.display())
    }

    fn log_file(&self) -> PathBuf {
        self.dir.join("supervisor.log")
    }

    fn supervisor_command(&self) -> Command {
        let mut command = self.command(self.bins.supervisor());
        command.env("NO_COLOR", "1");
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        if let Some(hooks) = &self.hooks {
            command
                .env("AGENT_HOOKS", self.active.join(","))
                .env("AGENT_HOOKS_SOCKET", hooks.socket());
        }
        command
    }

    fn remember(&self, supervisor: Supervisor) -> Arc<Supervisor> {
        let supervisor = Arc::new(supervisor);
        let mut all = self.supervisors.lock().expect("no thread panicked");
        all.push(Arc::clone(&supervisor));
        supervisor
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}
