//! Who gets which new event.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::TaskId;
use protocol::view::EventView;
use tokio::sync::mpsc;

/// Events that wait for one reader. A burst of a hundred tasks fits; a reader
/// with more to come is caught up from the ledger.
const MAX_WAITING: usize = 1024;

/// Room that volatile progress leaves to real events.
const KEPT_FROM_PROGRESS: usize = MAX_WAITING / 2;

/// Subscriptions from which on those that are over are looked for.
const FIRST_SWEEP: usize = 64;

/// Which events a reader wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// Only this task's.
    pub task: Option<TaskId>,
    /// Which of its kinds.
    pub kinds: Kinds,
}

/// Which kinds of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kinds {
    /// Those of the ledger.
    Durable,
    /// Volatile progress as well.
    DurableAndProgress,
}

impl Filter {
    /// Everything in the ledger, or all of one task's.
    #[must_use]
    pub fn durable(task: Option<TaskId>) -> Self {
        Self {
            task,
            kinds: Kinds::Durable,
        }
    }

    /// The same and volatile progress.
    #[must_use]
    pub fn with_progress(task: Option<TaskId>) -> Self {
        Self {
            task,
            kinds: Kinds::DurableAndProgress,
        }
    }
}

/// What a subscription yields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// An event.
    Event(Arc<EventView>),
    /// The queue was full and events were left out: all of them are committed.
    Missed,
}

/// One reader's queue. Dropping it ends the subscription.
#[derive(Debug)]
pub struct Subscription {
    live_from: u64,
    deliveries: mpsc::Receiver<Delivery>,
}

/// Distributes new events. The core publishes; anyone may subscribe.
///
/// The lock guards the list of queues, never state of the domain, and is held
/// for a few pushes.
#[derive(Debug)]
pub struct Hub(Mutex<Readers>);

#[derive(Debug)]
struct Readers {
    next_seq: u64,
    of_all: Vec<Reader>,
    of_task: HashMap<TaskId, Vec<Reader>>,
    count: usize,
    sweep_at: usize,
}

#[derive(Debug)]
struct Reader {
    kinds: Kinds,
    queue: mpsc::Sender<Delivery>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Following,
    /// Has been told that it missed something, and gets nothing before it has
    /// read its whole queue: then everything that it missed is in the ledger
    /// before it looks there.
    Behind,
}

impl Subscription {
    /// Every event before this seq was committed before the subscription
    /// began; every one from it on is delivered or announced as missed.
    #[must_use]
    pub fn live_from(&self) -> u64 {
        self.live_from
    }

    /// The next delivery. Cancel-safe. `None` when the hub is gone.
    pub async fn next(&mut self) -> Option<Delivery> {
        self.deliveries.recv().await
    }

    /// The next delivery if it is there.
    pub fn next_waiting(&mut self) -> Option<Delivery> {
        self.deliveries.try_recv().ok()
    }
}

impl Hub {
    /// A hub that continues after the ledger's last event (0 = none).
    #[must_use]
    pub fn new(last_seq: u64) -> Self {
        Self(Mutex::new(Readers {
            next_seq: last_seq + 1,
            of_all: Vec::new(),
            of_task: HashMap::new(),
            count: 0,
            sweep_at: FIRST_SWEEP,
        }))
    }

    /// Publishes committed events, in their order.
    pub fn publish(&self, events: &[EventView]) {
        let mut readers = self.readers();
        for event in events {
            if let Some(seq) = event.seq {
                readers.next_seq = readers.next_seq.max(seq + 1);
            }
            readers.deliver(event, Reader::push);
        }
    }

    /// Publishes volatile progress. Who is slow does not get it.
    pub fn progress(&self, event: &EventView) {
        self.readers().deliver(event, Reader::push_progress);
    }

    /// The last seq that was published.
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        self.readers().next_seq.saturating_sub(1)
    }

    /// Begins a subscription.
    #[must_use]
    pub fn subscribe(&self, filter: Filter) -> Subscription {
        let (queue, deliveries) = mpsc::channel(MAX_WAITING);
        let reader = Reader {
            kinds: filter.kinds,
            queue,
            state: State::Following,
        };
        let mut readers = self.readers();
        readers.add(filter.task, reader);
        Subscription {
            live_from: readers.next_seq,
            deliveries,
        }
    }

    fn readers(&self) -> MutexGuard<'_, Readers> {
        // A list of queues is whole at every point where a panic can happen.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Readers {
    fn deliver(&mut self, event: &EventView, push: fn(&mut Reader, &Arc<EventView>)) {
        let of_task = event
            .task_id
            .as_ref()
            .and_then(|task| self.of_task.get_mut(task));
        if self.of_all.is_empty() && of_task.is_none() {
            return;
        }
        let event = Arc::new(event.clone());
        for reader in self.of_all.iter_mut().chain(of_task.into_iter().flatten()) {
            push(reader, &event);
        }
    }

    fn add(&mut self, task: Option<TaskId>, reader: Reader) {
        if self.count >= self.sweep_at {
            self.sweep();
        }
        self.count += 1;
        match task {
            Some(task) => self.of_task.entry(task).or_default().push(reader),
            None => self.of_all.push(reader),
        }
    }

    /// Forgets readers that have gone. Doubling the next occasion keeps the
    /// cost per subscription constant.
    fn sweep(&mut self) {
        let lives = |reader: &Reader| !reader.queue.is_closed();
        self.of_all.retain(lives);
        self.of_task.retain(|_, readers| {
            readers.retain(lives);
            !readers.is_empty()
        });
        self.count = self.of_all.len() + self.of_task.values().map(Vec::len).sum::<usize>();
        self.sweep_at = FIRST_SWEEP.max(2 * self.count);
    }
}

impl Reader {
    fn push(&mut self, event: &Arc<EventView>) {
        if self.state == State::Behind {
            if self.queue.capacity() < MAX_WAITING {
                return;
            }
            self.state = State::Following;
        }
        // The last place is for the word that something was missed.
        let delivery = if self.queue.capacity() > 1 {
            Delivery::Event(Arc::clone(event))
        } else {
            self.state = State::Behind;
            Delivery::Missed
        };
        // Closed: the next sweep forgets it. Full cannot be.
        let _ = self.queue.try_send(delivery);
    }

    fn push_progress(&mut self, event: &Arc<EventView>) {
        let wanted = self.kinds == Kinds::DurableAndProgress && self.state == State::Following;
        if wanted && self.queue.capacity() > KEPT_FROM_PROGRESS {
            let _ = self.queue.try_send(Delivery::Event(Arc::clone(event)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::Timestamp;

    fn event(seq: Option<u64>, task: &str) -> EventView {
        let task_id = Some(TaskId::new(task).expect("valid"));
        let kind = String::from("task.started");
        EventView {
            seq,
            at: Timestamp(0),
            kind,
            task_id,
            payload: String::from("{}"),
        }
    }

    fn seqs(subscription: &mut Subscription) -> Vec<Option<u64>> {
        std::iter::from_fn(|| subscription.next_waiting())
            .map(|delivery| match delivery {
                Delivery::Event(event) => event.seq,
                Delivery::Missed => Some(0),
            })
            .collect()
    }

    #[test]
    fn each_gets_what_it_asked_for() {
        let hub = Hub::new(4);
        let task = |name| Some(TaskId::new(name).expect("valid"));
        let mut all = hub.subscribe(Filter::durable(None));
        let mut one = hub.subscribe(Filter::with_progress(task("a")));
        assert_eq!(all.live_from(), 5);
        hub.publish(&[event(Some(5), "a"), event(Some(6), "b")]);
        hub.progress(&event(None, "a"));
        hub.progress(&event(None, "b"));
        assert_eq!(seqs(&mut all), [Some(5), Some(6)]);
        assert_eq!(seqs(&mut one), [Some(5), None]);
        assert_eq!(hub.subscribe(Filter::durable(None)).live_from(), 7);
    }

    #[test]
    fn a_slow_reader_is_told_once_and_gets_more_when_it_has_read_all() {
        let hub = Hub::new(0);
        let mut slow = hub.subscribe(Filter::durable(None));
        let events: Vec<_> = (1..=2 * MAX_WAITING as u64)
            .map(|seq| event(Some(seq), "a"))
            .collect();
        hub.publish(&events);
        assert!(slow.next_waiting().is_some());
        hub.publish(&[event(Some(9001), "a")]);
        let rest = seqs(&mut slow);
        assert_eq!(rest.len(), MAX_WAITING - 1);
        assert_eq!(
            rest.last(),
            Some(&Some(0)),
            "the last word is that something was missed"
        );
        hub.publish(&[event(Some(9002), "a")]);
        assert_eq!(seqs(&mut slow), [Some(9002)]);
    }

    #[test]
    fn readers_that_have_gone_are_forgotten() {
        let hub = Hub::new(0);
        for number in 0..10 * FIRST_SWEEP {
            let task = TaskId::new(format!("t{number}")).expect("valid");
            drop(hub.subscribe(Filter::durable(Some(task))));
        }
        assert!(hub.readers().of_task.len() <= FIRST_SWEEP);
    }
}
