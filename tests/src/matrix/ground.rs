//! What a fault needs around the world: a cgroup, a small disk, dead children.

use std::sync::Arc;

use nix::sys::prctl;

use super::cell::Cell;
use super::{Fault, Lane};
use crate::harness::{Delegated, MemoryHome, SmallDisk, Supervisor, World, own_user};

/// Where a cell stands.
pub(super) enum Ground {
    /// Anywhere.
    Plain,
    /// Where memory can be limited.
    Memory(MemoryHome),
    /// In a cgroup of version 2 that may be divided.
    Delegated(Delegated),
    /// The state folder is a file system of its own, and small.
    Small(SmallDisk),
    /// Dead processes are this one's to reap.
    Reaper(Reaper),
}

impl Ground {
    /// The one that the fault needs; why not, where that cannot be had.
    pub(super) fn of(cell: Cell, world: &World) -> Result<Self, String> {
        let delegated = || {
            let group = Delegated::new(world).map(Self::Delegated);
            group.ok_or_else(|| "only root can make a cgroup of version 2".to_owned())
        };
        if cell.lane == Lane::Delegated {
            return delegated();
        }
        match cell.fault {
            Fault::LeaderOutOfMemory | Fault::ChildOutOfMemory | Fault::ShimOutOfMemory => {
                let home = MemoryHome::new(world).map(Self::Memory);
                home.ok_or_else(|| "no memory hierarchy of cgroup version 1 to divide".to_owned())
            }
            Fault::CgroupKilled => delegated(),
            Fault::FullDisk => SmallDisk::mount(&world.state_dir()).map(Self::Small),
            Fault::PidsWrap => Reaper::new().map(Self::Reaper),
            Fault::Nothing
            | Fault::Supervisor
            | Fault::Shim
            | Fault::Agent
            | Fault::SupervisorAndShim
            | Fault::SupervisorAndAgent
            | Fault::FrozenSupervisor
            | Fault::CrashLoop
            | Fault::BrokenDisk
            | Fault::TornJournal
            | Fault::DamagedLedger
            | Fault::LostLedger
            | Fault::OldLedger
            | Fault::SocketUnlinked
            | Fault::OlderShim
            | Fault::SecondSupervisor
            | Fault::RacingStops => Ok(Self::Plain),
        }
    }

    /// The fault is over.
    pub(super) fn relieve(&self) {
        match self {
            Self::Small(disk) => disk.free(),
            Self::Plain | Self::Memory(_) | Self::Delegated(_) | Self::Reaper(_) => {}
        }
    }

    /// A supervisor that stands there.
    pub(super) fn start(&self, world: &World) -> Arc<Supervisor> {
        match self {
            Self::Memory(home) => home.start(world),
            Self::Delegated(group) => group.start(world),
            Self::Plain | Self::Small(_) | Self::Reaper(_) => world.start(),
        }
    }
}

/// While it lives, orphans are this process's children: nothing else may be under
/// way in it.
pub(super) struct Reaper(());

impl Reaper {
    fn new() -> Result<Self, String> {
        if own_user() != 0 {
            return Err("only root can choose the next pid".to_owned());
        }
        prctl::set_child_subreaper(true).expect("no right is needed");
        Ok(Self(()))
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        prctl::set_child_subreaper(false).expect("no right is needed");
    }
}
