//! The holder: a unit whose only purpose is its cgroup, in which the agents'
//! processes live, so that nothing that happens to our unit touches them.

use zbus::OwnedObjectPath;

use super::Manager;
use super::bus::{BusError, MANAGER, MANAGER_PATH};

const UNIT: &str = "org.freedesktop.systemd1.Unit";
const SERVICE: &str = "org.freedesktop.systemd1.Service";

/// Its name; the unit files are in `deploy/`.
pub(super) const HOLDER: &str = "agents.service";

impl Manager {
    /// The holder's cgroup, below the root of the hierarchy; none where there is
    /// no holder that runs and may be divided.
    ///
    /// # Errors
    /// [`BusError`].
    pub async fn holder(&self) -> Result<Option<String>, BusError> {
        let path: OwnedObjectPath = self
            .bus
            .call(MANAGER_PATH, MANAGER, "LoadUnit", &(HOLDER,))
            .await?;
        let state: String = self.bus.property(&path, UNIT, "ActiveState").await?;
        if state != "active" {
            return Ok(None);
        }
        let delegated: bool = self.bus.property(&path, SERVICE, "Delegate").await?;
        let group: String = self.bus.property(&path, SERVICE, "ControlGroup").await?;
        Ok((delegated && !group.is_empty()).then_some(group))
    }
}
