//! A client's stream: writes pass a hook point, and give up on a peer that reads
//! nothing (R12).

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use sys::hook::SUP_HTTP_SEND;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, Sleep};

/// How long a peer may read nothing while its socket is full.
const WRITE_PATIENCE: Duration = Duration::from_secs(10);

/// A stream with patience.
#[derive(Debug)]
pub(super) struct Patient<S> {
    stream: S,
    stuck: Option<Pin<Box<Sleep>>>,
}

impl<S> Patient<S> {
    pub(super) const fn new(stream: S) -> Self {
        Self {
            stream,
            stuck: None,
        }
    }

    fn judge<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stuck = None;
            return written;
        }
        let until = || Box::pin(tokio::time::sleep_until(Instant::now() + WRITE_PATIENCE));
        match self.stuck.get_or_insert_with(until).as_mut().poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => Poll::Ready(Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the client reads nothing",
            ))),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Patient<S> {
    /// Says this and that it was all, and hears the client out: one whose words were not
    /// read might see a broken connection in place of the answer.
    pub(super) async fn say(mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes).await?;
        self.shutdown().await?;
        tokio::io::copy(&mut self, &mut tokio::io::sink()).await?;
        Ok(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = SUP_HTTP_SEND.run(|| Pin::new(&mut self.stream).poll_write(cx, bytes));
        self.judge(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.judge(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_reads_nothing_is_given_up() {
        let (ours, _theirs) = tokio::io::duplex(8);
        let mut patient = Patient::new(ours);
        let written = patient.write_all(&[0; 64]).await;
        assert_eq!(
            written.expect_err("nobody reads").kind(),
            io::ErrorKind::TimedOut
        );
    }
}
