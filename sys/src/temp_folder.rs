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

use crate::checksum::crc64;

/// Folders within folders that are removed: more than any real tree has, and
/// few enough for one open descriptor each.
const MAX_DEPTH: usize = 200;

/// Where a task's private folder may be, best first: its path must be short.
/// The task's own folder comes last.
pub const PLACES: [&str; 3] = ["/tmp", "/var/tmp", "/dev/shm"];

/// Names a private folder in the task's own that has not the name that follows from
/// that.
pub const LINK_NAME: &str = "tmpdir";

/// What the name of every private folder begins with.
const PREFIX: &str = "at-";

/// A folder of mode 0700 that was not there before.
#[derive(Debug)]
pub struct TempFolder {
    path: PathBuf,
    /// What names it.
    link: Option<PathBuf>,
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
                Ok(path) => return Ok(Self { path, link: None }),
                Err(errno) => answer = errno,
            }
        }
        Err(answer.into())
    }

    /// The one of the task whose folder is `task_dir`, in the first of `places` that
    /// allows it. Its name follows from that folder's: whoever cleans up behind a
    /// process that was killed at any moment finds it. Where somebody has the name
    /// already, it is as [`linked`](Self::linked).
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn of_task(task_dir: &Path, places: &[impl AsRef<Path>]) -> io::Result<Self> {
        let name = name_for(task_dir)?;
        for place in places {
            let path = place.as_ref().join(&name);
            match nix::unistd::mkdir(&path, Mode::S_IRWXU) {
                Ok(()) => return Ok(Self { path, link: None }),
                Err(Errno::EEXIST) => break,
                Err(_) => {}
            }
        }
        Self::linked(task_dir, places)
    }

    /// The same under another name, which stands in `task_dir`, if it can be written
    /// there.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn linked(task_dir: &Path, places: &[impl AsRef<Path>]) -> io::Result<Self> {
        let Self { path, .. } = Self::create(places)?;
        let link = task_dir.join(LINK_NAME);
        let linked = std::os::unix::fs::symlink(&path, &link);
        let link = linked.is_ok().then_some(link);
        Ok(Self { path, link })
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
            // It is empty.
            let _ = fs::remove_dir(&self.path);
            let _ = self.link.as_ref().map(fs::remove_file);
        }
        given
    }

    /// Removes it with everything in it, and then its name.
    ///
    /// # Errors
    /// As [`remove_tree`].
    pub fn remove(self) -> io::Result<()> {
        remove_tree(&self.path)?;
        self.link.map_or(Ok(()), fs::remove_file)
    }
}

/// From the path alone: numbers of devices, and on some file systems those of folders,
/// are others after a reboot.
fn name_for(task_dir: &Path) -> io::Result<String> {
    let path = fs::canonicalize(task_dir)?;
    let digest = crc64(path.as_os_str().as_encoded_bytes());
    Ok(format!("{PREFIX}{digest:016x}"))
}

/// The private folder of the task whose folder is `task_dir`; `None` if it has none.
///
/// # Errors
/// `InvalidInput` for a name that no shim gives; the kernel's answer.
pub fn find(task_dir: &Path) -> io::Result<Option<PathBuf>> {
    let places = || PLACES.iter().map(Path::new).chain([task_dir]);
    match fs::read_link(task_dir.join(LINK_NAME)) {
        Ok(folder) => {
            let in_place = places().any(|place| folder.parent() == Some(place));
            let name = folder.file_name().and_then(OsStr::to_str);
            let named = name.is_some_and(|name| name.starts_with(PREFIX));
            return if in_place && named {
                Ok(Some(folder))
            } else {
                Err(io::ErrorKind::InvalidInput.into())
            };
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let name = match name_for(task_dir) {
        Ok(name) => name,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let us = nix::unistd::geteuid().as_raw();
    // Somebody else may have taken the name.
    let is_ours = |path: &PathBuf| {
        let found = fs::symlink_metadata(path);
        found.is_ok_and(|found| found.is_dir() && found.uid() == us)
    };
    Ok(places().map(|place| place.join(&name)).find(is_ours))
}

/// Removes the private folder of the task whose folder is `task_dir`, and its name
/// there. A name that no shim gives is left alone.
///
/// # Errors
/// As [`find`] and [`remove_tree`]. Nothing to remove is no error.
pub fn remove_of(task_dir: &Path) -> io::Result<()> {
    let Some(folder) = find(task_dir)? else {
        return Ok(());
    };
    remove_tree(&folder)?;
    match fs::remove_file(task_dir.join(LINK_NAME)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
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
        remove_of(task_dir.path()).expect("none is no error");
        let link = task_dir.path().join(LINK_NAME);
        let named = [
            TempFolder::of_task(task_dir.path(), &PLACES).expect("a folder"),
            // The name that follows is taken.
            TempFolder::of_task(task_dir.path(), &PLACES).expect("a folder"),
        ];
        let [named, linked] = named.map(|folder| folder.path().to_owned());
        for path in [&linked, &named] {
            fs::write(path.join("file"), b"x").expect("written");
            assert_eq!(find(task_dir.path()).expect("read").as_ref(), Some(path));
            assert_eq!(fs::symlink_metadata(&link).is_ok(), *path == linked);
            remove_of(task_dir.path()).expect("ours");
            assert!(!path.exists() && fs::symlink_metadata(&link).is_err());
        }
        assert_eq!(find(task_dir.path()).expect("read"), None);
        // A file, or a link, of that name is somebody else's.
        let there = task_dir.path().join("there");
        std::os::unix::fs::symlink(&there, &named).expect("made");
        assert_eq!(find(task_dir.path()).expect("read"), None);
        fs::remove_file(&named).expect("ours");
        let other = place();
        for target in [other.path().join("at-x"), PathBuf::from("/tmp/else")] {
            std::os::unix::fs::symlink(&target, &link).expect("made");
            assert!(remove_of(task_dir.path()).is_err(), "{target:?}");
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
