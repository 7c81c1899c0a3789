//! A drain, and a supervisor or a shim that dies in it.

use super::Case;

impl Case<'_> {
    /// A supervisor that died before its intent was committed left an agent that
    /// goes on: the gate ends it.
    pub(super) fn drain(&self) {
        let supervisor = self.start();
        let gate = self.gate.step();
        let task = self
            .world
            .run()
            .key("crash:drain")
            .steps([
                "ignore:TERM",
                "spawn:daemon:1:ignore=TERM,forever",
                "mark:ready",
                &gate,
                "exit:0",
            ])
            .detached();
        task.marked("ready");
        self.arm_when_quiet();
        supervisor.signal(nix::sys::signal::Signal::SIGTERM);
        let _status = supervisor.ended();
        let next = self.world.spawn_supervisor();
        let next = self.to_the_end(next, &task.id, None);
        self.the_key_is_free(&next);
        let row = self.world.ledger().task(&task.id).expect("it has a row");
        let reason = row.text("archive_reason").unwrap_or_default().to_owned();
        assert!(
            ["hub_shutdown", "shim_lost", "completed"].contains(&reason.as_str()),
            "{reason} after {}",
            self.point
        );
    }
}
