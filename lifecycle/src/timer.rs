//! Timers by name. The core never keeps an instant of its own: due times are
//! computed from durable facts and given to the shell.
//!
//! | timer | armed | disarmed | when due |
//! |---|---|---|---|
//! | `Start` | at the admission | by a session id or any output | intent `start_timeout` |
//! | `Timeout` | at the admission | by the end | intent `timeout` |
//! | `Idle` | at the exec | by the end | intent `idle_timeout`, or armed again when there was output meanwhile |

/// The timers of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// No sign of life in time.
    Start,
    /// It runs too long.
    Timeout,
    /// It is silent too long.
    Idle,
}

impl Timer {
    /// Every timer.
    pub const ALL: [Self; 3] = [Self::Start, Self::Timeout, Self::Idle];
}
