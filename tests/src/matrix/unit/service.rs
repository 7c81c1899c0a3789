//! A world inside of a guest: its supervisor is the guest's service.

use super::{Home, KillMode};
use crate::harness::{GENEROUS, World, wait_until};
use crate::systemd::Guest;

pub(super) const UNIT: &str = "agent-supervisor.service";

/// Tasks are drained at once, and stopped with a short grace.
const CONFIG: &str = "[shutdown]\ndrain_ms = 0\ngrace_ms = 200\n";

/// Every point of the states that are reached by one.
const POINTS: [&str; 3] = [
    "shim.journal_write.before",
    "shim.signal.before",
    "shim.signal.after",
];

pub(super) struct Service {
    // Before the world: what lives in the guest ends with it.
    pub(super) guest: Guest,
    pub(super) world: World,
}

impl Service {
    /// A guest in which the world's folder is where it is.
    pub(super) fn boot(home: Home) -> Self {
        let mut world = World::builder().hooks(POINTS).config(CONFIG).build();
        let dir = world.dir().display().to_string();
        let environment: String = world
            .supervisor_environment()
            .iter()
            .map(|(name, value)| format!("Environment=\"{name}={value}\"\n"))
            .collect();
        let without_holder = match home {
            Home::Holder => "",
            Home::OwnUnit => "rm \"$root/etc/systemd/system/agents.service\"\n",
        };
        // At its boot the guest would empty its /tmp.
        let guest = Guest::boot(&format!(
            "mkdir -p \"$root{dir}\" \"$root/etc/tmpfiles.d\" \"$root/etc/systemd/system/{UNIT}.d\"\n\
             mount --bind {dir} \"$root{dir}\"\n\
             ln -s /dev/null \"$root/etc/tmpfiles.d/tmp.conf\"\n\
             cat > \"$root/etc/systemd/system/{UNIT}.d/world.conf\" <<'END'\n\
             [Service]\nExecStart=\nExecStart=/usr/local/bin/agent-supervisor\n\
             {environment}END\n{without_holder}"
        ));
        world.move_into(guest.entrance(), guest.bins());
        Self { guest, world }
    }

    /// Serves under this mode.
    pub(super) fn start(&self, mode: KillMode) {
        let mode = mode.as_str();
        self.guest.sh(&format!(
            "printf '[Service]\\nKillMode={mode}\\n' > /etc/systemd/system/{UNIT}.d/mode.conf\n\
             systemctl daemon-reload\nsystemctl reset-failed {UNIT} || true\n\
             systemctl start {UNIT}"
        ));
        self.serves();
    }

    pub(super) fn serves(&self) {
        wait_until("the service", GENEROUS, || {
            self.world.ctl(&["status"]).status.success()
        });
    }

    /// Its errors are broken promises; but that another one holds the place is true
    /// where systemd leaves the old one alone, which then has to be told itself.
    pub(super) fn leave(&self, mode: KillMode) {
        let said = self.said();
        let expected = |line: &&str| mode == KillMode::None && line.contains("another");
        let errors = said.lines().filter(|line| line.contains("ERROR"));
        let errors: Vec<&str> = errors.filter(|line| !expected(line)).collect();
        assert!(errors.is_empty(), "{errors:#?}");
        if mode == KillMode::None {
            let pid = self.world.ctl(&["status", "--json"]).ok().json()["pid"].clone();
            self.guest.sh(&format!("kill {pid}"));
            wait_until("the old supervisor's end", GENEROUS, || {
                !self.guest.lives(pid.as_i64().expect("a pid"))
            });
        }
    }

    /// What it said so far.
    pub(super) fn said(&self) -> String {
        self.guest.journal(UNIT)
    }
}
