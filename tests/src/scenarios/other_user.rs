//! Agents of another user.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::harness::{Dispatched, GENEROUS, Run, World, wait_for};

/// Every machine has it, and nothing belongs to it.
pub const OTHER_USER: &str = "nobody";

/// What `id` says of the user.
///
/// # Panics
/// When there is no such user.
#[must_use]
pub fn id_of_other(option: &str) -> String {
    let told = Command::new("id").args([option, OTHER_USER]).output();
    let told = told.expect("every machine has id");
    assert!(told.status.success(), "there is no user {OTHER_USER}");
    String::from_utf8_lossy(&told.stdout).trim().to_owned()
}

/// A dispatch of a shell as the other user. What the world's end looks for is
/// not in its environment by itself.
#[must_use]
pub fn run_as_other<'w>(world: &'w World, script: &str) -> Run<'w> {
    let mark = format!("AGENT_TEST_WORLD={}", world.dir().display());
    world
        .run()
        .option("--as", OTHER_USER)
        .option("--cwd", "/")
        .option("--env", &mark)
        .argv(["sh", "-c", script])
}

/// Everybody may come up to the folders that the supervisor itself closes.
///
/// # Panics
/// When the world is not ours.
pub fn open_the_way(world: &World) {
    fs::set_permissions(world.dir(), Permissions::from_mode(0o755)).expect("ours");
}

/// Waits until a task has printed `words`.
pub fn wait_for_output(world: &World, task: &Dispatched, words: &str) {
    wait_for("its output", GENEROUS, || {
        let log = world.task_dir(&task.id).join("stdout.log");
        let text = fs::read_to_string(log).unwrap_or_default();
        if text.contains(words) {
            Ok(())
        } else {
            Err(text)
        }
    });
}

/// Ends the calling test as skipped where agents cannot have another user.
#[macro_export]
macro_rules! need_root {
    () => {
        if $crate::harness::own_user() != 0 {
            $crate::skip!("only root can start agents as another user");
        }
    };
}
