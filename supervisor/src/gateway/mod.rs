//! The gateway: HTTP for hubs and dashboards (CONTRACT §5).
//!
//! A second door to the requests of the control socket: every rule stands
//! behind it, in the core. A request leaves as an [`HttpCall`] and is answered
//! through its [`ReplySender`]; a client that hangs up, sends half a request or
//! reads nothing loses its own connection and disturbs nobody.

mod body;
mod error;
mod events;
mod handle;
mod logs;
mod patience;
mod posted;
mod render;
mod routes;
mod serve;
mod token;

pub use serve::{GatewayServer, Listener};
pub use token::{Token, TokenError};

use protocol::control::Request;

use crate::reply::ReplySender;
use crate::socket::Peer;

/// One request on its way to the core.
#[derive(Debug)]
pub struct HttpCall {
    /// What is asked.
    pub request: Request,
    /// Who asks, where the kernel tells: on a unix socket.
    pub peer: Option<Peer>,
    /// Where the answer goes.
    pub reply: ReplySender,
}
