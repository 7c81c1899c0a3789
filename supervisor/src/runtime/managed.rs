//! What the service manager means for this supervisor: where the agents'
//! processes are put, and what a stop of the unit does to them.

use std::path::{Path, PathBuf};

use protocol::view::UnitView;

use crate::cgroup::{Base, Memory, place};
use crate::systemd::{Holder, Job, Manager, Scope, Unit, group_of};
use crate::text::in_words;

/// Found out at the start.
pub(super) struct Managed {
    /// Where tasks get cgroups of their own, if they can.
    pub(super) cgroups: Option<Base>,
    /// Where their memory can be limited.
    pub(super) memory: Memory,
    /// Who moves a shim into its task's cgroup.
    pub(super) mover: Mover,
    /// Who runs us, if a service manager does.
    pub(super) manager: Option<Manager>,
}

/// Who moves a shim into its task's cgroup.
#[derive(Clone, Debug)]
pub(super) enum Mover {
    /// We do.
    Ourselves,
    /// The service manager: the cgroups are in another unit, and we are not root.
    Asked {
        /// It.
        manager: Manager,
        /// The holder's cgroup, as the kernel shows it.
        holder: PathBuf,
    },
}

/// What a stop of our unit does to the agents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// They go on.
    Spared,
    /// They die with us.
    Killed,
}

/// Asks, and says loudly what would end the agents.
pub(super) async fn find(state_dir: &Path) -> Managed {
    let manager = match Manager::find().await {
        Ok(manager) => manager,
        Err(error) => {
            tracing::warn!(error = %in_words(&error), "the service manager cannot be asked");
            None
        }
    };
    let held = match &manager {
        Some(manager) => in_the_holder(manager, state_dir).await,
        None => None,
    };
    let (mut cgroups, mover) = match held {
        Some((base, mover)) => (Some(base), mover),
        None => (Base::find(state_dir), Mover::Ourselves),
    };
    let memory = Memory::find(cgroups.as_mut(), state_dir);
    if let Some(base) = &cgroups {
        tracing::info!(cgroup = %base.path().display(), "each task gets a cgroup of its own");
    }
    if let Some(manager) = &manager
        && fate(manager.unit(), cgroups.as_ref(), &[]) == Fate::Killed
    {
        warn_of(manager.unit());
    }
    match &memory {
        Memory::Unified | Memory::Separate(_) => {}
        Memory::Missing(why) => tracing::debug!(why, "no task can have a limit of memory here"),
    }
    Managed {
        cgroups,
        memory,
        mover,
        manager,
    }
}

impl Managed {
    /// Wherever tasks have cgroups.
    pub(super) fn bases(&self) -> impl Iterator<Item = &Base> {
        self.cgroups.iter().chain(self.memory.base())
    }

    /// Does a stop of our unit end the agents, whose shims live now? What was true
    /// at the start counts only where it cannot be asked for now.
    pub(super) async fn kills_agents(&self, shims: &[i32]) -> bool {
        self.now(shims)
            .await
            .is_some_and(|(_, fate)| fate == Fate::Killed)
    }

    /// Our unit, and what its stop would do, as of now.
    async fn now(&self, shims: &[i32]) -> Option<(Unit, Fate)> {
        let manager = self.manager.as_ref()?;
        let unit = match manager.unit_now().await {
            Ok(Some(unit)) => unit,
            Ok(None) => manager.unit().clone(),
            Err(error) => {
                tracing::warn!(error = %in_words(&error), "systemd cannot be asked for our unit");
                manager.unit().clone()
            }
        };
        let fate = fate(&unit, self.cgroups.as_ref(), &groups_of(shims));
        Some((unit, fate))
    }

    /// Why we are told to stop. Where nobody can be asked, somebody has
    /// signalled us.
    pub(super) async fn job(&self) -> Job {
        let Some(manager) = &self.manager else {
            return Job::None;
        };
        manager.job().await.unwrap_or_else(|error| {
            tracing::warn!(error = %in_words(&error), "systemd cannot be asked why it stops us");
            Job::None
        })
    }

    /// How long a drain may take, in ms: what is stopped afterwards needs its
    /// grace, and a moment for the proof, before the unit's time is over.
    pub(super) fn capped(&self, drain_ms: u64, grace_ms: u64) -> u64 {
        const PROOF_MS: u64 = 3_000;
        let limit_ms = self
            .manager
            .as_ref()
            .map_or(u64::MAX, |manager| manager.unit().timeout_stop_ms);
        match limit_ms {
            u64::MAX => drain_ms,
            limit_ms => drain_ms.min(limit_ms.saturating_sub(grace_ms.saturating_add(PROOF_MS))),
        }
    }

    /// For `status`, with the shims that live now.
    pub(super) async fn view(&self, shims: &[i32]) -> Option<UnitView> {
        let (unit, fate) = self.now(shims).await?;
        Some(UnitView {
            name: unit.name,
            kill_mode: unit.kill_mode.as_str().to_string(),
            survives_restart: fate == Fate::Spared,
        })
    }
}

async fn in_the_holder(manager: &Manager, state_dir: &Path) -> Option<(Base, Mover)> {
    let holder = match manager.holder().await {
        Ok(holder) => holder?,
        Err(error) => {
            tracing::warn!(error = %in_words(&error), "the holder unit cannot be asked for");
            return None;
        }
    };
    let mover = mover(manager, &holder).await?;
    match Base::in_group(&holder.group, state_dir) {
        Ok(base) => Some((base, mover)),
        Err(error) => {
            tracing::warn!(%error, cgroup = holder.group, "no cgroups for tasks in the holder unit");
            None
        }
    }
}

/// A user's own manager gave the whole tree to that user; between units of the
/// machine root moves a process by itself, and others have it moved.
async fn mover(manager: &Manager, holder: &Holder) -> Option<Mover> {
    let uid = nix::unistd::geteuid();
    if uid.is_root() || manager.scope() == Scope::User {
        return Some(Mover::Ourselves);
    }
    if holder.uid != Some(uid.as_raw()) {
        tracing::warn!(
            %uid,
            "agents.service runs as another user: processes cannot be moved into it; give it the \
             same User= (deploy/README.md)"
        );
        return None;
    }
    let folder = place::folder_of_group(&holder.group)?;
    // Nothing is moved, but whether it may be asked at all is found out now.
    match manager.attach("/", &[]).await {
        Ok(()) => Some(Mover::Asked {
            manager: manager.clone(),
            holder: folder,
        }),
        Err(error) => {
            tracing::warn!(error = %in_words(&error), "systemd refuses to move processes into agents.service");
            None
        }
    }
}

/// A process outside of the unit's cgroup is none of the unit's. Where the next
/// tasks are put is one thing, where each of the live ones is another: a holder
/// that came later does not take in what runs already.
fn fate(unit: &Unit, cgroups: Option<&Base>, shims: &[String]) -> Fate {
    if unit.kill_mode.spares_others() {
        return Fate::Spared;
    }
    let group = &unit.control_group;
    let below_the_unit = |base: &Base| {
        let group = format!("{group}/");
        base.path().to_string_lossy().contains(&group)
    };
    let in_the_unit = |shim: &String| {
        let rest = shim.strip_prefix(group.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    if cgroups.is_none_or(below_the_unit) || shims.iter().any(in_the_unit) {
        Fate::Killed
    } else {
        Fate::Spared
    }
}

/// The cgroups of those that live, as systemd calls them.
fn groups_of(shims: &[i32]) -> Vec<String> {
    let group = |pid: &i32| {
        let cgroups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        group_of(&cgroups).map(str::to_owned)
    };
    shims.iter().filter_map(group).collect()
}

fn warn_of(unit: &Unit) {
    tracing::warn!(
        unit = unit.name,
        kill_mode = unit.kill_mode.as_str(),
        "a restart or stop of this unit KILLS the running agents: start agents.service before it \
         (with the same User=, if there is one), or set KillMode=process (deploy/README.md)"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::systemd::KillMode;

    #[test]
    fn only_a_process_in_the_units_cgroup_dies_with_it() {
        let unit = |kill_mode| Unit::for_tests("a.service", kill_mode, "/system.slice/a.service");
        let killing = unit(KillMode::ControlGroup);
        assert_eq!(fate(&killing, None, &[]), Fate::Killed);
        assert_eq!(fate(&unit(KillMode::Mixed), None, &[]), Fate::Killed);
        assert_eq!(fate(&unit(KillMode::Process), None, &[]), Fate::Spared);
    }
}
