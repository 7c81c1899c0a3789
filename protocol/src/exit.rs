//! How a process ended, and the names of signals.

use alloc::string::String;
use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How a process ended. Never an invented code: what is not known is
/// [`Exit::Unknown`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Exit {
    /// It called `exit` with this code.
    Exited {
        /// 0 to 255.
        code: i32,
    },
    /// A signal ended it.
    Signaled {
        /// The signal's number.
        signal: i32,
        /// It left a core dump.
        core: bool,
    },
    /// Nobody could see it.
    Unknown {
        /// Why not.
        why: String,
    },
}

impl Exit {
    /// The word of the ledger's `exit_kind`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Exited { .. } => "exited",
            Self::Signaled { .. } => "signaled",
            Self::Unknown { .. } => "unknown",
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited { code } => write!(f, "exited with code {code}"),
            Self::Signaled { signal, core } => {
                write!(f, "ended by {}", SignalName(*signal))?;
                if *core {
                    f.write_str(" (core dumped)")
                } else {
                    Ok(())
                }
            }
            Self::Unknown { why } => write!(f, "exit unknown: {why}"),
        }
    }
}

/// The binary form of [`Exit`]; the JSON form is tagged with `kind`.
#[derive(Serialize, Deserialize)]
enum ExitWire {
    Exited(i32),
    Signaled(i32, bool),
    Unknown(String),
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum ExitText {
    Exited { code: i32 },
    Signaled { signal: String, core: bool },
    Unknown { why: String },
}

impl Serialize for Exit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            match self {
                Self::Exited { code } => ExitText::Exited { code: *code },
                Self::Signaled { signal, core } => ExitText::Signaled {
                    signal: alloc::format!("{}", SignalName(*signal)),
                    core: *core,
                },
                Self::Unknown { why } => ExitText::Unknown { why: why.clone() },
            }
            .serialize(serializer)
        } else {
            match self {
                Self::Exited { code } => ExitWire::Exited(*code),
                Self::Signaled { signal, core } => ExitWire::Signaled(*signal, *core),
                Self::Unknown { why } => ExitWire::Unknown(why.clone()),
            }
            .serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Exit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            Ok(match ExitText::deserialize(deserializer)? {
                ExitText::Exited { code } => Self::Exited { code },
                ExitText::Signaled { signal, core } => Self::Signaled {
                    signal: SignalName::parse(&signal)
                        .ok_or_else(|| serde::de::Error::custom("unknown signal name"))?,
                    core,
                },
                ExitText::Unknown { why } => Self::Unknown { why },
            })
        } else {
            Ok(match ExitWire::deserialize(deserializer)? {
                ExitWire::Exited(code) => Self::Exited { code },
                ExitWire::Signaled(signal, core) => Self::Signaled { signal, core },
                ExitWire::Unknown(why) => Self::Unknown { why },
            })
        }
    }
}

/// For `#[serde(with)]`: a signal number as its name, for what people read.
pub mod signal_as_name {
    use alloc::string::{String, ToString};

    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    use super::SignalName;

    /// Writes the name.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(signal: &i32, serializer: S) -> Result<S::Ok, S::Error> {
        SignalName(*signal).to_string().serialize(serializer)
    }

    /// Reads the name.
    ///
    /// # Errors
    /// The deserializer's, and what is no name of a signal.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i32, D::Error> {
        let name = String::deserialize(deserializer)?;
        SignalName::parse(&name).ok_or_else(|| de::Error::custom("unknown signal name"))
    }
}

/// A signal number that prints as its name: `SIGKILL`, and `SIGRT2` for the
/// kernel's third real-time signal. Every number has a name that reads back, so
/// that no record of an exit is ever unreadable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignalName(pub i32);

/// Linux's names on every architecture that we build for (x86-64, arm64).
const SIGNAL_NAMES: [&str; 31] = [
    "SIGHUP",
    "SIGINT",
    "SIGQUIT",
    "SIGILL",
    "SIGTRAP",
    "SIGABRT",
    "SIGBUS",
    "SIGFPE",
    "SIGKILL",
    "SIGUSR1",
    "SIGSEGV",
    "SIGUSR2",
    "SIGPIPE",
    "SIGALRM",
    "SIGTERM",
    "SIGSTKFLT",
    "SIGCHLD",
    "SIGCONT",
    "SIGSTOP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGXCPU",
    "SIGXFSZ",
    "SIGVTALRM",
    "SIGPROF",
    "SIGWINCH",
    "SIGIO",
    "SIGPWR",
    "SIGSYS",
];

/// The kernel's first real-time signal.
const FIRST_REALTIME: i64 = 32;

impl SignalName {
    /// The number of the signal with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<i32> {
        if let Some(offset) = name.strip_prefix("SIGRT") {
            let number = offset.parse::<i64>().ok()?.checked_add(FIRST_REALTIME)?;
            let signal = Self(i32::try_from(number).ok()?);
            // One name for one number.
            return (alloc::format!("{signal}") == name).then_some(signal.0);
        }
        let at = SIGNAL_NAMES.iter().position(|known| *known == name)?;
        i32::try_from(at).ok().map(|n| n + 1)
    }
}

impl fmt::Display for SignalName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = i64::from(self.0);
        let known = usize::try_from(number - 1)
            .ok()
            .and_then(|at| SIGNAL_NAMES.get(at));
        match known {
            Some(name) => f.write_str(name),
            None => write!(f, "SIGRT{}", number - FIRST_REALTIME),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn signals_have_names_and_read_back() {
        for number in 1..=64 {
            let name = SignalName(number).to_string();
            assert_eq!(SignalName::parse(&name), Some(number), "{name}");
        }
        assert_eq!(SignalName(9).to_string(), "SIGKILL");
        assert_eq!(SignalName(34).to_string(), "SIGRT2");
    }

    #[test]
    fn numbers_that_no_signal_has_read_back_as_well() {
        for number in [0, -1, 65, 1000, i32::MIN, i32::MAX] {
            let name = SignalName(number).to_string();
            assert_eq!(SignalName::parse(&name), Some(number), "{name}");
        }
        for name in [
            "",
            "KILL",
            "SIG",
            "SIGRT",
            "SIGRTMIN",
            "SIGRT2147483647",
            "SIGRT+1",
        ] {
            assert_eq!(SignalName::parse(name), None, "{name}");
        }
    }

    #[test]
    fn exits_have_the_documented_json() {
        let json = |exit: &Exit| serde_json::to_string(exit).expect("plain data");
        assert_eq!(
            json(&Exit::Exited { code: 3 }),
            r#"{"kind":"exited","code":3}"#
        );
        let killed = Exit::Signaled {
            signal: 9,
            core: false,
        };
        assert_eq!(
            json(&killed),
            r#"{"kind":"signaled","signal":"SIGKILL","core":false}"#
        );
        let unknown = Exit::Unknown {
            why: "no shim".into(),
        };
        assert_eq!(json(&unknown), r#"{"kind":"unknown","why":"no shim"}"#);
        for exit in [Exit::Exited { code: 3 }, killed, unknown] {
            let bytes = postcard::to_allocvec(&exit).expect("plain data");
            assert_eq!(
                postcard::from_bytes::<Exit>(&bytes).expect("round trip"),
                exit
            );
            let text = json(&exit);
            assert_eq!(
                serde_json::from_str::<Exit>(&text).expect("round trip"),
                exit
            );
        }
    }
}
