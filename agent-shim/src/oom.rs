//! The watch on the kernel's count of kills for want of memory.
//!
//! A kill explains the end of the leader only if it was the leader that was
//! killed. So a count that rose while the leader lives is looked at twice: who
//! is not about to die at the second look was not the one.
//!
//! Where the kernel tells of a change (cgroup version 2) there is no timer. The
//! count of version 1 has to be looked at now and then, so that it is known how
//! old a rise can be that is found at an exit; only a task with a limit has one.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use protocol::shim::{OomRecord, Record};
use protocol::{TaskId, Timestamp};
use sys::oom::{News, OomCount};

/// Between two looks at a count of which the kernel does not tell, in ms: a rise
/// that is found at the exit is then no older than that.
const LOOK_EVERY_MS: u64 = 400;

/// Until the second look, in ms. The kernel signals right after it counts.
const SURE_AFTER_MS: u64 = 50;

/// The kernel tells of a change after at most half of this, in ms.
const TOLD_WITHIN_MS: i64 = 20;

/// Whether the leader goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leader {
    /// It does.
    Lives,
    /// It is about to die, or that cannot be seen.
    MayDie,
}

/// One task's count, and what is known of it.
#[derive(Debug)]
pub struct OomWatch {
    count: OomCount,
    state: State,
    /// When the next look is due, on the shim's clock.
    due: Option<u64>,
}

/// What is known of a count; pure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    news: News,
    /// Kills that are on record, or about to be.
    known: u64,
    /// When there were no more.
    known_at: Timestamp,
    /// A rise that was seen once: it is younger than this.
    rose_after: Option<Timestamp>,
}

impl OomWatch {
    /// On the agent of `task`, which was just started; none where no cgroup
    /// counts.
    #[must_use]
    pub fn begin(task: &TaskId, task_dir: &Path, at: Timestamp, now: u64) -> Option<Self> {
        let count = OomCount::of_task(task, task_dir)?;
        let state = State::new(count.news(), at);
        let due = state.next_look(now);
        Some(Self { count, state, due })
    }

    /// How one hears of a change.
    #[must_use]
    pub const fn news(&self) -> News {
        self.state.news
    }

    /// The kernel will not tell after all.
    pub fn look_now_and_then(&mut self, now: u64) {
        self.state.news = News::Silent;
        self.due = self.state.next_look(now);
    }

    /// When [`Self::look`] is due.
    #[must_use]
    pub const fn deadline(&self) -> Option<u64> {
        self.due
    }

    /// Looks while the leader lives.
    pub fn look(
        &mut self,
        at: Timestamp,
        now: u64,
        leader: impl FnOnce() -> Leader,
    ) -> Option<Record> {
        // A cgroup that is gone tells nothing more.
        let kills = self.count.read().unwrap_or(self.state.known);
        let record = self.state.look(kills, at, leader);
        self.due = self.state.next_look(now);
        record
    }

    /// Looks for the last time: the leader has ended.
    #[must_use]
    pub fn at_exit(mut self, at: Timestamp) -> Option<Record> {
        let kills = self.count.read().ok()?;
        self.state.at_exit(kills, at)
    }
}

impl AsFd for OomWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.count.as_fd()
    }
}

impl State {
    /// A fresh cgroup counts from zero.
    const fn new(news: News, at: Timestamp) -> Self {
        Self {
            news,
            known: 0,
            known_at: at,
            rose_after: None,
        }
    }

    fn look(
        &mut self,
        kills: u64,
        at: Timestamp,
        leader: impl FnOnce() -> Leader,
    ) -> Option<Record> {
        if kills <= self.known {
            self.known_at = at;
            return None;
        }
        let Some(since) = self.rose_after else {
            self.rose_after = Some(self.younger_than(at));
            return None;
        };
        match leader() {
            // Its exit will tell.
            Leader::MayDie => None,
            Leader::Lives => Some(self.tell(kills, at, since, true)),
        }
    }

    fn at_exit(&mut self, kills: u64, at: Timestamp) -> Option<Record> {
        let since = self.rose_after.unwrap_or_else(|| self.younger_than(at));
        (kills > self.known).then(|| self.tell(kills, at, since, false))
    }

    const fn tell(
        &mut self,
        kills: u64,
        at: Timestamp,
        since: Timestamp,
        leader_lives: bool,
    ) -> Record {
        *self = Self {
            known: kills,
            known_at: at,
            rose_after: None,
            ..*self
        };
        Record::OutOfMemory(OomRecord {
            at,
            kills,
            since,
            leader_lives,
        })
    }

    /// What a rise that is seen for the first time at `at` is younger than.
    fn younger_than(&self, at: Timestamp) -> Timestamp {
        match self.news {
            News::Silent => self.known_at,
            News::Told => self
                .known_at
                .max(Timestamp(at.0.saturating_sub(TOLD_WITHIN_MS))),
        }
    }

    const fn next_look(&self, now: u64) -> Option<u64> {
        match (self.rose_after, self.news) {
            (Some(_), News::Told | News::Silent) => Some(now + SURE_AFTER_MS),
            (None, News::Silent) => Some(now + LOOK_EVERY_MS),
            (None, News::Told) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGUN: Timestamp = Timestamp(1_000);

    fn told(at: i64, kills: u64, since: i64, leader_lives: bool) -> Option<Record> {
        Some(Record::OutOfMemory(OomRecord {
            at: Timestamp(at),
            kills,
            since: Timestamp(since),
            leader_lives,
        }))
    }

    fn lives() -> Leader {
        Leader::Lives
    }

    fn may_die() -> Leader {
        Leader::MayDie
    }

    fn not_asked() -> Leader {
        panic!("nothing depends on it")
    }

    #[test]
    fn a_rise_that_the_exit_shows_is_no_older_than_the_last_look() {
        let mut state = State::new(News::Silent, BEGUN);
        assert_eq!(state.next_look(7), Some(407));
        assert_eq!(state.look(0, Timestamp(1_400), not_asked), None);
        assert_eq!(
            state.at_exit(1, Timestamp(1_500)),
            told(1_500, 1, 1_400, false)
        );
        let mut state = State::new(News::Silent, BEGUN);
        assert_eq!(state.at_exit(0, Timestamp(1_500)), None);
    }

    #[test]
    fn a_kill_that_the_leader_lives_through_is_told_once() {
        let mut state = State::new(News::Silent, BEGUN);
        assert_eq!(state.look(2, Timestamp(1_400), not_asked), None, "not sure");
        assert_eq!(state.next_look(7), Some(57));
        let seen = state.look(3, Timestamp(1_450), lives);
        assert_eq!(seen, told(1_450, 3, 1_000, true));
        assert_eq!(state.look(3, Timestamp(1_850), not_asked), None);
        assert_eq!(state.at_exit(3, Timestamp(2_000)), None);
    }

    #[test]
    fn a_leader_that_dies_slowly_is_not_taken_for_alive() {
        let mut state = State::new(News::Silent, BEGUN);
        assert_eq!(state.look(1, Timestamp(1_400), not_asked), None);
        for at in [1_450, 1_500, 1_550] {
            assert_eq!(state.look(1, Timestamp(at), may_die), None);
        }
        assert_eq!(
            state.at_exit(1, Timestamp(1_560)),
            told(1_560, 1, 1_000, false)
        );
    }

    #[test]
    fn where_the_kernel_tells_a_rise_is_as_young_as_its_news() {
        let mut state = State::new(News::Told, BEGUN);
        assert_eq!(state.next_look(7), None, "no timer");
        assert_eq!(
            state.at_exit(1, Timestamp(9_000)),
            told(9_000, 1, 8_980, false)
        );
        let mut state = State::new(News::Told, BEGUN);
        assert_eq!(state.look(1, Timestamp(9_000), not_asked), None);
        assert_eq!(state.next_look(7), Some(57));
        assert_eq!(
            state.at_exit(1, Timestamp(9_010)),
            told(9_010, 1, 8_980, false)
        );
        let mut state = State::new(News::Told, BEGUN);
        assert_eq!(
            state.at_exit(1, Timestamp(1_001)),
            told(1_001, 1, 1_000, false)
        );
    }
}
