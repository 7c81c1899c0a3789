//! Streams that go on over reconnects, without loss or repetition.

mod events;
mod logs;

pub(crate) use events::{EventFollower, position};
pub(crate) use logs::{LogEnd, LogFollower};
