//! Room for the stops of a full disk: a file of 16 MiB that is only there to be
//! removed when a commit finds no room, so that the agent that filled the disk
//! can still be stopped.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::statvfs::statvfs;

/// Its size, in bytes: thousands of stops, and a part of the smallest disk that
/// anybody would run agents on.
const BYTES: i64 = 16 << 20;

/// With less than this beside the ballast no task begins, in bytes: twice the
/// largest record that its journal may have to take.
const SMALLEST_BYTES: u64 = 256 << 10;

/// Its name, beside the ledger.
const NAME: &str = "ballast";

/// Is there room for new work?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// The ballast is in its place, or cannot be had on this file system.
    Enough,
    /// It was thrown off, or nothing else is left: what there is serves the stops.
    Short,
}

/// What is left where `folder` is, the ballast apart. A file system that does not
/// tell counts as a large one.
pub(super) fn left_at(folder: &Path) -> Room {
    let found = match statvfs(folder) {
        Ok(found) if found.blocks() > 0 => found,
        Ok(_) | Err(_) => return Room::Enough,
    };
    // What only root may use is for those who are.
    let blocks = if nix::unistd::geteuid().is_root() {
        found.blocks_free()
    } else {
        found.blocks_available()
    };
    if blocks.saturating_mul(found.fragment_size()) < SMALLEST_BYTES {
        Room::Short
    } else {
        Room::Enough
    }
}

/// The file.
#[derive(Debug)]
pub(super) struct Ballast {
    path: PathBuf,
    room: Known,
}

/// What the thread that commits knows of the room, for those who ask often.
#[derive(Clone, Debug)]
pub(super) struct Known(Arc<AtomicBool>);

impl Known {
    pub(super) fn room(&self) -> Room {
        if self.0.load(Ordering::Relaxed) {
            Room::Short
        } else {
            Room::Enough
        }
    }

    fn set(&self, room: Room) {
        self.0.store(room == Room::Short, Ordering::Relaxed);
    }
}

/// Throws off what an earlier supervisor left beside `ledger`. Was there any?
pub(super) fn throw_off(ledger: &Path) -> bool {
    fs::remove_file(ledger.with_file_name(NAME)).is_ok()
}

impl Ballast {
    /// Beside the ledger; a full disk has none.
    pub(super) fn beside(ledger: &Path) -> Self {
        let mut ballast = Self {
            path: ledger.with_file_name(NAME),
            room: Known(Arc::new(AtomicBool::new(true))),
        };
        ballast.look();
        ballast
    }

    /// For those who ask often.
    pub(super) fn known(&self) -> Known {
        self.room.clone()
    }

    /// Makes it again where there is room again.
    pub(super) fn look(&mut self) -> Room {
        if self.room.room() == Room::Enough {
            return Room::Enough;
        }
        match self.make() {
            Ok(()) => self.room.set(Room::Enough),
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                // A part of it would take what the stops need.
                let _absent = fs::remove_file(&self.path);
                tracing::warn!("the disk is full: new work is refused");
            }
            Err(error) => {
                tracing::warn!(%error, file = %self.path.display(), "no ballast: a full disk will end the supervisor");
                self.room.set(Room::Enough);
            }
        }
        self.room.room()
    }

    /// Throws it off. Was there any?
    pub(super) fn release(&mut self) -> bool {
        let released = fs::remove_file(&self.path).is_ok();
        if released {
            tracing::warn!("the disk is full: the ballast is thrown off, and new work is refused");
        }
        self.room.set(Room::Short);
        released
    }

    fn make(&self) -> io::Result<()> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&self.path)?;
        Ok(fallocate(&file, FallocateFlags::empty(), 0, BYTES)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_made_thrown_off_and_made_again() {
        let folder = std::env::temp_dir().join(format!("ballast-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder can be made");
        let mut ballast = Ballast::beside(&folder.join("ledger.sqlite3"));
        assert_eq!(ballast.known().room(), Room::Enough);
        let file = folder.join(NAME);
        assert_eq!(fs::metadata(&file).expect("made").len(), BYTES as u64);
        assert!(ballast.release());
        assert!(!file.exists());
        assert_eq!(ballast.known().room(), Room::Short);
        assert!(!ballast.release(), "once");
        assert_eq!(ballast.look(), Room::Enough);
        assert!(file.exists());
        fs::remove_dir_all(&folder).expect("ours");
    }
}
