//! What goes wrong.

/// A fault of MATRIX.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Nothing: the workload and the state are enough.
    Nothing,
    /// F1: the supervisor is killed.
    Supervisor,
    /// F2: the shim is killed.
    Shim,
    /// F3: the agent is killed from outside.
    Agent,
    /// F4: supervisor and shim.
    SupervisorAndShim,
    /// F5: supervisor and agent.
    SupervisorAndAgent,
    /// F6: the supervisor stands still while the task goes on.
    FrozenSupervisor,
    /// F8: the supervisor is killed again and again.
    CrashLoop,
    /// F9: the kernel kills the leader for want of memory.
    LeaderOutOfMemory,
    /// F10: the kernel kills a child for want of memory; a stop follows.
    ChildOutOfMemory,
    /// F11: the kernel picks the shim.
    ShimOutOfMemory,
    /// F12: somebody kills the whole cgroup.
    CgroupKilled,
    /// F13: strangers have the pids of the dead.
    PidsWrap,
    /// F16: the disk is full.
    FullDisk,
    /// F17: a write or a sync fails.
    BrokenDisk,
    /// F18: supervisor and shim are killed, the journal's end is torn.
    TornJournal,
    /// F18: the supervisor is killed, the ledger is damaged.
    DamagedLedger,
    /// F19: the supervisor is killed, the ledger is deleted.
    LostLedger,
    /// F19: the supervisor is killed, an older ledger is put back.
    OldLedger,
    /// F21: the control socket is unlinked.
    SocketUnlinked,
    /// F24: shim and journal are of the release before.
    OlderShim,
    /// F29: a second supervisor is started on the same place.
    SecondSupervisor,
    /// F30: others stop it too, for other reasons.
    RacingStops,
}

/// All of them.
pub(super) const FAULTS: [Fault; 23] = [
    Fault::Nothing,
    Fault::Supervisor,
    Fault::Shim,
    Fault::Agent,
    Fault::SupervisorAndShim,
    Fault::SupervisorAndAgent,
    Fault::FrozenSupervisor,
    Fault::CrashLoop,
    Fault::LeaderOutOfMemory,
    Fault::ChildOutOfMemory,
    Fault::ShimOutOfMemory,
    Fault::CgroupKilled,
    Fault::PidsWrap,
    Fault::FullDisk,
    Fault::BrokenDisk,
    Fault::TornJournal,
    Fault::DamagedLedger,
    Fault::LostLedger,
    Fault::OldLedger,
    Fault::SocketUnlinked,
    Fault::OlderShim,
    Fault::SecondSupervisor,
    Fault::RacingStops,
];

impl Fault {
    /// `F1` …; `F0` is none. Two kinds of one fault have a letter.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Nothing => "F0",
            Self::Supervisor => "F1",
            Self::Shim => "F2",
            Self::Agent => "F3",
            Self::SupervisorAndShim => "F4",
            Self::SupervisorAndAgent => "F5",
            Self::FrozenSupervisor => "F6",
            Self::CrashLoop => "F8",
            Self::LeaderOutOfMemory => "F9",
            Self::ChildOutOfMemory => "F10",
            Self::ShimOutOfMemory => "F11",
            Self::CgroupKilled => "F12",
            Self::PidsWrap => "F13",
            Self::FullDisk => "F16",
            Self::BrokenDisk => "F17",
            Self::TornJournal => "F18j",
            Self::DamagedLedger => "F18l",
            Self::LostLedger => "F19d",
            Self::OldLedger => "F19r",
            Self::SocketUnlinked => "F21",
            Self::OlderShim => "F24",
            Self::SecondSupervisor => "F29",
            Self::RacingStops => "F30",
        }
    }

    /// Points beside that of the state, which the fault itself needs.
    #[must_use]
    pub(super) const fn points(self) -> &'static [&'static str] {
        match self {
            Self::LeaderOutOfMemory => &["shim.reap.before"],
            Self::BrokenDisk => &["sup.commit.before"],
            Self::Nothing
            | Self::Supervisor
            | Self::Shim
            | Self::Agent
            | Self::SupervisorAndShim
            | Self::SupervisorAndAgent
            | Self::FrozenSupervisor
            | Self::CrashLoop
            | Self::ChildOutOfMemory
            | Self::ShimOutOfMemory
            | Self::CgroupKilled
            | Self::PidsWrap
            | Self::FullDisk
            | Self::TornJournal
            | Self::DamagedLedger
            | Self::LostLedger
            | Self::OldLedger
            | Self::SocketUnlinked
            | Self::OlderShim
            | Self::SecondSupervisor
            | Self::RacingStops => &[],
        }
    }
}
