//! The agent's output: pipe → scanner → file.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use protocol::vocab::Stream;

use crate::scan::Scanner;

/// Bytes that one look at a pipe reads at most: a pipe holds no more than this
/// (`pipe-max-size`), so that everything written before the look is seen, and
/// no flood keeps the shim from other work.
pub const MAX_DRAIN: usize = 1 << 20;

/// Bytes of the buffer between pipe and file.
pub const BUFFER_BYTES: usize = 16 << 10;

/// One of the two streams.
#[derive(Debug)]
pub struct Output {
    stream: Stream,
    /// Gone once the last writer has closed it.
    pipe: Option<File>,
    log: LogFile,
    printed: u64,
}

/// When a look at a pipe ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// When a read took all that there was. Whoever writes on without a pause is
    /// not followed write by write.
    Emptied,
    /// When a read finds nothing: all that was written before is seen, and so
    /// is the end.
    Dry,
}

/// What a look at a pipe found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Bytes read.
    pub bytes: usize,
    /// Whether there may be more.
    pub state: PipeState,
}

/// The state of a pipe after a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PipeState {
    /// More may wait already.
    Unread,
    /// Nothing waits now.
    Dry,
    /// Nothing will ever come.
    Closed,
}

impl Output {
    /// The stream that comes through `pipe` and goes to `log`.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn new(stream: Stream, pipe: OwnedFd, log: LogFile) -> io::Result<Self> {
        fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        Ok(Self {
            stream,
            pipe: Some(File::from(pipe)),
            log,
            printed: 0,
        })
    }

    /// The pipe, while it is open.
    pub fn pipe(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }

    /// Reads what waits, at most `limit` bytes or a little more, and as far as
    /// `until` says.
    pub fn drain(
        &mut self,
        limit: usize,
        until: Until,
        buffer: &mut [u8],
        scanner: &mut Scanner,
    ) -> Drained {
        let mut drained = Drained {
            bytes: 0,
            state: PipeState::Closed,
        };
        let Some(pipe) = &mut self.pipe else {
            return drained;
        };
        while drained.bytes < limit {
            match pipe.read(buffer) {
                Ok(0) => {
                    self.pipe = None;
                    return drained;
                }
                Ok(read) => {
                    scanner.feed(self.stream, &buffer[..read]);
                    self.log.append(&buffer[..read]);
                    self.printed += read as u64;
                    drained.bytes += read;
                    if until == Until::Emptied && read < buffer.len() {
                        drained.state = PipeState::Dry;
                        return drained;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    drained.state = PipeState::Dry;
                    return drained;
                }
                // A pipe has no other errors.
                Err(_) => {
                    self.pipe = None;
                    return drained;
                }
            }
        }
        drained.state = PipeState::Unread;
        drained
    }

    /// Bytes that came, and of these those that are not in the file.
    #[must_use]
    pub const fn counts(&self) -> (u64, u64) {
        (self.printed, self.printed - self.log.kept)
    }

    /// Why the file has a gap, said once.
    pub fn take_failure(&mut self) -> Option<String> {
        self.log.failure.take()
    }
}

/// A log file that is an exact prefix of the stream: after the first byte that
/// could not be kept nothing is kept any more.
#[derive(Debug)]
pub struct LogFile {
    /// Gone at the first gap.
    file: Option<File>,
    kept: u64,
    cap: u64,
    failure: Option<String>,
}

impl LogFile {
    /// Opens `path` for at most `cap` bytes.
    ///
    /// # Errors
    /// The file system's answer.
    pub fn open(path: &Path, cap: u64) -> io::Result<Self> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(OFlag::O_NOFOLLOW.bits())
            .open(path)?;
        Ok(Self {
            file: Some(file),
            kept: 0,
            cap,
            failure: None,
        })
    }

    fn append(&mut self, bytes: &[u8]) {
        let Some(file) = &mut self.file else { return };
        let room = usize::try_from(self.cap - self.kept).unwrap_or(usize::MAX);
        let mut rest = &bytes[..bytes.len().min(room)];
        while !rest.is_empty() {
            match file.write(rest) {
                Ok(written) if written > 0 => {
                    self.kept += written as u64;
                    rest = &rest[written..];
                }
                Ok(_) => return self.give_up(&io::ErrorKind::WriteZero.into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return self.give_up(&error),
            }
        }
        if bytes.len() > room {
            self.file = None;
        }
    }

    fn give_up(&mut self, error: &io::Error) {
        self.failure = Some(error.to_string());
        self.file = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::shim::ScanSpec;
    use sys::temp_folder::TempFolder;

    fn output(cap: u64) -> (TempFolder, io::PipeWriter, Output) {
        let folder = TempFolder::create(&[std::env::temp_dir()]).expect("a folder");
        let log = LogFile::open(&folder.path().join("log"), cap).expect("new");
        let (reader, writer) = io::pipe().expect("a pipe");
        let output = Output::new(Stream::Stdout, reader.into(), log).expect("a pipe");
        (folder, writer, output)
    }

    fn drain(output: &mut Output) -> Drained {
        let mut scanner = Scanner::new(&ScanSpec::default());
        output.drain(MAX_DRAIN, Until::Dry, &mut [0; 1000], &mut scanner)
    }

    #[test]
    fn everything_is_kept_up_to_the_cap_and_counted_beyond_it() {
        let (folder, mut writer, mut output) = output(2500);
        assert_eq!(
            drain(&mut output),
            Drained {
                bytes: 0,
                state: PipeState::Dry
            }
        );
        writer.write_all(&[b'a'; 2000]).expect("room");
        assert_eq!(
            drain(&mut output),
            Drained {
                bytes: 2000,
                state: PipeState::Dry
            }
        );
        writer.write_all(&[b'b'; 2000]).expect("room");
        drop(writer);
        assert_eq!(
            drain(&mut output),
            Drained {
                bytes: 2000,
                state: PipeState::Closed
            }
        );
        assert_eq!(output.counts(), (4000, 1500));
        assert_eq!(output.take_failure(), None, "a cap is no failure");
        let log = std::fs::read(folder.path().join("log")).expect("there");
        assert_eq!(log.len(), 2500);
        assert_eq!(drain(&mut output).state, PipeState::Closed);
        folder.remove().expect("ours");
    }

    #[test]
    fn a_look_may_end_with_the_read_that_emptied_the_pipe() {
        let (folder, mut writer, mut output) = output(1 << 20);
        let mut scanner = Scanner::new(&ScanSpec::default());
        writer.write_all(&[b'a'; 1500]).expect("room");
        drop(writer);
        let mut look = || output.drain(MAX_DRAIN, Until::Emptied, &mut [0; 1000], &mut scanner);
        let (first, second) = (look(), look());
        assert_eq!((first.bytes, first.state), (1500, PipeState::Dry));
        assert_eq!((second.bytes, second.state), (0, PipeState::Closed));
        folder.remove().expect("ours");
    }

    #[test]
    fn a_disk_that_refuses_is_said_once_and_stops_nobody() {
        let (folder, mut writer, mut output) = output(1 << 20);
        output.log = LogFile::open(Path::new("/dev/full"), 1 << 20).expect("there");
        for _ in 0..2 {
            writer.write_all(&[b'a'; 100]).expect("room");
            drain(&mut output);
        }
        assert_eq!(output.counts(), (200, 200));
        assert!(output.take_failure().is_some());
        assert_eq!(output.take_failure(), None);
        folder.remove().expect("ours");
    }
}
