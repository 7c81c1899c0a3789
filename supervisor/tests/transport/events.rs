//! Replay and live events become one stream.

use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use protocol::control::{ErrorCode, Response};
use protocol::view::EventView;
use protocol::{TaskId, Timestamp};
use supervisor::events::{Extent, Filter, Follower, Hub, PageError, Pager, TASK_ENDED};
use supervisor::reply;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// A ledger in memory. Reading takes a few turns of the runtime.
#[derive(Clone, Default)]
struct Ledger {
    events: Arc<Mutex<Vec<EventView>>>,
    task: Option<TaskId>,
}

impl Pager for Ledger {
    async fn page(&self, from_seq: u64, limit: u32) -> Result<Vec<EventView>, PageError> {
        tokio::task::yield_now().await;
        let page = self
            .events
            .lock()
            .expect("whole")
            .iter()
            .filter(|event| event.seq >= Some(from_seq))
            .filter(|event| self.task.is_none() || event.task_id == self.task)
            .take(limit as usize)
            .cloned()
            .collect();
        tokio::task::yield_now().await;
        Ok(page)
    }
}

struct Broken;

impl Pager for Broken {
    async fn page(&self, _from_seq: u64, _limit: u32) -> Result<Vec<EventView>, PageError> {
        Err(PageError(String::from("the disk is gone")))
    }
}

/// Ledger and hub with one writer.
struct Log {
    ledger: Ledger,
    hub: Hub,
    next: u64,
}

impl Log {
    fn new() -> Self {
        Self {
            ledger: Ledger::default(),
            hub: Hub::new(0),
            next: 1,
        }
    }

    /// Commits, and some time later publishes.
    async fn append(&mut self, task: &str, kinds: &[&str], between: usize) {
        let batch: Vec<_> = kinds
            .iter()
            .zip(self.next..)
            .map(|(kind, seq)| event(seq, task, kind))
            .collect();
        self.next += batch.len() as u64;
        self.ledger
            .events
            .lock()
            .expect("whole")
            .extend(batch.iter().cloned());
        for _ in 0..between {
            tokio::task::yield_now().await;
        }
        self.hub.publish(&batch);
    }

    fn follow(
        &self,
        jobs: &mut JoinSet<()>,
        from_seq: Option<u64>,
        task: Option<&str>,
        extent: Extent,
    ) -> mpsc::Receiver<Response> {
        let task = task.map(id);
        let (reply, answers) = reply::channel();
        let subscription = self.hub.subscribe(Filter::with_progress(task.clone()));
        let pager = Ledger {
            task: task.clone(),
            ..self.ledger.clone()
        };
        jobs.spawn(Follower::new(subscription, pager, from_seq, task, extent, reply).run());
        answers
    }
}

fn id(task: &str) -> TaskId {
    TaskId::new(task).expect("valid")
}

fn event(seq: u64, task: &str, kind: &str) -> EventView {
    let (kind, payload) = (kind.to_owned(), String::from("{}"));
    EventView {
        seq: Some(seq),
        at: Timestamp(0),
        kind,
        task_id: Some(id(task)),
        payload,
    }
}

/// Everything up to the end of the answer.
async fn all(mut answers: mpsc::Receiver<Response>) -> (Vec<EventView>, Response) {
    let mut events = Vec::new();
    loop {
        let response = answers.recv().await.expect("an end");
        let Response::Event(event) = response else {
            return (events, response);
        };
        events.push(event);
    }
}

fn seqs(events: &[EventView]) -> Vec<u64> {
    events.iter().filter_map(|event| event.seq).collect()
}

#[tokio::test]
async fn what_is_stored_is_read_in_pages_and_ends() {
    let mut log = Log::new();
    log.append("a", &["x"; 1000], 0).await;
    let mut jobs = JoinSet::new();
    let (events, end) = all(log.follow(&mut jobs, Some(5), None, Extent::Stored)).await;
    assert_eq!(seqs(&events), (5..=1000).collect::<Vec<_>>());
    assert_eq!(end, Response::EventsEnd { next_seq: 1001 });
}

#[tokio::test]
async fn a_task_is_followed_to_its_end_and_what_was_committed_with_it() {
    let mut log = Log::new();
    log.append("a", &["task.started"], 0).await;
    log.append("b", &["task.started", TASK_ENDED], 0).await;
    let mut jobs = JoinSet::new();
    let answers = log.follow(&mut jobs, Some(1), Some("a"), Extent::UntilEnded(id("a")));
    log.append("b", &["x", TASK_ENDED], 3).await;
    log.append("a", &["task.exited", TASK_ENDED, "session.quarantined"], 3)
        .await;
    let (events, end) = all(answers).await;
    assert_eq!(seqs(&events), [1, 6, 7, 8]);
    assert_eq!(end, Response::EventsEnd { next_seq: 9 });
    jobs.join_all().await;
}

#[tokio::test]
async fn only_what_is_new_and_progress_in_between() {
    let mut log = Log::new();
    log.append("a", &["x"; 3], 0).await;
    let mut jobs = JoinSet::new();
    let answers = log.follow(&mut jobs, None, Some("a"), Extent::UntilEnded(id("a")));
    log.append("a", &["y"], 0).await;
    log.hub.progress(&EventView {
        seq: None,
        ..event(0, "a", "task.progress")
    });
    log.append("a", &[TASK_ENDED], 0).await;
    let (events, _) = all(answers).await;
    let kinds: Vec<_> = events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["y", "task.progress", TASK_ENDED]);
}

#[tokio::test]
async fn what_the_ledger_does_not_have_any_more_is_told() {
    let mut log = Log::new();
    log.append("a", &["x"; 10], 0).await;
    log.ledger.events.lock().expect("whole").drain(..4);
    let mut jobs = JoinSet::new();
    let (events, _) = all(log.follow(&mut jobs, Some(2), None, Extent::Stored)).await;
    assert_eq!((events[0].kind.as_str(), events[0].seq), ("gap", None));
    assert_eq!(events[0].payload, r#"{"from_seq":2,"to_seq":4}"#);
    assert_eq!(seqs(&events), (5..=10).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_ledger_that_cannot_be_read_is_said() {
    let hub = Hub::new(7);
    let (reply, answers) = reply::channel();
    let subscription = hub.subscribe(Filter::durable(None));
    Follower::new(subscription, Broken, Some(1), None, Extent::Endless, reply)
        .run()
        .await;
    let (_, end) = all(answers).await;
    let Response::Error(body) = end else {
        panic!("no error: {end:?}")
    };
    assert_eq!(body.code, ErrorCode::Storage);
}

#[tokio::test]
async fn a_reader_that_goes_ends_it() {
    let log = Log::new();
    let mut jobs = JoinSet::new();
    drop(log.follow(&mut jobs, None, None, Extent::Endless));
    jobs.join_all().await;
}

#[derive(Clone, Debug)]
enum Step {
    Append { events: usize, between: usize },
    Read(usize),
    Yield(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1usize..40, 0usize..4).prop_map(|(events, between)| Step::Append { events, between }),
        1 => (900usize..2500, 0usize..4).prop_map(|(events, between)| Step::Append { events, between }),
        4 => (1usize..400).prop_map(Step::Read),
        3 => (1usize..6).prop_map(Step::Yield),
    ]
}

/// Reads what is there, at most `count`.
async fn read(answers: &mut mpsc::Receiver<Response>, count: usize, seen: &mut Vec<EventView>) {
    for _ in 0..count {
        tokio::task::yield_now().await;
        let Ok(response) = answers.try_recv() else {
            return;
        };
        let Response::Event(event) = response else {
            panic!("an early end: {response:?}");
        };
        seen.push(event);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn nothing_is_lost_or_repeated_however_slow_the_reader(
        before in 0usize..600,
        from_seq in 1u64..700,
        steps in proptest::collection::vec(step(), 0..25),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let (seen, end, last) = runtime.block_on(async {
            let mut log = Log::new();
            log.append("a", &vec!["x"; before], 0).await;
            let mut jobs = JoinSet::new();
            let mut answers = log.follow(&mut jobs, Some(from_seq), Some("a"), Extent::UntilEnded(id("a")));
            let mut seen = Vec::new();
            for step in steps {
                match step {
                    Step::Append { events, between } => log.append("a", &vec!["x"; events], between).await,
                    Step::Read(count) => read(&mut answers, count, &mut seen).await,
                    Step::Yield(turns) => {
                        for _ in 0..turns {
                            tokio::task::yield_now().await;
                        }
                    }
                }
            }
            // Beyond any `from_seq`, so that the end is never left out.
            log.append("a", &vec!["x"; 700], 0).await;
            log.append("a", &[TASK_ENDED, "session.released"], 1).await;
            let (rest, end) = all(answers).await;
            seen.extend(rest);
            (seen, end, log.next - 1)
        });
        prop_assert_eq!(seqs(&seen), (from_seq..=last).collect::<Vec<_>>());
        prop_assert_eq!(end, Response::EventsEnd { next_seq: last + 1 });
    }
}
