//! The environment of an agent.
//!
//! Later layers win: the base (the caller's environment under a user's own
//! supervisor, the configured one under a system service and for an agent of
//! another user), without what the
//! configuration, the provider and this module strip; what the provider adds;
//! what the caller asked for; and at the end what is ours: the marker and the
//! place of the supervisor.

use std::collections::BTreeMap;

use protocol::TaskId;
use protocol::limits::{MAX_ARG_BYTES, MAX_ENV_BYTES};
use protocol::places::{RUNTIME_DIR_VAR, STATE_DIR_VAR};

use super::marker;

/// Never inherited. The first group would let an agent speak to our service
/// manager or take its sockets; the second is said of another process or
/// folder; the rest is ours, or of another task (a carrier of two markers
/// would die with either task). `*` stands for any rest.
const NEVER_INHERITED: [&str; 23] = [
    "NOTIFY_SOCKET",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
    "LISTEN_PIDFDID",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "FDSTORE",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "MAINPID",
    "MANAGERPID",
    "SYSTEMD_EXEC_PID",
    "MEMORY_PRESSURE_WATCH",
    "MEMORY_PRESSURE_WRITE",
    "CREDENTIALS_DIRECTORY",
    "PWD",
    "OLDPWD",
    "_",
    "TMPDIR",
    "AGENT_SUPERVISOR_*",
    "AGENT_TASK_*",
    "AGENT_HOOKS*",
];

/// What every program needs, whatever its provider allows: where it is at home,
/// what it speaks, where programs and certificates are.
const ALWAYS_ALLOWED: [&str; 12] = [
    "HOME",
    "PATH",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LC_*",
    "TERM",
    "TZ",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "XDG_*",
];

/// Where an environment begins.
#[derive(Clone, Copy)]
pub enum Base<'a> {
    /// A user's own supervisor: the caller's.
    Client(&'a [(String, String)]),
    /// A system service: the account's, with the configured one over it.
    System {
        /// See [`super::account`].
        account: &'a [(String, String)],
        /// `[env] base`.
        configured: &'a [(String, String)],
    },
    /// An agent of another user: the configured one, with the account over it.
    /// What is said of the supervisor's own user is not said of this one, and
    /// nothing of the caller's environment is handed over.
    OtherUser {
        /// `[env] base`.
        configured: &'a [(String, String)],
        /// See [`super::account`].
        account: &'a [(String, String)],
    },
}

/// A task's marker.
#[derive(Clone, Copy)]
pub struct Marker<'a> {
    /// The task.
    pub task: &'a TaskId,
    /// Its nonce, in hexadecimal digits.
    pub nonce: &'a str,
}

/// All layers.
#[derive(Clone, Copy)]
pub struct EnvironmentInput<'a> {
    /// The lowest.
    pub base: Base<'a>,
    /// `[env] strip`: not taken from the base.
    pub strip: &'a [String],
    /// The provider's `strip`: not taken from the base.
    pub provider_strip: &'a [String],
    /// The provider's `allow`: nothing else is taken from the base, but what
    /// every program needs.
    pub provider_allow: Option<&'a [String]>,
    /// The provider's `set`.
    pub provider_add: &'a [(String, String)],
    /// The provider's `require`: must be set at the end.
    pub provider_require: &'a [String],
    /// `--env` and `--env-file`, in order.
    pub requested: &'a [(String, String)],
    /// The task's marker.
    pub marker: Marker<'a>,
    /// Where `agentctl` inside of the task finds this supervisor's ledger.
    pub state_dir: &'a str,
    /// Where it finds its socket.
    pub runtime_dir: &'a str,
}

/// Why there is no environment. All of them are the caller's to mend.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvironmentError {
    /// A requested name that no variable can have.
    #[error("{0:?} is not a variable's name")]
    BadName(String),
    /// A requested value that no variable can have.
    #[error("the value of variable {0} has a NUL byte in it")]
    NulByte(String),
    /// A requested name that is ours.
    #[error("variable {0} is reserved for the supervisor")]
    Reserved(String),
    /// One that the kernel would refuse.
    #[error("variable {name} has {bytes} bytes, and one may have {}", MAX_ARG_BYTES - 1)]
    TooLong {
        /// Its name.
        name: String,
        /// Its size, name and value.
        bytes: usize,
    },
    /// All of it together is too much.
    #[error("the environment has {bytes} bytes, and {MAX_ENV_BYTES} are allowed")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// The provider cannot run without it.
    #[error("the provider needs the variable {0}: set it, or give it with --env")]
    Missing(String),
    /// It is there, and a rule keeps it from the agent.
    #[error("the provider needs the variable {name}, which is set and not handed on: {rule}")]
    NotHandedOn {
        /// Its name.
        name: String,
        /// Which rule, and what to do.
        rule: &'static str,
    },
}

/// Puts the layers together, sorted by name.
///
/// # Errors
/// [`EnvironmentError`] says what the caller should change.
pub fn compose(input: &EnvironmentInput<'_>) -> Result<Vec<(String, String)>, EnvironmentError> {
    let mut environment: BTreeMap<&str, &str> = BTreeMap::new();
    let stripped = |name: &str| {
        NEVER_INHERITED.iter().any(|rule| matches(rule, name))
            || input
                .strip
                .iter()
                .chain(input.provider_strip)
                .any(|rule| matches(rule, name))
    };
    let allowed = |name: &str| {
        input.provider_allow.is_none_or(|allow| {
            ALWAYS_ALLOWED.iter().any(|rule| matches(rule, name))
                || allow.iter().any(|rule| matches(rule, name))
        })
    };
    let layers: [&[(String, String)]; 2] = match input.base {
        Base::Client(environment) => [environment, &[]],
        Base::System {
            account,
            configured,
        } => [account, configured],
        Base::OtherUser {
            configured,
            account,
        } => [configured, account],
    };
    for (name, value) in layers.into_iter().flatten() {
        // What nobody asked for and no variable can be is left out silently.
        if is_name(name) && !value.contains('\0') && !stripped(name) && allowed(name) {
            environment.insert(name, value);
        }
    }
    for (name, value) in input.provider_add {
        environment.insert(name, value);
    }
    for (name, value) in input.requested {
        check_requested(name, value)?;
        environment.insert(name, value);
    }
    for name in input.provider_require {
        if environment
            .get(name.as_str())
            .is_none_or(|value| value.is_empty())
        {
            let base = layers.into_iter().flatten();
            let is_set = base
                .into_iter()
                .any(|(known, value)| known == name && !value.is_empty());
            return Err(match (is_set, stripped(name)) {
                (false, _) => EnvironmentError::Missing(name.clone()),
                (true, true) => not_handed_on(name, STRIPPED),
                (true, false) => not_handed_on(name, NOT_ALLOWED),
            });
        }
    }
    let marker_name = marker::marker_name(input.marker.task);
    environment.insert(&marker_name, input.marker.nonce);
    environment.insert(STATE_DIR_VAR, input.state_dir);
    environment.insert(RUNTIME_DIR_VAR, input.runtime_dir);
    check_sizes(&environment)?;
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    Ok(environment.into_iter().map(owned).collect())
}

/// Why a variable that is set is none of the agent's.
const STRIPPED: &str = "`strip` takes it away, in the provider file or the configuration's [env]; \
                        take it out there, or give it with --env";
const NOT_ALLOWED: &str = "the provider's `allow` does not name it; put it there, or give it with \
                           --env";

fn not_handed_on(name: &str, rule: &'static str) -> EnvironmentError {
    let name = name.to_owned();
    EnvironmentError::NotHandedOn { name, rule }
}

fn check_requested(name: &str, value: &str) -> Result<(), EnvironmentError> {
    if !is_name(name) {
        return Err(EnvironmentError::BadName(name.to_owned()));
    }
    if value.contains('\0') {
        return Err(EnvironmentError::NulByte(name.to_owned()));
    }
    let ours = [RUNTIME_DIR_VAR, STATE_DIR_VAR].contains(&name) || name.starts_with(marker::PREFIX);
    if ours {
        Err(EnvironmentError::Reserved(name.to_owned()))
    } else {
        Ok(())
    }
}

fn check_sizes(environment: &BTreeMap<&str, &str>) -> Result<(), EnvironmentError> {
    let mut total = 0;
    for (name, value) in environment {
        // With the `=`; the kernel counts the NUL at the end, too.
        let bytes = name.len() + 1 + value.len();
        if bytes >= MAX_ARG_BYTES {
            return Err(EnvironmentError::TooLong {
                name: (*name).to_owned(),
                bytes,
            });
        }
        total += bytes + 1;
    }
    if total > MAX_ENV_BYTES {
        Err(EnvironmentError::TooLarge { bytes: total })
    } else {
        Ok(())
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(['=', '\0'])
}

/// A name, or a beginning with `*` behind it.
fn matches(rule: &str, name: &str) -> bool {
    match rule.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => rule == name,
    }
}

#[cfg(test)]
#[path = "environment_tests.rs"]
mod tests;
