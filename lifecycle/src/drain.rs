//! The orderly end of a supervisor, as a state machine of its own.
//!
//! ```text
//!            Begin            TimeOver            TimeOver
//! Admitting ──────▶ Draining ─────────▶ Stopping ─────────▶ Forced
//!     ▲                │  │ Hurry           │ Hurry            │
//!     │                │  └─────────────────┴─────────────────▶│
//!     │ Cancel         │ Empty             │ Empty            │ Empty
//!     └────────────────┴──▶ Drained, or gone ◀────────────────┘
//! ```
//!
//! While it drains, tasks may finish; then every one of them is stopped by an
//! intent with the drain's reason; what has not ended when the grace is over is
//! forced. `Empty` is said whenever no task is left.

use alloc::vec;
use alloc::vec::Vec;

use protocol::view::Requester;
use protocol::{StopReason, Timestamp};

/// How long a forced stop is waited for before a supervisor leaves without
/// proof, in ms: a shim names what it cannot end after 30 s.
pub const FORCED_MS: u64 = 35_000;

/// What happens when no task is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The supervisor ends.
    Leave,
    /// It stays, and refuses new work until it is told otherwise.
    Stay,
}

/// One order to drain.
#[derive(Clone, Debug, PartialEq)]
pub struct DrainOrder {
    /// Why; the reason of every task that is stopped for it.
    pub reason: StopReason,
    /// How long tasks may finish, in ms.
    pub drain_ms: u64,
    /// Between TERM and KILL for those that did not, in ms.
    pub grace_ms: u64,
    /// What follows.
    pub then: Then,
    /// Who wants it.
    pub requested_by: Requester,
}

/// A drain that was begun.
#[derive(Clone, Debug, PartialEq)]
pub struct Drain {
    /// The order; the first one's, where several came.
    pub order: DrainOrder,
    /// When it was begun.
    pub since: Timestamp,
    /// Until when tasks may finish.
    pub deadline: Timestamp,
}

/// All tasks together.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Fleet {
    /// New work is welcome.
    #[default]
    Admitting,
    /// Tasks may finish.
    Draining(Drain),
    /// They are stopped.
    Stopping(Drain),
    /// They are killed.
    Forced(Drain),
    /// None is left.
    Drained(Drain),
}

/// What can happen to it.
#[derive(Clone, Debug, PartialEq)]
pub enum FleetInput {
    /// Drain. A second order joins the first: its reason stays, the deadline is
    /// the earlier one, and it is left if one of them says so.
    Begin(DrainOrder),
    /// Force now.
    Hurry,
    /// New work is welcome again.
    Cancel,
    /// The time of the phase is over.
    TimeOver,
    /// No task is left.
    Empty,
}

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FleetAction {
    /// Record the drain and its reason, and tell every subscriber.
    Announce,
    /// Say `TimeOver` then.
    Arm(Timestamp),
    /// Do not say it.
    Disarm,
    /// An intent for every task, with this grace in ms; 0 forces.
    StopAll(u64),
    /// Those who wait for the drain hear that it is done.
    TellDrained,
    /// Record that new work is welcome again.
    Readmit,
    /// End the supervisor.
    Leave,
}

impl Fleet {
    /// The word for it.
    #[must_use]
    pub const fn phase(&self) -> &'static str {
        match self {
            Self::Admitting => "admitting",
            Self::Draining(_) => "draining",
            Self::Stopping(_) => "stopping",
            Self::Forced(_) => "forced",
            Self::Drained(_) => "drained",
        }
    }

    /// The drain under way, or done.
    #[must_use]
    pub const fn drain(&self) -> Option<&Drain> {
        match self {
            Self::Admitting => None,
            Self::Draining(drain)
            | Self::Stopping(drain)
            | Self::Forced(drain)
            | Self::Drained(drain) => Some(drain),
        }
    }

    /// What follows from `input` at `now`. Total.
    #[must_use]
    pub fn step(self, input: FleetInput, now: Timestamp) -> (Self, Vec<FleetAction>) {
        match input {
            FleetInput::Begin(order) => self.begin(order, now),
            FleetInput::Hurry => self.hurry(now),
            FleetInput::Cancel => self.cancel(),
            FleetInput::TimeOver => self.time_over(now),
            FleetInput::Empty => self.empty(),
        }
    }

    fn begin(self, order: DrainOrder, now: Timestamp) -> (Self, Vec<FleetAction>) {
        let deadline = now.plus_ms(order.drain_ms);
        match self {
            Self::Admitting => {
                let drain = Drain {
                    order,
                    since: now,
                    deadline,
                };
                let actions = vec![FleetAction::Announce, FleetAction::Arm(deadline)];
                (Self::Draining(drain), actions)
            }
            Self::Draining(drain) => {
                let drain = joined(drain, &order, deadline);
                let due = drain.deadline;
                (Self::Draining(drain), vec![FleetAction::Arm(due)])
            }
            Self::Stopping(drain) => (Self::Stopping(joined(drain, &order, deadline)), Vec::new()),
            Self::Forced(drain) => {
                let stays = drain.order.then == Then::Stay;
                let drain = joined(drain, &order, deadline);
                // The time of the first one may be over: who is to leave has one, too.
                let actions = if stays && drain.order.then == Then::Leave {
                    vec![FleetAction::Arm(now.plus_ms(FORCED_MS))]
                } else {
                    Vec::new()
                };
                (Self::Forced(drain), actions)
            }
            Self::Drained(drain) => done(joined(drain, &order, deadline)),
        }
    }

    fn hurry(self, now: Timestamp) -> (Self, Vec<FleetAction>) {
        match self {
            Self::Draining(drain) | Self::Stopping(drain) => forced(drain, now),
            Self::Drained(drain) => done(drain),
            Self::Admitting | Self::Forced(_) => (self, Vec::new()),
        }
    }

    /// What is being stopped is stopped; only new work is welcome again. Who is
    /// about to leave leaves.
    fn cancel(self) -> (Self, Vec<FleetAction>) {
        match &self {
            Self::Admitting => (self, Vec::new()),
            Self::Draining(drain)
            | Self::Stopping(drain)
            | Self::Forced(drain)
            | Self::Drained(drain) => match drain.order.then {
                Then::Leave => (self, Vec::new()),
                Then::Stay => {
                    let actions = vec![FleetAction::Disarm, FleetAction::Readmit];
                    (Self::Admitting, actions)
                }
            },
        }
    }

    fn time_over(self, now: Timestamp) -> (Self, Vec<FleetAction>) {
        match self {
            Self::Draining(drain) => {
                let grace_ms = drain.order.grace_ms;
                let actions = vec![
                    FleetAction::StopAll(grace_ms),
                    FleetAction::Arm(now.plus_ms(grace_ms)),
                ];
                (Self::Stopping(drain), actions)
            }
            Self::Stopping(drain) => forced(drain, now),
            Self::Forced(drain) => {
                let actions = match drain.order.then {
                    // The intents are durable: the next supervisor goes on.
                    Then::Leave => vec![FleetAction::Leave],
                    Then::Stay => Vec::new(),
                };
                (Self::Forced(drain), actions)
            }
            Self::Admitting | Self::Drained(_) => (self, Vec::new()),
        }
    }

    fn empty(self) -> (Self, Vec<FleetAction>) {
        match self {
            Self::Draining(drain) | Self::Stopping(drain) | Self::Forced(drain) => done(drain),
            Self::Admitting | Self::Drained(_) => (self, Vec::new()),
        }
    }
}

fn joined(mut drain: Drain, order: &DrainOrder, deadline: Timestamp) -> Drain {
    drain.deadline = drain.deadline.min(deadline);
    drain.order.grace_ms = drain.order.grace_ms.min(order.grace_ms);
    drain.order.then = match (drain.order.then, order.then) {
        (Then::Stay, Then::Stay) => Then::Stay,
        (Then::Leave, Then::Leave | Then::Stay) | (Then::Stay, Then::Leave) => Then::Leave,
    };
    drain
}

fn forced(drain: Drain, now: Timestamp) -> (Fleet, Vec<FleetAction>) {
    let actions = vec![
        FleetAction::StopAll(0),
        FleetAction::Arm(now.plus_ms(FORCED_MS)),
    ];
    (Fleet::Forced(drain), actions)
}

fn done(drain: Drain) -> (Fleet, Vec<FleetAction>) {
    let mut actions = vec![FleetAction::Disarm, FleetAction::TellDrained];
    if drain.order.then == Then::Leave {
        actions.push(FleetAction::Leave);
    }
    (Fleet::Drained(drain), actions)
}
