//! A process of somebody else that has the pid of a dead one.

use std::fs;
use std::process::{Child, Command, Stdio};

use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

use super::process::Process;
use super::wait::{GENEROUS, wait_until};

/// The pid that the kernel gave last: the next one is the first free above it.
const LAST_PID: &str = "/proc/sys/kernel/ns_last_pid";

/// Others on the machine take pids, too.
const MOST_TRIES: usize = 1000;

/// Ours is gone with the test; or somebody else's, who was faster.
#[derive(Debug)]
pub struct Stranger(Option<Child>);

impl Stranger {
    /// With the pid that `dead` had. Whoever calls this has to be the reaper of
    /// orphans, or has somebody above who is.
    ///
    /// # Panics
    /// When the pid does not get free, or is never given.
    #[must_use]
    pub fn in_place_of(dead: &Process) -> Self {
        // Ours since its parent died, which may have been a moment ago.
        wait_until("its pid is free", GENEROUS, || {
            let _reaped = waitpid(Pid::from_raw(dead.pid), Some(WaitPidFlag::WNOHANG));
            !fs::exists(format!("/proc/{}", dead.pid)).unwrap_or(true)
        });
        let wanted = dead.pid.to_string();
        for _ in 0..MOST_TRIES {
            let below = (dead.pid - 1).to_string();
            fs::write(LAST_PID, below).expect("root may set it");
            let mut sleep = Command::new("sleep");
            let child = sleep.arg("1000").env_clear().stdout(Stdio::null()).spawn();
            let child = child.expect("sleep starts");
            let is_wanted = child.id().to_string() == wanted;
            let stranger = Self(Some(child));
            if is_wanted {
                return stranger;
            }
            // Somebody else on this machine was started in between, and may live on:
            // a stranger with this pid, too.
            drop(stranger);
            if Process::now(dead.pid).is_some() {
                return Self(None);
            }
        }
        panic!("the pid of {dead:?} is never given");
    }

    /// Ours, as a process.
    ///
    /// # Panics
    /// When it is dead.
    #[must_use]
    pub fn process(&self) -> Option<Process> {
        let pid = i32::try_from(self.0.as_ref()?.id()).expect("a pid");
        Some(Process::now(pid).expect("the stranger lives"))
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _killed = child.kill();
            let _reaped = child.wait();
        }
    }
}
