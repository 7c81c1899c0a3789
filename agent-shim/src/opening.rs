//! The first link: the inherited socket on descriptor 0, and the start order.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use protocol::codec::{self, CodecError};
use protocol::frame::{FrameDecoder, FrameError};
use protocol::hello::{BadHello, HELLO_LEN, Hello, Role};
use protocol::limits::MAX_SHIM_FRAME;
use protocol::shim::{AgentUser, Start, ToShim};
use sys::pages::Pages;

use crate::signals::{Caught, Signals};

/// Bytes of one read: most orders come whole.
const READ_BYTES: usize = 64 << 10;

/// A link that brought its start order.
#[derive(Debug)]
pub struct Opening {
    /// The supervisor.
    pub socket: UnixStream,
    /// What it may have sent behind the order.
    pub decoder: FrameDecoder,
    /// The order.
    pub start: Box<Start>,
    /// Who the agent runs as, if not as we do.
    pub user: Option<AgentUser>,
}

/// Why there is nothing to start.
#[derive(Debug, thiserror::Error)]
pub enum NoStart {
    /// The supervisor hung up first, or somebody told us to end.
    #[error("there is no start order")]
    Withdrawn,
    /// Descriptor 0 is not a link.
    #[error("this program is started by agent-supervisor, which gives it a socket as stdin")]
    NotALink,
    /// The other side speaks otherwise.
    #[error(transparent)]
    Hello(#[from] BadHello),
    /// The other side sent something else.
    #[error("the first message is no start order")]
    NotAStart,
    /// A frame or a message is wrong.
    #[error("reading the start order")]
    Codec(#[from] CodecError),
    /// The kernel refused.
    #[error("using the first link")]
    Io(#[from] io::Error),
}

impl From<FrameError> for NoStart {
    fn from(error: FrameError) -> Self {
        Self::Codec(error.into())
    }
}

impl From<nix::errno::Errno> for NoStart {
    fn from(errno: nix::errno::Errno) -> Self {
        Self::Io(errno.into())
    }
}

/// Moves the link away from descriptor 0 and waits for the order on it.
///
/// # Errors
/// [`NoStart`]; nothing was started, and nothing may be.
pub fn receive(signals: &Signals) -> Result<Opening, NoStart> {
    let mut socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    if socket.local_addr().is_err() {
        return Err(NoStart::NotALink);
    }
    let null = File::options().read(true).write(true).open("/dev/null")?;
    nix::unistd::dup2_stdin(&null)?;

    let mut hello = [0; HELLO_LEN];
    let mut filled = 0;
    while filled < HELLO_LEN {
        filled += read_some(&mut socket, signals, &mut hello[filled..])?;
    }
    let hello = Hello::decode(&hello)?;
    if hello.role != Role::Supervisor {
        return Err(NoStart::NotAStart);
    }
    // The supervisor's hello opens this link: whether there is a common version
    // is ours to see. It learns ours, so that it can say so.
    if Hello::answer(&hello).accepted().is_err() {
        socket.write_all(&Hello::opening(Role::Shim).encode())?;
        return Err(BadHello::NoCommonVersion {
            min: hello.min,
            max: hello.max,
        }
        .into());
    }

    let mut decoder = FrameDecoder::new(MAX_SHIM_FRAME);
    let mut buffer = Pages::new(READ_BYTES)?;
    let (start, user) = loop {
        if let Some(payload) = decoder.next_frame()? {
            match codec::from_payload(payload)? {
                ToShim::Start(start) => break (start, None),
                ToShim::StartAs(start, user) => break (start, Some(user)),
                ToShim::Attached { .. }
                | ToShim::Rejected(_)
                | ToShim::Stop(_)
                | ToShim::Ack { .. } => return Err(NoStart::NotAStart),
            }
        }
        let read = read_some(&mut socket, signals, &mut buffer)?;
        decoder.push(&buffer[..read]);
    };
    Ok(Opening {
        socket,
        decoder,
        start,
        user,
    })
}

/// Waits for bytes or for a signal that says that nobody wants this any more.
fn read_some(
    socket: &mut UnixStream,
    signals: &Signals,
    buffer: &mut [u8],
) -> Result<usize, NoStart> {
    loop {
        let mut fds = [
            PollFd::new(socket.as_fd(), PollFlags::POLLIN),
            PollFd::new(signals.as_fd(), PollFlags::POLLIN),
        ];
        poll(&mut fds, PollTimeout::NONE)?;
        let [socket_ready, signalled] = fds.map(|fd| fd.any().unwrap_or(true));
        if signalled {
            while let Some(caught) = signals.next()? {
                match caught {
                    Caught::End { .. } => return Err(NoStart::Withdrawn),
                    Caught::Child | Caught::Reconnect => {}
                }
            }
        }
        if socket_ready {
            return match socket.read(buffer)? {
                0 => Err(NoStart::Withdrawn),
                read => Ok(read),
            };
        }
    }
}
