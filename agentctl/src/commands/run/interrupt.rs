//! Signals of an attached run. Ctrl-C stops the task, a second one forces it,
//! a third one leaves; HUP and TERM only detach.
//!
//! ```text
//! SIGINT ─▶ stop (user) ─SIGINT─▶ stop, no grace ─SIGINT─▶ leave
//! SIGHUP, SIGTERM ─▶ leave: nothing changes for the task
//! ```
//!
//! A trial is nobody's task any more when its caller leaves: there all three stop.

use std::fs;
use std::io;
use std::process;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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

/// What becomes of the task without its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// It goes on.
    Alone,
    /// Its supervisor ends it, and leaves.
    Ended,
}

/// The task that is meant by them; another one may follow it.
#[derive(Clone, Debug)]
pub(super) struct Target(Arc<Mutex<Aim>>);

/// What is known of it here.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Aim {
    /// The dispatch was not answered yet.
    Asked(TaskId),
    /// The supervisor has it.
    Taken(TaskId),
    /// The supervisor has a stop of it.
    Stopping(TaskId),
}

impl Target {
    /// The supervisor has this one, which is meant from now on.
    pub(super) fn is(&self, id: &TaskId) {
        let mut aim = self.aim();
        let stopping = Aim::Stopping(id.clone());
        if *aim != stopping {
            *aim = Aim::Taken(id.clone());
        }
    }

    fn is_stopping(&self, id: &TaskId) {
        *self.aim() = Aim::Stopping(id.clone());
    }

    fn aim(&self) -> MutexGuard<'_, Aim> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Aim {
    const fn id(&self) -> &TaskId {
        match self {
            Self::Asked(id) | Self::Taken(id) | Self::Stopping(id) => id,
        }
    }

    /// What becomes of it when we leave.
    fn left(&self) -> String {
        match self {
            Self::Asked(id) => format!(
                "left before the supervisor had answered: `agentctl show {id}` says whether the \
                 task began; `agentctl run --id {id} …` never starts a second one"
            ),
            Self::Taken(id) => format!("detached; the task goes on: {}", hint(id)),
            Self::Stopping(id) => {
                format!("left while the task is being stopped: {}", hint(id))
            }
        }
    }
}

/// Signals that this process takes by itself from now on.
#[derive(Debug)]
pub(in crate::commands) struct Signals {
    set: SigSet,
}

impl Signals {
    /// Blocks them in this thread and in those that it will start. Signals
    /// that the caller ignores (`nohup`) stay ignored.
    ///
    /// # Errors
    /// Of the kernel.
    pub(in crate::commands) fn take() -> Result<Self, CliError> {
        let ignored = ignored_signals(&fs::read_to_string("/proc/self/status").unwrap_or_default());
        let set: SigSet = [Signal::SIGINT, Signal::SIGHUP, Signal::SIGTERM]
            .into_iter()
            .filter(|signal| ignored & bit(*signal) == 0)
            .collect();
        set.thread_block()
            .map_err(|errno| CliError::io("block signals", io::Error::from(errno)))?;
        Ok(Self { set })
    }

    /// Answers them from now on, in a thread of their own.
    pub(super) fn watch(self, client: Arc<Client>, id: TaskId, left: Left) -> Target {
        let target = Target(Arc::new(Mutex::new(Aim::Asked(id))));
        let (stopped, meant) = (target.clone(), target.clone());
        thread::spawn(move || {
            let mut hand_over = HandOver::NotYet(client, stopped);
            let mut pressed = 0_u8;
            // An empty set would wait for ever, which is right.
            while let Ok(signal) = self.set.wait() {
                let words = match left {
                    Left::Alone => meant.aim().left(),
                    Left::Ended => "left; what was tried is being ended and removed".to_owned(),
                };
                if signal != Signal::SIGINT && left == Left::Alone {
                    leave(signal, &words, &self.set);
                }
                pressed += 1;
                let wish = match pressed {
                    1 => Wish::Stop,
                    2 => Wish::Force,
                    _ => leave(signal, &words, &self.set),
                };
                out::say(match wish {
                    Wish::Stop => "agentctl: stopping the task; Ctrl-C again forces it",
                    Wish::Force => "agentctl: forcing; Ctrl-C again leaves without it",
                });
                hand_over = hand_over.with(wish);
            }
        });
        target
    }
}

/// Who hands the wishes over: another thread, from the first one on.
enum HandOver {
    NotYet(Arc<Client>, Target),
    Begun(Sender<Wish>),
}

impl HandOver {
    fn with(self, wish: Wish) -> Self {
        let wishes = match self {
            Self::NotYet(client, target) => {
                let (wishes, received) = mpsc::channel();
                thread::spawn(move || hand_over(&client, &target, &received));
                wishes
            }
            Self::Begun(wishes) => wishes,
        };
        // The other thread ends only with the process.
        let _unheard = wishes.send(wish);
        Self::Begun(wishes)
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

/// Ends this process as the signal would have; `words` say what that means for the
/// task.
fn leave(signal: Signal, words: &str, set: &SigSet) -> ! {
    out::say(&format!("agentctl: {words}"));
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
        loop {
            let id = target.aim().id().clone();
            if is_taken(client, &id, wish) {
                target.is_stopping(&id);
                break;
            }
            if began.elapsed() >= HAND_OVER {
                out::say(&format!(
                    "agentctl: the supervisor did not take the stop; `agentctl stop-session {id}` tries again"
                ));
                break;
            }
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
    fn what_is_left_behind_is_told_as_it_is() {
        let id = TaskId::new("t").expect("a valid id");
        let target = Target(Arc::new(Mutex::new(Aim::Asked(id.clone()))));
        assert!(
            target
                .aim()
                .left()
                .contains("before the supervisor had answered")
        );
        target.is(&id);
        assert_eq!(
            target.aim().left(),
            "detached; the task goes on: agentctl wait t"
        );
        target.is_stopping(&id);
        // The answer to the dispatch may come later than that to the stop.
        target.is(&id);
        assert!(target.aim().left().contains("is being stopped"));
    }

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
