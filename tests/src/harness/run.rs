//! A dispatch by `agentctl run`.

use std::process::{Command, Stdio};

use serde_json::Value;

use super::background::Background;
use super::ctl::Output;
use super::process::Process;
use super::record::Records;
use super::wait::{GENEROUS, wait_for};
use super::world::World;

/// A dispatch that is being put together.
#[derive(Debug)]
pub struct Run<'world> {
    world: &'world World,
    id: String,
    options: Vec<String>,
    steps: Vec<String>,
    provider: Option<String>,
    argv: Option<Vec<String>>,
    prompt: Option<String>,
}

/// A dispatched task.
#[derive(Clone, Debug)]
pub struct Dispatched {
    /// Its id.
    pub id: String,
    /// What its agent itself writes down.
    pub records: Records,
    /// The answer.
    pub task: Value,
}

impl Dispatched {
    /// Waits until the agent's first process has written itself down.
    #[must_use]
    pub fn leader(&self) -> Process {
        wait_for("the agent's first process", GENEROUS, || {
            let mut leaders = self.records.leaders();
            leaders.pop().ok_or_else(|| self.records.lines())
        })
    }

    /// Waits until a step has left this mark.
    pub fn marked(&self, mark: &str) {
        wait_for(&format!("the mark {mark}"), GENEROUS, || {
            if self.records.has_mark(mark) {
                Ok(())
            } else {
                Err(self.records.lines())
            }
        });
    }
}

impl<'world> Run<'world> {
    pub(super) fn new(world: &'world World) -> Self {
        Self {
            world,
            id: uuid::Uuid::now_v7().to_string(),
            options: Vec::new(),
            steps: Vec::new(),
            provider: None,
            argv: None,
            prompt: None,
        }
    }

    /// Its id, instead of a new one.
    #[must_use]
    pub fn id(mut self, id: &str) -> Self {
        self.id = id.to_string();
        self
    }

    /// Its key.
    #[must_use]
    pub fn key(self, key: &str) -> Self {
        self.option("--key", key)
    }

    /// One option with a value.
    #[must_use]
    pub fn option(mut self, name: &str, value: &str) -> Self {
        self.options.extend([name.to_string(), value.to_string()]);
        self
    }

    /// One option without a value.
    #[must_use]
    pub fn flag(mut self, name: &str) -> Self {
        self.options.push(name.to_string());
        self
    }

    /// What the fake agent does, step by step. With a provider the steps are
    /// its prompt.
    #[must_use]
    pub fn steps<'a>(mut self, steps: impl IntoIterator<Item = &'a str>) -> Self {
        self.steps.extend(steps.into_iter().map(str::to_string));
        self
    }

    /// Another provider than `exec`.
    #[must_use]
    pub fn provider(mut self, provider: &str) -> Self {
        self.provider = Some(provider.to_string());
        self
    }

    /// What a provider's agent is told, where that is not a list of steps.
    #[must_use]
    pub fn prompt(mut self, prompt: &str) -> Self {
        self.prompt = Some(prompt.to_string());
        self
    }

    /// Another command than the fake agent.
    #[must_use]
    pub fn argv<'a>(mut self, argv: impl IntoIterator<Item = &'a str>) -> Self {
        self.argv = Some(argv.into_iter().map(str::to_string).collect());
        self
    }

    /// The task's id.
    #[must_use]
    pub fn task_id(&self) -> &str {
        &self.id
    }

    /// Where its agent will write.
    #[must_use]
    pub fn records(&self) -> Records {
        Records::new(self.world.path(&format!("{}.record", self.id)))
    }

    /// `agentctl run -d --json`, which has to succeed.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn detached(self) -> Dispatched {
        let records = self.records();
        let output = self.try_detached();
        let task = output.ok().json();
        let id = task["id"].as_str().expect("a task has an id").to_string();
        Dispatched { id, records, task }
    }

    /// `agentctl run -d --json`. An id that was answered counts as
    /// acknowledged for the invariants.
    #[must_use]
    pub fn try_detached(self) -> Output {
        let world = self.world;
        let output = world.finish(self.command(&["-d", "--json"]));
        world.acknowledge(&output);
        output
    }

    /// `agentctl run -d --json` while the test goes on; its answer is for
    /// [`World::acknowledge`].
    #[must_use]
    pub fn in_background(self) -> Background {
        Background::start(self.command(&["-d", "--json"]))
    }

    /// `agentctl run`, attached, to its end.
    #[must_use]
    pub fn attached(self) -> Output {
        let world = self.world;
        world.finish(self.command(&[]))
    }

    /// `agentctl run` with these options, for the test to start.
    #[must_use]
    pub fn command(self, options: &[&str]) -> Command {
        let records = self.records();
        let record = format!("record:{}", records.path().display());
        self.world.oracle().agents.push((self.id.clone(), records));
        let mut steps = vec![record];
        steps.extend(self.steps);
        let mut command = self.world.ctl_command(&["run", "--id", &self.id]);
        command.args(options).args(&self.options);
        if let Some(provider) = &self.provider {
            command
                .args(["--provider", provider, "--prompt"])
                .arg(self.prompt.unwrap_or_else(|| steps.join("\n")));
        } else if let Some(argv) = &self.argv {
            command.arg("--").args(argv);
        } else {
            let fake = self.world.bins().fake_agent();
            command.arg("--").arg(fake).args(&steps);
        }
        command.stdin(Stdio::null());
        command
    }
}
