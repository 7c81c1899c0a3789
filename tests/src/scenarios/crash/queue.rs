//! The queue: a place in it, the turn, the end.

use std::sync::Arc;

use super::case::Case;
use crate::harness::{GENEROUS, wait_until};

impl Case<'_> {
    /// One that was acknowledged has its turn, once, however often the supervisor
    /// dies before; where its row said `running` already, and nobody is known to
    /// have started it, its end says so.
    pub(super) fn queue(&self) {
        let supervisor = self.start();
        let first_gate = self.world.gate("first");
        let first = self
            .world
            .run()
            .key("crash:first")
            .steps(["mark:ready", &first_gate.step(), "exit:0"])
            .detached();
        first.marked("ready");
        self.arm_when_quiet();
        let gate = self.gate.step();
        let run = self.world.run().key("crash:queue").steps([&gate, "exit:0"]);
        let task = run.task_id().to_string();
        let client = run.in_background();
        let mut supervisor = supervisor;
        wait_until("a place in the queue", GENEROUS, || {
            supervisor = self.alive(Arc::clone(&supervisor));
            client.has_ended()
        });
        self.answered(client);
        first_gate.open();
        let supervisor = self.to_the_end(supervisor, &task, None);
        let row = self.world.ledger().task(&task).expect("it has a row");
        let why = row.text("archive_reason").unwrap_or_default().to_owned();
        assert!(
            ["completed", "spawn_failed", "shim_lost"].contains(&why.as_str()),
            "{why} after {}",
            self.point
        );
        assert!(!row.is_null("queued_at") && !row.is_null("started_at"));
        self.the_key_is_free(&supervisor);
    }
}
