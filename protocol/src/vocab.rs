//! The closed vocabularies. Each word has one spelling (its serde name), used
//! in JSON, in the ledger and on the command line alike.

use alloc::string::String;
use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A vocabulary: an enum whose words are its only text form. The order of the
/// variants is the wire encoding, so new words go to the end.
macro_rules! vocabulary {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $text)] $variant),+ }

        impl $name {
            /// Every word, in the order of the declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word as JSON, ledger and command line spell it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// The word that is spelled `text`, if there is one.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|word| word.as_str() == text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

vocabulary!(
    /// What a task's row says.
    Status {
        /// Accepted, waiting for a place.
        Queued = "queued",
        /// Its row is committed and it has not ended.
        Running = "running",
        /// Ended by itself, and its own result says so.
        Success = "success",
        /// Ended by itself, badly.
        Failure = "failure",
        /// Ended by another, who declared it.
        Cancelled = "cancelled",
        /// Ended by another, undeclared, or by the end of hub or host.
        Interrupted = "interrupted",
        /// Ended by itself because a skill was missing.
        AbortedNoSkill = "aborted_no_skill",
    }
);

impl Status {
    /// No state follows this one.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Queued | Self::Running => false,
            Self::Success
            | Self::Failure
            | Self::Cancelled
            | Self::Interrupted
            | Self::AbortedNoSkill => true,
        }
    }
}

vocabulary!(
    /// Where a task is in its life.
    Phase {
        /// Waiting for a place.
        Queued = "queued",
        /// Committed; its agent is not known to be exec'd yet.
        Starting = "starting",
        /// The agent was exec'd.
        Running = "running",
        /// An intent is committed, or the end is being established.
        Stopping = "stopping",
        /// Terminal.
        Ended = "ended",
    }
);

vocabulary!(
    /// Is a shim connected?
    Presence {
        /// Its link is up.
        Attached = "attached",
        /// It should live, but its link is down.
        Detached = "detached",
        /// There is none.
        None = "none",
    }
);

vocabulary!(
    /// How a reason is known.
    Basis {
        /// A journalled intent preceded the signal.
        Declared = "declared",
        /// Seen at the exit.
        Observed = "observed",
        /// Worked out afterwards.
        Inferred = "inferred",
    }
);

vocabulary!(
    /// How well `finished_at` is known.
    FinishedBasis {
        /// The shim saw the end as it happened.
        Exact = "exact",
        /// The end was found later.
        Detected = "detected",
    }
);

vocabulary!(
    /// Why a task ended. There is no default.
    ArchiveReason {
        /// Its own result says success.
        Completed = "completed",
        /// Non-zero exit, error result, or no promised result.
        Failed = "failed",
        /// The provider's rule for a missing skill matched.
        AbortedNoSkill = "aborted_no_skill",
        /// The provider refused to resume.
        SessionNotFound = "session_not_found",
        /// The agent was never exec'd.
        SpawnFailed = "spawn_failed",
        /// A fault signal.
        Crashed = "crashed",
        /// A person asked.
        User = "user",
        /// Automation asked.
        RunnerStop = "runner_stop",
        /// The supervisor restarts and the agents may not stay.
        HubRestart = "hub_restart",
        /// The supervisor is stopped or drained.
        HubShutdown = "hub_shutdown",
        /// The machine goes down.
        HostShutdown = "host_shutdown",
        /// No sign of life in time.
        StartTimeout = "start_timeout",
        /// It ran too long.
        Timeout = "timeout",
        /// It was silent too long.
        IdleTimeout = "idle_timeout",
        /// It cost too much.
        Budget = "budget",
        /// A newer task of its key took its place.
        SupersededByTask = "superseded_by_task",
        /// The kernel's out-of-memory killer.
        OomKilled = "oom_killed",
        /// A signal that nobody declared.
        ExternalSignal = "external_signal",
        /// Its shim died.
        ShimLost = "shim_lost",
        /// The boot id changed.
        HostReboot = "host_reboot",
        /// Nothing is known, and that is said.
        Unknown = "unknown",
    }
);

impl ArchiveReason {
    /// The reason in words, for people.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Completed => "Session completed",
            Self::Failed => "Agent failed",
            Self::AbortedNoSkill => "Aborted: missing skill",
            Self::SessionNotFound => "Session not found",
            Self::SpawnFailed => "Could not start",
            Self::Crashed => "Agent crashed",
            Self::User => "User terminated",
            Self::RunnerStop => "Stopped by runner",
            Self::HubRestart => "Hub restart",
            Self::HubShutdown => "Hub shutdown",
            Self::HostShutdown => "Host shutdown",
            Self::StartTimeout => "Start timed out",
            Self::Timeout => "Timed out",
            Self::IdleTimeout => "Idle for too long",
            Self::Budget => "Budget used up",
            Self::SupersededByTask => "Replaced by a newer task",
            Self::OomKilled => "Out of memory",
            Self::ExternalSignal => "Killed from outside",
            Self::ShimLost => "Shim lost",
            Self::HostReboot => "Host rebooted",
            Self::Unknown => "Unknown",
        }
    }
}

vocabulary!(
    /// A reason that an intent can declare: a subset of [`ArchiveReason`].
    StopReason {
        /// A person asked.
        User = "user",
        /// Automation asked.
        RunnerStop = "runner_stop",
        /// The supervisor restarts.
        HubRestart = "hub_restart",
        /// The supervisor stops or drains.
        HubShutdown = "hub_shutdown",
        /// The machine goes down.
        HostShutdown = "host_shutdown",
        /// The start limit.
        StartTimeout = "start_timeout",
        /// The run-time limit.
        Timeout = "timeout",
        /// The silence limit.
        IdleTimeout = "idle_timeout",
        /// The cost limit.
        Budget = "budget",
        /// A newer task of the key.
        SupersededByTask = "superseded_by_task",
    }
);

impl From<StopReason> for ArchiveReason {
    fn from(reason: StopReason) -> Self {
        match reason {
            StopReason::User => Self::User,
            StopReason::RunnerStop => Self::RunnerStop,
            StopReason::HubRestart => Self::HubRestart,
            StopReason::HubShutdown => Self::HubShutdown,
            StopReason::HostShutdown => Self::HostShutdown,
            StopReason::StartTimeout => Self::StartTimeout,
            StopReason::Timeout => Self::Timeout,
            StopReason::IdleTimeout => Self::IdleTimeout,
            StopReason::Budget => Self::Budget,
            StopReason::SupersededByTask => Self::SupersededByTask,
        }
    }
}

vocabulary!(
    /// What became of an intent.
    IntentOutcome {
        /// Committed, its end is not known yet.
        Pending = "pending",
        /// It ended the task.
        Effective = "effective",
        /// The agent had ended by itself before the signal.
        Superseded = "superseded",
        /// An earlier intent was the reason.
        Joined = "joined",
        /// What it wanted to stop was already gone.
        Moot = "moot",
    }
);

vocabulary!(
    /// Which process sent the signals.
    SignalledBy {
        /// The task's shim.
        Shim = "shim",
        /// The supervisor, because the shim could not.
        Supervisor = "supervisor",
    }
);

vocabulary!(
    /// What a stop achieved.
    StopOutcome {
        /// The tree is proven gone, and this stop ended it.
        Stopped = "stopped",
        /// It had ended before.
        AlreadyGone = "already_gone",
        /// Something lives on; it is named.
        StillAlive = "still_alive",
    }
);

vocabulary!(
    /// Through which door a request came.
    Via {
        /// The control socket.
        Control = "control",
        /// The gateway.
        Http = "http",
        /// The supervisor itself (a limit, a drain).
        Supervisor = "supervisor",
        /// A signal at a shim.
        Signal = "signal",
    }
);

vocabulary!(
    /// What the ledger says of a session.
    SessionState {
        /// A live task uses it.
        Live = "live",
        /// The next task of its key resumes it.
        Resumable = "resumable",
        /// Kept, and not resumed without the operator's word.
        Quarantined = "quarantined",
    }
);

vocabulary!(
    /// One of an agent's two output streams.
    Stream {
        /// File descriptor 1.
        Stdout = "stdout",
        /// File descriptor 2.
        Stderr = "stderr",
    }
);

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

/// A signal number that prints as its name (`SIGKILL`, `SIGRTMIN+2`).
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
const FIRST_REALTIME: i32 = 32;

impl SignalName {
    /// The number of the signal with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<i32> {
        if let Some(offset) = name.strip_prefix("SIGRT") {
            return offset
                .parse::<i32>()
                .ok()
                .filter(|n| *n < 33)
                .map(|n| n + FIRST_REALTIME);
        }
        let at = SIGNAL_NAMES.iter().position(|known| *known == name)?;
        i32::try_from(at).ok().map(|n| n + 1)
    }
}

impl fmt::Display for SignalName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = usize::try_from(self.0 - 1)
            .ok()
            .and_then(|at| SIGNAL_NAMES.get(at));
        match known {
            Some(name) => f.write_str(name),
            None => write!(f, "SIGRT{}", self.0 - FIRST_REALTIME),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn every_word_reads_back() {
        for reason in ArchiveReason::ALL {
            assert_eq!(ArchiveReason::parse(reason.as_str()), Some(*reason));
            assert_eq!(
                serde_json::to_value(reason).expect("a unit variant"),
                serde_json::Value::String(reason.as_str().to_string())
            );
        }
        for reason in StopReason::ALL {
            assert_eq!(ArchiveReason::from(*reason).as_str(), reason.as_str());
        }
    }

    #[test]
    fn signals_have_names_and_read_back() {
        for number in 1..=64 {
            let name = SignalName(number).to_string();
            assert_eq!(SignalName::parse(&name), Some(number), "{name}");
        }
        assert_eq!(SignalName(9).to_string(), "SIGKILL");
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
