//! Why we are told to stop.

use zbus::OwnedObjectPath;

use super::bus::{BusError, MANAGER, MANAGER_PATH};
use super::{Manager, Scope};

const UNIT: &str = "org.freedesktop.systemd1.Unit";
const JOB: &str = "org.freedesktop.systemd1.Job";

/// What the service manager is doing with our unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// Nothing: somebody else has signalled us.
    None,
    /// It is to come back.
    Restart,
    /// It is to stop.
    Stop,
    /// The machine goes down.
    HostShutdown,
}

impl Manager {
    /// Asks.
    ///
    /// # Errors
    /// [`BusError`].
    pub async fn job(&self) -> Result<Job, BusError> {
        let state: String = self
            .bus
            .property(MANAGER_PATH, MANAGER, "SystemState")
            .await?;
        // A user's manager stops when its user leaves; the machine may go on.
        if state == "stopping" && self.scope == Scope::System {
            return Ok(Job::HostShutdown);
        }
        let (id, path): (u32, OwnedObjectPath) =
            self.bus.property(&self.unit.path, UNIT, "Job").await?;
        if id == 0 {
            return Ok(if state == "stopping" {
                Job::Stop
            } else {
                Job::None
            });
        }
        let kind: String = self.bus.property(&path, JOB, "JobType").await?;
        Ok(match kind.as_str() {
            "stop" => Job::Stop,
            // While a restart stops the unit, its job may be a start already.
            "restart" | "try-restart" | "start" | "reload-or-start" => Job::Restart,
            _ => Job::None,
        })
    }
}
