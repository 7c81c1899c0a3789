//! Where state, sockets, configuration and provider files are. Pure rules:
//! flags and environment come in as values, paths go out; nothing is opened.
//!
//! Per place: its flag, else its variable, else the default. Empty variables
//! and relative XDG folders count as unset. A state folder that was named has
//! its sockets in `<state>/run` unless they were named too, so that it never
//! meets the sockets of another state folder.

use alloc::format;
use alloc::string::{String, ToString};
use core::fmt;

/// Names the state folder.
pub const STATE_DIR_VAR: &str = "AGENT_SUPERVISOR_STATE_DIR";
/// Names the folder of the sockets.
pub const RUNTIME_DIR_VAR: &str = "AGENT_SUPERVISOR_RUNTIME_DIR";
/// Names the configuration file.
pub const CONFIG_VAR: &str = "AGENT_SUPERVISOR_CONFIG";
/// Names the folder of the provider files.
pub const PROVIDERS_DIR_VAR: &str = "AGENT_SUPERVISOR_PROVIDERS_DIR";

/// The socket of `agentctl`, in the runtime folder.
pub const CONTROL_SOCKET: &str = "control.sock";
/// The socket of the shims, in the runtime folder.
pub const SHIM_SOCKET: &str = "shim.sock";
/// Begins the name of the folder in which a provider file is tried, with all places
/// of its supervisor.
pub const TRIAL_PREFIX: &str = "agentctl-try-";
/// The file in the state folder that names the runtime folder in use.
pub const RUNTIME_DIR_FILE: &str = "runtime-dir";
/// The ledger, in the state folder.
pub const LEDGER_FILE: &str = "ledger.sqlite3";

/// Longest path of a unix socket in bytes: `sun_path` has 108, one is the NUL.
pub const MAX_SOCKET_PATH: usize = 107;

/// The name of our folder inside the XDG folders.
const OURS: &str = "agent-supervisor";

/// What was named on the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlaceFlags {
    /// `--state-dir`.
    pub state_dir: Option<String>,
    /// `--runtime-dir`.
    pub runtime_dir: Option<String>,
    /// `--config`.
    pub config: Option<String>,
    /// `--providers-dir`.
    pub providers_dir: Option<String>,
}

/// Everything that the rules look at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlaceInputs {
    /// Named by flag or, where there is none, by variable; the sockets by no
    /// variable where a flag names the state.
    pub named: PlaceFlags,
    /// `XDG_STATE_HOME`, absolute.
    pub xdg_state_home: Option<String>,
    /// `XDG_RUNTIME_DIR`, absolute.
    pub xdg_runtime_dir: Option<String>,
    /// `XDG_CONFIG_HOME`, absolute.
    pub xdg_config_home: Option<String>,
    /// `HOME`, absolute.
    pub home: Option<String>,
    /// The current folder: relative names start here.
    pub cwd: String,
}

/// Whose default places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A user's own supervisor.
    User,
    /// The system service.
    System,
}

/// Who chose a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A flag or a variable.
    Named,
    /// The rules.
    Default,
}

/// The places of one supervisor, all absolute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// Ledger and task folders.
    pub state_dir: String,
    /// Who chose `state_dir`.
    pub state_origin: Origin,
    /// The sockets, before `<state>/runtime-dir` is looked at.
    pub runtime_dir: String,
    /// Who chose `runtime_dir`; if the rules did, `<state>/runtime-dir` wins.
    pub runtime_origin: Origin,
    /// The configuration file.
    pub config_file: String,
    /// Who chose `config_file`: a named one must exist.
    pub config_origin: Origin,
    /// The folder of the provider files.
    pub providers_dir: String,
    /// Who chose `providers_dir`: a named one must exist.
    pub providers_origin: Origin,
}

/// Why there is no place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlaceError {
    /// Neither `HOME` nor `XDG_STATE_HOME` nor a name for the state is set.
    NoHome,
    /// A flag names nothing: most often a variable of a script that is not set.
    EmptyName,
    /// A socket's path would be too long for the kernel.
    SocketPathTooLong {
        /// The path.
        path: String,
    },
}

impl fmt::Display for PlaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHome => write!(
                f,
                "no place for state and configuration: HOME is not set; \
                 set it, or name a folder with --state-dir or {STATE_DIR_VAR}"
            ),
            Self::EmptyName => f.write_str(
                "a folder or file is named by an empty text; \
                 name one, or leave the option out",
            ),
            Self::SocketPathTooLong { path } => write!(
                f,
                "the socket path {path} has {} bytes, and a unix socket's may have {MAX_SOCKET_PATH}; \
                 name a shorter folder with --runtime-dir or {RUNTIME_DIR_VAR}",
                path.len()
            ),
        }
    }
}

impl core::error::Error for PlaceError {}

impl PlaceInputs {
    /// Flags first, then the variables as `variable` knows them. A variable for the
    /// sockets belongs to whatever the variables name: it is not looked at where a
    /// flag names another state.
    pub fn new(
        flags: PlaceFlags,
        variable: impl Fn(&str) -> Option<String>,
        cwd: impl Into<String>,
    ) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let absolute = |name: &str| variable(name).filter(|value| value.starts_with('/'));
        let sockets = match &flags.state_dir {
            Some(_) => None,
            None => set(RUNTIME_DIR_VAR),
        };
        Self {
            named: PlaceFlags {
                state_dir: flags.state_dir.or_else(|| set(STATE_DIR_VAR)),
                runtime_dir: flags.runtime_dir.or(sockets),
                config: flags.config.or_else(|| set(CONFIG_VAR)),
                providers_dir: flags.providers_dir.or_else(|| set(PROVIDERS_DIR_VAR)),
            },
            xdg_state_home: absolute("XDG_STATE_HOME"),
            xdg_runtime_dir: absolute("XDG_RUNTIME_DIR"),
            xdg_config_home: absolute("XDG_CONFIG_HOME"),
            home: absolute("HOME"),
            cwd: cwd.into(),
        }
    }
}

impl Places {
    /// The places of `owner`, what was named first.
    ///
    /// # Errors
    /// [`PlaceError::NoHome`] when a user's default is needed and unknown,
    /// [`PlaceError::EmptyName`].
    pub fn resolve(inputs: &PlaceInputs, owner: Owner) -> Result<Self, PlaceError> {
        let named = &inputs.named;
        let (state_dir, state_origin) =
            choose(named.state_dir.as_deref(), inputs, || match owner {
                Owner::System => Ok("/var/lib/agent-supervisor".to_string()),
                Owner::User => xdg(inputs.xdg_state_home.as_deref(), inputs, ".local/state"),
            })?;
        let (runtime_dir, runtime_origin) = choose(named.runtime_dir.as_deref(), inputs, || {
            Ok(match (state_origin, owner, &inputs.xdg_runtime_dir) {
                (Origin::Default, Owner::System, _) => "/run/agent-supervisor".to_string(),
                (Origin::Default, Owner::User, Some(dir)) => join(dir, OURS),
                (Origin::Default, Owner::User, None) | (Origin::Named, _, _) => {
                    join(&state_dir, "run")
                }
            })
        })?;
        let (config_file, config_origin) = choose(named.config.as_deref(), inputs, || {
            let dir = match owner {
                Owner::System => "/etc/agent-supervisor".to_string(),
                // Without a home (`env -i`) a named state folder has it all.
                Owner::User => xdg(inputs.xdg_config_home.as_deref(), inputs, ".config")
                    .unwrap_or_else(|_| state_dir.clone()),
            };
            Ok(join(&dir, "config.toml"))
        })?;
        let (providers_dir, providers_origin) =
            choose(named.providers_dir.as_deref(), inputs, || {
                let beside = config_file.rsplit_once('/').map_or("", |(dir, _)| dir);
                Ok(join(beside, "providers.d"))
            })?;
        Ok(Self {
            state_dir,
            state_origin,
            runtime_dir,
            runtime_origin,
            config_file,
            config_origin,
            providers_dir,
            providers_origin,
        })
    }

    /// Was it said, by flag or variable, which supervisor is meant?
    #[must_use]
    pub fn is_named(&self) -> bool {
        self.state_origin == Origin::Named || self.runtime_origin == Origin::Named
    }

    /// The file that names the runtime folder in use.
    #[must_use]
    pub fn runtime_dir_file(&self) -> String {
        join(&self.state_dir, RUNTIME_DIR_FILE)
    }

    /// The ledger.
    #[must_use]
    pub fn ledger(&self) -> String {
        join(&self.state_dir, LEDGER_FILE)
    }
}

/// The path of the socket `name` in `runtime_dir`.
///
/// # Errors
/// [`PlaceError::SocketPathTooLong`].
pub fn socket_path(runtime_dir: &str, name: &str) -> Result<String, PlaceError> {
    let path = join(runtime_dir, name);
    if path.len() > MAX_SOCKET_PATH {
        return Err(PlaceError::SocketPathTooLong { path });
    }
    Ok(path)
}

fn choose(
    named: Option<&str>,
    inputs: &PlaceInputs,
    default: impl FnOnce() -> Result<String, PlaceError>,
) -> Result<(String, Origin), PlaceError> {
    match named {
        Some("") => Err(PlaceError::EmptyName),
        Some(path) if path.starts_with('/') => Ok((path.to_string(), Origin::Named)),
        Some(path) => Ok((join(&inputs.cwd, path), Origin::Named)),
        None => Ok((default()?, Origin::Default)),
    }
}

fn xdg(folder: Option<&str>, inputs: &PlaceInputs, in_home: &str) -> Result<String, PlaceError> {
    match (folder, &inputs.home) {
        (Some(folder), _) => Ok(join(folder, OURS)),
        (None, Some(home)) => Ok(join(&join(home, in_home), OURS)),
        (None, None) => Err(PlaceError::NoHome),
    }
}

fn join(dir: &str, name: &str) -> String {
    format!("{}/{name}", dir.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(flags: PlaceFlags, variables: &[(&str, &str)]) -> PlaceInputs {
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_string())
        };
        PlaceInputs::new(flags, variable, "/here")
    }

    fn user(flags: PlaceFlags, variables: &[(&str, &str)]) -> Places {
        Places::resolve(&inputs(flags, variables), Owner::User).expect("a home is set")
    }

    #[test]
    fn a_user_has_xdg_places_and_fallbacks_in_home() {
        let bare = user(
            PlaceFlags::default(),
            &[("HOME", "/home/u/"), ("XDG_STATE_HOME", "rel")],
        );
        assert_eq!(bare.state_dir, "/home/u/.local/state/agent-supervisor");
        assert_eq!(
            bare.runtime_dir,
            "/home/u/.local/state/agent-supervisor/run"
        );
        assert_eq!(
            bare.config_file,
            "/home/u/.config/agent-supervisor/config.toml"
        );
        assert_eq!(
            bare.providers_dir,
            "/home/u/.config/agent-supervisor/providers.d"
        );
        assert!(!bare.is_named());
        let xdg = [
            ("XDG_STATE_HOME", "/s"),
            ("XDG_RUNTIME_DIR", "/run/user/1"),
            ("XDG_CONFIG_HOME", "/c"),
        ];
        let full = user(PlaceFlags::default(), &xdg);
        assert_eq!(full.state_dir, "/s/agent-supervisor");
        assert_eq!(full.runtime_dir, "/run/user/1/agent-supervisor");
        assert_eq!(full.config_file, "/c/agent-supervisor/config.toml");
        assert_eq!(full.ledger(), "/s/agent-supervisor/ledger.sqlite3");
    }

    #[test]
    fn flags_win_over_variables_and_a_named_state_keeps_its_own_sockets() {
        let flags = PlaceFlags {
            state_dir: Some("st".into()),
            ..PlaceFlags::default()
        };
        let variables = [
            ("HOME", "/h"),
            ("XDG_RUNTIME_DIR", "/run/user/1"),
            (STATE_DIR_VAR, "/other"),
            (CONFIG_VAR, "/c/my.toml"),
            (RUNTIME_DIR_VAR, ""),
        ];
        let places = user(flags, &variables);
        assert_eq!(places.state_dir, "/here/st");
        assert_eq!(places.runtime_dir, "/here/st/run");
        assert_eq!(places.runtime_origin, Origin::Default);
        assert_eq!(places.providers_dir, "/c/providers.d");
        assert!(places.is_named());
    }

    #[test]
    fn a_flag_for_the_state_means_its_own_sockets_and_not_those_of_a_variable() {
        let inside_a_task = [("HOME", "/h"), (RUNTIME_DIR_VAR, "/first/run")];
        let other = PlaceFlags {
            state_dir: Some("/other".into()),
            ..PlaceFlags::default()
        };
        let places = user(other.clone(), &inside_a_task);
        assert_eq!(places.runtime_dir, "/other/run");
        assert_eq!(places.runtime_origin, Origin::Default);
        let both = PlaceFlags {
            runtime_dir: Some("/r".into()),
            ..other
        };
        assert_eq!(user(both, &inside_a_task).runtime_dir, "/r");
        // Two variables belong together.
        let variables = [(STATE_DIR_VAR, "/s"), (RUNTIME_DIR_VAR, "/r")];
        assert_eq!(user(PlaceFlags::default(), &variables).runtime_dir, "/r");
        let bare = user(PlaceFlags::default(), &inside_a_task);
        assert_eq!(bare.runtime_dir, "/first/run");
    }

    #[test]
    fn the_system_service_needs_no_home() {
        let places = Places::resolve(&inputs(PlaceFlags::default(), &[]), Owner::System);
        let places = places.expect("all defaults are fixed");
        assert_eq!(places.state_dir, "/var/lib/agent-supervisor");
        assert_eq!(places.runtime_dir, "/run/agent-supervisor");
        assert_eq!(places.config_file, "/etc/agent-supervisor/config.toml");
        let nobody = Places::resolve(&inputs(PlaceFlags::default(), &[]), Owner::User);
        assert_eq!(nobody, Err(PlaceError::NoHome));
        let named = user(PlaceFlags::default(), &[(STATE_DIR_VAR, "/s")]);
        assert_eq!(named.config_file, "/s/config.toml");
    }

    #[test]
    fn a_path_too_long_for_a_socket_is_refused_in_words() {
        let dir = "/x".repeat(60);
        let error = socket_path(&dir, CONTROL_SOCKET).expect_err("133 bytes");
        assert!(error.to_string().contains("--runtime-dir"));
        assert_eq!(
            socket_path("/run/a", CONTROL_SOCKET),
            Ok("/run/a/control.sock".into())
        );
    }
}
