//! Processes as `/proc` shows them.

mod census;
mod identity;
mod stat;
mod tree;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

pub use census::Census;
pub use identity::{Here, here, identity, same_process};
pub use stat::{Stat, exit_of_zombie, is_exiting, stat};
pub use tree::{Descendant, children, descendants, descendants_of};

/// The command name, as text; `None` if the process is gone.
///
/// # Errors
/// The file system's answer.
pub fn comm(pid: i32) -> io::Result<Option<String>> {
    let bytes = if_there(std::fs::read(format!("/proc/{pid}/comm")))?;
    Ok(bytes.map(|mut bytes| {
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }))
}

/// The program that it runs; `None` if it is gone or runs none.
///
/// # Errors
/// `PermissionDenied` for a process that may not be looked into.
pub fn exe(pid: i32) -> io::Result<Option<PathBuf>> {
    if_there(std::fs::read_link(format!("/proc/{pid}/exe")))
}

/// Its environment as it was at its exec, `NAME=value` each; `None` if it is
/// gone. A process may have overwritten it since. Empty in the middle of an exec or of
/// its end, also where a part of it could be read before.
///
/// # Errors
/// `PermissionDenied` for a process that may not be looked into.
pub fn environ(pid: i32) -> io::Result<Option<Vec<OsString>>> {
    let bytes = if_there(read_whole(&format!("/proc/{pid}/environ")))?;
    Ok(bytes.map(|bytes| {
        bytes
            .split(|byte| *byte == 0)
            .filter(|entry| !entry.is_empty())
            .map(|entry| OsString::from_vec(entry.to_vec()))
            .collect()
    }))
}

/// All of a file of `/proc` that shows a process's memory. It comes in pieces, and that
/// memory may go in between: then nothing is there any more, from its beginning on.
fn read_whole(path: &str) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let mut bytes = Vec::with_capacity(ENVIRONMENT_BYTES);
    file.read_to_end(&mut bytes)?;
    if !bytes.is_empty() && file.read_at(&mut [0], 0)? == 0 {
        bytes.clear();
    }
    Ok(bytes)
}

/// Most environments are smaller.
const ENVIRONMENT_BYTES: usize = 8 << 10;

/// `None` instead of the errors that mean «there is no such process».
fn if_there<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) => match error.raw_os_error() {
            Some(libc::ENOENT | libc::ESRCH) => Ok(None),
            _ => Err(error),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_child_is_read() {
        let mut child = Command::new("sleep")
            .arg("100")
            .env_clear()
            .env("MARK", "a b")
            .spawn()
            .expect("sleep exists");
        let pid = i32::try_from(child.id()).expect("a pid");
        assert_eq!(comm(pid).expect("readable").as_deref(), Some("sleep"));
        assert!(exe(pid).expect("readable").is_some());
        let environment = environ(pid).expect("readable").expect("alive");
        assert_eq!(environment, vec![OsString::from("MARK=a b")]);
        child.kill().expect("ours");
        child.wait().expect("ours");
        assert_eq!(comm(pid).expect("no error"), None);
        assert_eq!(exe(pid).expect("no error"), None);
        assert_eq!(environ(pid).expect("no error"), None);
    }
}
