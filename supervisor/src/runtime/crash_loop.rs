//! A key rests when its tasks end as soon as they have begun: a dispatch is
//! refused, and what waits in the queue waits on.

use std::time::{Duration, Instant};

use lifecycle::crash_loop::{self, CrashLoop};
use lifecycle::{Event, EventBody};
use protocol::Key;
use protocol::control::ErrorBody;
use protocol::view::Requester;

use super::clock;
use super::core_loop::Core;
use crate::ledger::{AdmissionFacts, LedgerError};

/// What became of the operator's word on a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// It may have tasks again.
    Released,
    /// It may have tasks anyway.
    DidNotRest,
    /// It never had one that ended.
    NoSuchKey,
}

impl Core {
    /// # Errors
    /// In words: why it rests, for how long, and what to do.
    pub(super) fn refuse_crash_loop(
        &self,
        key: &Key,
        facts: &AdmissionFacts,
    ) -> Result<(), ErrorBody> {
        let (limit, now) = (self.service.config.limits.crash_loop, clock::now());
        match crash_loop::find(limit, &facts.past, now) {
            None => Ok(()),
            Some(found) => {
                let refusal = found.refusal(key, limit, now);
                tracing::warn!(%key, newest = %found.newest, "{}", refusal.message);
                Err(refusal)
            }
        }
    }

    /// The same for a queued task whose turn has come: it keeps its place, and
    /// holds up nobody behind it.
    pub(super) fn lets_rest(&mut self, key: &Key, facts: &AdmissionFacts) -> Option<CrashLoop> {
        let (limit, now) = (self.service.config.limits.crash_loop, clock::now());
        let found = crash_loop::find(limit, &facts.past, now)?;
        let left = Duration::from_millis(found.until.since_ms(now));
        // A clock that is set back makes it no longer.
        if let Some(until) = Instant::now().checked_add(left) {
            self.queue.let_rest(key.clone(), until);
        }
        tracing::warn!(%key, "{}", found.in_words(key, limit, now));
        Some(found)
    }

    /// The operator lets a key go on; committed by the caller.
    pub(super) async fn release_key(
        &mut self,
        key: &str,
        by: &Requester,
    ) -> Result<Word, LedgerError> {
        let Ok(key) = Key::new(key) else {
            return Ok(Word::NoSuchKey);
        };
        let of = key.clone();
        let past = self.ledger.look(move |reader| reader.past_of_key(&of));
        let past = past.await?;
        let (limit, now) = (self.service.config.limits.crash_loop, clock::now());
        let Some(found) = crash_loop::find(limit, &past, now) else {
            // What waits for it may have begun to before the clock was set.
            self.queue.wake(&key);
            return Ok(if past.is_empty() {
                Word::NoSuchKey
            } else {
                Word::DidNotRest
            });
        };
        tracing::info!(%key, "it may have tasks again, by the operator's word");
        self.batch.take_event(Event {
            at: now,
            task_id: Some(found.newest),
            record: None,
            body: EventBody::KeyReleased {
                key: key.clone(),
                by: by.clone(),
            },
        });
        self.queue.wake(&key);
        Ok(Word::Released)
    }
}
