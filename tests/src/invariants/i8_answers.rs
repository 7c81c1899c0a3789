//! I8: the control socket answers while everything else stands still.

use crate::harness::World;

/// Asks a supervisor while its shims stand, or do not answer.
///
/// # Panics
/// When it does not answer, or does not know the task.
pub fn answers_although_others_stand(world: &World, task: &str) {
    let _status = world.ctl(&["status"]).ok();
    let listed = world.ctl(&["list", "-a", "-q"]).ok().stdout;
    assert!(listed.contains(task), "I8: {task} is not in {listed}");
}
