//! What every path has in common: how it is struck, and how it comes to its end.

use std::sync::Arc;

use super::Strike;
use crate::harness::{Background, GENEROUS, Gate, Supervisor, World, wait_explained, wait_until};

/// The exit code of a supervisor whose ledger failed: the next start may do.
const GAVE_UP: i32 = 1;

/// The two points of the step that a point belongs to.
pub(super) fn step_of(point: &str) -> (String, String) {
    let step = point
        .strip_suffix(".before")
        .or_else(|| point.strip_suffix(".after"))
        .unwrap_or(point);
    (format!("{step}.before"), format!("{step}.after"))
}

/// One run of a path.
pub(super) struct Case<'world> {
    pub(super) world: &'world World,
    pub(super) gate: Gate,
    pub(super) strike: Strike,
    pub(super) point: &'world str,
    pub(super) occurrence: usize,
}

impl Case<'_> {
    pub(super) fn arm(&self) {
        let hooks = self.world.hooks();
        match self.strike {
            Strike::Death => hooks.arm_death_after(self.point, self.occurrence),
            Strike::Failure => hooks.arm_failure_after(self.point, self.occurrence),
        }
    }

    pub(super) fn was_struck(&self) -> bool {
        let hooks = self.world.hooks();
        match self.strike {
            Strike::Death => hooks.has_died(self.point),
            Strike::Failure => hooks.has_failed(self.point),
        }
    }

    /// Arms when what came before is over: the client has its answer a moment
    /// before the supervisor has done all of its sending.
    pub(super) fn arm_when_quiet(&self) {
        wait_until("a quiet supervisor", GENEROUS, || self.is_quiet());
        self.arm();
    }

    /// A supervisor that has done everything of its start: its socket answers
    /// before that.
    pub(super) fn start(&self) -> Arc<Supervisor> {
        let supervisor = self.world.start();
        wait_until("the end of the supervisor's start", GENEROUS, || {
            self.is_quiet()
        });
        supervisor
    }

    /// Starts the supervisor again where it died, opens the gate where the
    /// agent stands at it, until the row is terminal and the client answered.
    pub(super) fn to_the_end(
        &self,
        supervisor: Arc<Supervisor>,
        task: &str,
        client: Option<&Background>,
    ) -> Arc<Supervisor> {
        self.to_the_end_of(supervisor, task, &|| {
            client.is_none_or(Background::has_ended)
        })
    }

    /// The same with clients of any kind, which are `answered`.
    pub(super) fn to_the_end_of(
        &self,
        supervisor: Arc<Supervisor>,
        task: &str,
        answered: &dyn Fn() -> bool,
    ) -> Arc<Supervisor> {
        let mut supervisor = supervisor;
        let what = format!("the end of {task} after a death at {}", self.point);
        let row = || self.world.ledger().task(task);
        wait_explained(
            &what,
            GENEROUS,
            || {
                supervisor = self.alive(Arc::clone(&supervisor));
                let _passed = self.gate.try_open();
                let ended = row()
                    .is_some_and(|row| !matches!(row.text("status"), Some("queued" | "running")));
                ended
                    && answered()
                    && self.world.shim_of(task).is_none()
                    && self.world.task_dir(task).join("settled").exists()
                    && self.is_quiet()
            },
            || {
                let told = (row(), self.world.hooks().log(), self.world.log());
                (told, answered(), self.world.shim_of(task), self.is_quiet())
            },
        );
        self.world.hooks().disarm();
        self.after_a_late_death(supervisor)
    }

    /// The last answer may itself have been the hit.
    pub(super) fn after_a_late_death(&self, supervisor: Arc<Supervisor>) -> Arc<Supervisor> {
        let hooks = self.world.hooks();
        if hooks.has_died(self.point) && hooks.died(self.point) == supervisor.process {
            let _status = supervisor.ended();
        }
        self.alive(supervisor)
    }

    /// A round trip through the supervisor succeeds, and no step that it began
    /// is still under way: a hit of the point can follow from nothing any more.
    pub(super) fn is_quiet(&self) -> bool {
        let (before, after) = step_of(self.point);
        self.world.ctl(&["status"]).status.success()
            && (self.point.starts_with("shim.") || !self.world.hooks().under_way(&before, &after))
    }

    pub(super) fn alive(&self, supervisor: Arc<Supervisor>) -> Arc<Supervisor> {
        match supervisor.has_ended() {
            None => supervisor,
            Some(status) => {
                // A failed sync is never tried again: it says so, and goes.
                let gave_up = self.strike == Strike::Failure
                    && status.code() == Some(GAVE_UP)
                    && supervisor.log().contains("the ledger failed: agents go on");
                assert!(
                    gave_up || supervisor.was_killed(),
                    "the supervisor ended by itself ({status}):\n{}",
                    supervisor.log()
                );
                self.world.start()
            }
        }
    }

    /// The dispatch was answered with the task, however it went on.
    pub(super) fn answered(&self, client: Background) {
        let output = client.output();
        let known = self.world.acknowledge(&output);
        assert!(known.is_some(), "no task in {output:#?}");
        // Started, or one of the verdicts of a task that ended meanwhile.
        assert!(matches!(output.code(), 0 | 10 | 12), "{output:#?}");
    }

    /// Whatever happened, the same conversation can go on.
    pub(super) fn the_key_is_free(&self, supervisor: &Supervisor) {
        assert!(supervisor.has_ended().is_none(), "{}", supervisor.log());
        for task in self.world.ledger().tasks() {
            let key = task.text("key").expect("a task has a key").to_string();
            let next = self.world.run().key(&key).steps(["exit:0"]).detached();
            let ended = self.world.ended(&next.id);
            assert_eq!(ended["status"], "success", "{ended:#}");
        }
    }
}
