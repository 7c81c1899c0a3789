//! Accepting connections for as long as the supervisor lives, whatever becomes
//! of the socket's file (R10): when it vanishes or is replaced it is bound
//! again, in a directory that is made again if need be.
//!
//! The directory is watched; an idle supervisor is not woken.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::time::Instant;

use super::bind::{BindError, Bound, SocketPlace};
use super::crowd::Sparing;
use super::peer::Peer;
use crate::fswatch::{Change, Changes, Interest, Watches};

/// Pause after a failure to accept, which is a lack of descriptors or memory:
/// without it the loop would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Pause after a failure to bind again, e.g. in a directory whose parent is
/// gone.
const REBIND_PAUSE: Duration = Duration::from_secs(1);

/// A socket that stays bound.
#[derive(Debug)]
pub struct Acceptor {
    place: SocketPlace,
    bound: Bound,
    watches: Watches,
    /// Changes of the directory; none until it is watched (again).
    changes: Option<Changes>,
    /// When to look again after a failure.
    look_again: Option<Instant>,
    /// When it was bound again last.
    rebound_at: Option<Instant>,
    /// What kept it from being bound again, so that it is said once.
    trouble: Option<String>,
    /// What is said when none can be accepted.
    failures: Sparing,
    /// Accepted from a socket that was replaced.
    waiting: VecDeque<UnixStream>,
}

impl Acceptor {
    /// Binds the socket. The caller holds the lock of its directory. Must be
    /// called within the runtime.
    ///
    /// # Errors
    /// [`BindError`] says what and where.
    pub fn bind(place: SocketPlace, watches: Watches) -> Result<Self, BindError> {
        let bound = place.bind()?;
        let waiting = VecDeque::new();
        Ok(Self {
            place,
            bound,
            watches,
            changes: None,
            look_again: None,
            rebound_at: None,
            trouble: None,
            failures: Sparing::default(),
            waiting,
        })
    }

    /// The next connection, and who made it. Cancel-safe: what was accepted or
    /// noticed is kept for the next call.
    pub async fn accept(&mut self) -> (UnixStream, Peer) {
        loop {
            if let Some(stream) = self.waiting.pop_front() {
                match Peer::of(&stream) {
                    Ok(peer) => return (stream, peer),
                    Err(error) => tracing::debug!(%error, "a peer left before it was seen"),
                }
                continue;
            }
            while self.changes.is_none() && self.look_again.is_none() {
                self.watch().await;
            }
            self.wait().await;
        }
    }

    /// One connection, or one look at the directory.
    async fn wait(&mut self) {
        let look_again = self.look_again;
        tokio::select! {
            biased;
            accepted = self.bound.accept() => match accepted {
                Ok(stream) => self.waiting.push_back(stream),
                Err(error) => self.pause_after(&error).await,
            },
            change = next_change(self.changes.as_mut()) => {
                if change == Change::Over {
                    self.changes = None;
                }
                self.look();
            }
            () = sleep_until(look_again) => {
                self.look_again = None;
                self.look();
            }
        }
    }

    async fn pause_after(&mut self, error: &io::Error) {
        if error.kind() != io::ErrorKind::ConnectionAborted {
            if self.failures.is_due() {
                tracing::warn!(socket = %self.place.path().display(), %error, "a connection could not be accepted");
            }
            tokio::time::sleep(ACCEPT_PAUSE).await;
        }
    }

    /// Watches the directory, and then looks once, since nothing was seen until
    /// now.
    async fn watch(&mut self) {
        match self
            .watches
            .watch(self.place.folder(), Interest::Names)
            .await
        {
            Ok(changes) => self.changes = Some(changes),
            Err(error) => {
                tracing::warn!(folder = %self.place.folder().display(), %error, "the directory of the sockets is not watched");
                self.look_again = Some(Instant::now() + REBIND_PAUSE);
            }
        }
        self.look();
    }

    /// Binds again if the file is not ours any more.
    fn look(&mut self) {
        if self.bound.is_in_place() {
            return;
        }
        // Whoever takes the place again and again may be another one who keeps it.
        let pause = self.rebound_at.map(|at| at + REBIND_PAUSE);
        if pause.is_some_and(|until| Instant::now() < until) {
            self.look_again = pause;
            return;
        }
        let socket = self.place.path();
        match self.place.bind() {
            Ok(bound) => {
                tracing::warn!(socket = %socket.display(), "the socket had vanished and was bound again");
                let old = std::mem::replace(&mut self.bound, bound);
                match old.into_waiting() {
                    Ok(waiting) => self.waiting.extend(waiting),
                    Err(error) => {
                        tracing::debug!(%error, "connections to the vanished socket are lost")
                    }
                }
                // The directory may be another one than the one watched.
                self.changes = None;
                self.look_again = None;
                self.rebound_at = Some(Instant::now());
                self.trouble = None;
            }
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                let words = format!("{error}: {cause:?}");
                if self.trouble.as_ref() != Some(&words) {
                    tracing::error!(socket = %socket.display(), %error, cause, "the socket cannot be bound again");
                    self.trouble = Some(words);
                }
                self.look_again = Some(Instant::now() + REBIND_PAUSE);
            }
        }
    }
}

/// Cancel-safe.
async fn next_change(changes: Option<&mut Changes>) -> Change {
    match changes {
        Some(changes) => changes.changed().await,
        None => std::future::pending().await,
    }
}

/// Cancel-safe.
async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
