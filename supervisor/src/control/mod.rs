//! The control socket: clients ask, the core answers.
//!
//! A connection carries one request at a time. It leaves as a [`ControlCall`]
//! on a queue of the core and is answered through its
//! [`ReplySender`](crate::reply::ReplySender). A client that closes its end has
//! hung up, and whoever works on its answer can see that; one that sends half
//! a frame, or reads nothing, loses its own connection and disturbs nobody.

mod connection;
mod serve;

pub use crate::reply::{HungUp, ReplySender};
pub use crate::socket::Peer;
pub use connection::{Timing, serve_connection};
pub use serve::{ControlServer, MAX_CONNECTIONS};

use protocol::control::Request;

/// One request on its way to the core.
#[derive(Debug)]
pub struct ControlCall {
    /// What is asked.
    pub request: Request,
    /// Who asks.
    pub peer: Peer,
    /// Where the answer goes.
    pub reply: ReplySender,
}
