//! What the supervisor does about signals.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use super::boot_error::BootError;
use super::input::CoreInput;
use super::trial;

/// SIGTERM and SIGINT; SIGHUP is ignored, as a terminal's end is none of ours.
pub(super) struct Signals {
    term: Signal,
    interrupt: Signal,
    hangup: Signal,
    with_stdin: bool,
}

impl Signals {
    /// Listens from now on. The end of stdin counts as well, if `with_stdin`.
    pub(super) fn listen(with_stdin: bool) -> Result<Self, BootError> {
        let listen = |kind| signal(kind).map_err(BootError::system("listen for signals"));
        Ok(Self {
            term: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
            with_stdin,
        })
    }

    /// Tells the loop, for as long as it listens.
    pub(super) async fn forward(mut self, inputs: mpsc::Sender<CoreInput>) {
        if self.with_stdin {
            trial::leave_with_stdin(inputs.clone());
        }
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
