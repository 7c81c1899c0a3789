//! The way from whoever answers a request to the connection that asked.
//!
//! An answer is one [`Response`] or several; it ends when the last
//! [`ReplySender`] is dropped.

use protocol::control::Response;
use tokio::sync::mpsc;

/// Responses that wait for a connection. More would only be memory: whoever
/// sends many (logs, events) waits for room, and everyone else sends one.
pub const REPLY_QUEUE: usize = 16;

/// The client has hung up, or was too slow and was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client has hung up")]
pub struct HungUp;

/// Where the answer to one request goes.
#[derive(Clone, Debug)]
pub struct ReplySender(mpsc::Sender<Response>);

impl ReplySender {
    /// Sends without waiting. `false` if the client has hung up or has more
    /// than [`REPLY_QUEUE`] responses to read; neither is the sender's concern.
    pub fn send(&self, response: Response) -> bool {
        self.0.try_send(response).is_ok()
    }

    /// Sends, and waits while the client is slow. Cancel-safe: the response is
    /// sent or dropped.
    ///
    /// # Errors
    /// [`HungUp`] when nobody will read it.
    pub async fn send_when_ready(&self, response: Response) -> Result<(), HungUp> {
        self.0.send(response).await.map_err(|_| HungUp)
    }

    /// Nobody will read an answer any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// The same, for somebody who may have to answer in another's place.
    #[must_use]
    pub fn weak(&self) -> WeakReply {
        WeakReply(self.0.downgrade())
    }

    /// Waits until nobody will read an answer any more. Cancel-safe.
    pub async fn closed(&self) {
        self.0.closed().await;
    }
}

/// A way to answer that keeps no connection waiting for more.
#[derive(Clone, Debug)]
pub struct WeakReply(mpsc::WeakSender<Response>);

impl WeakReply {
    /// The sender, if the answer has not ended.
    #[must_use]
    pub fn upgrade(&self) -> Option<ReplySender> {
        self.0.upgrade().map(ReplySender)
    }
}

/// A sender for one answer, and what the connection reads it from.
#[must_use]
pub fn channel() -> (ReplySender, mpsc::Receiver<Response>) {
    let (sender, receiver) = mpsc::channel(REPLY_QUEUE);
    (ReplySender(sender), receiver)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_never_waits_and_sees_the_hang_up() {
        let (reply, answers) = channel();
        for next_seq in 0..REPLY_QUEUE as u64 {
            assert!(reply.send(Response::EventsEnd { next_seq }));
        }
        assert!(
            !reply.send(Response::EventsEnd { next_seq: 0 }),
            "the queue is bounded"
        );
        assert!(!reply.is_closed());
        drop(answers);
        assert!(reply.is_closed());
    }
}
