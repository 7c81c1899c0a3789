//! `shim.sock`: shims whose link was lost open another one.
//!
//! Until it has proved itself a connection is a stranger: it gets a deadline,
//! little memory, and no answer beyond what the protocol needs.

use std::time::Duration;

use protocol::codec;
use protocol::hello::{BadHello, Hello};
use protocol::limits::MAX_SHIM_FRAME;
use protocol::shim::{Attach, FromShim, RejectReason, ToShim};
use sys::hook::SUP_SHIM_SEND;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::link::{Link, LinkDown, LinkSender, ShimMessage, encode, shim_version};
use crate::socket::{Acceptor, Admission, FrameReader, OpenError, Peer, WireError, send_all};
use crate::text::in_words;

/// Largest frame of a stranger: an attach has a few hundred bytes.
const MAX_STRANGER_FRAME: usize = 64 << 10;

/// How long a stranger may take for hello and attach; a shim sends both at
/// once.
const ATTACH_DEADLINE: Duration = Duration::from_secs(5);

/// Most later links, strangers included: four times the tasks that a host is
/// expected to run, and below the limit of descriptors. A shim that is not
/// served comes again.
const MAX_LINKS: usize = 4096;

/// A shim wants to be accepted.
#[derive(Debug)]
pub struct AttachRequest {
    /// What it says of itself. Its process is the peer's.
    pub attach: Attach,
    /// Its process, as the kernel sees it.
    pub peer_pid: i32,
    /// To talk to it once it is accepted.
    pub link: LinkSender,
    /// The decision: the number of the last record that is in the ledger, or
    /// why it is not accepted. Dropped, it is hung up on and comes again.
    pub reply: oneshot::Sender<Result<u64, RejectReason>>,
}

/// A process of ours that speaks no version of the protocol that we speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OtherVersion {
    /// Its process, as the kernel sees it.
    pub peer_pid: i32,
    /// Lowest and highest version that it speaks.
    pub speaks: (u16, u16),
}

/// The shim socket, ready to be served.
#[derive(Debug)]
pub struct ShimServer {
    acceptor: Acceptor,
    admission: Admission,
    attach_deadline: Duration,
}

/// Why a connection did not become a link.
#[derive(Debug, thiserror::Error)]
enum Turned {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("nothing complete came in time")]
    TooLate,
    #[error("the first message is no attach")]
    NoAttach,
    #[error("rejected: {0:?}")]
    Rejected(RejectReason),
    #[error("the supervisor did not decide")]
    Undecided,
}

impl From<std::io::Error> for Turned {
    fn from(error: std::io::Error) -> Self {
        Self::Wire(WireError::Io(error))
    }
}

impl ShimServer {
    /// Serves what `acceptor` accepts to whom `admission` admits.
    #[must_use]
    pub fn new(acceptor: Acceptor, admission: Admission) -> Self {
        Self {
            acceptor,
            admission,
            attach_deadline: ATTACH_DEADLINE,
        }
    }

    /// The same with another deadline for strangers.
    #[must_use]
    pub fn with_attach_deadline(mut self, attach_deadline: Duration) -> Self {
        self.attach_deadline = attach_deadline;
        self
    }

    /// Serves until it is dropped. The links run in `links`.
    pub async fn serve<T>(mut self, inputs: mpsc::Sender<T>, links: &mut JoinSet<()>)
    where
        T: From<AttachRequest>
            + From<OtherVersion>
            + From<ShimMessage>
            + From<LinkDown>
            + Send
            + 'static,
    {
        loop {
            tokio::select! {
                // Both are cancel-safe.
                Some(ended) = links.join_next() => {
                    if let Err(error) = ended && error.is_panic() {
                        tracing::error!(%error, "a shim's link panicked");
                    }
                }
                (stream, peer) = self.acceptor.accept() => {
                    if !self.admission.admits(&peer) {
                        tracing::warn!(uid = peer.uid, pid = peer.pid, "a stranger on the shim socket");
                    } else if links.len() >= MAX_LINKS {
                        tracing::warn!(links = links.len(), "too many shim links");
                    } else {
                        links.spawn(serve_link(stream, peer, inputs.clone(), self.attach_deadline));
                    }
                }
            }
        }
    }
}

async fn serve_link<T>(stream: UnixStream, peer: Peer, inputs: mpsc::Sender<T>, deadline: Duration)
where
    T: From<AttachRequest> + From<OtherVersion> + From<ShimMessage> + From<LinkDown>,
{
    match admit(stream, peer, &inputs, deadline).await {
        Ok(link) => link.run(inputs).await,
        Err(turned) => {
            if let Turned::Open(OpenError::Hello(BadHello::NoCommonVersion { min, max })) = turned {
                let other = OtherVersion {
                    peer_pid: peer.pid,
                    speaks: (min, max),
                };
                // Closed only when the supervisor leaves.
                let _ = inputs.send(other.into()).await;
            }
            tracing::debug!(
                pid = peer.pid,
                why = in_words(&turned),
                "no link to a shim came of a connection"
            );
        }
    }
}

/// From a stranger to a link.
async fn admit<T>(
    stream: UnixStream,
    peer: Peer,
    inputs: &mpsc::Sender<T>,
    deadline: Duration,
) -> Result<Link, Turned>
where
    T: From<AttachRequest>,
{
    let introduced = timeout(deadline, introduce(&stream)).await;
    let (attach, mut reader) = introduced.map_err(|_| Turned::TooLate)??;
    if attach.shim.pid != peer.pid {
        tracing::warn!(task = %attach.task_id, says = attach.shim.pid, is = peer.pid, "a process that is not the shim it claims to be");
        return reject(&stream, RejectReason::NotYou).await;
    }
    reader.set_limit(MAX_SHIM_FRAME);
    let (mut link, sender) = Link::later(attach.task_id.clone(), stream, reader);
    let (reply, decision) = oneshot::channel();
    let request = AttachRequest {
        attach,
        peer_pid: peer.pid,
        link: sender,
        reply,
    };
    inputs
        .send(request.into())
        .await
        .map_err(|_| Turned::Undecided)?;
    match decision.await.map_err(|_| Turned::Undecided)? {
        Ok(acknowledged) => {
            link.greet(&ToShim::Attached { acknowledged })?;
            Ok(link)
        }
        Err(reason) => reject(link.stream(), reason).await,
    }
}

/// Hello, our hello, attach.
async fn introduce(stream: &UnixStream) -> Result<(Attach, FrameReader), Turned> {
    let (hello, mut reader) = FrameReader::open(stream, MAX_STRANGER_FRAME).await?;
    let answer = Hello::answer(&hello);
    send_all(stream, &answer.encode(), &SUP_SHIM_SEND).await?;
    shim_version(&hello).map_err(OpenError::Hello)?;
    let payload = reader.wait_for_frame(stream).await?;
    match codec::from_payload::<FromShim>(&payload) {
        Ok(FromShim::Attach(attach)) => Ok((attach, reader)),
        Ok(FromShim::Record { .. } | FromShim::Progress(_)) | Err(_) => Err(Turned::NoAttach),
    }
}

async fn reject(stream: &UnixStream, reason: RejectReason) -> Result<Link, Turned> {
    send_all(stream, &encode(&ToShim::Rejected(reason))?, &SUP_SHIM_SEND).await?;
    Err(Turned::Rejected(reason))
}
