//! The supervisor leaves; its agents stay under their shims.

use lifecycle::{Event, EventBody};

use super::clock;
use super::core_loop::Core;

impl Core {
    /// SIGTERM or SIGINT: no new work from now on, and the loop ends when what
    /// it holds is committed and answered.
    pub(super) fn leave(&mut self) {
        if self.leaving {
            return;
        }
        self.leaving = true;
        let agents = self.tasks.len() as u64;
        tracing::info!(
            "[shutdown] leaving {agents} tasks running under their shims; \
             the next supervisor adopts them"
        );
        self.batch.take_event(Event {
            at: clock::now(),
            task_id: None,
            record: None,
            body: EventBody::SupervisorStopped {
                pid: self.service.identity.pid,
                left_running: agents,
            },
        });
    }
}
