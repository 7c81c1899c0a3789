//! The event log as it grows, for any number of readers.
//!
//! The core publishes committed events to the [`Hub`]; a reader has a
//! [`Subscription`] with a bounded queue, so that nobody waits for it (R12).
//! [`follow`] stitches what the ledger has and what is new into one stream
//! without loss or repetition: a reader that is too slow for its queue is
//! caught up from the ledger at its own pace, and what the ledger does not have
//! any more is told as a `gap`.

mod follow;
mod hub;

pub use follow::{Extent, Follower, PageError, Pager};
pub use hub::{Delivery, Filter, Hub, Kinds, Subscription};

/// The kind of the event that ends a task.
pub const TASK_ENDED: &str = "task.ended";
