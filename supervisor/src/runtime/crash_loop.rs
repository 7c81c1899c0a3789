//! A key rests when its tasks end as soon as they have begun: a dispatch is
//! refused, and what waits in the queue waits on.

use std::time::{Duration, Instant};

use lifecycle::crash_loop::{self, CrashLoop};
use lifecycle::{Event, EventBody};
use protocol::control::ErrorBody;
use protocol::view::{ProgressView, Requester, TaskView};
use protocol::{Key, TaskId, Timestamp};

use super::clock;
use super::core_loop::Core;
use super::live::Live;
use super::queue::Rest;
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

/// Why a queued task's turn was passed over.
pub(super) struct RestWords {
    /// Since when.
    pub(super) since: Timestamp,
    /// For a line of a list.
    pub(super) short: String,
    /// With why it rests, and what to do.
    pub(super) long: String,
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
            let (since, found) = (now, found.clone());
            let rest = Rest {
                until,
                since,
                found,
            };
            self.queue.let_rest(key.clone(), rest);
        }
        tracing::warn!(%key, "{}", found.in_words(key, limit, now));
        Some(found)
    }

    /// Why the turn of a queued task was passed over, where its key rests: for
    /// those who ask why it does not start.
    pub(super) fn rest_in_words(&self, id: &TaskId) -> Option<RestWords> {
        let live = self.tasks.get(id).filter(|live| live.task.waits())?;
        let key = &live.task.spec.key;
        let rest = self.queue.rest_of(key, Instant::now())?;
        let (limit, now) = (self.service.config.limits.crash_loop, clock::now());
        let left = rest.until.saturating_duration_since(Instant::now());
        let seconds = left.as_millis().div_ceil(1_000);
        let ErrorBody { message, hint, .. } = rest.found.refusal(key, limit, now);
        let hint = hint.map_or_else(String::new, |hint| format!("; {hint}"));
        Some(RestWords {
            since: rest.since,
            short: format!(
                "its key rests for {seconds} s more (`agentctl sessions release {key} \
                 --crash-loop` lets it start)"
            ),
            long: format!("{message}{hint}"),
        })
    }

    /// The task object with what keeps a task waiting, where its key rests.
    pub(super) fn view_of(&self, live: &Live) -> TaskView {
        let mut view = live.view();
        if let Some(words) = self.rest_in_words(&view.id) {
            let (at, text) = (words.since, words.short);
            view.last_progress = Some(ProgressView { at, text });
        }
        view
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
