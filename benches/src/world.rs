//! A private place with a supervisor of its own.

use std::fs::{self, File};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use protocol::TaskId;
use protocol::places::{CONTROL_SOCKET, LEDGER_FILE};

use crate::client::{Client, Dispatch, Which};
use crate::crew::Crew;
use crate::programs::Programs;

/// A supervisor that does not answer within this time is broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks for a supervisor that starts or leaves.
pub(crate) const BETWEEN_LOOKS: Duration = Duration::from_micros(200);

/// The provider of the tasks whose output is looked into.
pub const JSON_PROVIDER: &str = "bench-json";
/// The provider of the tasks whose output is bytes.
pub const EXEC_PROVIDER: &str = "exec";

const JSON_PROVIDER_FILE: &str = r#"name = "bench-json"
description = "The agent of the measurements, its output read as JSON lines"
tested = "by the measurements"

command = ["{argv}", "{args}"]

[prompt]
via = "stdin"

[process]
leftovers = "end"

[output]
format = "json-lines"

[[output.rule]]
when = { type = "doing" }
take = { progress = "text" }

[[output.rule]]
when = { type = "result" }
result = true
success = { ok = true }
[output.rule.take]
result_text = "text"
"#;

/// More than any crowd of the measurements.
const CONFIG_FILE: &str = "[limits]\nmax_tasks = 5000\n";

/// A private folder for the worlds of one run, removed with the last of them.
///
/// Not one by one: ext4 gives no inode away that was freed a moment ago, and
/// looks at each of those for every new file, so that a removed world would
/// make every file of the next one slower.
#[derive(Debug)]
pub struct Scratch {
    dir: PathBuf,
    next: AtomicU32,
}

impl Scratch {
    /// An empty one, in the folder for temporary files.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new() -> Result<Self> {
        let dir = nix::unistd::mkdtemp(&std::env::temp_dir().join("ab-XXXXXX"))
            .context("making a private folder")?;
        Ok(Self {
            dir,
            next: AtomicU32::new(0),
        })
    }

    fn fresh(&self) -> PathBuf {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.dir.join(number.to_string())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A failure here must not hide the one that led here.
        let _removed = fs::remove_dir_all(&self.dir);
    }
}

/// One private place.
#[derive(Debug)]
pub struct World {
    dir: PathBuf,
    programs: Programs,
    /// Further variables for the supervisor.
    variables: Vec<(String, String)>,
    supervisor: Option<Child>,
    /// Where the agents arrive.
    pub crew: Crew,
    next: AtomicU32,
}

impl World {
    /// A place without a supervisor yet.
    ///
    /// # Errors
    /// When its folders cannot be made.
    pub fn new(scratch: &Scratch, programs: &Programs) -> Result<Self> {
        let dir = scratch.fresh();
        for folder in ["home", "work", "config/providers.d"] {
            fs::create_dir_all(dir.join(folder))?;
        }
        fs::write(dir.join("config/config.toml"), CONFIG_FILE)?;
        fs::write(
            dir.join("config/providers.d/bench-json.toml"),
            JSON_PROVIDER_FILE,
        )?;
        Ok(Self {
            crew: Crew::bind(dir.join("crew"))?,
            dir,
            programs: programs.clone(),
            variables: Vec::new(),
            supervisor: None,
            next: AtomicU32::new(0),
        })
    }

    /// A place whose supervisor answers.
    ///
    /// # Errors
    /// When it does not.
    pub fn running(scratch: &Scratch, programs: &Programs) -> Result<Self> {
        let mut world = Self::new(scratch, programs)?;
        world.start()?;
        Ok(world)
    }

    /// A place whose supervisor answers over HTTP as well.
    ///
    /// # Errors
    /// When it does not.
    pub fn with_gateway(scratch: &Scratch, programs: &Programs) -> Result<Self> {
        let mut world = Self::new(scratch, programs)?;
        let socket = world.gateway_socket();
        let config = format!(
            "{CONFIG_FILE}[http]\nlisten = \"unix:{}\"\n",
            socket.display()
        );
        fs::write(world.dir.join("config/config.toml"), config)?;
        world.start()?;
        let begun = Instant::now();
        while UnixStream::connect(&socket).is_err() {
            ensure!(
                begun.elapsed() < PATIENCE,
                "no gateway at {}",
                socket.display()
            );
            std::thread::sleep(BETWEEN_LOOKS);
        }
        Ok(world)
    }

    /// Where the gateway is, if there is one.
    #[must_use]
    pub fn gateway_socket(&self) -> PathBuf {
        self.dir.join("run/http.sock")
    }

    /// A variable for the supervisor.
    #[must_use]
    pub fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_string(), value.to_string()));
        self
    }

    /// A path for the measurement's own use.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The ledger.
    #[must_use]
    pub fn ledger(&self) -> PathBuf {
        self.dir.join("state").join(LEDGER_FILE)
    }

    /// The programs.
    #[must_use]
    pub const fn programs(&self) -> &Programs {
        &self.programs
    }

    /// Starts the supervisor and waits until it answers; its process.
    ///
    /// # Errors
    /// When it does not answer, with what it said.
    pub fn start(&mut self) -> Result<i32> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.dir.join("log"))?;
        let mut command = self.command(&self.programs.supervisor());
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        for (name, value) in &self.variables {
            command.env(name, value);
        }
        let mut child = command.spawn().context("starting the supervisor")?;
        let begun = Instant::now();
        while Client::connect(&self.control_socket())
            .and_then(|mut new| new.status())
            .is_err()
        {
            let ended = child.try_wait()?;
            if ended.is_some() || begun.elapsed() > PATIENCE {
                let log = fs::read_to_string(self.dir.join("log")).unwrap_or_default();
                bail!("the supervisor does not answer ({ended:?}):\n{log}");
            }
            std::thread::sleep(BETWEEN_LOOKS);
        }
        let pid = i32::try_from(child.id())?;
        self.supervisor = Some(child);
        Ok(pid)
    }

    /// The supervisor's process.
    ///
    /// # Errors
    /// When there is none.
    pub fn supervisor_pid(&self) -> Result<i32> {
        let child = self
            .supervisor
            .as_ref()
            .context("no supervisor was started")?;
        Ok(i32::try_from(child.id())?)
    }

    /// Kills the supervisor.
    ///
    /// # Errors
    /// When there is none.
    pub fn kill_supervisor(&mut self) -> Result<()> {
        let mut child = self
            .supervisor
            .take()
            .context("no supervisor was started")?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Asks the supervisor to leave, and waits.
    ///
    /// # Errors
    /// When there is none, or it does not leave.
    pub fn end_supervisor(&mut self) -> Result<()> {
        let mut child = self
            .supervisor
            .take()
            .context("no supervisor was started")?;
        kill(Pid::from_raw(i32::try_from(child.id())?), Signal::SIGTERM)?;
        let begun = Instant::now();
        while child.try_wait()?.is_none() {
            if begun.elapsed() > PATIENCE {
                child.kill()?;
                child.wait()?;
                bail!("the supervisor did not leave");
            }
            std::thread::sleep(BETWEEN_LOOKS);
        }
        Ok(())
    }

    /// A kept connection.
    ///
    /// # Errors
    /// When nobody answers.
    pub fn connect(&self) -> Result<Client> {
        Client::connect(&self.control_socket())
    }

    /// `agentctl` with these words.
    #[must_use]
    pub fn agentctl(&self, words: &[&str]) -> Command {
        let mut command = self.command(&self.programs.agentctl());
        command
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// The words of an agent that arrives and holds.
    #[must_use]
    pub fn hold(&self) -> Vec<String> {
        self.agent_words(&["hold", &self.crew.path().to_string_lossy()])
    }

    /// The words of an agent.
    #[must_use]
    pub fn agent_words(&self, words: &[&str]) -> Vec<String> {
        let program = self.programs.agent.to_string_lossy().into_owned();
        std::iter::once(program)
            .chain(words.iter().map(|word| (*word).to_string()))
            .collect()
    }

    /// A dispatch of `argv` in the world's folder.
    #[must_use]
    pub fn dispatch<'a>(&'a self, provider: &'a str, argv: Vec<String>) -> Dispatch<'a> {
        Dispatch {
            provider,
            argv,
            cwd: &self.dir,
        }
    }

    /// A task id that was never used here.
    ///
    /// # Errors
    /// Never in practice: the text is an id.
    pub fn fresh_id(&self) -> Result<TaskId> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        Ok(TaskId::new(format!("bench-{number}"))?)
    }

    /// Waits until every shim of ended tasks is gone and waited for.
    ///
    /// # Errors
    /// When some stay.
    pub fn settle(&self) -> Result<()> {
        let pid = self.supervisor_pid()?;
        let begun = Instant::now();
        while !crate::processes::children(pid).is_empty() {
            ensure!(begun.elapsed() < PATIENCE, "shims of ended tasks stay");
            std::thread::sleep(BETWEEN_LOOKS);
        }
        Ok(())
    }

    fn control_socket(&self) -> PathBuf {
        self.dir.join("run").join(CONTROL_SOCKET)
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("HOME", self.dir.join("home"))
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("LANG", "C.UTF-8")
            .env("NO_COLOR", "1")
            .env("AGENTCTL_NO_START", "1")
            .env("AGENT_SUPERVISOR_STATE_DIR", self.dir.join("state"))
            .env("AGENT_SUPERVISOR_RUNTIME_DIR", self.dir.join("run"))
            .env(
                "AGENT_SUPERVISOR_CONFIG",
                self.dir.join("config/config.toml"),
            )
            .current_dir(self.dir.join("work"));
        command
    }
}

impl Drop for World {
    /// No agent, shim or supervisor stays behind; a failure here must not
    /// hide the one that led here.
    fn drop(&mut self) {
        if let Ok(mut client) = self.connect() {
            let _answer = client.stop(Which::All);
            let _settled = self.settle();
        }
        if self.supervisor.is_some() {
            let _left = self.end_supervisor();
        }
    }
}
