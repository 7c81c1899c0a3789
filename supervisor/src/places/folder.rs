//! One directory: made, checked, locked.

use std::fmt;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sys::lock::{Lock, LockError};
use sys::netfs::network_file_system;

/// How long a killed holder may take to let go: its memory and its threads go
/// first, and a ledger's cache takes some ms.
const DYING_TIME: Duration = Duration::from_secs(2);

/// Pause between two looks at it.
const DYING_LOOK: Duration = Duration::from_millis(5);

/// Mode of what is made.
const PRIVATE: u32 = 0o700;

/// Write permission for group and others.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Folder {
    /// Ledger and task folders.
    State,
    /// Sockets.
    Runtime,
}

impl fmt::Display for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::State => "state directory",
            Self::Runtime => "runtime directory",
        })
    }
}

impl Folder {
    const fn flag(self) -> &'static str {
        match self {
            Self::State => "--state-dir",
            Self::Runtime => "--runtime-dir",
        }
    }

    /// The one at `path`.
    pub(super) fn at(self, path: &str) -> At {
        At {
            folder: self,
            path: PathBuf::from(path),
        }
    }
}

/// Why a directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Another supervisor uses it.
    #[error(
        "another supervisor{} uses the {folder} {}: stop it, or choose another one with {}",
        holder.map_or_else(String::new, |pid| format!(" (process {pid})")),
        path.display(),
        folder.flag()
    )]
    Held {
        /// Which.
        folder: Folder,
        /// Where.
        path: PathBuf,
        /// The process that wrote itself into the lock.
        holder: Option<i32>,
    },
    /// Something else is there.
    #[error("the {folder} {} is not a directory", path.display())]
    NotAFolder {
        /// Which.
        folder: Folder,
        /// Where.
        path: PathBuf,
    },
    /// It belongs to somebody else.
    #[error(
        "the {folder} {} belongs to user {owner}, and we run as user {us}: \
         change its owner, or choose another one with {}",
        path.display(),
        folder.flag()
    )]
    OfAnother {
        /// Which.
        folder: Folder,
        /// Where.
        path: PathBuf,
        /// Its owner's user id.
        owner: u32,
        /// Our user id.
        us: u32,
    },
    /// Others can write to it.
    #[error(
        "the {folder} {} can be written by others (mode {mode:04o}): `chmod go-w` it",
        path.display()
    )]
    OpenToOthers {
        /// Which.
        folder: Folder,
        /// Where.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It is on another machine.
    #[error(
        "the {folder} {} is on a network file system ({kind}), where locks and the ledger are not \
         safe: choose a local one with {}",
        path.display(),
        folder.flag()
    )]
    Network {
        /// Which.
        folder: Folder,
        /// Where.
        path: PathBuf,
        /// The file system's type.
        kind: String,
    },
    /// The system refused.
    #[error("cannot {verb} the {folder} {}: {source}", path.display())]
    Io {
        /// What was tried.
        verb: &'static str,
        /// Which.
        folder: Folder,
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A directory and what it is for.
pub(super) struct At {
    folder: Folder,
    path: PathBuf,
}

impl At {
    /// Makes it and what is above it.
    pub(super) fn make(&self) -> Result<(), FolderError> {
        let made = DirBuilder::new()
            .recursive(true)
            .mode(PRIVATE)
            .create(&self.path);
        match made {
            Ok(()) => Ok(()),
            // `check` says it better.
            Err(_) if self.path.exists() => Ok(()),
            Err(source) => Err(self.failed("make", source)),
        }
    }

    /// Makes it where what is above it exists, and checks it.
    pub(super) fn make_and_check_in_place(&self) -> Result<(), FolderError> {
        match DirBuilder::new().mode(PRIVATE).create(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(self.failed("make", error))
            }
            Ok(()) | Err(_) => self.check(),
        }
    }

    /// It is a directory, ours, writable by nobody else, and on this machine.
    pub(super) fn check(&self) -> Result<(), FolderError> {
        let (folder, path) = (self.folder, self.path.clone());
        let metadata = fs::metadata(&path).map_err(|source| self.failed("look at", source))?;
        if !metadata.is_dir() {
            return Err(FolderError::NotAFolder { folder, path });
        }
        let (owner, us) = (metadata.uid(), nix::unistd::geteuid().as_raw());
        if owner != us {
            return Err(FolderError::OfAnother {
                folder,
                path,
                owner,
                us,
            });
        }
        let mode = metadata.mode() & 0o7777;
        if mode & WRITABLE_BY_OTHERS != 0 {
            return Err(FolderError::OpenToOthers { folder, path, mode });
        }
        match network_file_system(&path).map_err(|source| self.failed("look at", source))? {
            Some(kind) => Err(FolderError::Network { folder, path, kind }),
            None => Ok(()),
        }
    }

    /// Takes its lock.
    pub(super) fn lock(&self) -> Result<Lock, FolderError> {
        Lock::acquire(&self.path).map_err(|error| match error {
            LockError::Held { holder } => FolderError::Held {
                folder: self.folder,
                path: self.path.clone(),
                holder,
            },
            LockError::Io(source) => self.failed("lock", source),
        })
    }

    /// Takes its lock; waits a moment for a holder that was killed just now.
    pub(super) fn lock_after_the_dying(&self) -> Result<Lock, FolderError> {
        let until = Instant::now() + DYING_TIME;
        loop {
            match self.lock() {
                Err(FolderError::Held {
                    holder: Some(pid), ..
                }) if is_dying(pid) && Instant::now() < until => std::thread::sleep(DYING_LOOK),
                result => return result,
            }
        }
    }

    /// Is it still the one that was locked? A directory that was made again, by
    /// us or by anybody, is another one.
    pub(super) fn is_held_by(&self, lock: &Lock) -> Result<bool, FolderError> {
        let found = lock.is_at(&self.path);
        found.map_err(|source| self.failed("look at", source))
    }

    /// Both names are one directory.
    pub(super) fn is_same_as(&self, other: &Self) -> Result<bool, FolderError> {
        let identity = |at: &Self| {
            let found = fs::metadata(Path::new(&at.path));
            found
                .map(|found| (found.dev(), found.ino()))
                .map_err(|source| at.failed("look at", source))
        };
        Ok(identity(self)? == identity(other)?)
    }

    fn failed(&self, verb: &'static str, source: io::Error) -> FolderError {
        FolderError::Io {
            verb,
            folder: self.folder,
            path: self.path.clone(),
            source,
        }
    }
}

/// What cannot be looked at is taken for alive: nobody waits for it.
fn is_dying(pid: i32) -> bool {
    sys::process::is_exiting(pid).unwrap_or(false)
}
