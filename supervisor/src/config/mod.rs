//! The configuration file: what stands in it, and what holds where it says
//! nothing.
//!
//! Every key has a default, so no file is needed. A key that is not known, a
//! value that cannot be and two values that do not fit are errors with file
//! and line; nothing is ever silently ignored.

mod read;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use lifecycle::crash_loop::Limit as CrashLoopLimit;
use protocol::ProviderName;
use protocol::limits::{DEFAULT_GRACE_MS, DEFAULT_MAX_LOG_BYTES};

use crate::document::{MAX_DOCUMENT_BYTES, Problem};

/// Live tasks by default. 500 agents fill a large machine; twice that leaves
/// room for `exec` tasks, which are small.
pub const DEFAULT_MAX_TASKS: u64 = 1_000;

/// Waiting tasks by default: a forge that dispatches a backlog at once fits,
/// and a loop that dispatches for ever is noticed before the disk is full.
pub const DEFAULT_MAX_QUEUED: u64 = 10_000;

/// Tasks of one key that end without a word before the key rests by default:
/// two may be bad luck.
pub const DEFAULT_CRASH_LOOP_TASKS: u64 = 3;

/// In which time they do, in milliseconds: a hub that tries again every quarter
/// of a minute is seen.
pub const DEFAULT_CRASH_LOOP_WINDOW_MS: u64 = 60_000;

/// How long a drain lets tasks finish by default, in milliseconds: below the
/// 90 s after which service managers lose patience.
pub const DEFAULT_DRAIN_MS: u64 = 60_000;

/// Search path of a system service's agents by default.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Everything that can be configured.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Config {
    /// `[limits]`
    pub limits: Limits,
    /// `[control]`
    pub control: Control,
    /// `[env]`
    pub env: Env,
    /// `[ledger]`
    pub ledger: Ledger,
    /// `[shutdown]`
    pub shutdown: Shutdown,
    /// `[http]`
    pub http: Http,
    /// `[defaults]`
    pub defaults: Defaults,
    /// `[retention]`
    pub retention: Retention,
}

/// How much at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Tasks with a live agent; more have to wait or are refused.
    pub max_tasks: u64,
    /// Tasks that wait.
    pub max_queued: u64,
    /// Output that is kept per task and stream, in bytes.
    pub max_log_bytes: u64,
    /// When a key rests because its tasks end as soon as they have begun.
    pub crash_loop: CrashLoopLimit,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_tasks: DEFAULT_MAX_TASKS,
            max_queued: DEFAULT_MAX_QUEUED,
            max_log_bytes: DEFAULT_MAX_LOG_BYTES,
            crash_loop: CrashLoopLimit {
                tasks: DEFAULT_CRASH_LOOP_TASKS,
                window_ms: DEFAULT_CRASH_LOOP_WINDOW_MS,
            },
        }
    }
}

/// Who may speak to the control socket.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Control {
    /// Besides the supervisor's own user: the members of this group.
    pub group: Option<String>,
}

/// The environment of agents.
#[derive(Clone, PartialEq, Eq)]
pub struct Env {
    /// What a system service's agents start from: the default, with the
    /// file's entries added. Not used by a user's own supervisor.
    pub base: Vec<(String, String)>,
    /// Names that no agent gets from its base; a `*` at the end stands for any
    /// rest.
    pub strip: Vec<String>,
}

/// Values never appear in `Debug`: the base may have keys in it.
impl std::fmt::Debug for Env {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.base.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Env")
            .field("base", &names)
            .field("strip", &self.strip)
            .finish()
    }
}

impl Default for Env {
    fn default() -> Self {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        Self {
            base: vec![pair("LANG", "C.UTF-8"), pair("PATH", DEFAULT_PATH)],
            strip: Vec::new(),
        }
    }
}

/// The ledger.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Ledger {
    /// What to do with a damaged one.
    pub on_damage: OnDamage,
}

/// What to do with a damaged ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OnDamage {
    /// Leave it untouched and exit.
    #[default]
    Refuse,
    /// Keep it aside and rebuild it from the task folders.
    Recover,
}

/// What becomes of the agents when the supervisor ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shutdown {
    /// At a restart.
    pub on_restart: AgentsAtEnd,
    /// At a stop.
    pub on_stop: AgentsAtEnd,
    /// How long a drain lets tasks finish.
    pub drain_ms: u64,
    /// Between TERM and KILL for the tasks that did not.
    pub grace_ms: u64,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self {
            on_restart: AgentsAtEnd::Keep,
            on_stop: AgentsAtEnd::Drain,
            drain_ms: DEFAULT_DRAIN_MS,
            grace_ms: DEFAULT_GRACE_MS,
        }
    }
}

/// What becomes of the agents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentsAtEnd {
    /// They go on under their shims.
    Keep,
    /// They may finish for a while and are stopped then.
    Drain,
}

/// The gateway.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Http {
    /// Where it listens; it is off without.
    pub listen: Option<Listen>,
    /// The file with the bearer token.
    pub token_file: Option<PathBuf>,
}

/// Where the gateway listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// An address; never without a token.
    Address(SocketAddr),
    /// A socket file, open to whom the control socket is open.
    Socket {
        /// Its folder.
        folder: PathBuf,
        /// Its name in there.
        name: String,
    },
}

/// What a dispatch that does not say gets.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Defaults {
    /// For a dispatch with neither provider nor command.
    pub provider: Option<ProviderName>,
    /// For providers that take a model.
    pub model: Option<String>,
    /// For its whole run.
    pub timeout_ms: Option<u64>,
    /// For its silence. A provider's own one goes before.
    pub idle_timeout_ms: Option<u64>,
    /// Until the first session id or output. A provider's own one goes before.
    pub start_timeout_ms: Option<u64>,
    /// Between TERM and KILL. A provider's own one goes before.
    pub grace_ms: Option<u64>,
}

/// How long ended tasks are kept. They are kept for ever unless it says so.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Retention {
    /// Those that ended longer ago may go.
    pub max_age_ms: Option<u64>,
    /// Beyond so many the oldest may go.
    pub max_tasks: Option<u64>,
}

/// Why there is no configuration. All of them are exit code 2.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file that was named cannot be read.
    #[error("cannot read the configuration file {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not a configuration file at all.
    #[error(
        "the configuration file {} is larger than {MAX_DOCUMENT_BYTES} bytes or not UTF-8 text",
        path.display()
    )]
    NotText {
        /// The file.
        path: PathBuf,
    },
    /// One line per problem.
    #[error("{}", lines(.0))]
    Invalid(Vec<Problem>),
}

/// Which file holds the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigFile {
    /// The usual place; there need not be one.
    Usual(PathBuf),
    /// Named by a flag or a variable; it has to be there.
    Named(PathBuf),
}

impl ConfigFile {
    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Usual(path) | Self::Named(path) => path,
        }
    }
}

impl Config {
    /// Reads the file.
    ///
    /// # Errors
    /// [`ConfigError`]; a file that is not there is one only if it was named.
    pub fn load(file: &ConfigFile) -> Result<Self, ConfigError> {
        let path = file.path();
        let text = match read_bounded(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                let missing = error.kind() == std::io::ErrorKind::NotFound;
                return match file {
                    ConfigFile::Usual(_) if missing => Ok(Self::default()),
                    ConfigFile::Usual(_) | ConfigFile::Named(_) => Err(ConfigError::Unreadable {
                        path: path.to_owned(),
                        source: error,
                    }),
                };
            }
        };
        let text = text
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .ok_or_else(|| ConfigError::NotText {
                path: path.to_owned(),
            })?;
        Self::parse(&path.display().to_string(), &text)
    }

    /// Reads the file's text.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] with all problems.
    pub fn parse(file: &str, text: &str) -> Result<Self, ConfigError> {
        read::config(file, text).map_err(ConfigError::Invalid)
    }
}

/// The file's bytes; `None` if there are too many of them.
fn read_bounded(path: &Path) -> std::io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(MAX_DOCUMENT_BYTES + 1)
        .read_to_end(&mut bytes)?;
    let too_large = bytes.len() as u64 > MAX_DOCUMENT_BYTES;
    Ok(if too_large { None } else { Some(bytes) })
}

fn lines(problems: &[Problem]) -> String {
    problems
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}
