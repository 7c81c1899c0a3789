//! Requests as the loop sees them, whichever door they came through.

use protocol::control::Request;
use protocol::view::Requester;
use protocol::vocab::Via;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::core_loop::Core;
use super::input::CoreInput;
use crate::control::{ControlCall, Peer};
use crate::gateway::{GatewayServer, HttpCall};
use crate::places::Mode;
use crate::process::requester;
use crate::reply::ReplySender;

/// One request.
pub(super) struct Call {
    /// What is asked.
    pub(super) request: Request,
    /// Who asks.
    pub(super) asker: Asker,
    /// Where the answer goes.
    pub(super) reply: ReplySender,
}

/// Who asks, and through which door.
#[derive(Clone, Copy)]
pub(super) enum Asker {
    /// A process on the control socket.
    Control(Peer),
    /// A process on the gateway's unix socket.
    HttpPeer(Peer),
    /// Somebody with the gateway's token.
    HttpToken,
}

impl Asker {
    /// For the record: what the kernel tells.
    pub(super) fn look_up(self) -> Requester {
        let (peer, via) = match self {
            Self::Control(peer) => (Some(peer), Via::Control),
            Self::HttpPeer(peer) => (Some(peer), Via::Http),
            Self::HttpToken => (None, Via::Http),
        };
        requester::look_up(peer.map(|peer| peer.pid), peer.map(|peer| peer.uid), via)
    }
}

impl From<ControlCall> for Call {
    fn from(call: ControlCall) -> Self {
        Self {
            request: call.request,
            asker: Asker::Control(call.peer),
            reply: call.reply,
        }
    }
}

impl Core {
    /// A caller over HTTP has no environment of its own: agents of a user's own
    /// supervisor get that of the supervisor, which the user started.
    pub(super) fn of_gateway(&self, call: HttpCall) -> Call {
        let mut request = call.request;
        if let (Request::Run(run), Mode::User) = (&mut request, self.service.mode) {
            let readable = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
                Some((name.into_string().ok()?, value.into_string().ok()?))
            };
            run.client_env = std::env::vars_os().filter_map(readable).collect();
        }
        Call {
            request,
            asker: call.peer.map_or(Asker::HttpToken, Asker::HttpPeer),
            reply: call.reply,
        }
    }
}

/// Requests that wait on their way from the gateway to the loop, which has a
/// queue of its own.
const ON_THE_WAY: usize = 64;

/// Serves the gateway until it is dropped.
pub(super) async fn serve(server: GatewayServer, inputs: mpsc::Sender<CoreInput>) {
    let (calls, mut received) = mpsc::channel(ON_THE_WAY);
    let mut connections = JoinSet::new();
    let forward = async move {
        while let Some(call) = received.recv().await {
            if inputs.send(CoreInput::Http(call)).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(server.serve(calls, &mut connections), forward);
}
