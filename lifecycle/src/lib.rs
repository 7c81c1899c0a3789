//! The pure core: what a task is, what can happen to it, and what follows.
//!
//! ```text
//! decide(&Task, &Presence, Input, Now) -> Effects { events, actions }
//! evolve(Task, &Event) -> Task
//! ```
//!
//! `decide` is total: it never fails, panics, reads a clock, draws a random
//! number or does IO. `evolve` is the only writer of durable state, so a task
//! that is rebuilt from its committed events equals the one that lived
//! ([`task::Task::fold`]). Volatile knowledge (is the link up, when did the
//! agent last print) is kept apart in [`task::Presence`].
//!
//! A task's life, by the facts that are durable:
//!
//! ```text
//!         its turn    claimed ──▶ exec'd ──▶
//! Queued ──────────▶ Starting ─────────────── Running
//!   │ word, refused     │  spawn failed / claim lost   │ intent · exit · shim lost
//!   ▼                   ▼                              ▼
//! Ended ◀──────────── Ended ◀── finished / swept ── Stopping
//! ```
//!
//! There is no state field beside the facts: the phase is computed from them,
//! so the two can never disagree.
//!
//! **Architecture invariant:** depends on `protocol` alone; no IO, no clock,
//! no async, no panic.
#![no_std]

extern crate alloc;

pub mod admit;
pub mod crash_loop;
pub mod drain;
pub mod effect;
mod ending;
pub mod event;
pub mod input;
pub mod invariant;
pub mod session;
pub mod spec;
pub mod task;
pub mod timer;
pub mod verdict;

pub use effect::{Action, Effects};
pub use event::{Event, EventBody};
pub use input::{Command, Fact, HubWord, Input, LinkKind, LookBehind, Now};
pub use session::{SessionRow, WithoutTask};
pub use spec::{Limits, Policy, RunAs, SessionPlan, TaskSpec};
pub use task::{ANSWER_MS, Presence, Task, decide, evolve};
pub use timer::Timer;
