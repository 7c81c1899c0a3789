//! Descriptors that a program was born with.
#![expect(unsafe_code, reason = "close_range has no safe wrapper")]

/// Closes every descriptor above 2: whatever a parent leaked (a lock, the end
/// of somebody's pipe) must not live as long as this process.
///
/// Only as the first act of `main`, before anything is opened: it closes what
/// others own. A kernel without the call (before 5.9) leaves them open.
pub fn close_inherited() {
    // SAFETY: integers only; by contract nothing in this process owns a
    // descriptor above 2 yet.
    unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) };
}
