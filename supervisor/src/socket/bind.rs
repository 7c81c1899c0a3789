//! Binding a socket file: never open to more than it should be, not even for
//! a moment, and never half there.
//!
//! The socket is bound under a temporary name beside its place with mode 0600,
//! gets its group, and is then renamed to its place, which replaces what a dead
//! supervisor left there. That is sound because the caller holds the lock of
//! the directory: what stands at either name is ours.

use std::fmt;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use interprocess::local_socket::traits::tokio::Listener as _;
use interprocess::local_socket::{GenericFilePath, ListenerOptions, ToFsName};
use interprocess::os::unix::local_socket::ListenerOptionsExt;
use interprocess::os::unix::uds_local_socket::tokio::Listener;
use protocol::places::MAX_SOCKET_PATH;
use tokio::net::UnixStream;

/// Mode of a socket that only its owner may open.
const OWNER_ONLY: u32 = 0o600;
/// Mode of a socket that a group may open as well.
const OWNER_AND_GROUP: u32 = 0o660;
/// Mode of the runtime directory when it has to be made again.
const PRIVATE_FOLDER: u32 = 0o700;
/// The same where a group may pass through it to the control socket.
const PASSABLE_FOLDER: u32 = 0o710;

/// Makes sure that the directory of a socket is there and ours before the
/// socket is bound, and says in words why it is not.
#[derive(Clone)]
pub struct Keeper(Arc<dyn Fn() -> Result<(), String> + Send + Sync>);

impl Keeper {
    /// What makes sure of it.
    pub fn new(keep: impl Fn() -> Result<(), String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(keep))
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keeper")
    }
}

/// Why a socket could not be bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Linux allows 107 bytes.
    #[error("the socket path {path} has {length} bytes, and {MAX_SOCKET_PATH} are possible")]
    PathTooLong {
        /// The path.
        path: PathBuf,
        /// Its length in bytes.
        length: usize,
    },
    /// Another supervisor has the directory.
    #[error("{0}")]
    NotKept(String),
    /// The runtime directory is missing and could not be made, or could not be
    /// opened to the group.
    #[error("make the runtime directory {path}")]
    Folder {
        /// The directory.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The socket could not be made or put in its place.
    #[error("bind the socket {path}")]
    Bind {
        /// The path.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

/// Where a socket belongs and to whom it is open.
#[derive(Clone, Debug)]
pub struct SocketPlace {
    folder: PathBuf,
    name: String,
    group: Option<u32>,
    keeper: Option<Keeper>,
}

/// A listening socket and the identity of its file.
#[derive(Debug)]
pub(super) struct Bound {
    listener: Listener,
    path: PathBuf,
    file: (u64, u64),
}

impl SocketPlace {
    /// The socket `name` in `folder`, open to its owner alone.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>, name: impl Into<String>) -> Self {
        Self {
            folder: folder.into(),
            name: name.into(),
            group: None,
            keeper: None,
        }
    }

    /// The same, in a directory that somebody keeps for us.
    #[must_use]
    pub fn kept_by(mut self, keeper: Keeper) -> Self {
        self.keeper = Some(keeper);
        self
    }

    /// The same, open to a group as well.
    #[must_use]
    pub fn open_to(mut self, group: Option<u32>) -> Self {
        self.group = group;
        self
    }

    /// Another socket in the same directory, kept and open as this one.
    #[must_use]
    pub fn beside(&self, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..self.clone()
        }
    }

    /// The directory.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The whole path.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.join(&self.name)
    }

    /// Binds it, and makes the directory again if it is missing.
    pub(super) fn bind(&self) -> Result<Bound, BindError> {
        let path = self.path();
        let length = path.as_os_str().len();
        if length > MAX_SOCKET_PATH {
            return Err(BindError::PathTooLong { path, length });
        }
        if let Some(Keeper(keep)) = &self.keeper {
            keep().map_err(BindError::NotKept)?;
        }
        self.ensure_folder().map_err(|source| BindError::Folder {
            path: self.folder.clone(),
            source,
        })?;
        let bound = self.bind_at(&path);
        bound.map_err(|source| BindError::Bind { path, source })
    }

    fn ensure_folder(&self) -> io::Result<()> {
        if !self.folder.is_dir() {
            DirBuilder::new()
                .recursive(true)
                .mode(PRIVATE_FOLDER)
                .create(&self.folder)?;
        }
        let Some(group) = self.group else {
            return Ok(());
        };
        if may_pass(&fs::metadata(&self.folder)?, group) {
            return Ok(());
        }
        chown(&self.folder, None, Some(group))?;
        fs::set_permissions(&self.folder, Permissions::from_mode(PASSABLE_FOLDER))
    }

    /// A directory above the socket's that its group cannot pass through.
    #[must_use]
    pub fn closed_above(&self) -> Option<PathBuf> {
        let group = self.group?;
        let above = self.folder.ancestors().skip(1);
        let closed = |folder: &&Path| fs::metadata(folder).is_ok_and(|at| !may_pass(&at, group));
        above.into_iter().find(closed).map(Path::to_owned)
    }

    fn bind_at(&self, path: &Path) -> io::Result<Bound> {
        let temporary = self.folder.join(temporary_name(&self.name));
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let listener = ListenerOptions::new()
            .name(temporary.as_path().to_fs_name::<GenericFilePath>()?)
            .mode(OWNER_ONLY)
            // The name is renamed away, and a name that stays behind is what
            // the next supervisor replaces.
            .reclaim_name(false)
            .create_tokio_as::<Listener>()?;
        let published = self.publish(&temporary, path);
        if published.is_err() {
            // The error that counts is the first one.
            let _ = fs::remove_file(&temporary);
        }
        Ok(Bound {
            listener,
            path: path.to_owned(),
            file: published?,
        })
    }

    /// Opens the bound socket to its group and puts it in its place.
    fn publish(&self, temporary: &Path, path: &Path) -> io::Result<(u64, u64)> {
        if self.group.is_some() {
            chown(temporary, None, self.group)?;
            fs::set_permissions(temporary, Permissions::from_mode(OWNER_AND_GROUP))?;
        }
        let file = identity(temporary)?;
        fs::rename(temporary, path)?;
        Ok(file)
    }
}

impl Bound {
    /// The file at its place is still this socket.
    pub(super) fn is_in_place(&self) -> bool {
        identity(&self.path).is_ok_and(|file| file == self.file)
    }

    /// The next connection. Cancel-safe.
    pub(super) async fn accept(&self) -> io::Result<UnixStream> {
        self.listener.accept().await.map(UnixStream::from)
    }

    /// Ends it; what had already connected is not lost.
    pub(super) fn into_waiting(self) -> io::Result<Vec<UnixStream>> {
        let listener = UnixListener::from(OwnedFd::try_from(self.listener)?);
        let mut waiting = Vec::new();
        loop {
            match listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(true)?;
                    waiting.push(UnixStream::from_std(stream)?);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(waiting),
                Err(error) => return Err(error),
            }
        }
    }
}

/// As long as `name` itself, so that the limit of one is that of the other.
fn temporary_name(name: &str) -> String {
    let stem = name.strip_suffix(".sock").unwrap_or(name);
    format!(".{stem}.new")
}

/// Permission to pass through a directory, for its group and for all.
const GROUP_MAY_PASS: u32 = 0o010;
const ALL_MAY_PASS: u32 = 0o001;

fn may_pass(folder: &fs::Metadata, group: u32) -> bool {
    folder.mode() & ALL_MAY_PASS != 0
        || (folder.gid() == group && folder.mode() & GROUP_MAY_PASS != 0)
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::places::{CONTROL_SOCKET, SHIM_SOCKET};
    use sys::temp_folder::TempFolder;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("there").permissions().mode() & 0o777
    }

    #[test]
    fn temporary_names_are_not_longer() {
        for name in [CONTROL_SOCKET, SHIM_SOCKET] {
            assert_eq!(temporary_name(name).len(), name.len());
        }
    }

    #[tokio::test]
    async fn it_is_private_and_replaces_what_a_dead_supervisor_left() {
        let folder = TempFolder::create(&[std::env::temp_dir()]).expect("a folder");
        let place = SocketPlace::new(folder.path().join("run"), CONTROL_SOCKET);
        let first = place.bind().expect("bound");
        assert_eq!(mode(place.folder()), 0o700);
        assert_eq!(mode(&place.path()), 0o600);
        assert!(first.is_in_place());
        let second = place.bind().expect("bound again");
        assert!(second.is_in_place() && !first.is_in_place());
        drop(first);
        drop(second);
        assert!(place.path().exists(), "a name is never taken away");
        folder.remove().expect("ours");
    }

    #[tokio::test]
    async fn a_group_gets_the_socket_and_the_way_to_it() {
        let folder = TempFolder::create(&[std::env::temp_dir()]).expect("a folder");
        let group = nix::unistd::getegid().as_raw();
        let place =
            SocketPlace::new(folder.path().join("run"), CONTROL_SOCKET).open_to(Some(group));
        // Bug: a directory that was there stayed closed.
        fs::create_dir(place.folder()).expect("made");
        fs::set_permissions(place.folder(), Permissions::from_mode(0o700)).expect("ours");
        let _bound = place.bind().expect("bound");
        assert_eq!((mode(place.folder()), mode(&place.path())), (0o710, 0o660));
        folder.remove().expect("ours");
    }

    #[tokio::test]
    async fn a_path_that_is_too_long_is_said() {
        let place = SocketPlace::new(format!("/tmp/{}", "x".repeat(100)), CONTROL_SOCKET);
        assert!(matches!(
            place.bind(),
            Err(BindError::PathTooLong { length: 118, .. })
        ));
    }
}
