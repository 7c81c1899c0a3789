//! Requests as the loop sees them, whichever door they came through.

use std::ffi::OsString;
use std::time::Duration;

use lifecycle::Task;
use protocol::Timestamp;
use protocol::control::{ErrorBody, ErrorCode, Request};
use protocol::view::Requester;
use protocol::vocab::Via;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::clock;
use super::core_loop::{Core, LoopEnd};
use super::input::CoreInput;
use crate::config::Config;
use crate::control::{ControlCall, Peer};
use crate::gateway::{Figures, GatewayServer, HttpCall, LastWord};
use crate::ledger::{LedgerError, Reader};
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
    /// Its user; none where only a token is known.
    pub(super) const fn uid(self) -> Option<u32> {
        match self {
            Self::Control(peer) | Self::HttpPeer(peer) => Some(peer.uid),
            Self::HttpToken => None,
        }
    }

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
    /// A request of the gateway.
    pub(super) async fn gateway_asks(&mut self, call: HttpCall) -> Result<(), LedgerError> {
        match call {
            HttpCall::Figures(reply) => {
                self.figures(reply);
                Ok(())
            }
            HttpCall::Ask {
                request,
                peer,
                reply,
            } => {
                let mut request = *request;
                self.lend_environment(&mut request);
                let asker = peer.map_or(Asker::HttpToken, Asker::HttpPeer);
                let call = Call {
                    request,
                    asker,
                    reply,
                };
                self.request(call).await
            }
        }
    }

    /// A caller over HTTP has no environment of its own: agents of a user's own
    /// supervisor begin as those of a service do. What else the supervisor has in
    /// its environment (the hub's secrets, say) is not theirs.
    fn lend_environment(&self, request: &mut Request) {
        if self.service.mode != Mode::User {
            return;
        }
        if let Some(run) = request.dispatch_mut() {
            let readable = |(name, value): (OsString, OsString)| {
                Some((name.into_string().ok()?, value.into_string().ok()?))
            };
            let own = std::env::vars_os().filter_map(readable);
            // What nobody configured must not hide where the user has programs.
            let usual = Config::default().env.base;
            let configured = self.service.config.env.base.iter();
            let configured = configured.filter(|pair| !usual.contains(pair)).cloned();
            let account = self.service.account.iter().cloned();
            let lent = account.chain(usual.clone());
            let lent = lent.chain(own.filter(|(name, _)| is_lent(name)));
            run.client_env = lent.chain(configured).collect();
        }
    }

    /// The ledger failed: whoever asked over HTTP is told so, who waits for a start or
    /// an end included. (`agentctl` is told nothing, and asks the next supervisor.)
    pub(super) fn give_up(&mut self, error: LedgerError) -> LoopEnd {
        let what = format!("the ledger failed ({error}): whether this was done is not known");
        let hint = "the next supervisor knows: ask it, or repeat this with the same id";
        let why = ErrorBody::new(ErrorCode::Storage, what).with_hint(hint);
        self.last_word.say(why);
        self.jobs.abort_all();
        LoopEnd::Ledger(error)
    }

    fn figures(&mut self, reply: oneshot::Sender<Result<Figures, ErrorBody>>) {
        let attached = self.tasks.values().filter(|live| live.link.is_some());
        let attached = attached.count() as u64;
        let mut figures = Figures {
            version: env!("CARGO_PKG_VERSION").to_string(),
            started_at_ms: self.service.started_at.0,
            phase: self.drains.phase().to_string(),
            attached,
            detached: self.running() as u64 - attached,
            queued: self.queue.len() as u64,
            oldest_queued: self.oldest_in_queue(),
            adopted: self.adopted,
            events: self.hub.last_seq(),
            ..self.measures.clone()
        };
        let ledger = self.ledger.clone();
        self.jobs.spawn(async move {
            let look = |reader: &Reader<'_>| Ok((reader.task_figures()?, reader.info()?));
            let told = match ledger.browse(look).await {
                Ok((tasks, info)) => {
                    figures.tasks = tasks;
                    figures.ledger_bytes = info.view.bytes;
                    Ok(figures)
                }
                Err(error) => {
                    let what = format!("the ledger cannot be read: {error}");
                    Err(ErrorBody::new(ErrorCode::Storage, what))
                }
            };
            // The asker may have hung up.
            let _ = reply.send(told);
        });
    }

    /// An agent runs.
    pub(super) fn measure_launch(&mut self, started_at: Timestamp) {
        self.measures.launches.observe(since(started_at));
    }

    /// A task ended: if it was to be stopped, that took so long.
    pub(super) fn measure_stop(&mut self, task: &Task) {
        if let Some(intent) = task.intents.first() {
            self.measures.stops.observe(since(intent.requested_at));
        }
    }
}

/// Who the user is, where programs are, what it speaks and when it lives.
fn is_lent(name: &str) -> bool {
    const LENT: [&str; 7] = ["HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TZ", "USER"];
    LENT.contains(&name) || name.starts_with("LC_")
}

fn since(at: Timestamp) -> Duration {
    let ms = clock::now().0.saturating_sub(at.0);
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

/// Requests that wait on their way from the gateway to the loop, which has a
/// queue of its own.
const ON_THE_WAY: usize = 64;

/// Serves the gateway until it is dropped.
pub(super) async fn serve(
    server: GatewayServer,
    inputs: mpsc::Sender<CoreInput>,
    last_word: LastWord,
) {
    let (calls, mut received) = mpsc::channel(ON_THE_WAY);
    let mut connections = JoinSet::new();
    let forward = async move {
        while let Some(call) = received.recv().await {
            if inputs.send(CoreInput::Http(call)).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(server.serve(calls, last_word, &mut connections), forward);
}
