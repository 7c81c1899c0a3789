//! Agents in a container (DESIGN §8): the leader under the shim is a small
//! program around the exec client, which is never believed. Everything that is
//! known comes from files and `/proc` of the container, by new execs.

mod client;
mod found;
mod refused;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use protocol::view::Survivor;
use protocol::{Exit, TaskId};

use crate::hook::{SHIM_EXEC, Step};
use client::Client;
use found::State;
pub use found::{Carrier, join};
pub use refused::ContainerError;

/// Carries the container and the names of its variables in a start order: one
/// a line, the container first.
pub const VARIABLE: &str = "AGENT_SUPERVISOR_CONTAINER";
/// In the task's folder: engine, container, marker entry, and what the engine's
/// client needs of the environment, one a line.
pub const FILE_NAME: &str = "container";
/// In the task's folder: what the container said of the end.
pub const STATUS_NAME: &str = "container-exit";

/// How long an engine may take for one thing before nobody waits any more.
pub const DEADLINE: Duration = Duration::from_secs(30);

const ENGINES: [&str; 2] = ["podman", "docker"];
const HOST: &str = include_str!("host.sh");
const STARTER: &str = include_str!("start.sh");
const LOOK: &str = include_str!("look.sh");
/// A shell gives this and the number of the signal: no exit code is known then.
const SHELL_SIGNAL: i32 = 128;
/// An engine's ids have at least so many hexadecimal digits.
const SHORTEST_ID: usize = 12;
/// Begins the name of every marker.
const MARKER_PREFIX: &str = "AGENT_TASK_";
/// Between two tries to get into a container that is, say, about to stop.
const PAUSE: Duration = Duration::from_millis(500);
/// What is left at least for the question in which state a container is.
const FOR_STATE: Duration = Duration::from_secs(2);

/// A task's place in a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    client: Client,
    /// Its id: a name may be given to another one.
    id: String,
    entry: String,
    base: String,
    status: PathBuf,
}

/// What became of a task's processes in its container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Emptied {
    /// None is left, as far as the marker tells.
    Empty,
    /// That is not proven.
    Left {
        /// Why, in words; absent where they are left alone on purpose.
        why: Option<String>,
        /// Who is known to be left: by the host's numbers where the host sees
        /// them, else by those of the container, which their names say.
        survivors: Vec<Survivor>,
    },
}

/// The container that is wished for in `env`, if one.
#[must_use]
pub fn wished(env: &[(String, String)]) -> Option<&str> {
    let (_, value) = env.iter().find(|(name, _)| name == VARIABLE)?;
    value.lines().next()
}

impl Container {
    /// The container that `env` names, if one, and the names of the variables
    /// that the agent gets; ours is taken out. The engine is the first that
    /// knows the container.
    ///
    /// # Errors
    /// [`ContainerError`].
    pub fn take(
        task: &TaskId,
        task_dir: &Path,
        env: &mut Vec<(String, String)>,
    ) -> Result<Option<(Self, Vec<String>)>, ContainerError> {
        let Some(at) = env.iter().position(|(name, _)| name == VARIABLE) else {
            return Ok(None);
        };
        let (_, value) = env.remove(at);
        let mut lines = value.lines().map(str::to_owned);
        let name = lines.next().unwrap_or_default();
        let mut passed: Vec<String> = lines.collect();
        let marker = env
            .iter()
            .rfind(|(name, _)| name.starts_with(MARKER_PREFIX))
            .cloned()
            .unwrap_or_default();
        let (client, id) = engine(&name, env)?;
        let taken = Self {
            client,
            id,
            entry: format!("{}={}", marker.0, marker.1),
            base: base(task),
            status: task_dir.join(STATUS_NAME),
        };
        passed.push(marker.0);
        let file = task_dir.join(FILE_NAME);
        let written = taken.write(&file);
        written.map_err(|error| ContainerError::Write(file, error))?;
        Ok(Some((taken, passed)))
    }

    fn write(&self, file: &Path) -> io::Result<()> {
        use std::io::Write;
        let Client { engine, env } = &self.client;
        let mut text = format!("{}\n{}\n{}\n", engine.display(), self.id, self.entry);
        for (name, value) in env {
            text.push_str(&format!("{name}={value}\n"));
        }
        let mut options = fs::OpenOptions::new();
        let options = options.write(true).create(true).truncate(true).mode(0o600);
        options.open(file)?.write_all(text.as_bytes())
    }

    /// The container of a task whose shim is gone.
    #[must_use]
    pub fn read(task: &TaskId, task_dir: &Path) -> Option<Self> {
        let text = fs::read_to_string(task_dir.join(FILE_NAME)).ok()?;
        let mut lines = text.lines();
        let (engine, id, entry) = (lines.next()?, lines.next()?, lines.next()?);
        let env = lines.filter_map(|line| line.split_once('='));
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Some(Self {
            client: Client::new(engine.into(), env),
            id: id.to_owned(),
            entry: entry.to_owned(),
            base: base(task),
            status: task_dir.join(STATUS_NAME),
        })
    }

    /// Those of `places` that run or are paused, each once; and, in words, which engines do not
    /// say.
    #[must_use]
    pub fn running(places: Vec<Self>, step: &Step) -> (Vec<Self>, Vec<String>) {
        let mut by_client: BTreeMap<Client, BTreeMap<String, Self>> = BTreeMap::new();
        for place in places {
            let beside = by_client.entry(place.client.clone()).or_default();
            beside.insert(place.id.clone(), place);
        }
        let (mut running, mut silent) = (Vec::new(), Vec::new());
        for (client, places) in by_client {
            let until = Instant::now() + DEADLINE;
            // Without a filter some engines leave out what is paused.
            let words = ["ps", "-q", "--no-trunc"];
            let filters = ["--filter", "status=running", "--filter", "status=paused"];
            match client.ask(&[&words[..], &filters].concat(), until, step) {
                Ok(said) => {
                    let ids: BTreeSet<&str> = said.lines().map(str::trim).collect();
                    let runs = |place: &Self| ids.contains(place.id.as_str());
                    running.extend(places.into_values().filter(runs));
                }
                Err(error) => silent.push(client.silent(&error)),
            }
        }
        (running, silent)
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The leader's arguments.
    #[must_use]
    pub fn argv(&self, passed: Vec<String>, argv: Vec<String>) -> Vec<String> {
        let mut line: Vec<String> = ["sh", "-c", HOST, "agent-container"]
            .map(str::to_owned)
            .into();
        line.extend([
            self.client.engine.to_string_lossy().into_owned(),
            self.id.clone(),
            self.status.to_string_lossy().into_owned(),
            self.entry.clone(),
            self.base.clone(),
            STARTER.to_owned(),
            LOOK.to_owned(),
        ]);
        line.extend(passed);
        line.push("--".to_owned());
        line.extend(argv);
        line
    }

    /// How the agent ended, as its container says.
    #[must_use]
    pub fn exit(&self) -> Exit {
        let text = fs::read_to_string(&self.status).unwrap_or_default();
        let unknown = |why: &str| Exit::Unknown {
            why: why.to_owned(),
        };
        let (word, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        match (word, rest.parse::<i32>()) {
            ("status", Ok(code)) if (0..=SHELL_SIGNAL).contains(&code) => Exit::Exited { code },
            ("status", Ok(code)) => unknown(&format!(
                "the container's shell says {code}, which may be a signal"
            )),
            ("gone", _) => unknown(
                "the container has neither a process nor an exit status of the task: \
                 the starter in it was killed, never ran, or could not write to /tmp",
            ),
            ("stopped", _) => unknown(&format!("the container was stopped (it is {rest})")),
            ("removed", _) => unknown("the container was removed"),
            _ => unknown("nothing was heard from the container"),
        }
    }

    /// Ends every process in the container that carries the task's marker, and
    /// keeps a starter that comes later from starting. Blocks, for up to
    /// [`DEADLINE`] and a little more.
    #[must_use]
    pub fn end(&self, step: &Step) -> Emptied {
        let until = Instant::now() + DEADLINE;
        loop {
            let why = match self.look("end", until, step) {
                Ok(said) if is_empty(&said) => return Emptied::Empty,
                Ok(said) if !found::left(&said).is_empty() => {
                    let why = "processes in it do not end";
                    return self.left(Some(why.to_owned()), found::left(&said));
                }
                Ok(said) => self.client.says(&said),
                Err(error) => self.client.silent(&error),
            };
            match self.state(until, step) {
                State::Without(_) => return Emptied::Empty,
                State::With(state) if state == "paused" => {
                    return self.left(Some("it is paused".to_owned()), Vec::new());
                }
                State::With(_) | State::Unknown(_) => {}
            }
            if Instant::now() + PAUSE >= until {
                return self.left(Some(why), Vec::new());
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Who is left of the task in the container; nobody is touched.
    #[must_use]
    pub fn who(&self, step: &Step) -> Emptied {
        let until = Instant::now() + DEADLINE;
        match self.look("who", until, step) {
            Ok(said) if is_empty(&said) => Emptied::Empty,
            Ok(said) if !found::left(&said).is_empty() => self.left(None, found::left(&said)),
            Ok(said) => match self.state(until, step) {
                State::Without(_) => Emptied::Empty,
                State::With(_) | State::Unknown(_) => {
                    self.left(Some(self.client.says(&said)), Vec::new())
                }
            },
            Err(error) => self.left(Some(self.client.silent(&error)), Vec::new()),
        }
    }

    /// Everybody in the container who carries any task's marker.
    ///
    /// # Errors
    /// In words: it could not be looked into.
    pub fn carriers(&self, step: &Step) -> Result<Vec<Carrier>, String> {
        let until = Instant::now() + DEADLINE;
        let said = self.look("list", until, step);
        let said = said.map_err(|error| self.client.silent(&error))?;
        if let Some(carriers) = found::carriers(&said) {
            return Ok(carriers);
        }
        match self.state(until, step) {
            State::Without(_) => Ok(Vec::new()),
            State::With(state) => Err(format!("container {} is {state}", self.id)),
            State::Unknown(_) => Err(self.client.says(&said)),
        }
    }

    fn look(&self, mode: &str, until: Instant, step: &Step) -> io::Result<String> {
        let begin = ["exec", &self.id, "sh", "-c", LOOK, "sh"];
        let words = [&begin[..], &[&self.entry, mode, &self.base]].concat();
        step.run(|| self.client.ask(&words, until, step))
    }

    fn state(&self, until: Instant, step: &Step) -> State {
        let words = ["container", "inspect", "-f", "{{.State.Status}}", &self.id];
        let until = until.max(Instant::now() + FOR_STATE);
        match self.client.ask(&words, until, step) {
            Ok(said) => found::state(&said),
            Err(error) => State::Unknown(error.to_string()),
        }
    }

    fn left(&self, why: Option<String>, named: Vec<Survivor>) -> Emptied {
        let why = why.map(|why| format!("the container is not proven empty: {why}"));
        let on_host = found::on_host(&self.entry);
        let survivors = if on_host.is_empty() {
            named.into_iter().map(in_container).collect()
        } else {
            on_host
        };
        Emptied::Left { why, survivors }
    }
}

fn is_empty(said: &str) -> bool {
    said.lines().any(|line| line == "empty")
}

/// A number of the container is none of the host's: the name says so.
fn in_container(mut survivor: Survivor) -> Survivor {
    survivor.comm.push_str(" in the container");
    survivor
}

fn base(task: &TaskId) -> String {
    format!("/tmp/.agent-{task}")
}

/// The first engine that knows the container, and the container's id.
fn engine(name: &str, env: &[(String, String)]) -> Result<(Client, String), ContainerError> {
    let path = env.iter().rfind(|(name, _)| name == "PATH");
    let folders = path.map_or("", |(_, value)| value).split(':');
    let programs = ENGINES.iter().filter_map(|engine| {
        let mut places = folders.clone().map(|dir| Path::new(dir).join(engine));
        places.find(|program| program.is_file())
    });
    let until = Instant::now() + DEADLINE;
    let mut silent = None;
    for program in programs {
        let client = Client::new(program, env.iter().cloned());
        let form = "{{.Id}} {{.State.Status}}";
        let words = ["container", "inspect", "-f", form, name];
        let said = match client.ask(&words, until, &SHIM_EXEC) {
            Ok(said) => said,
            Err(error) => {
                silent = Some(client.silent(&error));
                continue;
            }
        };
        let known = said.lines().filter_map(|line| line.split_once(' '));
        let mut known = known.filter(|(id, _)| id.len() >= SHORTEST_ID && is_hex(id));
        match known.next() {
            Some((id, "running")) => return Ok((client, id.to_owned())),
            Some((_, state)) => {
                let (name, state) = (name.to_owned(), state.to_owned());
                return Err(ContainerError::NotRunning(name, state));
            }
            None if found::is_no_such_container(&said) => {}
            None => silent = Some(client.says(&said)),
        }
    }
    let name = name.to_owned();
    Err(match silent {
        Some(why) => ContainerError::Silent(name, why),
        None => ContainerError::Unknown(name),
    })
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
