//! Signals of an attached run. Ctrl-C stops the task, a second one forces it,
//! a third one leaves; HUP and TERM only detach.
//!
//! ```text
//! SIGINT ─▶ stop (user) ─SIGINT─▶ stop, no grace ─SIGINT─▶ leave
//! SIGHUP, SIGTERM ─▶ leave: the task goes on
//! ```

use std::fs;
use std::io;
use std::process;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal, raise};
use protocol::control::{Request, Response, StopRequest};
use protocol::{StopReason, TaskId};

use super::hint;
use crate::client::Client;
use crate::errors::CliError;
use crate::render::out;

/// Between two attempts to hand over a stop: its task may not have its row yet.
const RETRY: Duration = Duration::from_millis(20);

/// How long a stop is tried to be handed over, like any reconnect.
const HAND_OVER: Duration = Duration::from_secs(60);

/// What Ctrl-C asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    /// With the task's grace.
    Stop,
    /// Without.
    Force,
}

/// The task that is meant by them; another one may follow it.
#[derive(Clone, Debug)]
pub(super) struct Target(Arc<Mutex<TaskId>>);

impl Target {
    /// From now on it is this one.
    pub(super) fn is(&self, id: &TaskId) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = id.clone();
    }

    fn id(&self) -> TaskId {
        let id = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        id.clone()
    }
}

/// Signals that this process takes by itself from now on.
#[derive(Debug)]
pub(super) struct Signals {
    set: SigSet,
}

impl Signals {
    /// Blocks them in this thread and in those that it will start. Signals
    /// that the caller ignores (`nohup`) stay ignored.
    ///
    /// # Errors
    /// Of the kernel.
    pub(super) fn take() -> Result<Self, CliError> {
        let ignored = ignored_signals(&fs::read_to_string("/proc/self/status").unwrap_or_default());
        let set: SigSet = [Signal::SIGINT, Signal::SIGHUP, Signal::SIGTERM]
            .into_iter()
            .filter(|signal| ignored & bit(*signal) == 0)
            .collect();
        set.thread_block()
            .map_err(|errno| CliError::io("block signals", io::Error::from(errno)))?;
        Ok(Self { set })
    }

    /// Answers them from now on, in threads of their own.
    pub(super) fn watch(self, client: Arc<Client>, id: TaskId) -> Target {
        let (wishes, received) = mpsc::channel();
        let target = Target(Arc::new(Mutex::new(id)));
        let (stopped, left) = (target.clone(), target.clone());
        thread::spawn(move || hand_over(&client, &stopped, &received));
        thread::spawn(move || {
            let mut pressed = 0_u8;
            // An empty set would wait for ever, which is right.
            while let Ok(signal) = self.set.wait() {
                if signal != Signal::SIGINT {
                    leave(signal, &left.id(), &self.set);
                }
                pressed += 1;
                let wish = match pressed {
                    1 => Wish::Stop,
                    2 => Wish::Force,
                    _ => leave(signal, &left.id(), &self.set),
                };
                out::say(match wish {
                    Wish::Stop => "agentctl: stopping the task; Ctrl-C again forces it",
                    Wish::Force => "agentctl: forcing; Ctrl-C again leaves without it",
                });
                // The other thread ends only with the process.
                let _unheard = wishes.send(wish);
            }
        });
        target
    }
}

fn bit(signal: Signal) -> u64 {
    1 << (signal as i32 - 1)
}

/// The `SigIgn` mask of `/proc/self/status`.
fn ignored_signals(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}

/// Ends this process as the signal would have, and the task goes on.
fn leave(signal: Signal, id: &TaskId, set: &SigSet) -> ! {
    out::say(&format!(
        "agentctl: detached; the task goes on: {}",
        hint(id)
    ));
    let killed = set.thread_unblock().and_then(|()| raise(signal));
    // Only where the default action was not to end us.
    process::exit(match killed {
        Ok(()) | Err(_) => 128 + signal as i32,
    })
}

/// Hands every wish to the supervisor, as often as it takes.
fn hand_over(client: &Client, target: &Target, wishes: &Receiver<Wish>) {
    let mut next = wishes.recv().ok();
    while let Some(wish) = next.take() {
        let began = Instant::now();
        while began.elapsed() < HAND_OVER && !is_taken(client, &target.id(), wish) {
            match wishes.recv_timeout(RETRY) {
                Ok(harder) => {
                    next = Some(harder);
                    break;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
        next = next.or_else(|| wishes.recv().ok());
    }
}

fn is_taken(client: &Client, id: &TaskId, wish: Wish) -> bool {
    let request = StopRequest {
        ids: vec![id.to_string()],
        all: false,
        reason: StopReason::User,
        note: Some("Ctrl-C".to_owned()),
        grace_ms: match wish {
            Wish::Stop => None,
            Wish::Force => Some(0),
        },
        force: wish == Wish::Force,
        no_wait: true,
    };
    match client.ask(&Request::Stop(request)) {
        Ok(Response::Stopped { failed, .. } | Response::StoppedFromMemory { failed, .. }) => {
            failed.is_empty()
        }
        Ok(_) | Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nohup_is_respected() {
        // SIGHUP is 1, SIGINT 2, SIGTERM 15.
        let ignored = ignored_signals("Name:\tx\nSigIgn:\t0000000000004001\nSigCgt:\t0\n");
        assert_ne!(ignored & bit(Signal::SIGHUP), 0);
        assert_eq!(ignored & bit(Signal::SIGINT), 0);
        assert_ne!(ignored & bit(Signal::SIGTERM), 0);
        assert_eq!(ignored_signals(""), 0);
    }
}
