//! Shims that the service manager moves into their task's cgroup: they get their
//! order when they are there, so that their agents are born in it.

use std::io;

use lifecycle::{Fact, Input, LinkKind};
use protocol::TaskId;
use protocol::shim::ToShim;

use super::cgroups::Request;
use super::core_loop::Core;
use super::input::CoreInput;
use crate::shim::SpawnedShim;

/// A shim that was moved, or could not be.
pub(super) struct Placed {
    id: TaskId,
    shim: SpawnedShim,
    start: ToShim,
    moved: io::Result<()>,
}

impl Core {
    /// Has a shim moved that has no order yet. Whatever becomes of us meanwhile, it
    /// starts nothing without one.
    pub(super) fn have_placed(
        &mut self,
        id: &TaskId,
        shim: SpawnedShim,
        start: ToShim,
        request: Request,
    ) {
        let (id, inputs) = (id.clone(), self.inputs.clone());
        self.jobs.spawn(async move {
            let moved = request.answered(&id, shim.pid).await;
            let placed = Box::new(Placed {
                id,
                shim,
                start,
                moved,
            });
            // Closed only when the supervisor leaves.
            let _ = inputs.send(CoreInput::Placed(placed)).await;
        });
    }

    /// It is where it belongs, or nobody can help it.
    pub(super) fn placed(&mut self, placed: Placed) {
        let Placed {
            id,
            shim,
            start,
            moved,
        } = placed;
        match moved {
            Ok(()) => {
                self.attend(&id, shim, &start);
                // A stop may have come meanwhile.
                self.step(&id, Input::Fact(Fact::LinkUp(LinkKind::First)));
            }
            Err(error) => self.withhold_order(&id, shim, &error),
        }
    }
}
