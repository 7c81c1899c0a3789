//! Where the program is: in the task's `PATH`, or relative to its folder.

use std::io;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, eaccess};
use protocol::shim::SpawnStage;

use super::{Plan, SpawnError};

/// Where a task without a `PATH` of its own is searched.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The programs that may be meant, best first; never none.
pub(super) fn candidates(plan: &Plan<'_>) -> Result<Vec<PathBuf>, SpawnError> {
    let word = plan.argv.first().map_or("", String::as_str);
    if word.is_empty() {
        return Err(SpawnError::new(SpawnStage::Search, libc::ENOENT, ""));
    }
    if word.contains('/') {
        let path = plan.cwd.join(word);
        return match look(&path) {
            Ok(()) => Ok(vec![path]),
            Err(errno) => Err(SpawnError::new(
                SpawnStage::Search,
                errno,
                path.to_string_lossy(),
            )),
        };
    }
    let path = plan.env.iter().find(|(name, _)| name == "PATH");
    let path = path.map_or(DEFAULT_PATH, |(_, value)| value.as_str());
    in_path(word, path, plan.cwd)
}

/// An empty element of `PATH` is the working folder, as everywhere.
fn in_path(word: &str, path: &str, cwd: &Path) -> Result<Vec<PathBuf>, SpawnError> {
    let mut found = Vec::new();
    let mut nearly = None;
    for folder in path.split(':') {
        let candidate = cwd.join(folder).join(word);
        match look(&candidate) {
            Ok(()) => found.push(candidate),
            Err(errno @ (libc::EACCES | libc::EISDIR)) => {
                let miss = SpawnError::new(SpawnStage::Search, errno, candidate.to_string_lossy());
                nearly.get_or_insert(miss);
            }
            Err(_) => {}
        }
    }
    if found.is_empty() {
        let nothing = || SpawnError::new(SpawnStage::Search, libc::ENOENT, word);
        return Err(nearly.unwrap_or_else(nothing));
    }
    Ok(found)
}

/// An executable file, or the errno that says why not.
fn look(path: &Path) -> Result<(), i32> {
    let errno = |error: io::Error| error.raw_os_error().unwrap_or(libc::EIO);
    if std::fs::metadata(path).map_err(errno)?.is_dir() {
        return Err(libc::EISDIR);
    }
    eaccess(path, AccessFlags::X_OK).map_err(|errno| errno as i32)
}
