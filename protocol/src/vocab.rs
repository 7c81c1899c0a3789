//! The closed vocabularies. Each word has one spelling (its serde name), used
//! in JSON, in the ledger and on the command line alike.

use core::fmt;

use serde::{Deserialize, Serialize};

pub use crate::exit::{Exit, SignalName};

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
}
