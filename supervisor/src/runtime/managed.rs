//! What the service manager means for this supervisor: where the agents'
//! processes are put, and what a stop of the unit does to them.

use std::path::Path;

use protocol::view::UnitView;

use crate::cgroup::{Base, Memory};
use crate::systemd::{Job, Manager, Unit};

/// Found out at the start.
pub(super) struct Managed {
    /// Where tasks get cgroups of their own, if they can.
    pub(super) cgroups: Option<Base>,
    /// Where their memory can be limited.
    pub(super) memory: Memory,
    /// Who runs us, if a service manager does.
    pub(super) manager: Option<Manager>,
    fate: Fate,
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
            tracing::warn!(error = %in_full(&error), "the service manager cannot be asked");
            None
        }
    };
    let held = match &manager {
        Some(manager) => in_the_holder(manager, state_dir).await,
        None => None,
    };
    let mut cgroups = held.or_else(|| Base::find(state_dir));
    let memory = Memory::find(cgroups.as_mut(), state_dir);
    if let Some(base) = &cgroups {
        tracing::info!(cgroup = %base.path().display(), "each task gets a cgroup of its own");
    }
    let fate = manager.as_ref().map_or(Fate::Spared, |manager| {
        let fate = fate(manager.unit(), cgroups.as_ref());
        if fate == Fate::Killed {
            warn_of(manager.unit());
        }
        fate
    });
    match &memory {
        Memory::Unified | Memory::Separate(_) => {}
        Memory::Missing(why) => tracing::debug!(why, "no task can have a limit of memory here"),
    }
    Managed {
        cgroups,
        memory,
        manager,
        fate,
    }
}

impl Managed {
    /// Wherever tasks have cgroups.
    pub(super) fn bases(&self) -> impl Iterator<Item = &Base> {
        self.cgroups.iter().chain(self.memory.base())
    }

    /// Does a stop of our unit end the agents? What was true at the start counts
    /// only where it cannot be asked for now.
    pub(super) async fn kills_agents(&self) -> bool {
        let Some(manager) = &self.manager else {
            return self.fate == Fate::Killed;
        };
        let now = match manager.unit_now().await {
            Ok(Some(unit)) => fate(&unit, self.cgroups.as_ref()),
            Ok(None) => self.fate,
            Err(error) => {
                tracing::warn!(error = %in_full(&error), "systemd cannot be asked for our unit");
                self.fate
            }
        };
        now == Fate::Killed
    }

    /// Why we are told to stop. Where nobody can be asked, somebody has
    /// signalled us.
    pub(super) async fn job(&self) -> Job {
        let Some(manager) = &self.manager else {
            return Job::None;
        };
        manager.job().await.unwrap_or_else(|error| {
            tracing::warn!(error = %in_full(&error), "systemd cannot be asked why it stops us");
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

    /// For `status`.
    pub(super) fn view(&self) -> Option<UnitView> {
        self.manager.as_ref().map(|manager| UnitView {
            name: manager.unit().name.clone(),
            kill_mode: manager.unit().kill_mode.as_str().to_string(),
            survives_restart: self.fate == Fate::Spared,
        })
    }
}

async fn in_the_holder(manager: &Manager, state_dir: &Path) -> Option<Base> {
    let group = match manager.holder().await {
        Ok(group) => group?,
        Err(error) => {
            tracing::warn!(error = %in_full(&error), "the holder unit cannot be asked for");
            return None;
        }
    };
    match Base::in_group(&group, state_dir) {
        Ok(base) => Some(base),
        Err(error) => {
            tracing::warn!(%error, cgroup = group, "no cgroups for tasks in the holder unit");
            None
        }
    }
}

/// A process outside of the unit's cgroup is none of the unit's.
fn fate(unit: &Unit, cgroups: Option<&Base>) -> Fate {
    let below_the_unit = |base: &Base| {
        let group = format!("{}/", unit.control_group);
        base.path().to_string_lossy().contains(&group)
    };
    if unit.kill_mode.spares_others() || cgroups.is_some_and(|base| !below_the_unit(base)) {
        Fate::Spared
    } else {
        Fate::Killed
    }
}

fn warn_of(unit: &Unit) {
    tracing::warn!(
        unit = unit.name,
        kill_mode = unit.kill_mode.as_str(),
        "a restart or stop of this unit KILLS the running agents: start agents.service before it, \
         or set KillMode=process (deploy/README.md)"
    );
}

fn in_full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::systemd::KillMode;

    #[test]
    fn only_a_process_in_the_units_cgroup_dies_with_it() {
        let unit = |kill_mode| Unit::for_tests("a.service", kill_mode, "/system.slice/a.service");
        let killing = unit(KillMode::ControlGroup);
        assert_eq!(fate(&killing, None), Fate::Killed);
        assert_eq!(fate(&unit(KillMode::Mixed), None), Fate::Killed);
        assert_eq!(fate(&unit(KillMode::Process), None), Fate::Spared);
    }
}
