//! What the supervisor does about signals.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use super::boot::BootError;
use super::input::CoreInput;

/// SIGTERM and SIGINT; SIGHUP is ignored, as a terminal's end is none of ours.
pub(super) struct Signals {
    term: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// Listens from now on.
    pub(super) fn listen() -> Result<Self, BootError> {
        let listen = |kind| signal(kind).map_err(BootError::system("listen for signals"));
        Ok(Self {
            term: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    /// Tells the loop, for as long as it listens.
    pub(super) async fn forward(mut self, inputs: mpsc::Sender<CoreInput>) {
        loop {
            // All are cancel-safe.
            tokio::select! {
                Some(()) = self.term.recv() => {}
                Some(()) = self.interrupt.recv() => {}
                Some(()) = self.hangup.recv() => {
                    tracing::info!("SIGHUP ignored");
                    continue;
                }
                else => return,
            }
            if inputs.send(CoreInput::Leave).await.is_err() {
                return;
            }
        }
    }
}
