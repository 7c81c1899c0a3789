//! The socket at which the agents of the measurements arrive.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

/// An agent that did not arrive, or did not answer, within this time never
/// will: then the measurement fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(120);

/// The meeting point.
#[derive(Debug)]
pub struct Crew {
    listener: UnixListener,
    path: PathBuf,
}

/// One agent that has arrived. It ends when this is dropped.
#[derive(Debug)]
pub struct Hand {
    stream: UnixStream,
    /// When its first instruction ran.
    pub started_ns: u64,
    /// Its process.
    pub pid: i32,
}

impl Crew {
    /// Opens the socket `path`.
    ///
    /// # Errors
    /// When it cannot be bound.
    pub fn bind(path: PathBuf) -> Result<Self> {
        let listener =
            UnixListener::bind(&path).with_context(|| format!("binding {}", path.display()))?;
        Ok(Self { listener, path })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits for the next agent.
    ///
    /// # Errors
    /// When none comes.
    pub fn arrive(&self) -> Result<Hand> {
        let timeout = PollTimeout::try_from(PATIENCE).unwrap_or(PollTimeout::MAX);
        let mut waits = [PollFd::new(self.listener.as_fd(), PollFlags::POLLIN)];
        ensure!(poll(&mut waits, timeout)? > 0, "no agent arrived");
        let (mut stream, _) = self.listener.accept()?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut clock = [0; 8];
        stream
            .read_exact(&mut clock)
            .context("an agent said nothing")?;
        // Not what it would say itself: it may be in a namespace of its own.
        let pid = getsockopt(&stream, PeerCredentials)?.pid();
        Ok(Hand {
            stream,
            started_ns: u64::from_le_bytes(clock),
            pid,
        })
    }
}

impl Hand {
    /// Tells it to end.
    ///
    /// # Errors
    /// When it is gone already.
    pub fn dismiss(&mut self) -> Result<()> {
        self.stream.write_all(b"x").context("dismissing an agent")
    }

    /// The next time that it tells: for one that was dismissed, its last
    /// instruction.
    ///
    /// # Errors
    /// When it ends without a word.
    pub fn told_ns(&mut self) -> Result<u64> {
        let mut clock = [0; 8];
        self.stream
            .read_exact(&mut clock)
            .context("an agent told no time")?;
        Ok(u64::from_le_bytes(clock))
    }

    /// Sends a byte and waits for it to come back.
    ///
    /// # Errors
    /// When it does not.
    pub fn round_trip(&mut self) -> Result<()> {
        let mut byte = *b"r";
        self.stream.write_all(&byte)?;
        self.stream.read_exact(&mut byte).context("no echo")
    }
}
