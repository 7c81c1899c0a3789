//! The event log, from where it was left.

use protocol::control::{EventsRequest, Request, Response};
use protocol::view::{EventView, GAP_EVENT};

use crate::client::{Client, Start, Trouble, accept, persist};
use crate::errors::CliError;

/// Events, and how far they were seen.
#[derive(Debug)]
pub(crate) struct EventFollower {
    request: EventsRequest,
    /// Events came since the last gap notice: asking again makes headway.
    headway: bool,
}

/// What the taker of an event wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    /// The next one.
    More,
    /// A new connection that begins behind the last event: some were missed.
    Again,
}

impl EventFollower {
    /// What a request asks for.
    pub(crate) const fn new(request: EventsRequest) -> Self {
        Self {
            request,
            headway: true,
        }
    }

    /// Gives every event once to `sink`, over reconnects, until the end.
    ///
    /// # Errors
    /// Of the sink, refused, or exit code 5 with `hint`.
    pub(crate) fn run(
        &mut self,
        client: &Client,
        start: Start,
        hint: &str,
        mut sink: impl FnMut(&EventView) -> Result<(), CliError>,
    ) -> Result<(), CliError> {
        persist(start, hint, || {
            while self.follow_once(client, &mut sink)? == Taken::Again {}
            Ok(())
        })
    }

    fn follow_once(
        &mut self,
        client: &Client,
        sink: &mut impl FnMut(&EventView) -> Result<(), CliError>,
    ) -> Result<Taken, Trouble> {
        // «From now on» has to be a number before the connection can be lost,
        // or what happens in between would be missed.
        if self.request.follow && self.request.from_seq.is_none() {
            self.request.from_seq = Some(position(client)?);
        }
        let mut connection = client.open(&Request::Events(self.request.clone()))?;
        loop {
            let answer = accept(connection.answer()?)?;
            if let Response::EventsEnd { next_seq } = answer {
                self.request.from_seq = Some(next_seq);
                // Without a task only a supervisor that goes away ends it.
                if self.request.follow && self.request.task.is_none() {
                    return Err(Trouble::Lost(std::io::ErrorKind::UnexpectedEof.into()));
                }
                client.keep(connection);
                return Ok(Taken::More);
            }
            let Response::Event(event) = answer else {
                return Err(CliError::wrong_answer().into());
            };
            if self.take(&event, sink)? == Taken::Again {
                return Ok(Taken::Again);
            }
        }
    }

    fn take(
        &mut self,
        event: &EventView,
        sink: &mut impl FnMut(&EventView) -> Result<(), CliError>,
    ) -> Result<Taken, Trouble> {
        match event.seq {
            Some(seq) if self.request.from_seq.is_some_and(|from| seq < from) => Ok(Taken::More),
            // We were too slow; the ledger still has it.
            None if event.kind == GAP_EVENT && self.headway && self.request.from_seq.is_some() => {
                self.headway = false;
                Ok(Taken::Again)
            }
            seq => {
                sink(event)?;
                if let Some(seq) = seq {
                    self.request.from_seq = Some(seq.saturating_add(1));
                    self.headway = true;
                }
                Ok(Taken::More)
            }
        }
    }
}

/// The seq that the next event will have.
///
/// # Errors
/// Of the connection, or refused.
pub(crate) fn position(client: &Client) -> Result<u64, Trouble> {
    let now = EventsRequest {
        from_seq: None,
        task: None,
        follow: false,
        progress: false,
    };
    let mut connection = client.open(&Request::Events(now))?;
    loop {
        let answer = accept(connection.answer()?)?;
        if let Response::EventsEnd { next_seq } = answer {
            return Ok(next_seq);
        }
        let Response::Event(_) = answer else {
            return Err(CliError::wrong_answer().into());
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::Timestamp;

    fn event(seq: Option<u64>, kind: &str) -> EventView {
        EventView {
            seq,
            at: Timestamp(0),
            kind: kind.into(),
            task_id: None,
            payload: String::new(),
        }
    }

    #[test]
    fn repeated_events_are_dropped_and_gaps_are_filled() {
        let request = EventsRequest {
            from_seq: Some(1),
            task: None,
            follow: true,
            progress: true,
        };
        let mut follower = EventFollower::new(request);
        let mut seen = Vec::new();
        let mut give = |follower: &mut EventFollower, event: EventView| {
            follower
                .take(&event, &mut |event| {
                    seen.push((event.seq, event.kind.clone()));
                    Ok(())
                })
                .expect("the sink takes all")
        };
        assert_eq!(give(&mut follower, event(Some(1), "a")), Taken::More);
        assert_eq!(give(&mut follower, event(None, GAP_EVENT)), Taken::Again);
        assert_eq!(give(&mut follower, event(Some(1), "a")), Taken::More);
        assert_eq!(
            give(&mut follower, event(None, "task.progress")),
            Taken::More
        );
        // No headway: asking once more would go round for ever.
        assert_eq!(give(&mut follower, event(None, GAP_EVENT)), Taken::More);
        assert_eq!(give(&mut follower, event(Some(2), "b")), Taken::More);
        let kinds: Vec<&str> = seen.iter().map(|(_, kind)| kind.as_str()).collect();
        assert_eq!(kinds, ["a", "task.progress", GAP_EVENT, "b"]);
        assert_eq!(follower.request.from_seq, Some(3));
    }
}
