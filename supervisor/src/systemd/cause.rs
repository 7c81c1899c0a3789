//! Why we are told to stop.

use zbus::OwnedObjectPath;

use super::bus::{Bus, BusError, MANAGER, MANAGER_PATH};
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
        if self.machine_stops().await {
            return Ok(Job::HostShutdown);
        }
        let state = system_state(&self.bus).await?;
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

    /// A user's manager also stops when its user leaves, and its bus may be gone
    /// before we are: the machine's own is asked, which everybody may.
    pub async fn machine_stops(&self) -> bool {
        let asked = async {
            match self.scope {
                Scope::System => system_state(&self.bus).await,
                Scope::User => system_state(&Bus::open(Scope::System).await?).await,
            }
        };
        match asked.await {
            Ok(state) => state == "stopping",
            Err(error) => {
                tracing::warn!(%error, "systemd cannot be asked whether the machine stops");
                false
            }
        }
    }
}

async fn system_state(bus: &Bus) -> Result<String, BusError> {
    bus.property(MANAGER_PATH, MANAGER, "SystemState").await
}
