//! Timers by name. The core never keeps an instant of its own: due times are
//! computed from durable facts and given to the shell.
//!
//! | timer | armed | disarmed | when due |
//! |---|---|---|---|
//! | `Start` | at the admission | by a session id or any output | intent `start_timeout` |
//! | `Timeout` | at the admission | by the end | intent `timeout` |
//! | `Idle` | at the exec | by the end | intent `idle_timeout`, or armed again when there was output meanwhile |
//! | `Answer` | at the first intent, and at each step of the shim under it | by the end | the supervisor looks behind the shim |

/// The timers of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// No sign of life in time.
    Start,
    /// It runs too long.
    Timeout,
    /// It is silent too long.
    Idle,
    /// The shim does not answer a stop.
    Answer,
}

impl Timer {
    /// Every timer.
    pub const ALL: [Self; 4] = [Self::Start, Self::Timeout, Self::Idle, Self::Answer];
}
