//! The loop's sign of life for the service manager.

use std::time::Instant;

use super::core_loop::Core;
use crate::systemd::Notify;

/// When the next sign of life is due, and what was said last.
pub(super) struct Pulse {
    notify: Notify,
    due: Option<Instant>,
    said: String,
}

impl Pulse {
    /// Begins now.
    pub(super) fn find() -> Self {
        let notify = Notify::find();
        Self {
            notify,
            due: notify.pulse().map(|_| Instant::now()),
            said: String::new(),
        }
    }

    /// When the loop has to come by.
    pub(super) const fn next_due(&self) -> Option<Instant> {
        self.due
    }

    /// The manager.
    pub(super) const fn notify(&self) -> &Notify {
        &self.notify
    }
}

impl Core {
    /// Said from the loop itself, so that a loop that hangs is noticed.
    pub(super) fn beat(&mut self) {
        let phase = self.drains.phase();
        let said = match self.queue.len() {
            0 => format!("{phase}, {} tasks", self.running()),
            queued => format!("{phase}, {} tasks, {queued} queued", self.running()),
        };
        let pulse = &mut self.pulse;
        if pulse.said != said {
            pulse.notify.status(&said);
            pulse.said = said;
        }
        let now = Instant::now();
        if let (Some(due), Some(every)) = (pulse.due, pulse.notify.pulse())
            && due <= now
        {
            pulse.notify.alive();
            pulse.due = now.checked_add(every);
        }
    }
}
