//! Stories of tasks, as the events that the core makes of them.

use lifecycle::event::{BindKind, Ending};
use lifecycle::verdict::verdict;
use lifecycle::{Event, EventBody, SessionPlan, SessionRow, Task};
use protocol::shim::{
    ProcessId, ResultRecord, SenderRecord, SpawnStage, SupersededBy, SweepRecord, Target, Usage,
};
use protocol::view::Survivor;
use protocol::vocab::{IntentOutcome, SessionState, SignalledBy};
use protocol::{Exit, FinishedBasis, StopReason, Timestamp};

use crate::ledger::tests::support::{at, id, key, provider, requester, session, spec};

/// A session that may be resumed.
pub(super) fn row(session_id: &str, totals: Usage) -> SessionRow {
    SessionRow {
        key: key("k"),
        provider: provider("claude"),
        session_id: session(session_id),
        task_id: id("t0"),
        state: SessionState::Resumable,
        quarantine_reason: None,
        last_used_at: Timestamp(0),
        totals,
        without_task: None,
    }
}

/// The events of one task, in the order of their telling.
pub(super) struct Story {
    events: Vec<Event>,
    next_ms: i64,
}

impl Story {
    /// Admitted.
    pub(super) fn of(plan: SessionPlan) -> Self {
        let mut story = Self {
            events: Vec::new(),
            next_ms: 0,
        };
        story.tell(EventBody::Admitted {
            spec: spec("t1", "k", plan),
        });
        story
    }

    /// Queued.
    pub(super) fn queued() -> Self {
        let mut story = Self {
            events: Vec::new(),
            next_ms: 0,
        };
        let spec = spec("t1", "k", SessionPlan::Undecided);
        story.tell(EventBody::Queued { spec });
        story
    }

    /// Claimed and started.
    pub(super) fn started() -> Self {
        Self::started_with(SessionPlan::Fresh)
    }

    /// The same, in this session.
    pub(super) fn started_with(plan: SessionPlan) -> Self {
        let mut story = Self::of(plan);
        story.tell(EventBody::Claimed { shim: process(100) });
        story.tell(EventBody::Started {
            agent: process(101),
            program: "/bin/claude".into(),
        });
        story
    }

    pub(super) fn tell(&mut self, body: EventBody) -> &mut Self {
        self.events.push(at(Some("t1"), self.next_ms, body));
        self.next_ms += 1;
        self
    }

    pub(super) fn bound(&mut self, how: BindKind) -> &mut Self {
        self.tell(EventBody::SessionBound {
            key: key("k"),
            provider: provider("claude"),
            session_id: session("s1"),
            how,
        })
    }

    pub(super) fn stop_requested(&mut self, intent_id: u64, note: Option<&str>) -> &mut Self {
        let joined = !self.task().intents.is_empty();
        self.tell(EventBody::StopRequested {
            intent_id,
            reason: if joined {
                StopReason::RunnerStop
            } else {
                StopReason::User
            },
            requested_by: requester(),
            note: note.map(str::to_owned),
            grace_ms: 5000,
            joined,
        })
    }

    pub(super) fn signalled(&mut self, signal: i32, target: Target, by: SignalledBy) -> &mut Self {
        let intent_id = self.task().intents.first().map(|intent| intent.id);
        self.tell(EventBody::Signalled {
            intent_id,
            signal,
            target,
            by,
        })
    }

    pub(super) fn exited(&mut self, exit: Exit) -> &mut Self {
        self.tell(EventBody::Exited { exit })
    }

    pub(super) fn result(&mut self, success: bool, text: &str) -> &mut Self {
        self.tell(EventBody::Result(ResultRecord {
            at: Timestamp(self.next_ms),
            success,
            text: Some(text.to_owned()),
            truncated: false,
            usage: Usage {
                turns: Some(2),
                ..Usage::default()
            },
        }))
    }

    pub(super) fn swept(&mut self, sweep: SweepRecord, by: SignalledBy) -> &mut Self {
        self.tell(EventBody::Swept { sweep, by })
    }

    /// Ends as the core judges.
    pub(super) fn ended(&mut self) -> Vec<Event> {
        let task = self.task();
        let verdict = verdict(&task);
        let outcome = |id: u64, joined: bool| match (joined, verdict.by_intent == Some(id)) {
            (true, _) => IntentOutcome::Joined,
            (false, true) => IntentOutcome::Effective,
            (false, false) => IntentOutcome::Superseded,
        };
        let exact = task.exited.as_ref().map(|(at, _)| *at);
        let now = Timestamp(self.next_ms);
        let ending = Ending {
            status: verdict.status,
            reason: verdict.reason,
            basis: verdict.basis,
            ended_by: verdict.ended_by.clone(),
            exit: verdict.exit.clone(),
            finished_at: exact.unwrap_or(now),
            finished_basis: match exact {
                Some(_) => FinishedBasis::Exact,
                None => FinishedBasis::Detected,
            },
            last_seen_at: task.last_event_at,
            usage: task.usage,
            intents: task
                .intents
                .iter()
                .map(|intent| (intent.id, outcome(intent.id, intent.joined)))
                .collect(),
            survivors: Vec::new(),
        };
        self.tell(EventBody::Ended(ending));
        self.events.clone()
    }

    pub(super) fn events(&self) -> Vec<Event> {
        self.events.clone()
    }

    fn task(&self) -> Task {
        Task::fold(&self.events).expect("it begins with an admission")
    }
}

fn process(pid: i32) -> ProcessId {
    ProcessId {
        boot_id: "boot".into(),
        pid_ns: 1,
        pid,
        start_time: 5,
    }
}

pub(super) const TERM: i32 = 15;
pub(super) const KILL: i32 = 9;

pub(super) fn by_signal(signal: i32) -> Exit {
    Exit::Signaled {
        signal,
        core: false,
    }
}

pub(super) fn empty() -> SweepRecord {
    SweepRecord {
        empty: true,
        ..SweepRecord::default()
    }
}

pub(super) fn stopped() -> Vec<Event> {
    let mut story = Story::started();
    story
        .bound(BindKind::Reported)
        .stop_requested(3, Some("enough\u{1b}[2J"))
        .stop_requested(4, None)
        .tell(EventBody::StopJournalled { intent_id: 3 })
        .signalled(TERM, Target::Group, SignalledBy::Shim)
        .exited(by_signal(TERM))
        .swept(
            SweepRecord {
                swept: 1,
                ..empty()
            },
            SignalledBy::Shim,
        )
        .tell(EventBody::Finished {
            output_bytes: (10, 0),
            gap_bytes: (0, 0),
        })
        .tell(EventBody::SessionQuarantined {
            key: key("k"),
            provider: provider("claude"),
            session_id: session("s1"),
            reason: "user".into(),
            totals: Some(Usage::default()),
        })
        .ended()
}

pub(super) fn superseded() -> Vec<Event> {
    Story::started()
        .result(true, "all done")
        .stop_requested(3, None)
        .tell(EventBody::StopJournalled { intent_id: 3 })
        .tell(EventBody::StopSuperseded {
            intent_id: 3,
            by: SupersededBy::Result,
        })
        .exited(Exit::Exited { code: 0 })
        .swept(empty(), SignalledBy::Shim)
        .ended()
}

pub(super) fn killed_from_outside() -> Vec<Event> {
    Story::started()
        .exited(by_signal(KILL))
        .swept(empty(), SignalledBy::Shim)
        .ended()
}

pub(super) fn shim_signalled() -> Vec<Event> {
    let sender = SenderRecord {
        pid: 1,
        uid: 0,
        comm: Some("systemd".into()),
        exe: Some("/usr/lib/systemd/systemd".into()),
    };
    Story::started()
        .tell(EventBody::SignalSeen {
            signal: TERM,
            sender,
        })
        .exited(by_signal(TERM))
        .swept(empty(), SignalledBy::Shim)
        .ended()
}

pub(super) fn spawn_failed() -> Vec<Event> {
    let mut story = Story::of(SessionPlan::Fresh);
    let (stage, errno, path) = (SpawnStage::Search, 2, "clade".to_owned());
    story
        .tell(EventBody::SpawnFailed { stage, errno, path })
        .ended()
}

pub(super) fn never_started() -> Vec<Event> {
    let detail = "the shim could not be spawned".to_owned();
    Story::of(SessionPlan::Fresh)
        .tell(EventBody::NeverStarted {
            detail,
            intent_id: None,
        })
        .ended()
}

pub(super) fn shim_lost() -> Vec<Event> {
    let survivor = Survivor {
        pid: 77,
        start_time: 1,
        comm: "sleep".into(),
    };
    Story::started()
        .tell(EventBody::ShimLost {})
        .swept(
            SweepRecord {
                swept: 2,
                survivors: vec![survivor],
                marker_only: true,
                ..empty()
            },
            SignalledBy::Supervisor,
        )
        .ended()
}
