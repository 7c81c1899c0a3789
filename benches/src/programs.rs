//! The programs that are measured.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Where they are.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The folder with `agentctl`, `agent-supervisor` and `agent-shim`.
    pub folder: PathBuf,
    /// The agent of the measurements.
    pub agent: PathBuf,
}

impl Programs {
    /// Those in `folder`, with `agent`.
    ///
    /// # Errors
    /// When one is missing.
    pub fn new(folder: PathBuf, agent: PathBuf) -> Result<Self> {
        // Whoever starts them may do so from another folder.
        let folder = folder.canonicalize().unwrap_or(folder);
        let programs = Self { folder, agent };
        for name in ["agentctl", "agent-supervisor", "agent-shim"] {
            let path = programs.folder.join(name);
            ensure!(
                path.is_file(),
                "{} is missing: `cargo xtask build` makes it",
                path.display()
            );
        }
        Ok(programs)
    }

    /// The release programs, and the agent, built for this.
    ///
    /// # Errors
    /// When they are missing or the agent cannot be built.
    pub fn release() -> Result<Self> {
        let folder = named("AGENT_BENCH_BIN_DIR").unwrap_or_else(|| dist().join("release"));
        Self::new(folder, build_agent()?)
    }

    /// The programs of a build with hooks, if there is one.
    #[must_use]
    pub fn hooked(&self) -> Option<Self> {
        let folder = named("AGENT_BENCH_HOOKS_BIN_DIR").unwrap_or_else(|| dist().join("dev-hooks"));
        Self::new(folder, self.agent.clone()).ok()
    }

    /// The command line.
    #[must_use]
    pub fn agentctl(&self) -> PathBuf {
        self.folder.join("agentctl")
    }

    /// The daemon.
    #[must_use]
    pub fn supervisor(&self) -> PathBuf {
        self.folder.join("agent-supervisor")
    }
}

fn named(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

fn target_dir() -> PathBuf {
    named("CARGO_TARGET_DIR").unwrap_or_else(|| root().join("target"))
}

fn dist() -> PathBuf {
    target_dir().join("dist")
}

fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// Builds the agent as a static program where that is possible: how fast it
/// starts is a part of what is measured, and the same for everyone in the run.
fn build_agent() -> Result<PathBuf> {
    let target = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    let built = cargo_build(&["--target", &target]);
    let folder = match built {
        Ok(()) => target_dir().join(target).join("release"),
        Err(error) => {
            eprintln!("benches: no static agent ({error:#}); every start costs more then");
            cargo_build(&[])?;
            target_dir().join("release")
        }
    };
    Ok(folder.join("bench_agent"))
}

fn cargo_build(words: &[&str]) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .current_dir(root())
        .args(["build", "--quiet", "--release", "--package", "benches"])
        .args(["--no-default-features", "--bin", "bench_agent"])
        .args(words);
    let status = command.status().context("starting cargo")?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(())
}
