//! What the machine offers beside root and a kernel.

use crate::harness::WorldBuilder;

/// A lane of MATRIX.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// No cgroup to divide; the kernel tells the exits of others, if it can.
    Plain,
    /// A cgroup of version 2 that is the supervisor's to divide.
    Delegated,
    /// A kernel that does not tell the exits of others' children: forced.
    NoExitInfo,
}

impl Lane {
    /// Behind the code of a cell.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Delegated => " delegated",
            Self::NoExitInfo => " no exit info",
        }
    }

    /// What it needs of a world.
    pub(super) fn prepare(self, world: WorldBuilder) -> WorldBuilder {
        match self {
            Self::Plain | Self::Delegated => world,
            Self::NoExitInfo => world.variable("AGENT_SUPERVISOR_NO_PIDFD_EXIT", "1"),
        }
    }
}
