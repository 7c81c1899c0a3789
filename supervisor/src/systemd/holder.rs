//! The holder: a unit whose only purpose is its cgroup, in which the agents'
//! processes live, so that nothing that happens to our unit touches them.

use zbus::OwnedObjectPath;

use super::Manager;
use super::bus::{BusError, MANAGER, MANAGER_PATH};

const UNIT: &str = "org.freedesktop.systemd1.Unit";
const SERVICE: &str = "org.freedesktop.systemd1.Service";

/// Its name; the unit files are in `deploy/`.
pub(super) const HOLDER: &str = "agents.service";

/// The holder, where it runs and may be divided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its cgroup, below the root of the hierarchy.
    pub group: String,
    /// The user that it runs as, if its unit names one.
    pub uid: Option<u32>,
}

impl Manager {
    /// The holder; none where it does not run or may not be divided.
    ///
    /// # Errors
    /// [`BusError`].
    pub async fn holder(&self) -> Result<Option<Holder>, BusError> {
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
        let uid: u32 = self.bus.property(&path, SERVICE, "UID").await?;
        Ok((delegated && !group.is_empty()).then_some(Holder {
            group,
            uid: (uid != u32::MAX).then_some(uid),
        }))
    }

    /// Has processes moved into a cgroup below the holder's, as `/folder/folder`:
    /// between two units only the service manager and root may do that.
    ///
    /// # Errors
    /// [`BusError`].
    pub async fn attach(&self, below_holder: &str, pids: &[u32]) -> Result<(), BusError> {
        let arguments = (HOLDER, below_holder, pids);
        self.bus
            .call(MANAGER_PATH, MANAGER, "AttachProcessesToUnit", &arguments)
            .await
    }
}
