//! Actions, once their events are durable.

use std::time::{Duration, Instant};

use lifecycle::{Action, Fact, Input, Timer};
use protocol::shim::{ProcessId, SpawnStage, SweepRecord, ToShim};
use protocol::{TaskId, Timestamp};

use super::cgroups::{self, Placing};
use super::claims::{self, Claiming};
use super::clock;
use super::container;
use super::core_loop::Core;
use super::input::{CoreInput, Swept};
use super::live::ShimEnd;
use super::run_as;
use crate::process::marker_sweep::{self, SweepOrder};
use crate::process::watchdog;
use crate::shim::{Kinship, SpawnedShim};
use sys::claim::ClaimError;
use sys::container::Container;
use sys::process;
use sys::spawn::SpawnError;

/// A limit beyond this is none: instants end somewhere.
const MAX_WAIT: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

/// Nothing is claimed.
fn panicked(id: &TaskId, error: &tokio::task::JoinError) -> Swept {
    tracing::error!(task = %id, %error, "the sweep panicked");
    Swept {
        sweep: marker_sweep::unproven(clock::now()),
        unproven: None,
        exit: None,
    }
}

impl Core {
    /// Does one action of `id`. What cannot be done comes back as a fact.
    pub(super) fn perform(&mut self, id: &TaskId, action: Action) {
        match action {
            Action::SpawnShim => self.spawn_shim(id),
            Action::SendStop(order) => {
                tracing::info!(task = %id, intent = order.intent_id, reason = %order.reason, "stop sent to the shim");
                self.send(id, ToShim::Stop(order));
            }
            Action::Acknowledge { upto } => self.acknowledge(id, upto),
            Action::SweepTree { grace_ms } => self.sweep(id, grace_ms),
            Action::LookBehindShim { known_records } => self.look_behind_shim(id, known_records),
            Action::EndWithoutShim => self.end_without_shim(id),
            Action::Arm { timer, due } => self.arm(id, timer, due),
            Action::Disarm(timer) => self.timers.disarm(id, timer),
            // Done by the retirement, behind the answers.
            Action::Settle => {}
        }
    }

    /// What the shim has a time for begins now, and not before the commit.
    fn arm(&mut self, id: &TaskId, timer: Timer, due: Timestamp) {
        let at_least_ms = match timer {
            Timer::Answer => Some(lifecycle::ANSWER_MS),
            Timer::Start => self.start_limit(id),
            Timer::Timeout | Timer::Idle => None,
        };
        // What a commit carries that lands late may be overtaken by a newer word.
        let newest = self.tasks.get(id).and_then(|live| live.answer_due);
        let due = match timer {
            Timer::Answer => newest.unwrap_or(due),
            Timer::Start | Timer::Timeout | Timer::Idle => due,
        };
        let wait_ms = due.since_ms(clock::now()).max(at_least_ms.unwrap_or(0));
        let wait = Duration::from_millis(wait_ms);
        // One that was armed for something sooner must not stay.
        if wait < MAX_WAIT {
            self.timers.arm(id, timer, Instant::now() + wait);
        } else {
            self.timers.disarm(id, timer);
        }
    }

    fn start_limit(&self, id: &TaskId) -> Option<u64> {
        self.tasks.get(id)?.task.spec.limits.start_timeout_ms
    }

    /// A shim that was heard under a stop is not called silent because its word is
    /// not recorded yet.
    pub(super) fn note_heard(&mut self, id: &TaskId, actions: &[Action]) {
        for action in actions {
            let Action::Arm {
                timer: timer @ Timer::Answer,
                due,
            } = action
            else {
                continue;
            };
            if let Some(live) = self.tasks.get_mut(id) {
                live.answer_due = Some(*due);
            }
            if self.timers.is_armed(id, *timer) {
                self.arm(id, *timer, *due);
            }
        }
    }

    /// A message that cannot be sent is not lost: a link that takes no more is
    /// given up, and the core says it again when the shim is back.
    fn send(&mut self, id: &TaskId, message: ToShim) {
        let Some(live) = self.tasks.get_mut(id) else {
            return;
        };
        if let Some(link) = &live.link
            && !link.send(message)
        {
            tracing::warn!(task = %id, "the shim's link is stuck or gone; it will be told when it is back");
            live.link = None;
            live.presence.attached = false;
        }
    }

    fn acknowledge(&mut self, id: &TaskId, upto: u64) {
        let Some(live) = self.tasks.get_mut(id) else {
            return;
        };
        live.durable = live.durable.max(upto);
        if let Some(link) = &live.link {
            link.acknowledge(upto);
        }
    }

    fn spawn_shim(&mut self, id: &TaskId) {
        let Some(start) = self.tasks.get_mut(id).and_then(|live| live.start.take()) else {
            return;
        };
        let limit = self.memory_limit(id);
        match self.service.shim_program.spawn(id) {
            // Before its order: what it starts is born there.
            Ok(shim) => match cgroups::place(&self.service, id, shim.pid, limit) {
                Ok(Placing::Done) => self.attend(id, shim, &start),
                Ok(Placing::Asked(request)) => self.have_placed(id, shim, start, request),
                Err(error) => self.withhold_order(id, shim, &error),
            },
            Err(error) => {
                tracing::warn!(task = %id, %error, "the shim could not be spawned");
                let path = self.service.shim_program.path();
                let why = SpawnError::from_io(SpawnStage::Shim, &error, path);
                if let Some(live) = self.tasks.get_mut(id) {
                    live.shim_end = ShimEnd::Seen;
                }
                self.cannot_start(id, why);
            }
        }
    }

    /// The supervisor itself saw why the agent cannot be started, which is no loss.
    fn cannot_start(&mut self, id: &TaskId, why: SpawnError) {
        let detail = why.to_string();
        if let Some(live) = self.tasks.get_mut(id) {
            live.start_failed = Some(why);
        }
        self.claim_against_shims(id, detail);
    }

    fn memory_limit(&self, id: &TaskId) -> Option<u64> {
        self.tasks.get(id)?.task.spec.limits.memory_bytes
    }

    /// A task with a limit that cannot be kept is not started. A shim without an
    /// order ends by itself.
    pub(super) fn withhold_order(
        &mut self,
        id: &TaskId,
        shim: SpawnedShim,
        error: &std::io::Error,
    ) {
        tracing::warn!(task = %id, %error, "its memory cannot be limited");
        self.watch_shim(id.clone(), shim.pidfd, Kinship::Child);
        let errno = error.raw_os_error();
        // Where the kernel was not asked, the words are all that there is.
        let words = errno.map_or_else(|| error.to_string(), |_| String::new());
        let why = SpawnError::new(SpawnStage::Memory, errno.unwrap_or(0), words);
        self.cannot_start(id, why);
    }

    /// The shim is dead: what is in the task's cgroup and what carries its marker
    /// is ended, in a thread of its own (it reads all of /proc).
    fn sweep(&mut self, id: &TaskId, grace_ms: u64) {
        let Some(live) = self.tasks.get(id) else {
            return;
        };
        let order = SweepOrder {
            task: id.clone(),
            nonce: live.secret.nonce.clone(),
            shim: live.task.shim.clone(),
            uid: run_as::uid_of(live.task.spec.run_as.as_ref()),
            grace_ms,
            proven: live.proven(),
        };
        let agent = live.agent_fd.clone().zip(live.task.agent().cloned());
        let container = container::of(&self.service, id);
        let group = cgroups::of(&self.service, id);
        let inputs = self.inputs.clone();
        let id = id.clone();
        self.jobs.spawn(async move {
            let work = move || {
                let by_group = group.map(|group| group.end());
                let order = cgroups::with_proof(order, by_group);
                let sweep = marker_sweep::run(&order);
                let (sweep, unproven) = container::swept(sweep, container.as_ref());
                let exit = agent.and_then(|(agent, process)| watchdog::told_exit(&agent, &process));
                Swept {
                    sweep,
                    unproven,
                    exit,
                }
            };
            let swept = tokio::task::spawn_blocking(work).await;
            let swept = swept.unwrap_or_else(|error| panicked(&id, &error));
            // Closed only when the supervisor leaves; the next one sweeps again.
            let _ = inputs.send(CoreInput::Swept(id, swept)).await;
        });
    }

    /// Ends what is left of a task in its container after another boot: one of
    /// another machine, or beside the one that we live in ourselves, goes on.
    pub(super) fn empty_container(&mut self, id: &TaskId, container: Container, detail: String) {
        let (inputs, id) = (self.inputs.clone(), id.clone());
        self.jobs.spawn(async move {
            let work = move || {
                let nothing = SweepRecord {
                    empty: true,
                    ..marker_sweep::unproven(clock::now())
                };
                let (sweep, unproven) = container::swept(nothing, Some(&container));
                Swept {
                    sweep,
                    unproven,
                    exit: None,
                }
            };
            let swept = tokio::task::spawn_blocking(work).await;
            let swept = swept.unwrap_or_else(|error| panicked(&id, &error));
            // Closed only when the supervisor leaves; the next one does it again.
            let _ = inputs.send(CoreInput::Rebooted(id, swept, detail)).await;
        });
    }

    /// What a dead shim left was looked for.
    pub(super) fn swept(&mut self, id: &TaskId, swept: Swept) {
        if let Some(exit) = swept.exit {
            self.step(id, Input::Fact(Fact::ExitLearned(exit)));
        }
        if let Some(detail) = swept.unproven {
            tracing::warn!(task = %id, detail, "the end of a task's processes is not proven");
            self.step(id, Input::Fact(Fact::TreeUnproven { detail }));
        }
        self.step(id, Input::Fact(Fact::TreeSwept(swept.sweep)));
    }

    /// Makes the claim of a task of which no shim is known to have it, so that
    /// none can ever start its agent (R1).
    pub(super) fn claim_against_shims(&mut self, id: &TaskId, detail: String) {
        let Some(live) = self.tasks.get(id) else {
            return;
        };
        let never = Input::Fact(match live.start_failed.clone() {
            Some(SpawnError { stage, errno, path }) => Fact::StartFailed { stage, errno, path },
            None => Fact::NeverStarted { detail },
        });
        match (claims::make(&self.service, id), live.shim_end) {
            (Ok(Claiming::Won), _) => self.step(id, never),
            (Ok(Claiming::Lost(shim)), _) => self.lost_to(id, &shim),
            (Err(error), ShimEnd::Seen) => self.conclude_without_claim(id, &error, never),
            (Err(error), ShimEnd::Unwatched | ShimEnd::Watched) => {
                tracing::error!(task = %id, %error, "the claim could not be made; the task stays as it is for now");
                self.look_later(id);
            }
        }
    }

    /// A shim was faster: it lives or not.
    fn lost_to(&mut self, id: &TaskId, shim: &ProcessId) {
        match process::same_process(shim) {
            Ok(None) => self.step(id, Input::Fact(Fact::ShimGone)),
            Ok(Some(_)) | Err(_) => self.look_for_shim(id, shim),
        }
    }

    /// The claim cannot be made, and no shim is left that could make it: what
    /// counts is whether one has.
    fn conclude_without_claim(&mut self, id: &TaskId, error: &ClaimError, never: Input) {
        let live = self.tasks.get(id);
        let start_failed = live.is_some_and(|live| live.start_failed.is_some());
        match claims::read(&self.service, id) {
            // Whoever has no descriptor left for a shim has none for a claim: no
            // process was made that could have one.
            Err(ClaimError::Io { .. }) if start_failed => {
                tracing::warn!(task = %id, %error, "the claim could not be made, and there never was a shim");
                self.step(id, never);
            }
            Ok(None) => {
                tracing::warn!(task = %id, %error, "the claim could not be made, and nobody is left who could");
                self.step(id, never);
            }
            // A file that says nothing counts as taken.
            Ok(Some(_)) | Err(ClaimError::Damaged(_) | ClaimError::Version { .. }) => {
                self.step(id, Input::Fact(Fact::ShimGone));
            }
            Err(ClaimError::Io { .. }) => {
                tracing::error!(task = %id, %error, "the claim can be neither made nor read; the task stays as it is for now");
                self.look_later(id);
            }
        }
    }
}
