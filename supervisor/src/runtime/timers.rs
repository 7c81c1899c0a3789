//! Due times of the core's timers, on a clock that nobody sets: a jump of the
//! wall clock ends no task.

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use lifecycle::Timer;
use protocol::TaskId;

/// Every armed timer, by due time.
#[derive(Debug, Default)]
pub(super) struct Timers {
    by_due: BTreeSet<(Instant, TaskId, Timer)>,
    due_of: HashMap<(TaskId, Timer), Instant>,
}

impl Timers {
    /// Arms `timer` of `task`; replaces an earlier due time.
    pub(super) fn arm(&mut self, task: &TaskId, timer: Timer, due: Instant) {
        self.disarm(task, timer);
        self.by_due.insert((due, task.clone(), timer));
        self.due_of.insert((task.clone(), timer), due);
    }

    /// Forgets `timer` of `task`.
    pub(super) fn disarm(&mut self, task: &TaskId, timer: Timer) {
        if let Some(due) = self.due_of.remove(&(task.clone(), timer)) {
            self.by_due.remove(&(due, task.clone(), timer));
        }
    }

    /// Whether `timer` of `task` is going to be due.
    pub(super) fn is_armed(&self, task: &TaskId, timer: Timer) -> bool {
        self.due_of.contains_key(&(task.clone(), timer))
    }

    /// When the next one is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.by_due.first().map(|(due, _, _)| *due)
    }

    /// Takes every timer that is due at `now`.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<(TaskId, Timer)> {
        let mut due = Vec::new();
        while self.by_due.first().is_some_and(|(at, _, _)| *at <= now) {
            if let Some((_, task, timer)) = self.by_due.pop_first() {
                self.due_of.remove(&(task.clone(), timer));
                due.push((task, timer));
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn id(text: &str) -> TaskId {
        TaskId::new(text).expect("a valid id")
    }

    #[test]
    fn timers_come_due_in_order_and_can_be_replaced_and_forgotten() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut timers = Timers::default();
        timers.arm(&id("a"), Timer::Timeout, at(30));
        timers.arm(&id("a"), Timer::Idle, at(20));
        timers.arm(&id("b"), Timer::Start, at(10));
        timers.arm(&id("a"), Timer::Timeout, at(5));
        timers.disarm(&id("b"), Timer::Start);
        assert_eq!(timers.next_due(), Some(at(5)));
        assert_eq!(timers.take_due(at(4)), vec![]);
        assert_eq!(
            timers.take_due(at(20)),
            vec![(id("a"), Timer::Timeout), (id("a"), Timer::Idle)]
        );
        assert_eq!(timers.next_due(), None);
    }
}
