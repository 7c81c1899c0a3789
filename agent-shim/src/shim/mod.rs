//! The loop: one thread, one epoll, no work while nothing happens.

mod desk;
mod pace;
mod task;

use std::io;
use std::path::Path;

use protocol::shim::{ProcessId, Record, Start};
use sys::heap::CompactHeap;
use sys::pages::{Pages, release_dead_stack};
use sys::spawn::SpawnError;

use crate::agent::{self, Agent};
use crate::clock::Clock;
use crate::ladder::{Input, Ladder, Policy};
use crate::link::{Identity, Link, News};
use crate::oom::OomWatch;
use crate::opening::Opening;
use crate::output::BUFFER_BYTES;
use crate::poller::{Interest, Poller, Source};
use crate::recorder::Recorder;
use crate::scan::Scanner;
use crate::settle::{OwnResult, unit_of_this_process};
use crate::signals::{Caught, Signals, sender};
use crate::tree;

use desk::Desk;
use pace::Pace;
use task::{State, Task};

/// How long a shim that was told to end waits for its last acknowledgement, in
/// ms: its journal is on the disk, and a shutdown must not wait for it.
const LAST_ACK_MS: u64 = 1_000;

/// Signals at the shim that are recorded; the first one is the reason.
const MAX_SIGNALS_SEEN: u32 = 16;

/// The shim of one task.
#[derive(Debug)]
pub struct Shim {
    desk: Desk,
    signals: Signals,
    task: Option<Task>,
    leaving: Leaving,
    signals_seen: u32,
}

/// When the shim ends after its task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaving {
    /// When the ledger has everything.
    WhenSettled,
    /// Soon after the task: it was told to end.
    Soon,
    /// At this time at the latest.
    By(u64),
    /// At once: nobody wants to hear from it.
    AtOnce,
}

impl Shim {
    /// Starts the agent of the order. The claim is `shim`'s.
    ///
    /// # Errors
    /// The kernel's answer; an agent that was started dies with this process.
    pub fn start(
        opening: Opening,
        signals: Signals,
        shim: ProcessId,
        heap: &CompactHeap,
    ) -> io::Result<Self> {
        let Opening {
            socket,
            decoder,
            mut start,
            user,
        } = opening;
        let clock = Clock::begin();
        let poller = Poller::new()?;
        poller.add(Source::Signals, &signals, Interest::Read)?;
        let identity = Identity {
            task_id: start.task_id.clone(),
            token: start.token,
            shim: shim.clone(),
            task_dir: start.task_dir.clone().into(),
            runtime_dir: start.runtime_dir.clone().into(),
        };
        let mut recorder = Recorder::create(&identity.task_dir);
        recorder.record(Record::Claimed {
            at: sys::clock::now(),
            shim,
        });
        let started = match recorder.creation_error() {
            None => agent::start(&mut start, user.as_ref()),
            Some(error) => Err(error),
        };
        // Not before its agent is there, which is not to inherit it; nor where
        // it starts more, in a container.
        if let Ok(Agent {
            container: None, ..
        }) = &started
        {
            sys::oom::spare_this_process();
        }
        record_start(&started, &mut recorder);
        let link = Link::first(identity, socket, decoder, &poller)?;
        let mut desk = Desk::new(clock, poller, recorder, link);
        // The answer is waited for; what follows is not.
        desk.send();
        // The environment goes before what stays is put in its place.
        heap.trim();
        let task = match started {
            Ok(agent) => Some(running(agent, *start, &desk)?),
            Err(_) => None,
        };
        Ok(Self {
            desk,
            signals,
            task,
            leaving: Leaving::WhenSettled,
            signals_seen: 0,
        })
    }

    /// Works until the task is over and everything about it is told. What the
    /// start took of `heap` is given back first.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn run(mut self, heap: &CompactHeap) -> io::Result<()> {
        let worked = self.work(heap);
        self.desk.recorder.sync_end();
        worked
    }

    fn work(&mut self, heap: &CompactHeap) -> io::Result<()> {
        // What came with the start order.
        let now = self.desk.clock.now();
        let pending = self.desk.link.receive_pending(now);
        self.heed(pending)?;
        // The start went deep and took much; what follows does not.
        heap.trim();
        release_dead_stack();
        while !self.may_leave() {
            let now = self.desk.clock.now();
            let timeout = self.deadline().map(|at| at.saturating_sub(now));
            for source in self.desk.poller.wait(timeout)? {
                self.handle(source)?;
            }
            self.tick()?;
            self.desk.send();
            self.desk.recorder.sync_end();
        }
        Ok(())
    }

    fn handle(&mut self, source: Source) -> io::Result<()> {
        match source {
            Source::Signals => return self.read_signals(),
            Source::Link => {
                let news = self.desk.link.receive(self.desk.clock.now());
                return self.heed(news);
            }
            Source::Stdout | Source::Stderr | Source::Stdin | Source::Memory => {}
        }
        if let Some(task) = &mut self.task {
            match source {
                Source::Stdout => task.read_output(0, &mut self.desk),
                Source::Stderr => task.read_output(1, &mut self.desk),
                Source::Stdin => task.write_prompt(),
                Source::Memory => task.look_at_memory(&mut self.desk),
                Source::Signals | Source::Link => {}
            }
        }
        Ok(())
    }

    fn read_signals(&mut self) -> io::Result<()> {
        while let Some(caught) = self.signals.next()? {
            match caught {
                Caught::Child => self.bury()?,
                Caught::Reconnect => self.desk.link.hurry(self.desk.clock.now()),
                Caught::End { signal, pid, uid } => self.told_to_end(signal, pid, uid)?,
            }
        }
        self.forget_task();
        Ok(())
    }

    fn bury(&mut self) -> io::Result<()> {
        match &mut self.task {
            Some(task) => task.bury(&mut self.desk),
            // What was left alone may still end.
            None => tree::bury(None).map(|_| ()),
        }
    }

    fn told_to_end(&mut self, signal: i32, pid: i32, uid: u32) -> io::Result<()> {
        let Some(task) = &mut self.task else {
            self.leave_soon();
            return Ok(());
        };
        if self.leaving == Leaving::WhenSettled {
            self.leaving = Leaving::Soon;
        }
        if self.signals_seen < MAX_SIGNALS_SEEN {
            self.signals_seen += 1;
            let (at, sender) = (sys::clock::now(), sender(pid, uid));
            if sender.is_service_manager()
                && let Some(unit) = unit_of_this_process()
            {
                self.desk.record(Record::UnitSeen { at, unit });
            }
            self.desk.record(Record::SignalSeen { at, signal, sender });
        }
        task.act(Input::Signalled, &mut self.desk)
    }

    fn heed(&mut self, news: Vec<News>) -> io::Result<()> {
        for one in news {
            self.desk.note(&one);
            let input = match one {
                News::Attached(_) | News::Acknowledged(_) => continue,
                News::Stop(order) => Input::Stop(order),
                News::Ended => {
                    self.leaving = Leaving::AtOnce;
                    Input::Disowned
                }
            };
            if let Some(task) = &mut self.task {
                task.act(input, &mut self.desk)?;
            }
        }
        self.forget_task();
        Ok(())
    }

    fn tick(&mut self) -> io::Result<()> {
        if let Some(task) = &mut self.task
            && task
                .ladder
                .deadline()
                .is_some_and(|at| self.desk.clock.now() >= at)
        {
            task.act(Input::Tick, &mut self.desk)?;
        }
        if let Some(task) = &mut self.task {
            task.tick_memory(&mut self.desk);
        }
        self.forget_task();
        self.desk.tick();
        Ok(())
    }

    /// A task that is over needs no memory.
    fn forget_task(&mut self) {
        if self
            .task
            .as_ref()
            .is_some_and(|task| task.state == State::Over)
        {
            self.task = None;
            if self.leaving == Leaving::Soon {
                self.leave_soon();
            }
        }
    }

    fn leave_soon(&mut self) {
        match self.leaving {
            Leaving::WhenSettled | Leaving::Soon => {
                self.leaving = Leaving::By(self.desk.clock.now() + LAST_ACK_MS);
            }
            Leaving::By(_) | Leaving::AtOnce => {}
        }
    }

    fn may_leave(&self) -> bool {
        if self.task.is_some() {
            return false;
        }
        let settled = || self.desk.is_settled() || self.desk.recorder.is_unlinked();
        match self.leaving {
            Leaving::WhenSettled | Leaving::Soon => settled(),
            Leaving::By(at) => settled() || self.desk.clock.now() >= at,
            Leaving::AtOnce => true,
        }
    }

    fn deadline(&self) -> Option<u64> {
        let ladder = self.task.as_ref().and_then(|task| task.ladder.deadline());
        let memory = self.task.as_ref().and_then(Task::memory_deadline);
        let leaving = match self.leaving {
            Leaving::By(at) => Some(at),
            Leaving::WhenSettled | Leaving::Soon | Leaving::AtOnce => None,
        };
        [ladder, memory, leaving, self.desk.deadline()]
            .into_iter()
            .flatten()
            .min()
    }
}

fn record_start(started: &Result<Agent, SpawnError>, recorder: &mut Recorder) {
    let at = sys::clock::now();
    match started {
        Ok(Agent { leader, .. }) => {
            let (agent, program) = (leader.process.clone(), &leader.program);
            let program = program.to_string_lossy().into_owned();
            recorder.record(Record::Execd { at, agent, program });
        }
        Err(SpawnError { stage, errno, path }) => {
            let (stage, errno, path) = (*stage, *errno, path.clone());
            recorder.record(Record::SpawnFailed {
                at,
                stage,
                errno,
                path,
            });
            let none = (0, 0);
            recorder.record(Record::Finished {
                at,
                output_bytes: none,
                gap_bytes: none,
            });
            recorder.trim();
        }
    }
}

fn running(agent: Agent, start: Start, desk: &Desk) -> io::Result<Task> {
    let Agent {
        leader,
        outputs,
        prompt,
        temp,
        container,
    } = agent;
    let policy = Policy {
        stop_signal: start.stop_signal,
        grace_ms: start.grace_ms,
        leftovers: start.leftovers,
    };
    let task_dir = Path::new(&start.task_dir);
    let at = sys::clock::now();
    let mut task = Task {
        leader: Some(leader),
        oom: OomWatch::begin(&start.task_id, task_dir, at, desk.clock.now()),
        outputs,
        prompt,
        temp: Some(temp),
        container,
        scanner: Scanner::new(&start.scan),
        ladder: Ladder::new(policy),
        buffer: Pages::new(BUFFER_BYTES)?,
        pace: Pace::default(),
        term_exit: start.term_exit,
        result: OwnResult::Missing,
        sweep: tree::Sweep::NotYet,
        state: State::Alive,
    };
    task.watch(desk)?;
    Ok(task)
}
