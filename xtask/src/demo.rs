//! `cargo xtask demo`: the main job, from nothing, in a private folder.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::build;
use crate::run::{capture, root, run};

/// How long the supervisor may take to leave.
const GOODBYE: Duration = Duration::from_secs(10);

/// How long the second agent may work before it is stopped.
const WORK: Duration = Duration::from_secs(2);

/// What one demo uses.
struct Demo {
    dir: PathBuf,
    dist: PathBuf,
    agent: Agent,
}

/// The agent of the demo.
struct Agent {
    provider: &'static str,
    /// Options that make its second run long enough to be stopped.
    slow: &'static [&'static str],
    prompts: [&'static str; 2],
}

/// Ships with the project, needs nothing.
const BUNDLED: Agent = Agent {
    provider: "demo",
    slow: &["--provider-arg", "--steps=600"],
    prompts: ["Say hello in three languages.", "Rewrite everything."],
};

/// Where it is installed and logged in.
const CLAUDE: Agent = Agent {
    provider: "claude",
    slow: &[],
    prompts: [
        "Say hello in three languages, in one line each. Use no tools.",
        "Write a story of five thousand words. Use no tools.",
    ],
};

pub(crate) fn demo() -> Result<()> {
    println!("Building for release; this takes a few minutes the first time.");
    let dist = build::build(&build::RELEASE)?;
    let helper = build::helper("demo_agent")?;
    let demo = Demo::prepare(dist, &helper)?;
    let shown = demo.show();
    let stopped = demo.stop_supervisor();
    shown?;
    stopped?;
    println!(
        "\nThe ledger, the logs and the journals of these tasks are in {}",
        demo.dir.display()
    );
    println!("The programs are in {}", demo.dist.display());
    Ok(())
}

impl Demo {
    fn prepare(dist: PathBuf, helper: &Path) -> Result<Self> {
        let dir = std::env::temp_dir().join(format!("agent-demo-{}", std::process::id()));
        DirBuilder::new()
            .mode(0o700)
            .create(&dir)
            .with_context(|| format!("making {}", dir.display()))?;
        fs::create_dir_all(dir.join("providers.d")).context("making providers.d")?;
        fs::create_dir_all(dir.join("bin")).context("making bin")?;
        // The user's own configuration has no part in this.
        fs::write(dir.join("config.toml"), "").context("writing config.toml")?;
        fs::copy(
            root().join("tests/demo/demo.toml"),
            dir.join("providers.d/demo.toml"),
        )
        .context("copying the provider file")?;
        fs::copy(helper, dir.join("bin/demo_agent")).context("copying the demo agent")?;
        let agent = match claude() {
            Ok(path) => {
                println!("Using {} (installed, and logged in).", path.display());
                CLAUDE
            }
            Err(why) => {
                println!("Using the bundled demo agent, because {why}.");
                BUNDLED
            }
        };
        Ok(Self { dir, dist, agent })
    }

    fn show(&self) -> Result<()> {
        let provider = self.agent.provider;
        let [first, second] = self.agent.prompts;
        println!("\n# An agent under supervision, attached: its progress, its answer, its verdict");
        self.agentctl(&[
            "run",
            "--provider",
            provider,
            "--key",
            "demo:hello",
            "--prompt",
            first,
        ])?;
        println!("\n# A second one in the background");
        let mut words = vec!["run", "-d", "--provider", provider, "--name", "rewrite"];
        words.extend(["--key", "demo:rewrite", "--prompt", second]);
        words.extend(self.agent.slow);
        self.agentctl(&words)?;
        std::thread::sleep(WORK);
        self.agentctl(&["list", "--all"])?;
        println!("\n# Stopped: the answer comes when its whole process tree is proven gone");
        let note = "the demo has seen enough";
        self.agentctl(&["stop-session", "rewrite", "--note", note])?;
        println!("\n# And why it ended");
        self.agentctl(&["why", "rewrite"])?;
        println!(
            "\n# Its conversation was cut off and will not be resumed; the first one would be"
        );
        self.agentctl(&["sessions"])
    }

    /// Says what it runs, and runs it.
    fn agentctl(&self, words: &[&str]) -> Result<()> {
        let quote = |word: &&str| {
            if word.contains(' ') {
                format!("'{word}'")
            } else {
                (*word).to_string()
            }
        };
        let shown: Vec<String> = words.iter().map(quote).collect();
        println!("$ agentctl {}", shown.join(" "));
        run(self.command().args(words))
    }

    fn command(&self) -> Command {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new(self.dist.join("agentctl"));
        command
            .env("PATH", format!("{}:{path}", self.dir.join("bin").display()))
            .env("AGENT_SUPERVISOR_STATE_DIR", self.dir.join("state"))
            .env("AGENT_SUPERVISOR_RUNTIME_DIR", self.dir.join("run"))
            .env("AGENT_SUPERVISOR_CONFIG", self.dir.join("config.toml"))
            .env_remove("AGENT_SUPERVISOR_PROVIDERS_DIR")
            .env_remove("AGENTCTL_NO_START");
        command
    }

    /// Asks the supervisor that `run` started to leave, by its pid.
    fn stop_supervisor(&self) -> Result<()> {
        let status = capture(self.command().args(["status", "--json"]))?;
        let pid = number_after(&status, "\"pid\":").context("no pid in the status")?;
        println!("\n# The demo's supervisor (pid {pid}) is asked to leave");
        run(Command::new("kill").args(["-TERM", &pid]))?;
        let process = PathBuf::from(format!("/proc/{pid}"));
        let asked = Instant::now();
        while process.exists() {
            ensure!(
                asked.elapsed() < GOODBYE,
                "the supervisor {pid} does not leave"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

/// The digits behind a word.
fn number_after(text: &str, word: &str) -> Option<String> {
    let rest = text.split_once(word)?.1.trim_start();
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    (!digits.is_empty()).then_some(digits)
}

/// The installed Claude Code, if it can be used; else why not.
fn claude() -> Result<PathBuf, &'static str> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|folder| folder.join("claude"))
        .find(|program| program.is_file())
        .ok_or("`claude` is not on the PATH")?;
    let key = std::env::var_os("ANTHROPIC_API_KEY").is_some_and(|key| !key.is_empty());
    let credentials = std::env::var_os("HOME")
        .map(|home| Path::new(&home).join(".claude/.credentials.json"))
        .is_some_and(|file| file.is_file());
    if key || credentials {
        Ok(found)
    } else {
        Err("`claude` is installed but not logged in")
    }
}

#[cfg(test)]
mod tests {
    use super::number_after;

    #[test]
    fn a_pid_is_found_in_json() {
        let text = "{\"version\":\"1\",\"pid\": 4711,\"boot_id\":\"x\"}";
        assert_eq!(number_after(text, "\"pid\":").as_deref(), Some("4711"));
        assert_eq!(number_after(text, "\"none\":"), None);
    }
}
