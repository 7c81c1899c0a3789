//! A lock on a directory that one process at a time can hold, and that its
//! death releases.
//!
//! The directory itself is locked, since a file in it can be deleted, and the
//! next process would lock a new one. The file only names the holder.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};

/// The file that names the holder, for people and for the one who is refused.
pub const LOCK_FILE: &str = "lock";

/// An exclusive lock on a directory, held until it is dropped.
#[derive(Debug)]
pub struct Lock(Flock<File>);

/// Why a lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds it.
    #[error("held by {}", holder.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}")))]
    Held {
        /// The process id that the holder wrote down.
        holder: Option<i32>,
    },
    /// The directory or its file could not be used.
    #[error("using the directory and its lock file")]
    Io(#[from] io::Error),
}

impl Lock {
    /// Takes the lock on the directory, without waiting.
    ///
    /// # Errors
    /// [`LockError::Held`] by another process, [`LockError::Io`] from the
    /// directory or its file.
    pub fn acquire(folder: &Path) -> Result<Self, LockError> {
        let file = folder.join(LOCK_FILE);
        loop {
            let opened = OpenOptions::new()
                .read(true)
                .custom_flags(OFlag::O_DIRECTORY.bits())
                .open(folder)?;
            let locked = match Flock::lock(opened, FlockArg::LockExclusiveNonblock) {
                Ok(locked) => Self(locked),
                Err((_, Errno::EWOULDBLOCK)) => {
                    let holder = read_holder(&file);
                    return Err(LockError::Held { holder });
                }
                Err((_, errno)) => return Err(io::Error::from(errno).into()),
            };
            // A directory that was removed or renamed meanwhile locks nothing.
            if locked.is_at(folder)? {
                let mut named = OpenOptions::new()
                    .write(true)
                    .create(true)
                    .truncate(true)
                    .mode(0o600)
                    .open(&file)?;
                writeln!(named, "{}", std::process::id())?;
                return Ok(locked);
            }
        }
    }

    /// The directory at `path` is the one that is locked.
    ///
    /// # Errors
    /// Those of looking at it; that it is not there is none.
    pub fn is_at(&self, path: &Path) -> io::Result<bool> {
        let ours = self.0.metadata()?;
        match std::fs::metadata(path) {
            Ok(there) => Ok((ours.dev(), ours.ino()) == (there.dev(), there.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn read_holder(file: &Path) -> Option<i32> {
    /// No process id has more digits.
    const LONGEST: u64 = 16;
    let mut text = String::new();
    let file = File::open(file).ok()?;
    file.take(LONGEST).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::temp_folder::TempFolder;

    fn folder() -> TempFolder {
        TempFolder::create(&[std::env::temp_dir()]).expect("a folder")
    }

    #[test]
    fn the_second_is_told_who_holds_it_and_death_releases_it() {
        let folder = folder();
        let first = Lock::acquire(folder.path()).expect("free");
        match Lock::acquire(folder.path()) {
            Err(LockError::Held { holder }) => {
                assert_eq!(holder, i32::try_from(std::process::id()).ok());
            }
            other => panic!("{other:?}"),
        }
        drop(first);
        Lock::acquire(folder.path()).expect("free again");
        folder.remove().expect("ours");
    }

    /// Bug: the file was the lock, and with it a clean-up took the lock away.
    #[test]
    fn a_deleted_file_is_no_deleted_lock() {
        let folder = folder();
        let first = Lock::acquire(folder.path()).expect("free");
        std::fs::remove_file(folder.path().join(LOCK_FILE)).expect("there");
        let second = Lock::acquire(folder.path());
        assert!(matches!(second, Err(LockError::Held { holder: None })));
        assert!(first.is_at(folder.path()).expect("looked"));
        folder.remove().expect("ours");
    }

    #[test]
    fn a_directory_that_was_made_again_is_another_one() {
        let folder = folder();
        let path = folder.path().join("run");
        std::fs::create_dir(&path).expect("made");
        let first = Lock::acquire(&path).expect("free");
        std::fs::rename(&path, folder.path().join("away")).expect("renamed");
        assert!(!first.is_at(&path).expect("looked"));
        std::fs::create_dir(&path).expect("made again");
        assert!(!first.is_at(&path).expect("looked"));
        let second = Lock::acquire(&path).expect("nobody's");
        assert!(second.is_at(&path).expect("looked"));
        folder.remove().expect("ours");
    }
}
