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

/// Gone with the test.
#[derive(Debug)]
pub struct Stranger(Child);

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
            let stranger = Self(child.expect("sleep starts"));
            if stranger.0.id().to_string() == wanted {
                return stranger;
            }
            // Somebody else on this machine was started in between.
            drop(stranger);
        }
        panic!("the pid of {dead:?} is never given");
    }

    /// As a process.
    ///
    /// # Panics
    /// When it is dead.
    #[must_use]
    pub fn process(&self) -> Process {
        let pid = i32::try_from(self.0.id()).expect("a pid");
        Process::now(pid).expect("the stranger lives")
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _killed = self.0.kill();
        let _reaped = self.0.wait();
    }
}
