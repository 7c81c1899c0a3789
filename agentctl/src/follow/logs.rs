//! An agent's output, from where it was left.

use protocol::TaskId;
use protocol::control::{LogChunk, LogsRequest, Request, Response};
use protocol::vocab::Stream;

use crate::client::{Client, Start, Trouble, accept, persist};
use crate::errors::CliError;

/// One stream of one task, and how much of it was seen.
#[derive(Debug)]
pub(crate) struct LogFollower {
    request: LogsRequest,
    /// The next byte; unknown before the first chunk of the last lines.
    next: Option<u64>,
}

/// Everything was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogEnd {
    /// Bytes that the agent wrote and that were not kept.
    pub(crate) gap_bytes: u64,
}

impl LogFollower {
    /// The whole stream of a task.
    pub(crate) fn whole(id: &TaskId, stream: Stream) -> Self {
        Self::new(LogsRequest {
            id: id.to_string(),
            stream,
            from_offset: 0,
            last_lines: None,
            follow: true,
        })
    }

    /// What a request asks for.
    pub(crate) const fn new(request: LogsRequest) -> Self {
        Self {
            request,
            next: None,
        }
    }

    /// Gives every byte once to `sink`, over reconnects, until the end.
    ///
    /// # Errors
    /// Of the sink, refused, or exit code 5 with `hint`.
    pub(crate) fn run(
        &mut self,
        client: &Client,
        start: Start,
        hint: &str,
        mut sink: impl FnMut(&LogChunk) -> Result<(), CliError>,
    ) -> Result<LogEnd, CliError> {
        persist(start, hint, || {
            let mut connection = client.open(&Request::Logs(self.rest()))?;
            let end = self.take(|| Ok(connection.answer()?), &mut sink)?;
            client.keep(connection);
            Ok(end)
        })
    }

    /// Takes the answers of one connection.
    ///
    /// # Errors
    /// Of the connection, or of the sink.
    pub(crate) fn take(
        &mut self,
        mut answer: impl FnMut() -> Result<Response, Trouble>,
        mut sink: impl FnMut(&LogChunk) -> Result<(), CliError>,
    ) -> Result<LogEnd, Trouble> {
        loop {
            let answer = accept(answer()?)?;
            if let Response::LogEnd { gap_bytes, .. } = answer {
                return Ok(LogEnd { gap_bytes });
            }
            let Response::Log(chunk) = answer else {
                return Err(CliError::wrong_answer().into());
            };
            if let Some(chunk) = self.unseen(chunk) {
                sink(&chunk)?;
                self.next = Some(chunk.offset + chunk.bytes.len() as u64);
            }
        }
    }

    /// The request for what was not seen yet.
    pub(crate) fn rest(&self) -> LogsRequest {
        match self.next {
            Some(next) => LogsRequest {
                from_offset: next,
                last_lines: None,
                ..self.request.clone()
            },
            None => self.request.clone(),
        }
    }

    /// A chunk without what was seen before.
    fn unseen(&self, mut chunk: LogChunk) -> Option<LogChunk> {
        let seen = self.next.unwrap_or(0).saturating_sub(chunk.offset);
        let seen = usize::try_from(seen)
            .unwrap_or(usize::MAX)
            .min(chunk.bytes.len());
        chunk.bytes.drain(..seen);
        chunk.offset += seen as u64;
        (!chunk.bytes.is_empty()).then_some(chunk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(offset: u64, bytes: &[u8]) -> Result<Response, Trouble> {
        Ok(Response::Log(LogChunk {
            offset,
            bytes: bytes.to_vec(),
        }))
    }

    #[test]
    fn every_byte_is_given_once() {
        let id = TaskId::new("t").expect("a valid id");
        let mut follower = LogFollower::whole(&id, Stream::Stdout);
        let mut seen = Vec::new();
        let mut sink = |chunk: &LogChunk| {
            seen.extend_from_slice(&chunk.bytes);
            Ok(())
        };
        let lost = || {
            Err(Trouble::Lost(std::io::Error::from(
                std::io::ErrorKind::UnexpectedEof,
            )))
        };
        let mut first = vec![lost(), chunk(2, b"cd"), chunk(0, b"ab")];
        follower
            .take(|| first.pop().expect("lost before"), &mut sink)
            .expect_err("the connection is lost");
        assert_eq!(follower.rest().from_offset, 4);
        let end = Ok(Response::LogEnd {
            offset: 6,
            gap_bytes: 3,
        });
        let mut second = vec![end, chunk(2, b"cdef"), chunk(0, b"ab")];
        let end = follower.take(|| second.pop().expect("ended before"), &mut sink);
        assert_eq!(end.expect("the end"), LogEnd { gap_bytes: 3 });
        assert_eq!(seen, b"abcdef");
    }

    #[test]
    fn the_last_lines_are_asked_for_once() {
        let request = LogsRequest {
            id: "t".into(),
            stream: Stream::Stderr,
            from_offset: 0,
            last_lines: Some(2),
            follow: true,
        };
        let mut follower = LogFollower::new(request.clone());
        assert_eq!(follower.rest(), request);
        follower.next = Some(90);
        assert_eq!(
            follower.rest(),
            LogsRequest {
                from_offset: 90,
                last_lines: None,
                ..request
            }
        );
    }
}
