//! Sends a log file, or follows it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use protocol::control::{ErrorBody, ErrorCode, LogChunk, Response};
use protocol::limits::LOG_CHUNK;
use tokio::sync::watch;

use super::tail;
use crate::fswatch::{Changes, Interest, Watches};
use crate::reply::{HungUp, ReplySender};

/// Bytes per chunk: with a full queue of them a client that reads nothing costs
/// 1 MiB.
const CHUNK: usize = 64 << 10;
const _: () = assert!(CHUNK <= LOG_CHUNK, "the protocol allows no more");

/// How far to go.
#[derive(Clone, Debug)]
pub enum Until {
    /// To what is the end of the file now.
    Now,
    /// To its end when this has turned true: the task has ended, and its log
    /// is complete. When its sender goes before that, the client is hung up on.
    Ended(watch::Receiver<bool>),
}

/// Whether a shim is known to have made a log: it does so before it starts an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// It has.
    Yes,
    /// It has not, or that is not known yet.
    Maybe,
}

/// What is known of a log at its end.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// Bytes that the agent wrote and that were not kept.
    pub gap_bytes: u64,
    /// Was there ever a file?
    pub made: Made,
}

/// One client's reading of one log.
#[derive(Debug)]
pub struct LogStream {
    /// The file. It may not be there yet.
    pub path: PathBuf,
    /// From this byte on.
    pub from_offset: u64,
    /// Only the last so many lines from there on.
    pub last_lines: Option<u64>,
    /// How far.
    pub until: Until,
    /// Must the file be there?
    pub made: Made,
    /// To wake when it grows.
    pub watches: Watches,
    /// To whom.
    pub reply: ReplySender,
}

/// Why it stopped early.
#[derive(Debug, thiserror::Error)]
enum Stop {
    #[error(transparent)]
    HungUp(#[from] HungUp),
    #[error("read {path}: {source}")]
    Unreadable { path: PathBuf, source: io::Error },
}

/// What ended a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Woken {
    Changed,
    Ended,
}

impl LogStream {
    /// Sends the chunks, and last a `LogEnd` or an error; what is `known` is asked
    /// at the end. Ends early when the client hangs up.
    pub async fn run(mut self, known: impl Future<Output = Known>) {
        let last = match self.chunks().await {
            Ok(end) => self.last(end, known.await),
            Err(Stop::HungUp(HungUp)) => return,
            Err(error @ Stop::Unreadable { .. }) => {
                tracing::warn!(%error, "a reader of a log was told so");
                Response::Error(ErrorBody::new(ErrorCode::Internal, error.to_string()))
            }
        };
        // It may have hung up just now.
        let _ = self.reply.send_when_ready(last).await;
    }

    /// No file is an empty log only where none was ever made.
    fn last(&self, end: Option<u64>, known: Known) -> Response {
        let made = [self.made, known.made].contains(&Made::Yes);
        match end {
            None if made => Response::Error(gone(&self.path)),
            end => Response::LogEnd {
                offset: end.unwrap_or(self.from_offset),
                gap_bytes: known.gap_bytes,
            },
        }
    }

    /// Where it ends; none where there is no file.
    async fn chunks(&mut self) -> Result<Option<u64>, Stop> {
        let Some(file) = self.open().await? else {
            return Ok(None);
        };
        let mut changes = self.watch(&self.path).await?;
        let mut offset = self.begin(&file).await?;
        loop {
            // Looked at before reading: what is written before the end is then
            // seen to be there.
            let ended = self.has_ended();
            offset = self.send_rest(&file, offset).await?;
            if ended {
                return Ok(Some(offset));
            }
            if self.wait(&mut changes).await? == Woken::Changed && changes.is_none() {
                changes = self.watch(&self.path).await?;
            }
        }
    }

    /// The file; waits for it while the task lives.
    async fn open(&mut self) -> Result<Option<File>, Stop> {
        loop {
            let ended = self.has_ended();
            let mut changes = None;
            if !ended {
                let existing = nearest_existing(&self.path).to_owned();
                changes = self.watch(&existing).await?;
                if changes.is_none() {
                    // It went away just now; the one above it is next.
                    continue;
                }
            }
            match File::open(&self.path) {
                Ok(file) => return Ok(Some(file)),
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(self.unreadable(error));
                }
                Err(_) if ended || self.made == Made::Yes => return Ok(None),
                Err(_) => {}
            }
            self.wait(&mut changes).await?;
        }
    }

    async fn begin(&self, file: &File) -> Result<u64, Stop> {
        let Some(lines) = self.last_lines else {
            return Ok(self.from_offset);
        };
        let size = file
            .metadata()
            .map_err(|error| self.unreadable(error))?
            .len();
        let end = size.max(self.from_offset);
        let begin = tail::last_lines(file, self.from_offset, end, lines).await;
        begin.map_err(|error| self.unreadable(error))
    }

    /// Sends up to the end of the file; the next offset.
    async fn send_rest(&self, file: &File, mut offset: u64) -> Result<u64, Stop> {
        loop {
            let size = file
                .metadata()
                .map_err(|error| self.unreadable(error))?
                .len();
            let left = usize::try_from(size.saturating_sub(offset)).unwrap_or(CHUNK);
            if left == 0 {
                return Ok(offset);
            }
            // A new buffer each: it travels to the connection without a copy.
            let mut bytes = vec![0; left.min(CHUNK)];
            let length = match file.read_at(&mut bytes, offset) {
                Ok(0) => return Ok(offset),
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.unreadable(error)),
            };
            bytes.truncate(length);
            self.reply
                .send_when_ready(Response::Log(LogChunk { offset, bytes }))
                .await?;
            offset += length as u64;
            // The queue may have room for long: others get their turn.
            tokio::task::yield_now().await;
        }
    }

    fn has_ended(&self) -> bool {
        match &self.until {
            Until::Now => true,
            Until::Ended(ended) => *ended.borrow(),
        }
    }

    /// Waits for a change or the end. `changes` is none when there is nothing
    /// to watch any more. Cancel-safe.
    async fn wait(&mut self, changes: &mut Option<Changes>) -> Result<Woken, Stop> {
        let Until::Ended(ended) = &mut self.until else {
            return Ok(Woken::Ended);
        };
        tokio::select! {
            changed = ended.changed() => match changed {
                Ok(()) => Ok(Woken::Ended),
                Err(_) if *ended.borrow() => Ok(Woken::Ended),
                Err(_) => Err(HungUp.into()),
            },
            () = self.reply.closed() => Err(HungUp.into()),
            over = next_change(changes.as_mut()) => {
                if over {
                    *changes = None;
                }
                Ok(Woken::Changed)
            }
        }
    }

    /// Watches a file's content or a directory's names. None if it has gone.
    async fn watch(&self, path: &Path) -> Result<Option<Changes>, Stop> {
        if matches!(self.until, Until::Now) {
            return Ok(None);
        }
        let interest = if path.is_dir() {
            Interest::Names
        } else {
            Interest::Content
        };
        match self.watches.watch(path, interest).await {
            Ok(changes) => Ok(Some(changes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.unreadable(error)),
        }
    }

    fn unreadable(&self, source: io::Error) -> Stop {
        Stop::Unreadable {
            path: self.path.clone(),
            source,
        }
    }
}

fn gone(path: &Path) -> ErrorBody {
    let message = format!(
        "the log {} is gone: somebody has removed it",
        path.display()
    );
    ErrorBody::new(ErrorCode::NotFound, message).with_hint(
        "nothing brings it back; `agentctl show` has the task's result, `agentctl why` what \
         happened, and the other stream may be there (`--stderr`)",
    )
}

/// The file itself, or the nearest directory above it that exists.
fn nearest_existing(path: &Path) -> &Path {
    path.ancestors()
        .find(|ancestor| ancestor.exists())
        .unwrap_or(Path::new("/"))
}

/// Is the watch over? Cancel-safe.
async fn next_change(changes: Option<&mut Changes>) -> bool {
    match changes {
        Some(changes) => changes.changed().await == crate::fswatch::Change::Over,
        None => std::future::pending().await,
    }
}
