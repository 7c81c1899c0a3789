//! Builds the three programs and puts them side by side.
//!
//! `agentctl` and `agent-shim` are static musl programs, because they are
//! started once per command and once per task, and glibc's start-up costs more
//! than all the rest (docs/PERFORMANCE.md). They have no C code, so the
//! toolchain alone can link them. The supervisor has SQLite's C code and is
//! built for the host.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::run::{capture, cargo, run, target_dir};

/// What to build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wishes {
    profile: Profile,
    hooks: Hooks,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Profile {
    Dev,
    Release,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hooks {
    With,
    Without,
}

/// The programs as users get them.
pub(crate) const RELEASE: Wishes = Wishes {
    profile: Profile::Release,
    hooks: Hooks::Without,
};

/// The programs as crash tests need them.
pub(crate) const HOOKED: Wishes = Wishes {
    profile: Profile::Dev,
    hooks: Hooks::With,
};

impl Wishes {
    pub(crate) fn parse(words: &[String]) -> Result<Self> {
        let mut wishes = Self {
            profile: Profile::Dev,
            hooks: Hooks::Without,
        };
        for word in words {
            match word.as_str() {
                "--release" => wishes.profile = Profile::Release,
                "--hooks" => wishes.hooks = Hooks::With,
                other => bail!("build has no option `{other}`"),
            }
        }
        if wishes.profile == Profile::Release && wishes.hooks == Hooks::With {
            bail!("hooks are for tests; a release never has them");
        }
        Ok(wishes)
    }

    /// The name of cargo's folder.
    const fn folder(self) -> &'static str {
        match self.profile {
            Profile::Dev => "debug",
            Profile::Release => "release",
        }
    }

    /// The name of our folder.
    const fn dist(self) -> &'static str {
        match (self.profile, self.hooks) {
            (Profile::Dev, Hooks::Without) => "dev",
            (Profile::Dev, Hooks::With) => "dev-hooks",
            (Profile::Release, _) => "release",
        }
    }

    fn cargo_build(self, packages: &[&str], hooked: &[&str]) -> Command {
        let mut command = cargo();
        command.args(["build", "--quiet"]);
        if self.profile == Profile::Release {
            command.arg("--release");
        }
        for package in packages {
            command.args(["--package", package]);
        }
        if self.hooks == Hooks::With {
            for package in hooked {
                command.args(["--features", &format!("{package}/hooks")]);
            }
        }
        command
    }
}

/// Builds, and gives the folder with the three programs.
pub(crate) fn build(wishes: &Wishes) -> Result<PathBuf> {
    let dist = target_dir().join("dist").join(wishes.dist());
    fs::create_dir_all(&dist).with_context(|| format!("making {}", dist.display()))?;
    let built = target_dir().join(wishes.folder());

    run(&mut wishes.cargo_build(&["supervisor"], &["supervisor"]))?;
    place(&built, "agent-supervisor", &dist)?;

    // One build per package: together they would share features that only
    // one of them has.
    let target = static_target();
    for package in ["agent-shim", "agentctl"] {
        let hooked: &[&str] = if package == "agent-shim" {
            &["agent-shim"]
        } else {
            &[]
        };
        let mut command = wishes.cargo_build(&[package], hooked);
        let built = match &target {
            Some(target) => {
                command.args(["--target", target]);
                target_dir().join(target).join(wishes.folder())
            }
            None => built.clone(),
        };
        run(&mut command)?;
        place(&built, package, &dist)?;
    }
    Ok(dist)
}

/// Builds one of the test programs for release, and gives its path.
pub(crate) fn helper(program: &str) -> Result<PathBuf> {
    let mut command = RELEASE.cargo_build(&["tests"], &[]);
    run(command.args(["--bin", program]))?;
    Ok(target_dir().join("release").join(program))
}

/// Copies a program, so that a running one is replaced and not written over.
fn place(from: &Path, program: &str, dist: &Path) -> Result<()> {
    let (source, fresh) = (from.join(program), dist.join(format!(".{program}.new")));
    fs::copy(&source, &fresh).with_context(|| format!("copying {}", source.display()))?;
    fs::rename(&fresh, dist.join(program)).with_context(|| format!("placing {program}"))
}

/// The static target of this machine, installed if that is possible; says so
/// if it is not.
fn static_target() -> Option<String> {
    let target = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    match has_target(&target) {
        Ok(true) => return Some(target),
        Ok(false) => eprintln!("xtask: installing the target {target}"),
        Err(error) => eprintln!("xtask: asking rustup for targets: {error:#}"),
    }
    let added = run(Command::new("rustup").args(["target", "add", &target]));
    match added {
        Ok(()) => Some(target),
        Err(error) => {
            eprintln!(
                "xtask: {target} cannot be installed ({error:#}); agentctl and agent-shim are \
                 built for the host instead: they work, but start more slowly and need more memory"
            );
            None
        }
    }
}

fn has_target(target: &str) -> Result<bool> {
    let installed = capture(Command::new("rustup").args(["target", "list", "--installed"]))?;
    Ok(installed.lines().any(|line| line.trim() == target))
}
