//! An agent's output, from the file that its shim writes.
//!
//! [`LogStream`] sends a part of it, or follows it until the task has ended.
//! It reads no more than the client takes, and wakes only when the file grows.

mod stream;
mod tail;

pub use stream::{Known, LogStream, Made, Until};
