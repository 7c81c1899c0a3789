//! The one reaper: the end of a shim's process.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use crate::readiness;
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use protocol::{Exit, TaskId};
use sys::PidFd;

/// How often a process is looked at that the kernel would not watch for us, for
/// lack of memory.
const UNWATCHED: Duration = Duration::from_secs(1);

/// Whose child a shim is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kinship {
    /// This supervisor's: it is reaped here.
    Child,
    /// Another supervisor's: somebody else reaps it.
    Adopted,
}

/// The process of a shim has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShimGone {
    /// Its task.
    pub task_id: TaskId,
    /// How it ended, if that can be known.
    pub exit: Option<Exit>,
}

/// Waits until the shim's process has ended, and reaps it if it is our child.
/// Must be called within the runtime. Not cancel-safe for a child: it would
/// stay a zombie.
pub async fn watch(task_id: TaskId, pidfd: Arc<PidFd>, kinship: Kinship) -> ShimGone {
    if let Err(error) = wait_for_end(&pidfd).await {
        tracing::warn!(task = %task_id, %error, "a shim's process is looked at once a second");
        look_for_end(&pidfd).await;
    }
    let exit = exit_of(&pidfd, kinship);
    ShimGone { task_id, exit }
}

async fn wait_for_end(pidfd: &PidFd) -> io::Result<()> {
    let process = readiness::of(pidfd.as_fd())?;
    loop {
        let mut ready = process.readable().await?;
        if pidfd.has_ended()? {
            return Ok(());
        }
        ready.clear_ready();
    }
}

/// A failure to look is no end either.
async fn look_for_end(pidfd: &PidFd) {
    while !pidfd.has_ended().unwrap_or(false) {
        tokio::time::sleep(UNWATCHED).await;
    }
}

fn exit_of(pidfd: &PidFd, kinship: Kinship) -> Option<Exit> {
    match kinship {
        Kinship::Child => {
            let exit = pidfd.peek_exit().ok().flatten();
            // Takes the zombie away; how it ended is known already.
            let _ = waitid(
                Id::PIDFd(pidfd.as_fd()),
                WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG,
            );
            exit.or_else(|| pidfd.exit_of_a_stranger())
        }
        Kinship::Adopted => pidfd.exit_of_a_stranger(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn task() -> TaskId {
        TaskId::new("t1").expect("valid")
    }

    #[expect(clippy::zombie_processes, reason = "the watch takes it away")]
    #[tokio::test]
    async fn a_child_is_reaped_with_its_exit() {
        let child = Command::new("sh")
            .args(["-c", "exit 143"])
            .spawn()
            .expect("sh exists");
        let pid = child.id().cast_signed();
        let pidfd = PidFd::open(pid).expect("allowed").expect("not reaped");
        let gone = watch(task(), Arc::new(pidfd), Kinship::Child).await;
        assert_eq!(
            gone,
            ShimGone {
                task_id: task(),
                exit: Some(Exit::Exited { code: 143 })
            }
        );
        assert!(
            PidFd::open(pid).expect("allowed").is_none(),
            "no zombie is left"
        );
    }

    #[tokio::test]
    async fn the_end_of_a_process_of_another_parent_is_seen() {
        let mut child = Command::new("sleep")
            .arg("1000")
            .spawn()
            .expect("sleep exists");
        let pidfd = PidFd::open(child.id().cast_signed())
            .expect("allowed")
            .expect("it lives");
        child.kill().expect("ours");
        // Until its parent takes it away nobody else learns how it ended.
        let gone = watch(task(), Arc::new(pidfd), Kinship::Adopted).await;
        assert_eq!(gone.exit, None);
        child.wait().expect("ours");
    }
}
