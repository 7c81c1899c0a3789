//! The link to whatever supervisor there is.
//!
//! ```text
//! Up ──lost──▶ Down ──50 ms … 5 s, or SIGUSR1──▶ Greeting ──Attached──▶ Up
//!               ▲ └──────── nobody there ──▲        │
//!               └────── lost or rejected ───────────┘
//! ```
//! Records are not queued here: as much as the socket takes is read from the
//! journal when it takes it, so that an absent supervisor costs no memory.

mod dial;
mod wire;

use std::io;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use protocol::frame::FrameDecoder;
use protocol::hello::{HELLO_LEN, Hello, Role};
use protocol::shim::{
    Attach, FromShim, ProcessId, ProgressReport, RejectReason, StopOrder, ToShim, Token,
};
use protocol::{TaskId, Timestamp};

use crate::poller::{Interest, Poller, Source};
use crate::recorder::Recorder;

use wire::{Lost, Wire};

/// First and longest pause between two attempts to reach a supervisor, in ms.
const BACKOFF_MS: (u64, u64) = (50, 5_000);

/// How long a supervisor's wake-up counts that came while the link seemed to be
/// up, in ms: the end of the former supervisor is then noticed right behind it.
const WAKE_UP_MS: u64 = 1_000;

/// What came over the link.
#[derive(Debug, PartialEq, Eq)]
pub enum News {
    /// The records behind this number are to be sent again.
    Attached(u64),
    /// The ledger has the records up to this number.
    Acknowledged(u64),
    /// A stop.
    Stop(StopOrder),
    /// The ledger says that the task has ended.
    Ended,
}

/// By what a shim introduces itself.
#[derive(Debug)]
pub struct Identity {
    /// Its task.
    pub task_id: TaskId,
    /// Its proof.
    pub token: Token,
    /// Itself.
    pub shim: ProcessId,
    /// The task's folder.
    pub task_dir: PathBuf,
    /// Where the supervisor was at the start.
    pub runtime_dir: PathBuf,
}

/// The link.
#[derive(Debug)]
pub struct Link {
    identity: Identity,
    state: State,
    /// The pause before the next attempt but one, in ms.
    backoff_ms: u64,
    /// When a supervisor last said that it can be reached.
    woken_at: Option<u64>,
    interest: Interest,
}

#[derive(Debug)]
enum State {
    Up(Wire),
    Greeting { wire: Wire, hello: Vec<u8> },
    Down { retry_at: u64 },
}

impl Link {
    /// The first link, on which the start order came. It says hello.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn first(
        identity: Identity,
        socket: UnixStream,
        decoder: FrameDecoder,
        poller: &Poller,
    ) -> io::Result<Self> {
        let mut wire = Wire::new(socket, decoder)?;
        wire.push_bytes(&Hello::opening(Role::Shim).encode());
        poller.add(Source::Link, wire.socket(), Interest::Read)?;
        let (state, backoff_ms) = (State::Up(wire), BACKOFF_MS.0);
        Ok(Self {
            identity,
            state,
            backoff_ms,
            woken_at: None,
            interest: Interest::Read,
        })
    }

    /// A supervisor listens.
    #[must_use]
    pub const fn is_up(&self) -> bool {
        matches!(self.state, State::Up(_))
    }

    /// When the next attempt is due; `None` while there is a connection.
    #[must_use]
    pub const fn retry_at(&self) -> Option<u64> {
        match self.state {
            State::Up(_) | State::Greeting { .. } => None,
            State::Down { retry_at } => Some(retry_at),
        }
    }

    /// Tries to reach a supervisor, if one is due at `now`.
    pub fn retry(&mut self, now: u64, introduction: Introduction, poller: &Poller) {
        if self.retry_at().is_none_or(|at| now < at) {
            return;
        }
        match self.greet(introduction, poller) {
            Ok(wire) => {
                self.state = State::Greeting {
                    wire,
                    hello: Vec::new(),
                }
            }
            Err(Lost) => self.lose(now),
        }
    }

    /// A supervisor says that it can be reached: the next attempt is due, and
    /// one that waits for an answer is given up. A link that is up may be that
    /// of a supervisor whose end was not noticed yet.
    pub fn hurry(&mut self, now: u64) {
        match self.state {
            State::Up(_) => self.woken_at = Some(now),
            State::Greeting { .. } | State::Down { .. } => {
                self.backoff_ms = BACKOFF_MS.0;
                self.state = State::Down { retry_at: now };
            }
        }
    }

    /// Reads what came.
    pub fn receive(&mut self, now: u64) -> Vec<News> {
        let mut news = Vec::new();
        if self.read(&mut news).is_err() {
            self.lose(now);
        }
        news
    }

    /// Sends what is not sent yet, as far as the socket takes it now; then
    /// `progress`, if all of it went.
    pub fn send(
        &mut self,
        recorder: &mut Recorder,
        progress: Option<ProgressReport>,
        now: u64,
        poller: &Poller,
    ) {
        let State::Up(wire) = &mut self.state else {
            return self.settle_interest(now, poller);
        };
        let sent = (|| -> Result<(), Lost> {
            loop {
                while !wire.is_full()
                    && let Some((number, record)) = recorder.next_to_send()
                {
                    wire.push(&FromShim::Record { number, record });
                }
                let was_full = wire.is_full();
                wire.flush()?;
                if !(was_full && wire.is_empty()) {
                    break;
                }
            }
            if let (Some(progress), true) = (progress, wire.is_empty()) {
                wire.push(&FromShim::Progress(progress));
                wire.flush()?;
            }
            Ok(())
        })();
        if sent.is_err() {
            self.lose(now);
        }
        self.settle_interest(now, poller);
    }

    /// Everything that was given to it has gone to the socket.
    #[must_use]
    pub fn is_flushed(&self) -> bool {
        match &self.state {
            State::Up(wire) | State::Greeting { wire, .. } => wire.is_empty(),
            State::Down { .. } => true,
        }
    }

    /// Takes the messages that came behind the start order.
    pub fn receive_pending(&mut self, now: u64) -> Vec<News> {
        let mut news = Vec::new();
        if let State::Up(wire) = &mut self.state
            && take(wire, &mut news).is_err()
        {
            self.lose(now);
        }
        news
    }

    fn greet(&mut self, introduction: Introduction, poller: &Poller) -> Result<Wire, Lost> {
        let Identity {
            task_id,
            token,
            shim,
            task_dir,
            runtime_dir,
        } = &self.identity;
        let socket = dial::dial(task_dir, runtime_dir)?;
        let mut wire = Wire::new(socket, wire::decoder())?;
        wire.push_bytes(&Hello::opening(Role::Shim).encode());
        wire.push(&FromShim::Attach(Attach {
            task_id: task_id.clone(),
            token: *token,
            shim: shim.clone(),
            records: introduction.records,
            last_output_at: introduction.last_output_at,
        }));
        wire.flush()?;
        self.interest = if wire.is_empty() {
            Interest::Read
        } else {
            Interest::ReadWrite
        };
        poller.add(Source::Link, wire.socket(), self.interest)?;
        Ok(wire)
    }

    fn read(&mut self, news: &mut Vec<News>) -> Result<(), Lost> {
        match &mut self.state {
            State::Down { .. } => Ok(()),
            State::Up(wire) => {
                // What came with the end is still told.
                let read = wire.read();
                take(wire, news)?;
                read
            }
            State::Greeting { wire, hello } => {
                wire.flush()?;
                let Some(answer) = wire.read_prefix::<HELLO_LEN>(hello)? else {
                    return Ok(());
                };
                let answer = Hello::decode(&answer).map_err(|_| Lost)?;
                answer.accepted().map_err(|_| Lost)?;
                let read = wire.read();
                self.attach(news)?;
                read
            }
        }
    }

    /// The first message behind the hello decides.
    fn attach(&mut self, news: &mut Vec<News>) -> Result<(), Lost> {
        let State::Greeting { wire, .. } = &mut self.state else {
            return Ok(());
        };
        match wire.next()? {
            None => Ok(()),
            Some(ToShim::Attached { acknowledged }) => {
                news.push(News::Attached(acknowledged));
                self.backoff_ms = BACKOFF_MS.0;
                let down = State::Down { retry_at: 0 };
                if let State::Greeting { wire, .. } = std::mem::replace(&mut self.state, down) {
                    self.state = State::Up(wire);
                }
                match &mut self.state {
                    State::Up(wire) => take(wire, news),
                    State::Greeting { .. } | State::Down { .. } => Ok(()),
                }
            }
            Some(ToShim::Rejected(RejectReason::Ended)) => {
                news.push(News::Ended);
                Err(Lost)
            }
            Some(ToShim::Rejected(RejectReason::UnknownTask | RejectReason::NotYou))
            | Some(ToShim::Start(_) | ToShim::StartAs(..) | ToShim::Stop(_) | ToShim::Ack { .. }) => {
                Err(Lost)
            }
        }
    }

    /// Dropping the socket ends its place in the poller, too.
    fn lose(&mut self, now: u64) {
        let woken = self.woken_at.take();
        if woken.is_some_and(|at| now.saturating_sub(at) <= WAKE_UP_MS) {
            self.state = State::Down { retry_at: now };
            return;
        }
        self.state = State::Down {
            retry_at: now + self.backoff_ms,
        };
        self.backoff_ms = (self.backoff_ms * 2).min(BACKOFF_MS.1);
    }

    fn settle_interest(&mut self, now: u64, poller: &Poller) {
        let (State::Up(wire) | State::Greeting { wire, .. }) = &self.state else {
            return;
        };
        let wanted = if wire.is_empty() {
            Interest::Read
        } else {
            Interest::ReadWrite
        };
        if wanted == self.interest {
            return;
        }
        match poller.change(Source::Link, wire.socket(), wanted) {
            Ok(()) => self.interest = wanted,
            Err(_) => self.lose(now),
        }
    }
}

/// What an introduction says beside the identity.
#[derive(Clone, Copy, Debug)]
pub struct Introduction {
    /// Records so far.
    pub records: u64,
    /// When the agent last printed something.
    pub last_output_at: Option<Timestamp>,
}

fn take(wire: &mut Wire, news: &mut Vec<News>) -> Result<(), Lost> {
    while let Some(message) = wire.next()? {
        match message {
            ToShim::Stop(order) => news.push(News::Stop(order)),
            ToShim::Ack { upto } => news.push(News::Acknowledged(upto)),
            ToShim::Rejected(RejectReason::Ended) => news.push(News::Ended),
            ToShim::Start(_)
            | ToShim::StartAs(..)
            | ToShim::Attached { .. }
            | ToShim::Rejected(RejectReason::UnknownTask | RejectReason::NotYou) => {
                return Err(Lost);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
