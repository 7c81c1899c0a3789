//! The conversation with one shim.
//!
//! Reading and writing go on independently in one future, so that a shim that
//! does not read is still heard. The end of a link is always the end of what
//! can be read: what a shim said before it died is not lost.

use std::io;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::atomic::{AtomicU64, Ordering};

use protocol::TaskId;
use protocol::codec;
use protocol::hello::{BadHello, Hello, Role};
use protocol::limits::MAX_SHIM_FRAME;
use protocol::shim::{FromShim, ToShim};
use sys::hook::SUP_SHIM_SEND;
use sys::ipc::send_now;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, watch};

use crate::socket::{FrameReader, OpenError, WireError, send_all};
use crate::text::in_words;

/// Orders that wait for a shim. A task has a handful of them in its life; a
/// shim that leaves more unread is stuck.
const MAX_ORDERS: usize = 64;

/// Counts the links of this process, so that the end of an old one is not
/// taken for that of the present one.
static LINKS: AtomicU64 = AtomicU64::new(1);

/// What a shim says.
#[derive(Clone, Debug, PartialEq)]
pub struct ShimMessage {
    /// Its task.
    pub task_id: TaskId,
    /// On which link.
    pub link_number: u64,
    /// What.
    pub message: FromShim,
}

/// A link has ended. Nothing follows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkDown {
    /// Its task.
    pub task_id: TaskId,
    /// Which link.
    pub link_number: u64,
    /// Why.
    pub end: LinkEnd,
}

/// Why a link ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkEnd {
    /// The shim closed it, or is dead.
    Closed,
    /// The [`LinkSender`] was dropped.
    HungUp,
    /// It broke a rule of the protocol, or failed: in words.
    Broken(String),
}

/// Talks to a shim. Dropping it sends what waits as far as the socket takes it
/// at once, and hangs up.
#[derive(Debug)]
pub struct LinkSender {
    number: u64,
    // Boxed: a channel has room for 32 of them from the beginning, in every link.
    orders: mpsc::Sender<Box<ToShim>>,
    acknowledged: watch::Sender<u64>,
}

/// One link; [`Link::run`] serves it.
#[derive(Debug)]
pub struct Link {
    task_id: TaskId,
    number: u64,
    stream: UnixStream,
    reader: Option<FrameReader>,
    /// What the socket did not take at once.
    unsent: Vec<u8>,
    orders: mpsc::Receiver<Box<ToShim>>,
    acknowledged: watch::Receiver<u64>,
}

impl LinkSender {
    /// Its number, as in [`ShimMessage::link_number`].
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Sends without waiting. `false` if the link is down or stuck.
    #[must_use]
    pub fn send(&self, message: ToShim) -> bool {
        self.orders.try_send(Box::new(message)).is_ok()
    }

    /// Tells the shim that everything up to this record is in the ledger.
    /// Never fails and never waits: a later one replaces one that was not sent.
    pub fn acknowledge(&self, upto: u64) {
        self.acknowledged.send_if_modified(|latest| {
            let newer = upto > *latest;
            *latest = upto.max(*latest);
            newer
        });
    }
}

impl Link {
    /// The first link of a fresh shim: hello and start order go out at once.
    /// Must be called within the runtime.
    ///
    /// # Errors
    /// The system's answer; `InvalidData` if the order is too large.
    pub fn first(
        task_id: TaskId,
        stream: StdUnixStream,
        order: &ToShim,
    ) -> io::Result<(Self, LinkSender)> {
        let mut bytes = Hello::opening(Role::Supervisor).encode().to_vec();
        bytes.extend(encode(order)?);
        let sent = send_now(&stream, &bytes, &SUP_SHIM_SEND)?.unwrap_or(0);
        bytes.drain(..sent);
        let (mut link, sender) = Self::new(task_id, UnixStream::from_std(stream)?);
        link.unsent = bytes;
        Ok((link, sender))
    }

    /// A link on which the hellos were exchanged.
    pub(super) fn later(
        task_id: TaskId,
        stream: UnixStream,
        reader: FrameReader,
    ) -> (Self, LinkSender) {
        let (mut link, sender) = Self::new(task_id, stream);
        link.reader = Some(reader);
        (link, sender)
    }

    fn new(task_id: TaskId, stream: UnixStream) -> (Self, LinkSender) {
        let number = LINKS.fetch_add(1, Ordering::Relaxed);
        let (order_sender, orders) = mpsc::channel(MAX_ORDERS);
        let (acknowledge_sender, acknowledged) = watch::channel(0);
        let sender = LinkSender {
            number,
            orders: order_sender,
            acknowledged: acknowledge_sender,
        };
        let unsent = Vec::new();
        (
            Self {
                task_id,
                number,
                stream,
                reader: None,
                unsent,
                orders,
                acknowledged,
            },
            sender,
        )
    }

    /// The first message that [`Link::run`] sends.
    pub(super) fn greet(&mut self, message: &ToShim) -> io::Result<()> {
        self.unsent.extend(encode(message)?);
        Ok(())
    }

    /// The connection.
    pub(super) fn stream(&self) -> &UnixStream {
        &self.stream
    }

    /// Serves the link until it ends. What the shim says goes to `inputs`, and
    /// last a [`LinkDown`].
    pub async fn run<T>(self, inputs: mpsc::Sender<T>)
    where
        T: From<ShimMessage> + From<LinkDown>,
    {
        let Self {
            task_id,
            number,
            stream,
            reader,
            unsent,
            mut orders,
            mut acknowledged,
        } = self;
        let listener = Listener {
            task_id: &task_id,
            link_number: number,
            stream: &stream,
            inputs: &inputs,
        };
        let end = tokio::select! {
            end = listener.listen(reader) => end,
            end = talk(&stream, unsent, &mut orders, &mut acknowledged) => end,
        };
        drop(stream);
        let down = LinkDown {
            task_id,
            link_number: number,
            end,
        };
        // Closed only when the supervisor leaves.
        let _ = inputs.send(down.into()).await;
    }
}

/// The reading half.
struct Listener<'a, T> {
    task_id: &'a TaskId,
    link_number: u64,
    stream: &'a UnixStream,
    inputs: &'a mpsc::Sender<T>,
}

impl<T: From<ShimMessage>> Listener<'_, T> {
    async fn listen(&self, reader: Option<FrameReader>) -> LinkEnd {
        match self.hear(reader).await {
            Ok(end) => end,
            Err(OpenError::Wire(WireError::HungUp)) => LinkEnd::Closed,
            Err(error) => LinkEnd::Broken(in_words(&error)),
        }
    }

    async fn hear(&self, reader: Option<FrameReader>) -> Result<LinkEnd, OpenError> {
        let mut reader = match reader {
            Some(reader) => reader,
            None => open_first(self.stream).await?,
        };
        loop {
            let Some(payload) = reader.next_frame()? else {
                reader.fill(self.stream).await?;
                continue;
            };
            let Ok(message) = codec::from_payload::<FromShim>(payload) else {
                // A fact that this version does not know: of no use here, and
                // no reason to lose the others.
                tracing::warn!(task = %self.task_id, "the shim said something that this supervisor does not understand");
                continue;
            };
            let task_id = self.task_id.clone();
            let message = ShimMessage {
                task_id,
                link_number: self.link_number,
                message,
            };
            if self.inputs.send(message.into()).await.is_err() {
                return Ok(LinkEnd::HungUp);
            }
        }
    }
}

/// The shim's hello on the first link.
async fn open_first(stream: &UnixStream) -> Result<FrameReader, OpenError> {
    let (hello, reader) = FrameReader::open(stream, MAX_SHIM_FRAME).await?;
    shim_version(&hello)?;
    Ok(reader)
}

/// The version to speak with a shim that says this.
pub(super) fn shim_version(hello: &Hello) -> Result<u16, BadHello> {
    match hello.role {
        Role::Shim => {}
        Role::Client => return Err(BadHello::Role(1)),
        Role::Supervisor => return Err(BadHello::Role(3)),
    }
    let none = BadHello::NoCommonVersion {
        min: hello.min,
        max: hello.max,
    };
    Hello::answer(hello).chosen.ok_or(none)
}

/// The writing half. Ends only when the sender was dropped: a failure to write
/// shows as an end of what can be read, behind the shim's last words.
async fn talk(
    stream: &UnixStream,
    unsent: Vec<u8>,
    orders: &mut mpsc::Receiver<Box<ToShim>>,
    acknowledged: &mut watch::Receiver<u64>,
) -> LinkEnd {
    let talked = try_to_talk(stream, unsent, orders, acknowledged).await;
    if let Err(error) = talked {
        tracing::debug!(%error, "a shim cannot be told anything any more");
        // The sender still has to be able to hang up.
        while orders.recv().await.is_some() {}
    }
    LinkEnd::HungUp
}

async fn try_to_talk(
    stream: &UnixStream,
    unsent: Vec<u8>,
    orders: &mut mpsc::Receiver<Box<ToShim>>,
    acknowledged: &mut watch::Receiver<u64>,
) -> io::Result<()> {
    send_all(stream, &unsent, &SUP_SHIM_SEND).await?;
    drop(unsent);
    let mut told = 0;
    loop {
        // Both are cancel-safe. An error of `changed` is the sender's end,
        // which `recv` sees as well.
        tokio::select! {
            biased;
            order = orders.recv() => match order {
                Some(order) => send_all(stream, &encode(&order)?, &SUP_SHIM_SEND).await?,
                None => break,
            },
            Ok(()) = acknowledged.changed() => {
                told = *acknowledged.borrow_and_update();
                send_all(stream, &encode(&ToShim::Ack { upto: told })?, &SUP_SHIM_SEND).await?;
            }
        }
    }
    let last = *acknowledged.borrow();
    if last > told {
        // What the socket does not take now will be told on the next link.
        send_now(
            stream,
            &encode(&ToShim::Ack { upto: last })?,
            &SUP_SHIM_SEND,
        )?;
    }
    Ok(())
}

pub(super) fn encode(message: &ToShim) -> io::Result<Vec<u8>> {
    codec::to_frame(message, MAX_SHIM_FRAME)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}
