//! What the agent does.

use crate::harness::Gate;

/// A workload of MATRIX.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Workload {
    /// An ordinary one: it says nothing, waits, and exits with 3.
    Plain,
    /// W1: exits within a millisecond.
    Exits,
    /// W2: ignores TERM.
    IgnoresTerm,
    /// W3: sessions of its own and double forks.
    Daemons,
    /// W4: leaves a child that holds the pipes.
    HoldsPipes,
    /// W5: processes that make processes, to a limit.
    Storm,
    /// W6: stops itself.
    StopsItself,
    /// W7: traps TERM and exits 0.
    TrapsTerm,
    /// W8: closes its output and goes on.
    ClosesOutput,
    /// W9: ends with a core dump.
    Dumps,
    /// W10: a long line, invalid UTF-8, NULs.
    Garbage,
    /// W11: 200 MB of memory, and it ends by itself just as the stop comes.
    LastMoment,
    /// W12: wipes its environment.
    WipesEnvironment,
}

/// All of them.
pub(super) const WORKLOADS: [Workload; 13] = [
    Workload::Plain,
    Workload::Exits,
    Workload::IgnoresTerm,
    Workload::Daemons,
    Workload::HoldsPipes,
    Workload::Storm,
    Workload::StopsItself,
    Workload::TrapsTerm,
    Workload::ClosesOutput,
    Workload::Dumps,
    Workload::Garbage,
    Workload::LastMoment,
    Workload::WipesEnvironment,
];

impl Workload {
    /// `W2` …; `W0` is the ordinary one.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Plain => "W0",
            Self::Exits => "W1",
            Self::IgnoresTerm => "W2",
            Self::Daemons => "W3",
            Self::HoldsPipes => "W4",
            Self::Storm => "W5",
            Self::StopsItself => "W6",
            Self::TrapsTerm => "W7",
            Self::ClosesOutput => "W8",
            Self::Dumps => "W9",
            Self::Garbage => "W10",
            Self::LastMoment => "W11",
            Self::WipesEnvironment => "W12",
        }
    }

    /// Its steps up to the mark `ready`, and behind it.
    #[must_use]
    pub fn steps(self, gate: &Gate) -> Vec<String> {
        let before: &[&str] = match self {
            Self::Exits => return vec!["exit:3".to_string()],
            Self::Plain | Self::StopsItself => &[],
            Self::Dumps => &["cores"],
            Self::LastMoment => &["alloc:200"],
            Self::IgnoresTerm => &["ignore:TERM"],
            Self::Daemons => &[
                "spawn:session:1:ignore=TERM,forever",
                "spawn:daemon:2:forever",
            ],
            Self::HoldsPipes => &["spawn:plain:1:ignore=TERM,forever"],
            Self::Storm => &["storm:2:15"],
            Self::TrapsTerm => &["on:TERM:0"],
            Self::ClosesOutput => &["close-stdout", "close-stderr"],
            Self::Garbage => &["garbage", "long-line:3000000"],
            Self::WipesEnvironment => &["wipe-env"],
        };
        let mut steps: Vec<String> = before.iter().map(|step| (*step).to_string()).collect();
        steps.push("mark:ready".to_string());
        if self == Self::StopsItself {
            steps.push("stop-self".to_string());
        }
        let end = match self {
            Self::Dumps => "abort",
            Self::Plain
            | Self::Exits
            | Self::IgnoresTerm
            | Self::Daemons
            | Self::HoldsPipes
            | Self::Storm
            | Self::StopsItself
            | Self::TrapsTerm
            | Self::ClosesOutput
            | Self::Garbage
            | Self::LastMoment
            | Self::WipesEnvironment => "exit:3",
        };
        steps.extend([gate.step(), end.to_string()]);
        steps
    }

    /// Does it go on by itself when its gate opens?
    #[must_use]
    pub const fn ends_by_itself(self) -> bool {
        !matches!(self, Self::StopsItself)
    }
}
