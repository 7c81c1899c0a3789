//! The loop's sign of life for the service manager.

use std::time::Instant;

use super::core_loop::Core;
use crate::systemd::Notify;

/// When the next sign of life is due, and what was said last.
pub(super) struct Pulse {
    notify: Notify,
    due: Option<Instant>,
    said: Option<Said>,
}

/// What the manager shows: the phase, and the tasks that run and wait.
type Said = (&'static str, usize, usize);

impl Pulse {
    /// Begins now.
    pub(super) fn find() -> Self {
        let notify = Notify::find();
        Self {
            notify,
            due: notify.pulse().map(|_| Instant::now()),
            said: None,
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
        let said @ (phase, running, queued) =
            (self.drains.phase(), self.running(), self.queue.len());
        let pulse = &mut self.pulse;
        // The loop comes by at each turn.
        if pulse.said != Some(said) {
            pulse.said = Some(said);
            pulse.notify.status(&match queued {
                0 => format!("{phase}, {running} tasks"),
                queued => format!("{phase}, {running} tasks, {queued} queued"),
            });
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
