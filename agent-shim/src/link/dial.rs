//! Finding and calling the supervisor again.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};

/// The supervisor's socket for shims, in its runtime directory.
const SOCKET_NAME: &str = "shim.sock";

/// The file in the state directory that names the runtime directory of the
/// supervisor that runs now.
const PLACE_FILE: &str = "runtime-dir";

/// Longest content of that file: a path.
const MAX_PLACE_BYTES: usize = 4096;

/// Connects without waiting: a supervisor whose queue is full counts as one
/// that is not there yet. A listener of another user is not spoken to.
///
/// # Errors
/// The kernel's answer.
pub(super) fn dial(task_dir: &Path, first_place: &Path) -> io::Result<UnixStream> {
    let place = current_place(task_dir).unwrap_or_else(|| first_place.to_owned());
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let fd: OwnedFd = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    let address = UnixAddr::new(&place.join(SOCKET_NAME))?;
    connect(std::os::fd::AsRawFd::as_raw_fd(&fd), &address)?;
    let peer = sys::ipc::peer(&fd)?.uid;
    if peer != 0 && peer != nix::unistd::geteuid().as_raw() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    Ok(UnixStream::from(fd))
}

/// What `<state>/runtime-dir` says now, seen from `<state>/tasks/<id>`.
fn current_place(task_dir: &Path) -> Option<PathBuf> {
    let state = task_dir.parent()?.parent()?;
    let mut bytes = std::fs::read(state.join(PLACE_FILE)).ok()?;
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
    }
    let plausible = bytes.first() == Some(&b'/') && bytes.len() <= MAX_PLACE_BYTES;
    plausible.then(|| PathBuf::from(std::ffi::OsString::from_vec(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;
    use sys::temp_folder::TempFolder;

    #[test]
    fn the_file_names_a_later_place() {
        let state = TempFolder::create(&[std::env::temp_dir()]).expect("a folder");
        let task_dir = state.path().join("tasks/t");
        std::fs::create_dir_all(&task_dir).expect("made");
        for place in ["a", "b"] {
            std::fs::create_dir(state.path().join(place)).expect("made");
        }
        let (first, later) = (state.path().join("a"), state.path().join("b"));
        assert!(dial(&task_dir, &first).is_err());
        let _a = UnixListener::bind(first.join(SOCKET_NAME)).expect("bound");
        assert!(dial(&task_dir, &first).is_ok());
        let named = format!("{}\n", later.display());
        std::fs::write(state.path().join(PLACE_FILE), named).expect("written");
        assert!(dial(&task_dir, &first).is_err(), "nobody is there yet");
        let _b = UnixListener::bind(later.join(SOCKET_NAME)).expect("bound");
        assert!(dial(&task_dir, &first).is_ok());
        std::fs::write(state.path().join(PLACE_FILE), "nonsense").expect("written");
        assert!(dial(&task_dir, &first).is_ok(), "the first place");
        state.remove().expect("ours");
    }
}
