//! Bytes to the other side of a link.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, getsockopt, send, sockopt};

use crate::hook::Step;

/// Sends what the socket takes without waiting; `None` if it takes nothing
/// now. Never raises SIGPIPE.
///
/// # Errors
/// The kernel's answer, `EPIPE` if the other side is gone.
pub fn send_now(socket: impl AsFd, bytes: &[u8], step: &Step) -> io::Result<Option<usize>> {
    step.run(|| {
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        match send(socket.as_fd().as_raw_fd(), bytes, flags) {
            Ok(sent) => Ok(Some(sent)),
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    })
}

/// Who is at the other end of a Unix socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its process, in our pid namespace; 0 if it is outside of it.
    pub pid: i32,
    /// Its user.
    pub uid: u32,
}

/// Asks the kernel who connected, or who listens.
///
/// # Errors
/// The kernel's answer.
pub fn peer(socket: &impl AsFd) -> io::Result<Peer> {
    let credentials = getsockopt(socket, sockopt::PeerCredentials)?;
    Ok(Peer {
        pid: credentials.pid(),
        uid: credentials.uid(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hook::SHIM_SEND;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_full_or_closed_socket_never_blocks_or_kills() {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        assert_eq!(
            peer(&ours).expect("a peer").uid,
            nix::unistd::getuid().as_raw()
        );
        let block = [0u8; 4096];
        while send_now(&ours, &block, &SHIM_SEND).expect("open").is_some() {}
        drop(theirs);
        let error = send_now(&ours, &block, &SHIM_SEND).expect_err("closed");
        assert_eq!(error.raw_os_error(), Some(libc::EPIPE));
    }
}
