//! How a world is made.

use std::fs;
use std::sync::Mutex;

use super::World;
use crate::harness::bins::Bins;
use crate::harness::hooks::Hooks;

/// Short, because socket paths have 108 bytes: the task's folders are below.
const WORLD_TEMPLATE: &str = "/tmp/aw-XXXXXX";

/// How a world is made.
#[derive(Debug, Default)]
pub struct WorldBuilder {
    hooks: Vec<String>,
    config: Option<String>,
    variables: Vec<(String, String)>,
    released_shim: Option<String>,
}

impl WorldBuilder {
    /// Activates hook points.
    #[must_use]
    pub fn hooks<'a>(mut self, points: impl IntoIterator<Item = &'a str>) -> Self {
        self.hooks.extend(points.into_iter().map(str::to_string));
        self
    }

    /// The supervisor's configuration file; `{dir}` in it is the world's folder.
    #[must_use]
    pub fn config(mut self, text: &str) -> Self {
        self.config = Some(text.to_string());
        self
    }

    /// A variable of the supervisor's own environment; `{dir}` in it is the
    /// world's folder.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_string(), value.to_string()));
        self
    }

    /// Its shims speak the frozen bytes of a release, or what `plan` changes of
    /// them (`tests/src/bin/released_shim`).
    #[must_use]
    pub fn released_shim(mut self, plan: &str) -> Self {
        self.released_shim = Some(plan.to_string());
        self
    }

    /// The world, without a supervisor yet.
    ///
    /// # Panics
    /// When its folders cannot be made.
    #[must_use]
    pub fn build(self) -> World {
        let bins = Bins::locate();
        let dir = nix::unistd::mkdtemp(WORLD_TEMPLATE).expect("a private folder can be made");
        for folder in [
            "home",
            "state",
            "config/agent-supervisor",
            "bin",
            "work",
            "gates",
        ] {
            fs::create_dir_all(dir.join(folder)).expect("a folder can be made");
        }
        if let Some(text) = &self.config {
            let text = text.replace("{dir}", &dir.display().to_string());
            fs::write(dir.join("config/agent-supervisor/config.toml"), text)
                .expect("the configuration can be written");
        }
        let folder = dir.display().to_string();
        let variables = self.variables.into_iter();
        let variables = variables.map(|(name, value)| (name, value.replace("{dir}", &folder)));
        let mut variables: Vec<(String, String)> = variables.collect();
        if let Some(plan) = &self.released_shim {
            let shim = dir.join("bin/agent-shim");
            fs::copy(bins.released_shim(), &shim).expect("a program can be copied");
            fs::write(dir.join("bin/agent-shim.plan"), plan).expect("a file can be written");
            variables.push(("AGENT_SHIM_BIN".to_string(), shim.display().to_string()));
        }
        let hooks = (!self.hooks.is_empty()).then(|| Hooks::serve(&dir.join("hooks.sock")));
        World {
            bins,
            active: self.hooks,
            variables,
            hooks,
            supervisors: Mutex::default(),
            oracle: Mutex::default(),
            forgiven: Mutex::default(),
            entrance: Vec::new(),
            dir,
        }
    }
}
