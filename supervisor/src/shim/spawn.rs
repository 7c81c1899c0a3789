//! The start of a shim: the only file that uses `command_group`.
//!
//! No `pre_exec`, no user and no group, so that the standard library uses
//! `posix_spawn`. The child is never waited for through [`std::process`]:
//! [`watch`](super::watch) reaps it by its descriptor.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use command_group::CommandGroup;
use protocol::TaskId;
use sys::PidFd;
use sys::hook::SUP_SPAWN;

use super::program::{SHIM_NAME, ShimProgram};

/// The only variables that a shim may inherit: those of crash tests.
#[cfg(feature = "hooks")]
const HOOK_VARS: [&str; 2] = ["AGENT_HOOKS", "AGENT_HOOKS_SOCKET"];

/// A shim that was just started.
#[derive(Debug)]
pub struct SpawnedShim {
    /// Its process id, which is also its process group.
    pub pid: i32,
    /// Its process.
    pub pidfd: PidFd,
    /// Our end of the first link, non-blocking, for
    /// [`Link::first`](super::Link::first).
    pub link: UnixStream,
}

impl ShimProgram {
    /// Starts a shim in a process group of its own, with an empty environment
    /// and the other end of the link as its standard input. It knows nothing
    /// yet; `task` on its command line is for people who look at processes.
    ///
    /// Takes as long as the child needs to exec, about 0.1 ms.
    ///
    /// # Errors
    /// The system's answer; no process is left then.
    pub fn spawn(&self, task: &TaskId) -> io::Result<SpawnedShim> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let mut command = Command::new(self.exec_path());
        command
            .arg0(SHIM_NAME)
            .arg(task.as_str())
            .env_clear()
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        #[cfg(feature = "hooks")]
        for name in HOOK_VARS {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        let mut child = SUP_SPAWN.run(|| command.group_spawn())?;
        let pid = child.id().cast_signed();
        // Ours and not reaped, so the number is still its.
        match PidFd::open(pid) {
            Ok(Some(pidfd)) => Ok(SpawnedShim {
                pid,
                pidfd,
                link: ours,
            }),
            opened => {
                // Without a descriptor nobody would see its end. It has no
                // order yet, and is killed before it can have one.
                child.kill()?;
                child.wait()?;
                Err(opened
                    .err()
                    .unwrap_or_else(|| io::Error::from_raw_os_error(nix::libc::ESRCH)))
            }
        }
    }
}
