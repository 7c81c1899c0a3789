//! What an agent's first process prints is kept beside its record, so that a
//! test can say what the logs have to hold: all bytes before they are printed,
//! and how many of them surely were. Its children print nothing.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use nix::errno::Errno;

/// Where an agent prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    const fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// One stream's file, and the count of what was printed.
struct Kept {
    said: File,
    sure: File,
    printed: u64,
}

/// By stream, once a record was named.
static KEPT: Mutex<[Option<Kept>; 2]> = Mutex::new([None, None]);

/// From now on everything is kept beside this record.
pub(crate) fn open(record: &Path) {
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    *kept = [Stream::Stdout, Stream::Stderr].map(|stream| Some(beside(record, stream)));
}

fn beside(record: &Path, stream: Stream) -> Kept {
    let said = format!("{}.{}", record.display(), stream.name());
    let sure = format!("{said}.sure");
    // The same process may go on after an exec.
    let printed = fs::read_to_string(&sure).map_or(0, |text| text.parse().unwrap_or(0));
    let open = |path: &str| OpenOptions::new().append(true).create(true).open(path);
    let said = open(&said).expect("a file can be made");
    let options = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&sure);
    Kept {
        said,
        sure: options.expect("a file can be made"),
        printed,
    }
}

/// Prints, and keeps it. A reader that is gone, or a closed stream, is nothing.
pub(crate) fn write(stream: Stream, bytes: &[u8]) {
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    let mut kept = kept[stream as usize].as_mut();
    if let Some(kept) = kept.as_mut() {
        kept.said
            .write_all(bytes)
            .expect("what is said can be kept");
    }
    let mut rest = bytes;
    while !rest.is_empty() {
        let written = match stream {
            Stream::Stdout => nix::unistd::write(std::io::stdout().as_fd(), rest),
            Stream::Stderr => nix::unistd::write(std::io::stderr().as_fd(), rest),
        };
        let count = match written {
            Ok(count) => count,
            Err(Errno::EINTR) => continue,
            Err(_) => return,
        };
        rest = &rest[count..];
        if let Some(kept) = kept.as_mut() {
            kept.printed += count as u64;
            let text = format!("{:020}", kept.printed);
            let counted = kept.sure.write_all_at(text.as_bytes(), 0);
            counted.expect("what is said can be counted");
        }
    }
}
