//! The gateway: HTTP for hubs and dashboards (CONTRACT §5).
//!
//! A second door to the requests of the control socket: every rule stands
//! behind it, in the core. A request leaves as an [`HttpCall`] and is answered
//! through its [`ReplySender`]; a client that hangs up, sends half a request or
//! reads nothing loses its own connection and disturbs nobody.

mod answered;
mod asked;
mod body;
mod conditions;
mod error;
mod events;
mod handle;
mod head;
mod list;
mod logs;
mod metrics;
mod openapi;
mod page;
mod patience;
mod posted;
mod quantity;
mod render;
mod routes;
mod serve;
mod token;

pub use metrics::{Figures, Histogram};
pub use serve::{GatewayServer, Listener};
pub use token::{Token, TokenError};

use std::sync::{Arc, OnceLock};

use protocol::control::{ErrorBody, Request};
use tokio::sync::oneshot;

use crate::reply::ReplySender;
use crate::socket::Peer;

/// Why nothing is answered any more, where it is not an orderly end: said to
/// everyone whose request was on its way.
#[derive(Clone, Debug, Default)]
pub struct LastWord(Arc<OnceLock<ErrorBody>>);

impl LastWord {
    /// Says it. The first one counts.
    pub fn say(&self, why: ErrorBody) {
        let _earlier = self.0.set(why);
    }

    /// What was said.
    fn said(&self) -> Option<ErrorBody> {
        self.0.get().cloned()
    }
}

/// One request on its way to the core.
#[derive(Debug)]
pub enum HttpCall {
    /// One that the control socket has as well.
    Ask {
        /// What is asked.
        request: Box<Request>,
        /// Who asks, where the kernel tells: on a unix socket.
        peer: Option<Peer>,
        /// Where the answer goes.
        reply: ReplySender,
    },
    /// For the metrics.
    Figures(oneshot::Sender<Result<Figures, ErrorBody>>),
}
