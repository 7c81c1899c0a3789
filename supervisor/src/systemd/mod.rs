//! The service manager that runs this supervisor, if one does: which unit it
//! is, and what becomes of the agents' processes when that unit is stopped. Asked
//! over D-Bus (2 to 6 ms).

mod bus;
mod cause;
mod holder;
mod notify;
mod unit;

use std::fs;

use bus::Bus;

pub use bus::BusError;
pub use cause::Job;
pub use holder::Holder;
pub use notify::Notify;
pub use unit::{KillMode, Unit};

/// Which of a machine's service managers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The first process.
    System,
    /// A user's own.
    User,
}

/// The service manager, and the unit that this process belongs to.
#[derive(Clone, Debug)]
pub struct Manager {
    bus: Bus,
    scope: Scope,
    unit: Unit,
}

impl Manager {
    /// Asks who runs this process. None where it is no service.
    ///
    /// # Errors
    /// [`BusError`]: there is a service manager, and it cannot be asked.
    pub async fn find() -> Result<Option<Self>, BusError> {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let Some(scope) = scope_of(&own) else {
            return Ok(None);
        };
        let bus = Bus::open(scope).await?;
        let unit = Unit::of_this_process(&bus).await?;
        Ok(unit.map(|unit| Self { bus, scope, unit }))
    }

    /// Whose it is.
    #[must_use]
    pub const fn scope(&self) -> Scope {
        self.scope
    }

    /// Our unit, as it was at the start.
    #[must_use]
    pub const fn unit(&self) -> &Unit {
        &self.unit
    }

    /// Our unit as it is now: what its files say may have been changed and loaded
    /// meanwhile, and counts from then on.
    ///
    /// # Errors
    /// [`BusError`].
    pub async fn unit_now(&self) -> Result<Option<Unit>, BusError> {
        Unit::of_this_process(&self.bus).await
    }
}

/// The cgroup, as systemd calls it, of a process of this `/proc/<pid>/cgroup`.
#[must_use]
pub fn group_of(cgroups: &str) -> Option<&str> {
    let unified = cgroups.lines().find_map(|line| line.strip_prefix("0::"));
    // Beside version 1 systemd has a tree of its own.
    let named = cgroups
        .lines()
        .find_map(|line| line.split_once(":name=systemd:"));
    match (unified, named) {
        (Some(path), _) if path != "/" => Some(path),
        (_, Some((_, path))) => Some(path),
        (_, None) => None,
    }
}

/// Who manages the unit that a process of this `/proc/<pid>/cgroup` is in; none
/// if it is in no service.
fn scope_of(cgroups: &str) -> Option<Scope> {
    let path = group_of(cgroups)?;
    let unit = path.split('/').rfind(|part| part.ends_with(".service"))?;
    let is_managers_own = unit.starts_with("user@");
    let below_a_user = path.split('/').any(|part| part.starts_with("user@"));
    match (is_managers_own, below_a_user) {
        (true, _) => None,
        (false, true) => Some(Scope::User),
        (false, false) => Some(Scope::System),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cgroup_tells_who_manages() {
        let system = "0::/system.slice/agent-supervisor.service\n";
        assert_eq!(scope_of(system), Some(Scope::System));
        let hybrid = "4:memory:/\n1:name=systemd:/system.slice/a.service\n0::/\n";
        assert_eq!(scope_of(hybrid), Some(Scope::System));
        let both = "1:name=systemd:/\n0::/system.slice/a.service\n";
        assert_eq!(scope_of(both), Some(Scope::System));
        let user = "0::/user.slice/user-7.slice/user@7.service/app.slice/a.service\n";
        assert_eq!(scope_of(user), Some(Scope::User));
        for none in [
            "0::/user.slice/user-7.slice/session-3.scope\n",
            "0::/user.slice/user-7.slice/user@7.service/init.scope\n",
            "0::/\n",
            "",
        ] {
            assert_eq!(scope_of(none), None, "{none}");
        }
    }
}
