//! Where a task stands when the fault comes.

use super::Workload;

/// A state of MATRIX.md, and the hook point that stands for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// S1: the row is committed, there is no shim.
    RowOnly,
    /// S2: the shim was forked and has no claim yet.
    Unclaimed,
    /// S3: claimed, the agent is not exec'd.
    Claimed,
    /// S4: exec'd, and not reported.
    Unreported,
    /// S5: it runs and says nothing.
    Idle,
    /// S6: it prints as fast as it can.
    Flooding,
    /// S7: an intent is committed, and the shim has not acknowledged it.
    Intended,
    /// S8: acknowledged, nothing was signalled.
    Acknowledged,
    /// S9: TERM was sent, the grace runs.
    InGrace,
    /// S10: KILL was sent, the tree is not empty.
    Killed,
    /// S11: the leader is dead, descendants live.
    Leaderless,
    /// S12: the agent has ended, its exit is not on the disk.
    Ending,
    /// S13: on the disk, and the ledger has not acknowledged it.
    OnDisk,
    /// S14: acknowledged, the task's folder is not settled.
    Unsettled,
    /// S15: the next supervisor is there, and the shim about to greet it.
    Adopting,
    /// S16: a drain is under way, and the task may still finish.
    Draining,
}

/// All of them, in order.
pub(super) const STATES: [State; 16] = [
    State::RowOnly,
    State::Unclaimed,
    State::Claimed,
    State::Unreported,
    State::Idle,
    State::Flooding,
    State::Intended,
    State::Acknowledged,
    State::InGrace,
    State::Killed,
    State::Leaderless,
    State::Ending,
    State::OnDisk,
    State::Unsettled,
    State::Adopting,
    State::Draining,
];

impl State {
    /// `S1` … `S16`.
    #[must_use]
    pub fn code(self) -> String {
        let at = STATES.iter().position(|state| *state == self);
        format!("S{}", at.map_or(0, |at| at + 1))
    }

    /// The point at which a process stands in this state, and how many hits of
    /// it come before; none where the agent itself tells that it is there.
    #[must_use]
    pub fn point(self, workload: Workload) -> Option<(&'static str, usize)> {
        match self {
            // Acknowledged, and the shim has not looked yet: what it sees is to
            // be the agent's last moment.
            Self::Acknowledged if workload == Workload::LastMoment => Some(("shim.send.after", 0)),
            Self::RowOnly => Some(("sup.spawn.before", 0)),
            Self::Unclaimed => Some(("shim.before_claim", 0)),
            Self::Claimed => Some(("shim.exec.before", 0)),
            Self::Unreported => Some(("shim.exec.after", 0)),
            Self::Idle | Self::Flooding | Self::Draining => None,
            Self::Intended | Self::Ending => Some(("shim.journal_write.before", 0)),
            Self::Acknowledged | Self::Leaderless => Some(("shim.signal.before", 0)),
            Self::InGrace => Some(("shim.signal.after", 0)),
            // The first signal was TERM.
            Self::Killed => Some(("shim.signal.after", 1)),
            // Written, and not told yet.
            Self::OnDisk => Some(("shim.reap.before", 0)),
            Self::Unsettled => Some(("sup.settled_write.before", 0)),
            Self::Adopting => Some(("shim.send.before", 0)),
        }
    }

    /// Is the agent's first process alive, for somebody to kill it?
    #[must_use]
    pub fn has_live_agent(self) -> bool {
        let begun = self >= Self::Unreported && self <= Self::InGrace;
        begun || self >= Self::Adopting
    }

    /// Is there a shim?
    #[must_use]
    pub fn has_shim(self) -> bool {
        let has_one = self >= Self::Unclaimed && self <= Self::OnDisk;
        has_one || self >= Self::Adopting
    }

    /// Was somebody's stop committed?
    #[must_use]
    pub fn is_stopped(self) -> bool {
        self >= Self::Intended && self <= Self::Killed
    }
}
