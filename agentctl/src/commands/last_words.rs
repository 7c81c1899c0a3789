//! What an agent said last that failed without a word of its own about it: the end of
//! its stderr, where most programs say why they give up.

use std::fmt;

use protocol::control::{LogChunk, LogsRequest};
use protocol::view::TaskView;
use protocol::vocab::Stream;
use protocol::{ArchiveReason, Status, TaskId};

use super::logs;
use crate::client::Client;
use crate::errors::CliError;
use crate::follow::LogFollower;
use crate::render::text::{clean_lines, fit};

/// Behind the last words there may be empty lines.
const LINES: u64 = 8;
/// Of these so many bytes are looked at: enough for a line that somebody reads.
const MOST: usize = 4 << 10;
/// What is longer is no line for people, and is not waited for.
const TOO_LONG: usize = 256 << 10;
/// Columns of it that are shown.
const SHOWN: usize = 240;

/// The last line that is not empty, and where all of it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LastWords {
    line: String,
    stream: Stream,
    id: TaskId,
}

impl fmt::Display for LastWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, stream, id } = self;
        match stream {
            Stream::Stdout => write!(f, "last on its stdout: {line}  (`agentctl logs {id}`)"),
            Stream::Stderr => write!(
                f,
                "last on its stderr: {line}  (`agentctl logs {id} --stderr`)"
            ),
        }
    }
}

/// The last words of a task that failed, unless its result says why.
pub(super) fn of(client: &Client, ended: &TaskView) -> Option<LastWords> {
    let result = ended.result.as_ref();
    let text = result.and_then(|result| result.text.as_deref());
    let says_why = text.is_some_and(|text| !text.trim().is_empty());
    let began = ended.archive_reason != Some(ArchiveReason::SpawnFailed);
    if ended.status != Status::Failure || says_why || !began {
        return None;
    }
    // A log that cannot be read is no reason to say less than the verdict.
    let words = |stream: Stream| {
        let line = last_line(client, &ended.id, stream).ok().flatten()?;
        let id = ended.id.clone();
        Some(LastWords { line, stream, id })
    };
    words(Stream::Stderr).or_else(|| words(Stream::Stdout))
}

fn last_line(client: &Client, id: &TaskId, stream: Stream) -> Result<Option<String>, CliError> {
    let mut follower = LogFollower::new(LogsRequest {
        id: id.to_string(),
        stream,
        from_offset: 0,
        last_lines: Some(LINES),
        follow: false,
    });
    let (mut end, mut length) = (Vec::new(), 0);
    logs::read(client, &mut follower, |chunk: &LogChunk| {
        length += chunk.bytes.len();
        if length > TOO_LONG {
            return Err(CliError::usage("the last lines are too long to be shown"));
        }
        end.extend_from_slice(&chunk.bytes);
        end.drain(..end.len().saturating_sub(MOST));
        Ok(())
    })?;
    Ok(line_of(&end))
}

/// The last line of `end` that is not empty, as one safe line.
fn line_of(end: &[u8]) -> Option<String> {
    let text = clean_lines(&String::from_utf8_lossy(end));
    let mut lines = text.lines().rev().map(str::trim);
    let line = lines.find(|line| !line.is_empty())?;
    Some(fit(&line.replace('\t', " "), SHOWN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_one_safe_line_that_is_not_empty() {
        let shown = |bytes: &[u8]| line_of(bytes);
        assert_eq!(shown(b""), None);
        assert_eq!(shown(b"\n \n"), None);
        let coloured = b"usage\n\x1b[31merror:\x1b[0m no\tsuch option\n\n";
        assert_eq!(shown(coloured), Some("error: no such option".to_owned()));
        let long = shown(&b"x".repeat(MOST)).expect("a line");
        assert!(long.chars().count() <= SHOWN && long.ends_with('\u{2026}'));
    }
}
