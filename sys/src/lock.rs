//! A lock that one process at a time can hold, and that its death releases.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

/// An exclusive lock on a file, held until it is dropped.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held for its drop, which unlocks")] Flock<File>);

/// Why a lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds it.
    #[error("held by {}", holder.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}")))]
    Held {
        /// The process id that the holder wrote down.
        holder: Option<i32>,
    },
    /// The file could not be used.
    #[error("using the lock file")]
    Io(#[from] io::Error),
}

impl Lock {
    /// Takes the lock on `path`, which is made if need be, without waiting.
    ///
    /// # Errors
    /// [`LockError::Held`] by another process, [`LockError::Io`] from the file.
    pub fn acquire(path: &Path) -> Result<Self, LockError> {
        loop {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(path)?;
            let mut locked = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(locked) => locked,
                Err((file, Errno::EWOULDBLOCK)) => {
                    return Err(LockError::Held {
                        holder: read_holder(file),
                    });
                }
                Err((_, errno)) => return Err(io::Error::from(errno).into()),
            };
            // A file that was unlinked meanwhile locks nothing.
            if is_still_at(&locked, path)? {
                locked.set_len(0)?;
                locked.rewind()?;
                writeln!(*locked, "{}", std::process::id())?;
                return Ok(Self(locked));
            }
        }
    }
}

fn is_still_at(file: &File, path: &Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    match std::fs::metadata(path) {
        Ok(there) => Ok((ours.dev(), ours.ino()) == (there.dev(), there.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn read_holder(file: File) -> Option<i32> {
    /// No process id has more digits.
    const LONGEST: u64 = 16;
    let mut text = String::new();
    file.take(LONGEST).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_holds_it_and_death_releases_it() {
        let folder =
            crate::temp_folder::TempFolder::create(&[std::env::temp_dir()]).expect("a folder");
        let path = folder.path().join("lock");
        let first = Lock::acquire(&path).expect("free");
        match Lock::acquire(&path) {
            Err(LockError::Held { holder }) => {
                assert_eq!(holder, i32::try_from(std::process::id()).ok());
            }
            other => panic!("{other:?}"),
        }
        drop(first);
        Lock::acquire(&path).expect("free again");
        folder.remove().expect("ours");
    }
}
