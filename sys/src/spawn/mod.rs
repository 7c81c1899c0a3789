//! The start of an agent.
//!
//! For a caller with **one thread**: the parent-death signal is that of the
//! starting thread, and the child runs on the caller's memory until its exec
//! (`CLONE_VM | CLONE_VFORK`, as `posix_spawn` does), during which the caller
//! stands still. So the start copies no page table, and what went wrong is read
//! from memory.

mod child;
mod search;

use std::ffi::CString;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::sys::resource::{Resource, getrlimit};
use protocol::shim::{AgentUser, ProcessId, SpawnStage};

use crate::hook::{SHIM_REAP, SHIM_SIGNAL, Step};
use crate::pidfd::PidFd;
use crate::process;

/// Begins the path of an error about the user that was to be become.
pub const USER_PLACE: &str = "user ";

/// What to start, and how.
pub struct Plan<'a> {
    /// The argument vector; the first word is the program.
    pub argv: &'a [String],
    /// The whole environment.
    pub env: &'a [(String, String)],
    /// The working folder, absolute.
    pub cwd: &'a Path,
    /// The child's descriptors 0, 1 and 2; all others must be close-on-exec.
    pub stdio: [BorrowedFd<'a>; 3],
    /// Soft limit of open files, at most the hard one; 0 leaves it as it is.
    pub nofile_soft: u64,
    /// Who it runs as; as the caller does if absent.
    pub user: Option<&'a AgentUser>,
}

/// Arguments and environment never appear in `Debug`.
impl std::fmt::Debug for Plan<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plan")
            .field("cwd", &self.cwd)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// What was started: it leads a session and a process group of its own.
#[derive(Debug)]
pub struct Spawned {
    /// Its identity.
    pub process: ProcessId,
    /// Itself.
    pub pidfd: PidFd,
    /// The program that was found.
    pub program: PathBuf,
}

/// Why nothing was started.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{stage:?} of {path}: {}", io::Error::from_raw_os_error(*errno))]
pub struct SpawnError {
    /// What was tried.
    pub stage: SpawnStage,
    /// The kernel's answer. For [`SpawnStage::Search`]: `ENOENT` not found,
    /// `EACCES` found but not executable, `EISDIR` a folder.
    pub errno: i32,
    /// On which path, or the word that was searched.
    pub path: String,
}

impl SpawnError {
    /// An error at `stage` on `path`.
    #[must_use]
    pub fn new(stage: SpawnStage, errno: i32, path: impl Into<String>) -> Self {
        Self {
            stage,
            errno,
            path: path.into(),
        }
    }

    /// The same from an error of the standard library.
    #[must_use]
    pub fn from_io(stage: SpawnStage, error: &io::Error, path: &Path) -> Self {
        Self::new(
            stage,
            error.raw_os_error().unwrap_or(libc::EIO),
            path.to_string_lossy(),
        )
    }
}

/// Starts the program of `plan` with a fresh session, default signals, and
/// SIGKILL at the death of the calling thread.
///
/// # Errors
/// [`SpawnError`]; the program did not run then.
pub fn spawn(plan: &Plan<'_>, step: &Step) -> Result<Spawned, SpawnError> {
    check_cwd(plan.cwd)?;
    let candidates = search::candidates(plan)?;
    start(&child::Prepared::new(plan, &candidates)?, &candidates, step)
}

fn start(
    prepared: &child::Prepared,
    candidates: &[PathBuf],
    step: &Step,
) -> Result<Spawned, SpawnError> {
    step.run(|| {
        let (pid, pidfd) = prepared.start()?;
        let started = prepared.outcome().and_then(|at| {
            let program = candidates.get(at).cloned().unwrap_or_default();
            identify(pid, &program).map(|process| (process, program))
        });
        match started {
            Ok((process, program)) => Ok(Spawned {
                process,
                pidfd,
                program,
            }),
            Err(error) => {
                // It said so and ended, or was killed before its exec; the
                // signal is for one that cannot be looked at.
                let _ = pidfd.send_signal(libc::SIGKILL, &SHIM_SIGNAL);
                let _ = pidfd.wait_ended(std::time::Duration::MAX);
                let _ = pidfd.reap(&SHIM_REAP);
                Err(error)
            }
        }
    })
}

/// Words of their own for a missing working folder, before anything is
/// searched relative to it.
fn check_cwd(cwd: &Path) -> Result<(), SpawnError> {
    match std::fs::metadata(cwd) {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err(SpawnError::new(
            SpawnStage::Chdir,
            libc::ENOTDIR,
            cwd.to_string_lossy(),
        )),
        Err(error) => Err(SpawnError::from_io(SpawnStage::Chdir, &error, cwd)),
    }
}

/// The identity of the child, unless it was killed before its exec: its report
/// is then as empty as after a good one, but the kernel remembers.
fn identify(pid: i32, program: &Path) -> Result<ProcessId, SpawnError> {
    let failed = |error: &io::Error| SpawnError::from_io(SpawnStage::Exec, error, program);
    let gone = || failed(&io::Error::from_raw_os_error(libc::EINTR));
    let stat = process::stat(pid)
        .map_err(|error| failed(&error))?
        .ok_or_else(gone)?;
    if stat.died_before_exec() {
        return Err(gone());
    }
    let here = process::here().map_err(|error| failed(&error))?;
    Ok(ProcessId {
        boot_id: here.boot_id.clone(),
        pid_ns: here.pid_ns,
        pid,
        start_time: stat.start_time,
    })
}

/// The limit that the child gets back, if it differs.
fn nofile_limit(soft: u64) -> Result<Option<(u64, u64)>, SpawnError> {
    if soft == 0 {
        return Ok(None);
    }
    let limits = getrlimit(Resource::RLIMIT_NOFILE);
    let (now, hard) = limits
        .map_err(|errno| SpawnError::new(SpawnStage::Prepare, errno as i32, "RLIMIT_NOFILE"))?;
    let wanted = soft.min(hard);
    Ok((wanted != now).then_some((wanted, hard)))
}

fn c_string(bytes: &[u8], stage: SpawnStage, path: &str) -> Result<CString, SpawnError> {
    CString::new(bytes).map_err(|_| SpawnError::new(stage, libc::EINVAL, path))
}

fn c_path(path: &Path, stage: SpawnStage) -> Result<CString, SpawnError> {
    c_string(path.as_os_str().as_bytes(), stage, &path.to_string_lossy())
}

#[cfg(test)]
mod tests;
