//! The queue: who waits, in which order, and whether a dispatch has to.
//!
//! It is as durable as the ledger: who waits is a row `queued` with its `spec`,
//! and the order is that of the rows. What is here is rebuilt from them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use lifecycle::TaskSpec;
use lifecycle::crash_loop::CrashLoop;
use protocol::control::{ErrorBody, ErrorCode};
use protocol::view::Requester;
use protocol::{Key, TaskId, Timestamp};

use super::clock;
use super::core_loop::Core;
use super::held;
use super::replace::{Dispatch, OnConflict, Place};

/// When what keeps a task waiting tells nobody that it is gone (processes of an
/// ended task, a full disk), it is looked at again after this.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Who waits for a turn.
#[derive(Default)]
pub(super) struct Queue {
    /// The first one comes first.
    waiting: Vec<TaskId>,
    /// Tasks that are stopped so that another one takes their place.
    promised: BTreeSet<TaskId>,
    /// Keys that rest, and until when: their tasks failed as soon as they had
    /// begun. By a clock that nobody sets.
    resting: BTreeMap<Key, Rest>,
    /// Tasks whose own folder is in their way, and until when others go before them.
    put_off: BTreeMap<TaskId, Instant>,
    /// When the loop has to look whose turn it is.
    due: Option<Instant>,
}

/// A key of which no task has its turn for a while.
#[derive(Clone, Debug)]
pub(super) struct Rest {
    /// How long, by a clock that nobody sets.
    pub(super) until: Instant,
    /// When it was seen.
    pub(super) since: Timestamp,
    /// Why.
    pub(super) found: CrashLoop,
}

/// When a dispatch may start.
pub(super) enum Turn {
    /// At once.
    Now,
    /// It has to wait.
    Later,
    /// When this task has given way, at somebody's word.
    After(TaskId, Requester),
}

impl Queue {
    /// When the loop has to look at it.
    pub(super) const fn next_due(&self) -> Option<Instant> {
        self.due
    }

    pub(super) fn is_due(&self) -> bool {
        self.due.is_some_and(|due| due <= Instant::now())
    }

    /// Something changed that somebody may have waited for.
    pub(super) fn stir(&mut self) {
        if !self.waiting.is_empty() {
            self.due = Some(Instant::now());
        }
    }

    /// Nobody's turn can come before something changes.
    pub(super) const fn rest(&mut self) {
        self.due = None;
    }

    /// Nobody will tell of the change that is waited for.
    pub(super) fn look_again(&mut self) {
        self.due = Instant::now().checked_add(LOOK_AGAIN);
    }

    /// Whoever goes on with a task that has ended comes before those that were
    /// never begun.
    pub(super) fn push(&mut self, spec: &TaskSpec) {
        let at = match &spec.links.fresh_after {
            Some(_) => 0,
            None => self.waiting.len(),
        };
        self.waiting.insert(at, spec.id.clone());
        self.stir();
    }

    /// It waits no longer, if it did.
    pub(super) fn remove(&mut self, id: &TaskId) {
        self.waiting.retain(|waiting| waiting != id);
        self.put_off.remove(id);
    }

    /// It keeps its place, and others go before it for a while. Says whether that is so
    /// for the first time.
    pub(super) fn put_off(&mut self, id: &TaskId) -> bool {
        let until = Instant::now().checked_add(LOOK_AGAIN);
        until.is_some_and(|until| self.put_off.insert(id.clone(), until).is_none())
    }

    /// No task of `key` has its turn before this.
    pub(super) fn let_rest(&mut self, key: Key, rest: Rest) {
        self.resting.insert(key, rest);
    }

    /// Whether it rests still is asked of the ledger at its turn.
    pub(super) fn rest_of(&self, key: &Key, now: Instant) -> Option<&Rest> {
        self.resting.get(key).filter(|rest| now < rest.until)
    }

    /// The tasks of `key` may have their turn.
    pub(super) fn wake(&mut self, key: &Key) {
        if self.resting.remove(key).is_some() {
            self.stir();
        }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whoever replaces `holder` takes its place, and nobody else.
    pub(super) fn promise(&mut self, holder: &TaskId) {
        self.promised.insert(holder.clone());
    }

    /// The place of `holder`, unless another one has it already.
    pub(super) fn redeem(&mut self, holder: &TaskId) -> Place {
        self.stir();
        if self.promised.remove(holder) {
            Place::Promised
        } else {
            Place::Any
        }
    }
}

impl Core {
    /// Tasks that are not in the queue.
    pub(super) fn running(&self) -> usize {
        self.tasks.len().saturating_sub(self.queue.len())
    }

    /// The same, by name, less those that have ended in memory and only wait for
    /// room on the disk: no drain waits for their agents, or stops them.
    pub(super) fn running_ids(&self) -> Vec<TaskId> {
        let runs = self.tasks.iter().filter(|(_, live)| {
            let task = &live.task;
            task.started_at.is_some() && task.ending.is_none()
        });
        runs.map(|(id, _)| id.clone()).collect()
    }

    /// How long the first one has waited.
    pub(super) fn oldest_in_queue(&self) -> Duration {
        let waiting = self.queue.waiting.iter();
        let since = waiting.filter_map(|id| self.tasks.get(id)?.task.queued_at);
        let oldest = since.min().map(|at| clock::now().since_ms(at));
        Duration::from_millis(oldest.unwrap_or(0))
    }

    pub(super) fn waits(&self, id: &TaskId) -> bool {
        self.tasks.get(id).is_some_and(|live| live.task.waits())
    }

    /// When a dispatch of `key` may start, or why it is refused: one live task
    /// per key, and none while something lives on of an earlier one (R7); as
    /// many at once as the configuration allows, in the order of their dispatch.
    pub(super) fn turn_of(&mut self, key: &Key, dispatch: &Dispatch) -> Result<Turn, ErrorBody> {
        if let OnConflict::Replace(_) = dispatch.on_conflict {
            // What lives on cannot be replaced: nobody who waits gives way in vain.
            self.refuse_held(key)?;
        }
        let queued = self.queued_of_key(key);
        let live = self.live_keys.get(key).cloned();
        match (&dispatch.on_conflict, queued, live) {
            // Those that wait go first: none of them gets the place of the live one.
            (OnConflict::Replace(by), Some(holder), _)
            | (OnConflict::Replace(by), None, Some(holder)) => {
                return Ok(Turn::After(holder, by.clone()));
            }
            (OnConflict::Refuse, _, Some(holder)) => {
                return Err(key_is_busy(key, &holder, "is still live"));
            }
            (OnConflict::Refuse, Some(holder), None) => {
                return Err(key_is_busy(key, &holder, "waits in the queue"));
            }
            (OnConflict::Queue, Some(_), _) | (OnConflict::Queue, None, Some(_)) => {
                return self.place_in_the_queue();
            }
            (OnConflict::Refuse | OnConflict::Queue | OnConflict::Replace(_), None, None) => {}
        }
        match (self.held.of_key(key), &dispatch.on_conflict) {
            (Some(_), OnConflict::Queue) => return self.place_in_the_queue(),
            (Some(_), OnConflict::Refuse | OnConflict::Replace(_)) => self.refuse_held(key)?,
            (None, _) => {}
        }
        match dispatch.place {
            Place::Promised => Ok(Turn::Now),
            Place::Any if self.has_place() && self.next_turn().is_none() => Ok(Turn::Now),
            Place::Any => self.place_in_the_queue(),
        }
    }

    /// Something lives on of an ended task of this key.
    fn refuse_held(&mut self, key: &Key) -> Result<(), ErrorBody> {
        let Some((holder, survivors)) = self.held.of_key(key) else {
            return Ok(());
        };
        let message = format!(
            "key {key} is busy: task {holder} has ended, but of its processes there live {}",
            held::in_words(&survivors)
        );
        Err(ErrorBody::new(ErrorCode::KeyBusy, message)
            .with_hint("the key is free when they are gone; end them, or use another key"))
    }

    /// Whose turn it is.
    pub(super) fn next_turn(&mut self) -> Option<TaskId> {
        if self.leaving || !self.drains.admits() || !self.has_place() {
            return None;
        }
        for at in 0..self.queue.len() {
            let id = &self.queue.waiting[at];
            let Some(live) = self.tasks.get(id).filter(|live| live.task.waits()) else {
                continue;
            };
            let (id, key) = (id.clone(), &live.task.spec.key);
            if self.live_keys.contains_key(key) {
                continue;
            }
            let put_off = self.queue.put_off.get(&id);
            if put_off.is_some_and(|until| Instant::now() < *until) {
                self.queue.look_again();
                continue;
            }
            if self.held.of_key(key).is_some() {
                self.queue.look_again();
                continue;
            }
            if self.queue.rest_of(key, Instant::now()).is_some() {
                self.queue.look_again();
                continue;
            }
            return Some(id);
        }
        None
    }

    /// What a caller is told of a task that has to wait.
    pub(super) fn words_of_waiting(&mut self, id: &TaskId) -> String {
        let place = self.queue.waiting.iter().position(|waiting| waiting == id);
        let place = place.map_or(0, |place| place + 1);
        let key = self.tasks.get(id).map(|live| live.task.spec.key.clone());
        let why = key
            .and_then(|key| self.who_has_the_key(&key))
            .unwrap_or_else(|| match self.running() {
                1 => "1 task runs".to_string(),
                several => format!("{several} tasks run"),
            });
        format!("queued, at place {place} of {}: {why}", self.queue.len())
    }

    /// In words, if somebody else has it.
    fn who_has_the_key(&mut self, key: &Key) -> Option<String> {
        if let Some(holder) = self.live_keys.get(key) {
            return Some(format!("key {key} is busy with task {holder}"));
        }
        let (ended, alive) = self.held.of_key(key)?;
        Some(format!(
            "key {key} is busy with what lives on of task {ended}: {} (`agentctl orphans kill` \
             ends it)",
            held::in_words(&alive)
        ))
    }

    fn has_place(&self) -> bool {
        let promised = self.queue.promised.iter();
        let kept = promised.filter(|holder| !self.tasks.contains_key(*holder));
        let taken = self.running() + kept.count();
        (taken as u64) < self.service.config.limits.max_tasks
    }

    fn place_in_the_queue(&self) -> Result<Turn, ErrorBody> {
        let limits = &self.service.config.limits;
        if (self.queue.len() as u64) < limits.max_queued {
            return Ok(Turn::Later);
        }
        let (running, queued) = (self.running(), self.queue.len());
        let (message, key) = if limits.max_queued == 0 {
            (
                format!("the limit of {running} live tasks is reached, and none may wait"),
                "max_tasks or max_queued",
            )
        } else {
            (
                format!("{running} live and {queued} queued tasks are the limit"),
                "max_queued",
            )
        };
        Err(ErrorBody::new(ErrorCode::Limit, message).with_hint(format!(
            "raise [limits] {key} in the configuration, or wait for one to end"
        )))
    }

    /// The task that keeps a key busy.
    pub(super) fn holder_of(&mut self, key: &Key) -> Option<TaskId> {
        let live = self.live_keys.get(key).cloned();
        live.or_else(|| self.queued_of_key(key))
            .or_else(|| self.held.of_key(key).map(|(holder, _)| holder))
    }

    fn queued_of_key(&self, key: &Key) -> Option<TaskId> {
        let of_key = |id: &&TaskId| {
            let live = self.tasks.get(*id);
            live.is_some_and(|live| live.task.waits() && live.task.spec.key == *key)
        };
        self.queue.waiting.iter().find(of_key).cloned()
    }
}

fn key_is_busy(key: &Key, holder: &TaskId, how: &str) -> ErrorBody {
    ErrorBody::new(
        ErrorCode::KeyBusy,
        format!("key {key} is busy: task {holder} {how}"),
    )
    .with_hint(format!(
        "wait for it (`agentctl wait {holder}`, or `--on-conflict queue`) or stop it \
         (`agentctl stop-session {holder}`)"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::ArchiveReason;

    #[test]
    fn a_rest_ends_when_its_time_has_passed_or_it_is_woken() {
        let key = Key::new("k").expect("a key");
        let start = Instant::now();
        let until = start + Duration::from_secs(60);
        let rest = Rest {
            until,
            since: Timestamp(0),
            found: CrashLoop {
                newest: TaskId::new("t").expect("an id"),
                reason: ArchiveReason::Failed,
                until: Timestamp(60_000),
            },
        };
        let mut queue = Queue::default();
        assert!(queue.rest_of(&key, start).is_none());
        queue.let_rest(key.clone(), rest);
        assert!(queue.rest_of(&key, start).is_some());
        assert!(queue.rest_of(&key, until).is_none());
        queue.wake(&key);
        assert!(queue.rest_of(&key, start).is_none());
    }
}
