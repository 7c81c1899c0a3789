//! Retention, and a supervisor that dies in it.

use std::sync::Arc;

use super::Case;
use crate::harness::{Background, GENEROUS, Supervisor, wait_until};

/// Everything that has ended goes.
const PRUNE: [&str; 5] = ["prune", "--older-than", "0s", "--apply", "--json"];

impl Case<'_> {
    pub(super) fn prune(&self) {
        let supervisor = self.start();
        let task = self.settled_task();
        self.arm_when_quiet();
        self.prune_to_the_end(supervisor, &task);
    }

    pub(super) fn put_back(&self) {
        let first = self.start();
        let task = self.settled_task();
        self.world.hooks().arm_death("sup.prune_sync.after");
        let _lost = self.world.ctl(&PRUNE);
        let _status = first.ended();
        self.arm();
        let second = self.world.spawn_supervisor();
        self.prune_to_the_end(second, &task);
    }

    /// An ended task of which nothing is left but its row and its folder.
    fn settled_task(&self) -> String {
        let task = self.world.run().steps(["exit:0"]).detached();
        let _ended = self.world.ended(&task.id);
        wait_until("the settled folder", GENEROUS, || {
            self.world.task_dir(&task.id).join("settled").exists()
        });
        self.world.may_go(&[&task.id]);
        task.id
    }

    /// Wherever the supervisor dies, the next one serves, and the task is whole
    /// or gone; then it goes, and nothing is left that brings it back.
    fn prune_to_the_end(&self, supervisor: Arc<Supervisor>, task: &str) {
        let client = Background::start(self.world.ctl_command(&PRUNE));
        let mut supervisor = supervisor;
        wait_until("the end of a prune", GENEROUS, || {
            supervisor = self.alive(Arc::clone(&supervisor));
            client.has_ended() && self.is_quiet()
        });
        self.world.hooks().disarm();
        let supervisor = self.after_a_late_death(supervisor);
        let has_row = self.world.ledger().task(task).is_some();
        let folder = self.world.task_dir(task);
        assert_eq!(has_row, folder.exists(), "after {}", self.point);
        let _again = self.world.ctl(&PRUNE).ok();
        assert!(self.world.ledger().task(task).is_none());
        let left: Vec<_> = std::fs::read_dir(folder.parent().expect("a folder"))
            .expect("there")
            .collect();
        assert!(left.is_empty(), "{left:?} after {}", self.point);
        self.world.oracle().acknowledged.clear();
        supervisor.kill();
        let _last = self.start();
        assert_eq!(self.world.ledger().tasks().len(), 0);
    }
}
