//! Agents in a container (DESIGN §8): the leader under the shim is a small
//! program around the exec client, which is never believed. Everything that is
//! known comes from files and `/proc` of the container, by new execs.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use protocol::{Exit, TaskId};

use crate::hook::Step;

/// Carries the container and the names of its variables in a start order: one
/// a line, the container first.
pub const VARIABLE: &str = "AGENT_SUPERVISOR_CONTAINER";
/// In the task's folder: engine, container, marker entry, one a line.
pub const FILE_NAME: &str = "container";
/// In the task's folder: what the container said of the end.
pub const STATUS_NAME: &str = "container-exit";

const ENGINES: [&str; 2] = ["podman", "docker"];
const HOST: &str = include_str!("container_host.sh");
const STARTER: &str = include_str!("container_start.sh");
const LOOK: &str = include_str!("container_look.sh");
/// A shell gives this and the number of the signal: no exit code is known then.
const SHELL_SIGNAL: i32 = 128;
/// Begins the name of every marker.
const MARKER_PREFIX: &str = "AGENT_TASK_";

/// A task's place in a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    engine: PathBuf,
    name: String,
    entry: String,
    env: Vec<(String, String)>,
    base: String,
    status: PathBuf,
}

impl Container {
    /// The container that `env` names, if one; the variable is taken out. The
    /// engine is the first that knows the container.
    ///
    /// # Errors
    /// No engine knows it, or the file in `task_dir` cannot be written.
    pub fn take(
        task: &TaskId,
        task_dir: &Path,
        env: &mut Vec<(String, String)>,
    ) -> io::Result<Option<(Self, Vec<String>)>> {
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
            .ok_or(io::ErrorKind::InvalidInput)?;
        passed.push(marker.0.clone());
        let engine = engine(&name, env).ok_or(io::ErrorKind::NotFound)?;
        let entry = format!("{}={}", marker.0, marker.1);
        let file = format!("{}\n{name}\n{entry}\n", engine.display());
        fs::write(task_dir.join(FILE_NAME), file)?;
        let found = Self {
            engine,
            name,
            entry,
            env: client_env(env.iter().cloned()),
            base: base(task),
            status: task_dir.join(STATUS_NAME),
        };
        Ok(Some((found, passed)))
    }

    /// The container of a task whose shim is gone.
    #[must_use]
    pub fn read(task: &TaskId, task_dir: &Path) -> Option<Self> {
        let text = fs::read_to_string(task_dir.join(FILE_NAME)).ok()?;
        let mut lines = text.lines();
        Some(Self {
            engine: lines.next()?.into(),
            name: lines.next()?.to_owned(),
            entry: lines.next()?.to_owned(),
            env: client_env(std::env::vars()),
            base: base(task),
            status: task_dir.join(STATUS_NAME),
        })
    }

    /// The leader's arguments.
    #[must_use]
    pub fn argv(&self, passed: Vec<String>, argv: Vec<String>) -> Vec<String> {
        let mut line: Vec<String> = ["sh", "-c", HOST, "agent-container"]
            .map(str::to_owned)
            .into();
        line.extend([
            self.engine.to_string_lossy().into_owned(),
            self.name.clone(),
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
        let code = text.trim().strip_prefix("status ").map(str::parse::<i32>);
        match (code, text.trim()) {
            (Some(Ok(code)), _) if (0..=SHELL_SIGNAL).contains(&code) => Exit::Exited { code },
            (Some(Ok(code)), _) => unknown(&format!(
                "the container's shell says {code}, which may be a signal"
            )),
            (_, "gone") => unknown("no process and no status file are left in the container"),
            (_, "stopped") => unknown("the container was stopped"),
            _ => unknown("nothing was heard from the container"),
        }
    }

    /// Ends every process in the container that carries the task's marker, and
    /// says whether none is left. Blocks for up to half a minute.
    #[must_use]
    pub fn end(&self, step: &Step) -> bool {
        let mut client = self.client(&["exec", &self.name, "sh", "-c", LOOK, "sh"]);
        client.args([&self.entry, "end", &self.base]);
        let answer = step.run(|| client.output());
        match answer {
            Ok(answer) if String::from_utf8_lossy(&answer.stdout).contains("empty") => true,
            // A container that does not run has no process.
            Ok(_) | Err(_) => self
                .client(&["container", "inspect", "-f", "{{.State.Running}}"])
                .arg(&self.name)
                .output()
                .is_ok_and(|said| said.stdout.starts_with(b"false")),
        }
    }

    fn client(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.engine);
        command
            .args(words)
            .env_clear()
            .envs(self.env.iter().cloned())
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        command
    }
}

fn base(task: &TaskId) -> String {
    format!("/tmp/.agent-{task}")
}

/// What an engine's client needs, and nothing else of the environment.
fn client_env(env: impl Iterator<Item = (String, String)>) -> Vec<(String, String)> {
    env.filter(|(name, _)| {
        matches!(name.as_str(), "PATH" | "HOME" | "XDG_RUNTIME_DIR")
            || name.starts_with("CONTAINER")
            || name.starts_with("DOCKER_")
    })
    .collect()
}

/// The first engine that knows the container.
fn engine(name: &str, env: &[(String, String)]) -> Option<PathBuf> {
    let path = env.iter().rfind(|(name, _)| name == "PATH");
    let folders = path.map_or("", |(_, value)| value).split(':');
    let programs = ENGINES
        .iter()
        .flat_map(|engine| folders.clone().map(move |dir| Path::new(dir).join(engine)));
    programs
        .filter(|program| program.is_file())
        .find(|program| {
            Command::new(program)
                .args(["container", "inspect", name])
                .env_clear()
                .envs(client_env(env.iter().cloned()))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success())
        })
}
