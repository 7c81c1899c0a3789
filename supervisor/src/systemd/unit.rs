//! Our own unit.

use zbus::OwnedObjectPath;

use super::bus::{Bus, BusError, MANAGER, MANAGER_PATH};

const UNIT: &str = "org.freedesktop.systemd1.Unit";
const SERVICE: &str = "org.freedesktop.systemd1.Service";

/// What a stop of the unit signals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KillMode {
    /// Everything in its cgroup.
    ControlGroup,
    /// The main process, then, without grace, everything else.
    Mixed,
    /// The main process alone.
    Process,
    /// Nothing, or a mode that we do not know.
    Other(String),
}

impl KillMode {
    fn parse(word: String) -> Self {
        match word.as_str() {
            "control-group" => Self::ControlGroup,
            "mixed" => Self::Mixed,
            "process" => Self::Process,
            _ => Self::Other(word),
        }
    }

    /// As it stands in a unit file.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::ControlGroup => "control-group",
            Self::Mixed => "mixed",
            Self::Process => "process",
            Self::Other(word) => word,
        }
    }

    /// Does a stop of the unit leave the other processes of its cgroup alone?
    #[must_use]
    pub fn spares_others(&self) -> bool {
        match self {
            Self::ControlGroup | Self::Mixed => false,
            Self::Process => true,
            Self::Other(word) => word == "none",
        }
    }
}

/// A service of which this process is a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// `agent-supervisor.service`.
    pub name: String,
    /// What its stop signals.
    pub kill_mode: KillMode,
    /// Its cgroup, below the root of the hierarchy.
    pub control_group: String,
    /// How long a stop may take before everything is killed, in ms; `u64::MAX`
    /// if that never happens.
    pub timeout_stop_ms: u64,
    /// Its object on the bus.
    pub(super) path: String,
}

impl Unit {
    /// Asks; none where the process is in a unit of another kind.
    pub(super) async fn of_this_process(bus: &Bus) -> Result<Option<Self>, BusError> {
        let pid = std::process::id();
        let path: OwnedObjectPath = bus
            .call(MANAGER_PATH, MANAGER, "GetUnitByPID", &(pid,))
            .await?;
        let name: String = bus.property(&path, UNIT, "Id").await?;
        if !name.ends_with(".service") {
            return Ok(None);
        }
        let kill_mode: String = bus.property(&path, SERVICE, "KillMode").await?;
        let control_group: String = bus.property(&path, SERVICE, "ControlGroup").await?;
        let timeout_us: u64 = bus.property(&path, SERVICE, "TimeoutStopUSec").await?;
        Ok(Some(Self {
            name,
            kill_mode: KillMode::parse(kill_mode),
            control_group,
            timeout_stop_ms: match timeout_us {
                u64::MAX => u64::MAX,
                us => us / 1000,
            },
            path: path.to_string(),
        }))
    }

    /// One that was not asked for.
    #[cfg(test)]
    pub(crate) fn for_tests(name: &str, kill_mode: KillMode, control_group: &str) -> Self {
        Self {
            name: name.to_string(),
            kill_mode,
            control_group: control_group.to_string(),
            timeout_stop_ms: u64::MAX,
            path: String::new(),
        }
    }
}
