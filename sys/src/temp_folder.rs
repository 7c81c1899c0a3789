//! A private folder with a short name for a task's temporary files (tools put
//! sockets there, whose paths end at 108 bytes), and its removal.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, unlinkat};

/// Folders within folders that are removed: more than any real tree has, and
/// few enough for one open descriptor each.
const MAX_DEPTH: usize = 200;

/// Where a task's private folder may be, best first: its path must be short.
/// The task's own folder comes last.
pub const PLACES: [&str; 3] = ["/tmp", "/var/tmp", "/dev/shm"];

/// Names the private folder in the task's own, so that it can be removed after
/// the death of the shim.
pub const LINK_NAME: &str = "tmpdir";

/// What the name of every private folder begins with.
const PREFIX: &str = "at-";

/// A folder of mode 0700 that nobody else knew before.
#[derive(Debug)]
pub struct TempFolder {
    path: PathBuf,
}

impl TempFolder {
    /// Makes `at-XXXXXX` in the first of `places` that allows it.
    ///
    /// # Errors
    /// The answer of the last place; `ENOENT` if there is none.
    pub fn create(places: &[impl AsRef<Path>]) -> io::Result<Self> {
        let mut answer = Errno::ENOENT;
        for place in places {
            match nix::unistd::mkdtemp(&place.as_ref().join(format!("{PREFIX}XXXXXX"))) {
                Ok(path) => return Ok(Self { path }),
                Err(errno) => answer = errno,
            }
        }
        Err(answer.into())
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes it another user's. By descriptor: it may have been replaced.
    ///
    /// # Errors
    /// The kernel's answer; the folder is gone then.
    pub fn give_to(&self, uid: u32, gid: u32) -> io::Result<()> {
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_RDONLY;
        let given = nix::fcntl::open(&self.path, flags, Mode::empty())
            .map_err(io::Error::from)
            .and_then(|folder| std::os::unix::fs::fchown(folder, Some(uid), Some(gid)));
        if given.is_err() {
            // It is empty, and nobody knows of it.
            let _ = fs::remove_dir(&self.path);
        }
        given
    }

    /// Removes it with everything in it.
    ///
    /// # Errors
    /// As [`remove_tree`].
    pub fn remove(self) -> io::Result<()> {
        remove_tree(&self.path)
    }
}

/// Removes the private folder that is named in `task_dir`, and its name. A name
/// that no shim gives is left alone.
///
/// # Errors
/// As [`remove_tree`]. Nothing to remove is no error.
pub fn remove_named(task_dir: &Path) -> io::Result<()> {
    let link = task_dir.join(LINK_NAME);
    let folder = match fs::read_link(&link) {
        Ok(folder) => folder,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let in_place = folder.parent().is_some_and(|parent| {
        PLACES.iter().any(|place| parent == Path::new(place)) || parent == task_dir
    });
    let named = folder
        .file_name()
        .and_then(OsStr::to_str)
        .is_some_and(|name| name.starts_with(PREFIX));
    if !(in_place && named) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    remove_tree(&folder)?;
    fs::remove_file(&link)
}

/// Removes the folder `path` and everything in it, but follows no symbolic
/// link, enters no other file system, and no folder of another user. What
/// cannot be removed stays, and so do the folders above it.
///
/// # Errors
/// The first thing that could not be removed. A path that is not there is no
/// error.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    // Most are empty, and need no look inside.
    if fs::remove_dir(path).is_ok() {
        return Ok(());
    }
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let owned = Owned {
        device: metadata.dev(),
        user: metadata.uid(),
    };
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_RDONLY;
    let folder = nix::fcntl::open(path, flags, Mode::empty())?;
    let emptied = owned.empty(File::from(folder), MAX_DEPTH);
    emptied.and(fs::remove_dir(path))
}

/// What the removal may touch.
struct Owned {
    device: u64,
    user: u32,
}

impl Owned {
    fn empty(&self, folder: File, depth: usize) -> io::Result<()> {
        let metadata = folder.metadata()?;
        if depth == 0 || (metadata.dev(), metadata.uid()) != (self.device, self.user) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        if metadata.permissions().mode() & 0o700 != 0o700 {
            folder.set_permissions(Permissions::from_mode(0o700))?;
        }
        let mut first_error = Ok(());
        for name in names(&folder)? {
            let removed = self.remove_entry(&folder, &name, depth);
            if first_error.is_ok() {
                first_error = removed;
            }
        }
        first_error
    }

    fn remove_entry(&self, folder: &File, name: &OsStr, depth: usize) -> io::Result<()> {
        match unlinkat(folder, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => return Ok(()),
            Err(Errno::EISDIR | Errno::EPERM) => {}
            Err(errno) => return Err(errno.into()),
        }
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_RDONLY;
        let inner = nix::fcntl::openat(folder, name, flags, Mode::empty())?;
        let emptied = self.empty(File::from(inner), depth - 1);
        emptied.and(Ok(unlinkat(folder, name, UnlinkatFlags::RemoveDir)?))
    }
}

fn names(folder: &File) -> io::Result<Vec<std::ffi::OsString>> {
    // Read by path, so that the descriptor's own position is not shared.
    let listed = fs::read_dir(format!("/proc/self/fd/{}", folder.as_raw_fd()))?;
    listed.map(|entry| Ok(entry?.file_name())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> TempFolder {
        TempFolder::create(&[std::env::temp_dir()]).expect("a folder")
    }

    #[test]
    fn it_is_private_short_and_goes_with_everything_in_it() {
        let folder = place();
        let path = folder.path().to_owned();
        let metadata = fs::metadata(&path).expect("there");
        assert_eq!(metadata.permissions().mode() & 0o777, 0o700);
        let deep = path.join("a/b/c");
        fs::create_dir_all(&deep).expect("made");
        fs::write(deep.join("file"), b"x").expect("written");
        fs::set_permissions(path.join("a/b"), Permissions::from_mode(0o500)).expect("ours");
        folder.remove().expect("ours");
        assert!(!path.exists());
        remove_tree(&path).expect("gone is no error");
    }

    #[test]
    fn links_are_removed_and_not_followed() {
        let outside = place();
        fs::write(outside.path().join("keep"), b"x").expect("written");
        let folder = place();
        let path = folder.path().to_owned();
        std::os::unix::fs::symlink(outside.path(), path.join("link")).expect("made");
        folder.remove().expect("ours");
        assert!(!path.exists());
        assert!(outside.path().join("keep").exists());
        // Nor is the folder itself, when it was replaced by a link.
        std::os::unix::fs::symlink(outside.path(), &path).expect("made");
        assert!(remove_tree(&path).is_err());
        assert!(outside.path().join("keep").exists());
        fs::remove_file(&path).expect("ours");
        outside.remove().expect("ours");
    }

    #[test]
    fn a_private_folder_is_found_by_its_name_in_the_tasks() {
        let task_dir = place();
        remove_named(task_dir.path()).expect("none is no error");
        let private = TempFolder::create(&["/tmp"]).expect("a folder");
        let path = private.path().to_owned();
        fs::write(path.join("file"), b"x").expect("written");
        let link = task_dir.path().join(LINK_NAME);
        std::os::unix::fs::symlink(&path, &link).expect("made");
        remove_named(task_dir.path()).expect("ours");
        assert!(!path.exists() && fs::symlink_metadata(&link).is_err());
        let other = place();
        for target in [other.path().join("at-x"), PathBuf::from("/tmp/else")] {
            std::os::unix::fs::symlink(&target, &link).expect("made");
            assert!(remove_named(task_dir.path()).is_err(), "{target:?}");
            fs::remove_file(&link).expect("ours");
        }
        task_dir.remove().expect("ours");
        other.remove().expect("ours");
    }

    #[test]
    fn the_next_place_is_taken_where_the_first_one_fails() {
        let folder = place();
        let missing = folder.path().join("missing");
        let inner = TempFolder::create(&[missing, folder.path().to_owned()]).expect("the second");
        assert!(inner.path().starts_with(folder.path()));
        assert!(TempFolder::create(&[] as &[&Path]).is_err());
        folder.remove().expect("ours");
    }
}
