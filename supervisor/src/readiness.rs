//! Waiting for a descriptor that is neither a socket nor a pipe.

use std::io;
use std::os::fd::AsRawFd;

use tokio::io::unix::AsyncFd;

/// Watches the descriptor that `owner` owns or borrows. Must be called within the runtime.
///
/// # Errors
/// The system's answer.
#[expect(
    deprecated,
    reason = "its successor is unsafe, and unsafe code belongs in `sys`; every caller passes an \
              owner or a borrow, which keeps the descriptor open and never replaces it"
)]
pub(crate) fn of<T: AsRawFd>(owner: T) -> io::Result<AsyncFd<T>> {
    AsyncFd::with_interest(owner, tokio::io::Interest::READABLE)
}
