//! Properties of the calling process.
#![expect(unsafe_code, reason = "prctl has no safe wrapper with these options")]

use std::ffi::{CString, c_int, c_ulong};
use std::io;

/// Descendants that lose their parent become children of this process.
///
/// # Errors
/// The kernel's answer.
pub fn become_subreaper() -> io::Result<()> {
    set(libc::PR_SET_CHILD_SUBREAPER, 1)
}

/// No core dump, no tracer of the same user, no readable environment.
///
/// # Errors
/// The kernel's answer.
pub fn forbid_dump() -> io::Result<()> {
    set(libc::PR_SET_DUMPABLE, 0)
}

/// The kernel sends `signal` to this process when the thread that started it
/// ends. The parent may be gone already: compare `getppid` afterwards.
///
/// # Errors
/// The kernel's answer.
pub fn signal_on_parent_death(signal: i32) -> io::Result<()> {
    let signal =
        c_ulong::try_from(signal).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    set(libc::PR_SET_PDEATHSIG, signal)
}

/// Sets the name that `ps` shows; the kernel keeps 15 bytes of it.
///
/// # Errors
/// The kernel's answer; `EINVAL` for a name with a NUL in it.
pub fn set_name(name: &str) -> io::Result<()> {
    let name = CString::new(name).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    // SAFETY: the pointer is to a NUL-terminated string that outlives the call.
    check(unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr(), 0, 0, 0) })
}

fn set(option: c_int, value: c_ulong) -> io::Result<()> {
    let none: c_ulong = 0;
    // SAFETY: these options take integers only.
    check(unsafe { libc::prctl(option, value, none, none, none) })
}

fn check(result: c_int) -> io::Result<()> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_seen_by_others() {
        // The name belongs to the thread, so that parallel tests keep theirs.
        std::thread::spawn(|| {
            set_name("a) b (c").expect("a short name");
            let comm = std::fs::read_to_string("/proc/thread-self/comm").expect("readable");
            assert_eq!(comm, "a) b (c\n");
        })
        .join()
        .expect("no panic");
    }
}
