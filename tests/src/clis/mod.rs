//! The real agent CLIs that `tests/install-clis` installs, and what is done to
//! each of them. A CLI is a [`Kit`]: what keeps it on loopback and quiet. The
//! scenarios know none of them.

mod conversation;
mod failures;
mod kits;
mod seen;
mod stops;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use regex_lite::Regex;
use serde_json::Value;

use crate::harness::{Dispatched, Run, Stub, World, cli_dir};

pub use conversation::conversation;
pub use failures::{failing_apis, stopped_between_its_tries};
pub use kits::{CLAUDE, CODEX, GEMINI, OPENCODE, QWEN};
pub use seen::Seen;
pub use stops::{killed_leader, stopped_in_mid_answer, stopped_with_its_tool};

/// One CLI.
#[derive(Clone, Copy, Debug)]
pub struct Kit {
    /// Its provider, its program and its folder.
    pub name: &'static str,
    /// Variables; `{url}` stands for the stub.
    variables: &'static [(&'static str, &'static str)],
    /// Further arguments: it may use its tools.
    arguments: &'static [&'static str],
    /// A file below HOME: path and text, with `{url}` in it.
    home_file: Option<(&'static str, &'static str)>,
    /// A file in its working folder.
    work_file: Option<(&'static str, &'static str)>,
    /// Statuses of the API after which it ends, after its own few tries; with
    /// the first it has a conversation to lose.
    failures: &'static [u16],
    /// So it does where nobody answers at all.
    unreachable: Unreachable,
    /// A status after which it tries again for longer than anybody waits.
    stubborn: Option<u16>,
    /// Output tokens of one plain answer.
    output_tokens: u64,
    /// It says what it costs.
    cost: Cost,
}

/// Whether a CLI says what it costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cost {
    Said,
    Unsaid,
}

/// What a CLI does where nobody answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unreachable {
    /// It ends.
    Ends,
    /// It waits for better days.
    Waits,
}

/// For a CLI to start and to answer: seconds, but of a processor that it may
/// have to share with others of its kind.
const SLOW: Duration = Duration::from_secs(180);
/// The conversation of all scenarios.
const KEY: &str = "forge:repo:42";

/// A CLI in a world, with a stub of its model's API.
#[derive(Debug)]
pub struct Scene<'world> {
    kit: Kit,
    world: &'world World,
    stub: Stub,
    path: String,
    seen: &'world Seen,
}

/// The search path with a CLI of `tests/install-clis` on it, if it is there.
#[must_use]
pub fn installed(name: &str) -> Option<String> {
    let dir = cli_dir()?;
    let bins: [PathBuf; 2] = [
        dir.join("node-bin"),
        dir.join(name).join("node_modules/.bin"),
    ];
    bins[1].join(name).exists().then(|| {
        format!(
            "{}:{}:/usr/local/bin:/usr/bin:/bin",
            bins[0].display(),
            bins[1].display()
        )
    })
}

impl<'world> Scene<'world> {
    /// Starts the stub and writes the files of the CLI.
    #[must_use]
    pub fn new(kit: Kit, world: &'world World, path: String, seen: &'world Seen) -> Self {
        let scene = Self {
            kit,
            world,
            stub: Stub::start(world),
            path,
            seen,
        };
        scene.furnish("home");
        if let Some((name, text)) = kit.work_file {
            scene.write(&format!("work/{name}"), text);
        }
        scene
    }

    /// What `doctor` says of the CLI, with its variables and where it is.
    #[must_use]
    pub fn diagnosis(&self) -> Value {
        let mut command = self.world.ctl_command(&["doctor", "--json"]);
        command.env("PATH", &self.path);
        for (name, value) in self.kit.variables {
            command.env(name, value);
        }
        let checks = self.world.finish(command).ok().json()["checks"].clone();
        let begins = format!("{}: ", self.kit.name);
        let checks = checks.as_array().expect("a list");
        let of_it = |check: &&Value| {
            let detail = check["detail"].as_str().unwrap_or_default();
            check["name"] == "provider" && detail.starts_with(&begins)
        };
        checks.iter().find(of_it).expect("it is looked at").clone()
    }

    /// A HOME for the CLI, with its settings and nothing else.
    fn furnish(&self, home: &str) {
        fs::create_dir_all(self.world.path(home)).expect("the world can be written");
        if let Some((name, text)) = self.kit.home_file {
            self.write(&format!("{home}/{name}"), text);
        }
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.world.path(name);
        let folder = path.parent().expect("it is in a folder");
        fs::create_dir_all(folder).expect("the world can be written");
        let text = text.replace("{url}", &self.stub.url());
        fs::write(path, text).expect("the world can be written");
    }

    /// A dispatch whose CLI stays on loopback and quiet.
    fn run(&self, prompt: &str) -> Run<'world> {
        self.run_at(prompt, &self.stub.url())
    }

    /// The same with its model's API at another address, where variables say it.
    fn run_at(&self, prompt: &str, url: &str) -> Run<'world> {
        let run = self
            .world
            .run()
            .provider(self.kit.name)
            .key(KEY)
            .prompt(prompt)
            .option("--env", &format!("PATH={}", self.path));
        let run = self.kit.variables.iter().fold(run, |run, (name, value)| {
            let value = value.replace("{url}", url);
            run.option("--env", &format!("{name}={value}"))
        });
        let arguments = self.kit.arguments.iter();
        arguments.fold(run, |run, argument| run.option("--provider-arg", argument))
    }

    /// Its row when it has ended; nothing of it is left.
    fn ended(&self, task: &Dispatched) -> Value {
        let ended = self.world.ended_within(&task.id, SLOW);
        assert_eq!(self.world.marked(&task.id), [], "{}", self.kit.name);
        ended
    }

    /// Adds a line to the table of what was seen, with what the CLI said of it.
    fn saw(&self, scene: &str, task: &Value) {
        let (state, reason) = self.session_of(task);
        let session = match reason {
            Some(reason) => format!("{state} (`{reason}`)"),
            None => state,
        };
        self.seen.ended(scene, task, &session, &self.said(task));
    }

    /// The words in which it told its trouble, without what differs every time.
    fn said(&self, task: &Value) -> String {
        let id = task["id"].as_str().expect("an id");
        let why = self.world.ctl(&["why", id, "--json"]).ok().json();
        let chain = why["chain"].as_array().expect("a chain").clone();
        let told = chain.iter().find(|link| link["what"] == "provider error");
        let told = told.and_then(|link| link["detail"].as_str());
        let told = told.and_then(|detail| detail.split_once('“'));
        let words = told.map(|(_, words)| words.trim_end_matches('”'));
        // A failure that does not pass has no name of its own: its result tells it.
        let failed = task["result"]["success"] == false;
        let result = task["result"]["text"].as_str().filter(|_| failed);
        let words = words.or(result).unwrap_or_default();
        let session = task["session_id"].as_str().unwrap_or("no session");
        let address = Regex::new(r"127\.0\.0\.1:\d+").expect("a good pattern");
        let words = words.replace(session, "ID");
        address.replace_all(&words, "ADDRESS").into_owned()
    }

    /// State and reason of the task's session.
    fn session_of(&self, task: &Value) -> (String, Option<String>) {
        let id = task["session_id"].as_str().expect("a session");
        let rows = self.world.ledger().sessions_of(KEY);
        let row = rows
            .iter()
            .find(|row| row.text("session_id") == Some(id))
            .unwrap_or_else(|| panic!("no row of {id} in {rows:?}"));
        let state = row.text("state").expect("a state").to_string();
        (state, row.text("quarantine_reason").map(str::to_string))
    }
}
