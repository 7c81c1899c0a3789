//! What the shim waits for.

use std::io;
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

/// Where an event comes from, in the order in which events of one moment are
/// handled: an end before the output that led to it, and both before orders,
/// so that an order meets what is already known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The signalfd.
    Signals,
    /// The agent's stdout.
    Stdout,
    /// The agent's stderr.
    Stderr,
    /// The agent's stdin.
    Stdin,
    /// The count of kills for want of memory.
    Memory,
    /// The supervisor.
    Link,
}

const SOURCES: [Source; 6] = [
    Source::Signals,
    Source::Stdout,
    Source::Stderr,
    Source::Stdin,
    Source::Memory,
    Source::Link,
];

/// What is waited for at a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Bytes to read, or the end.
    Read,
    /// Room to write.
    Write,
    /// Both.
    ReadWrite,
    /// A change of a file of the kernel's.
    Change,
}

impl Interest {
    const fn flags(self) -> EpollFlags {
        match self {
            Self::Read => EpollFlags::EPOLLIN,
            Self::Write => EpollFlags::EPOLLOUT,
            Self::ReadWrite => EpollFlags::EPOLLIN.union(EpollFlags::EPOLLOUT),
            Self::Change => EpollFlags::EPOLLPRI,
        }
    }
}

/// An epoll instance; at most one descriptor per source.
#[derive(Debug)]
pub struct Poller(Epoll);

impl Poller {
    /// An empty one.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn new() -> io::Result<Self> {
        Ok(Self(Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?))
    }

    /// Waits for `fd` from now on.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn add(&self, source: Source, fd: impl AsFd, interest: Interest) -> io::Result<()> {
        Ok(self
            .0
            .add(fd, EpollEvent::new(interest.flags(), source as u64))?)
    }

    /// Waits for something else.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn change(&self, source: Source, fd: impl AsFd, interest: Interest) -> io::Result<()> {
        Ok(self
            .0
            .modify(fd, &mut EpollEvent::new(interest.flags(), source as u64))?)
    }

    /// Waits no longer. Closing the only descriptor of a file does the same.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn remove(&self, fd: impl AsFd) -> io::Result<()> {
        Ok(self.0.delete(fd)?)
    }

    /// Sleeps for at most `timeout_ms` (for ever without) and says what is
    /// ready, in the order of [`Source`].
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn wait(
        &self,
        timeout_ms: Option<u64>,
    ) -> io::Result<impl Iterator<Item = Source> + use<>> {
        let timeout = match timeout_ms {
            // Capped at 49 days; whoever wakes up early looks at the clock.
            Some(ms) => EpollTimeout::try_from(i32::try_from(ms).unwrap_or(i32::MAX)),
            None => Ok(EpollTimeout::NONE),
        };
        let timeout = timeout.map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        let mut events = [EpollEvent::empty(); SOURCES.len()];
        let ready = match self.0.wait(&mut events, timeout) {
            Ok(ready) => ready,
            Err(Errno::EINTR) => 0,
            Err(errno) => return Err(errno.into()),
        };
        Ok(SOURCES.into_iter().filter(move |source| {
            events[..ready]
                .iter()
                .any(|event| event.data() == *source as u64)
        }))
    }
}
