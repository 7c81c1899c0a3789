//! Short words for long facts.

mod records;
mod words;

use lifecycle::admit::{admit, enqueue};
use lifecycle::event::Ending;
use lifecycle::{
    Command, Effects, Event, EventBody, Fact, Input, Now, Presence, SessionPlan, Task, TaskSpec,
    Timer, decide, evolve,
};
use protocol::shim::Record;
use protocol::vocab::IntentOutcome;
use protocol::{ArchiveReason, Basis, Exit, Status, StopReason};

pub(crate) use records::*;
pub(crate) use words::*;

/// When records are heard.
pub(crate) const HEARD_MS: i64 = 1_000_000;

/// The task of a test: its live state, and everything that was committed.
#[derive(Clone)]
pub(crate) struct Run {
    pub(crate) task: Task,
    pub(crate) presence: Presence,
    pub(crate) events: Vec<Event>,
    pub(crate) next_intent: u64,
}

impl Run {
    /// Admitted at 0.
    pub(crate) fn admitted(spec: TaskSpec) -> Self {
        let (task, effects) = admit(spec, at(0));
        Self {
            task,
            presence: attached(),
            events: effects.events,
            next_intent: 1,
        }
    }

    /// Queued at 0.
    pub(crate) fn queued(spec: TaskSpec) -> Self {
        let (task, effects) = enqueue(spec, at(0));
        Self {
            task,
            presence: Presence::default(),
            events: effects.events,
            next_intent: 1,
        }
    }

    /// Its turn has come.
    pub(crate) fn turn(&mut self, ms: i64, session: SessionPlan) -> Effects {
        self.feed(ms, Input::Command(Command::Start { session }))
    }

    /// Admitted at 0, claimed at 1, exec'd at 2.
    pub(crate) fn running(spec: TaskSpec) -> Self {
        let mut run = Self::admitted(spec);
        run.record(claimed(1));
        run.record(execd(2));
        run
    }

    /// One input, committed.
    pub(crate) fn feed(&mut self, ms: i64, input: Input) -> Effects {
        let now = Now {
            at: at(ms),
            intent_id: self.next_intent,
        };
        let effects = decide(&self.task, &self.presence, input, now);
        for event in &effects.events {
            self.task = evolve(self.task.clone(), event);
            if let EventBody::StopRequested { intent_id, .. } = &event.body {
                self.next_intent = intent_id + 1;
            }
        }
        self.events.extend(effects.events.iter().cloned());
        effects
    }

    pub(crate) fn fact(&mut self, ms: i64, fact: Fact) -> Effects {
        self.feed(ms, Input::Fact(fact))
    }

    /// The journal's next record.
    pub(crate) fn record(&mut self, record: Record) -> Effects {
        let number = self.task.journal + 1;
        self.numbered(number, record)
    }

    pub(crate) fn numbered(&mut self, number: u64, record: Record) -> Effects {
        self.fact(HEARD_MS, Fact::Record { number, record })
    }

    pub(crate) fn stop(&mut self, ms: i64, reason: StopReason) -> Effects {
        self.feed(ms, stop(reason, None))
    }

    pub(crate) fn timer(&mut self, ms: i64, timer: Timer) -> Effects {
        self.feed(ms, Input::Timer(timer))
    }

    /// The rest of an ordinary life: exit, empty tree, last record.
    pub(crate) fn finish(&mut self, ms: i64, exit: Exit) -> Effects {
        self.record(exited(ms, exit));
        self.record(swept(ms));
        self.record(finished(ms))
    }

    /// As a new supervisor would find it.
    pub(crate) fn restart(&mut self, ms: i64) -> Effects {
        self.task = Task::fold(&self.events).expect("it was admitted");
        self.presence = Presence::default();
        self.fact(ms, Fact::Recovered)
    }

    pub(crate) fn ending(&self) -> &Ending {
        self.task.ending.as_ref().expect("it has ended")
    }

    pub(crate) fn verdict(&self) -> (Status, ArchiveReason, Basis) {
        let ending = self.ending();
        (ending.status, ending.reason, ending.basis)
    }

    pub(crate) fn outcomes(&self) -> Vec<IntentOutcome> {
        let intents = &self.ending().intents;
        intents.iter().map(|(_, outcome)| *outcome).collect()
    }
}
