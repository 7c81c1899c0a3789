//! The agent while it lives, and its end.

use std::io;

use protocol::Exit;
use protocol::shim::{AlarmKind, IntentRecord, Record, SupersededBy, SweepRecord, Target};
use sys::container::{Container, Emptied, join};
use sys::hook::{SHIM_REAP, SHIM_SIGNAL};
use sys::oom::News;
use sys::pages::Pages;
use sys::process;
use sys::spawn::Spawned;

use super::desk::{self, Desk};
use super::pace::{self, Pace};
use crate::agent::{PrivateFolder, Prompt};
use crate::ladder::{Command, Conclusion, Input, Ladder, Tree};
use crate::oom::{Leader, OomWatch};
use crate::output::{MAX_DRAIN, Output, Until};
use crate::poller::{Interest, Source};
use crate::scan::{Finding, Scanner};
use crate::settle::{Manager, OwnResult, settle};
use crate::tree::{self, Dead, Sweep};

/// Bytes that one event reads from a pipe, so that the other sources get their
/// turn.
const BYTES_PER_EVENT: usize = 256 << 10;

/// Output that touches one page of the buffer: it is not worth giving back.
const SMALL_OUTPUT: usize = 4 << 10;

/// The agent and what it takes to end it.
#[derive(Debug)]
pub(super) struct Task {
    /// Until it is taken away.
    pub(super) leader: Option<Spawned>,
    /// Until then as well.
    pub(super) oom: Option<OomWatch>,
    pub(super) outputs: [Output; 2],
    pub(super) prompt: Option<Prompt>,
    /// Until it is removed.
    pub(super) temp: Option<PrivateFolder>,
    /// Where the agent really runs, if not here.
    pub(super) container: Option<Container>,
    pub(super) scanner: Scanner,
    pub(super) ladder: Ladder,
    pub(super) buffer: Pages,
    pub(super) pace: Pace,
    pub(super) term_exit: Vec<i32>,
    pub(super) result: OwnResult,
    pub(super) sweep: Sweep,
    pub(super) state: State,
}

/// Whether the task goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Alive,
    Over,
}

impl Task {
    /// Waits for everything that the agent may do.
    ///
    /// # Errors
    /// The kernel's answer.
    pub(super) fn watch(&mut self, desk: &Desk) -> io::Result<()> {
        for (output, source) in self.outputs.iter().zip([Source::Stdout, Source::Stderr]) {
            if let Some(pipe) = output.pipe() {
                desk.poller.add(source, pipe, Interest::Read)?;
            }
        }
        if let Some(watch) = &mut self.oom
            && watch.news() == News::Told
            && desk
                .poller
                .add(Source::Memory, &*watch, Interest::Change)
                .is_err()
        {
            watch.look_now_and_then(desk.clock.now());
        }
        match &self.prompt {
            Some(prompt) => desk.poller.add(Source::Stdin, prompt, Interest::Write),
            None => Ok(()),
        }
    }

    /// The agent reads its stdin.
    pub(super) fn write_prompt(&mut self) {
        self.prompt = self.prompt.take().and_then(Prompt::write);
    }

    /// When the count of kills for want of memory is to be looked at.
    pub(super) fn memory_deadline(&self) -> Option<u64> {
        self.oom.as_ref().and_then(OomWatch::deadline)
    }

    /// Looks if it is due.
    pub(super) fn tick_memory(&mut self, desk: &mut Desk) {
        if self
            .memory_deadline()
            .is_some_and(|at| desk.clock.now() >= at)
        {
            self.look_at_memory(desk);
        }
    }

    /// Looks whether the kernel killed one of the task for want of memory.
    pub(super) fn look_at_memory(&mut self, desk: &mut Desk) {
        let Some(watch) = &mut self.oom else { return };
        let leader = self.leader.as_ref().map(|leader| leader.process.pid);
        // Nothing is concluded from a failure to look.
        let lives = || match leader.map(process::is_exiting) {
            Some(Ok(false)) => Leader::Lives,
            Some(Ok(true) | Err(_)) | None => Leader::MayDie,
        };
        if let Some(record) = watch.look(sys::clock::now(), desk.clock.now(), lives) {
            desk.record(record);
        }
    }

    /// There is output. Under a flood the pipe is left to fill between two
    /// looks (see [`Pace`]).
    pub(super) fn read_output(&mut self, at: usize, desk: &mut Desk) {
        let mut drained = self.drain(at, BYTES_PER_EVENT, Until::Emptied, desk);
        self.report_findings(desk);
        let looks = self.pace.looks(drained, desk.clock.now());
        for _ in 0..looks {
            if drained >= BYTES_PER_EVENT {
                break;
            }
            pace::let_fill();
            let more = self.drain(at, BYTES_PER_EVENT, Until::Emptied, desk);
            self.report_findings(desk);
            if more == 0 {
                break;
            }
            drained += more;
        }
        self.pace.looked(desk.clock.now());
        if drained > SMALL_OUTPUT {
            self.buffer.release();
        }
    }

    /// A child ended, or may have.
    ///
    /// # Errors
    /// The kernel's answer.
    pub(super) fn bury(&mut self, desk: &mut Desk) -> io::Result<()> {
        let leader = self.leader.as_ref().map(|leader| leader.process.pid);
        match tree::bury(leader)? {
            Dead::Leader(exit) => self.leader_ended(exit, desk),
            Dead::Others(count, tree) => {
                self.sweep.count(count);
                match tree {
                    Tree::Empty => self.act(Input::TreeEmptied, desk),
                    Tree::Populated if count > 0 => self.act(Input::TreeShrank, desk),
                    Tree::Populated => Ok(()),
                }
            }
        }
    }

    /// Lets the ladder decide, and does what it says.
    ///
    /// # Errors
    /// The kernel's answer.
    pub(super) fn act(&mut self, input: Input, desk: &mut Desk) -> io::Result<()> {
        for command in self.ladder.step(input, desk.clock.now()) {
            self.perform(command, desk)?;
        }
        Ok(())
    }

    fn perform(&mut self, command: Command, desk: &mut Desk) -> io::Result<()> {
        let at = sys::clock::now();
        match command {
            Command::RecordIntent { order, joined } => {
                let (intent_id, reason, grace_ms) = (order.intent_id, order.reason, order.grace_ms);
                let intent = IntentRecord {
                    at,
                    intent_id,
                    reason,
                    grace_ms,
                    joined,
                };
                desk.record(Record::Intent(intent));
                desk.send();
            }
            Command::Look => {
                let seen = self.look(desk)?;
                self.act(Input::Looked(seen), desk)?;
            }
            Command::RecordSuperseded { intent_id, by } => {
                desk.record(Record::Superseded { at, intent_id, by });
            }
            Command::SignalGroup { signal, intent_id } => {
                if let Some(leader) = &self.leader {
                    let target = Target::Group;
                    desk.record(Record::Signalled {
                        at,
                        intent_id,
                        signal,
                        target,
                    });
                    tree::signal_group(leader, signal);
                }
            }
            Command::SignalTree { signal, intent_id } => {
                self.begin_sweep();
                let count = tree::count();
                if count > 0 {
                    let target = Target::Tree(count);
                    desk.record(Record::Signalled {
                        at,
                        intent_id,
                        signal,
                        target,
                    });
                    tree::signal_all(signal);
                }
            }
            Command::KillRound => tree::kill_round(),
            Command::Conclude(conclusion) => self.conclude(conclusion, desk),
        }
        Ok(())
    }

    /// The three looks: did it end by itself? What they see is the order of
    /// events from here on.
    fn look(&mut self, desk: &mut Desk) -> io::Result<Option<SupersededBy>> {
        self.read_all(desk);
        let Some(leader) = &self.leader else {
            return Ok(Some(SupersededBy::Exited));
        };
        let printed = (self.result == OwnResult::Seen).then_some(SupersededBy::Result);
        Ok(tree::look(leader)?.or(printed))
    }

    /// The exit is written down before its zombie goes and before it is told.
    fn leader_ended(&mut self, exit: Exit, desk: &mut Desk) -> io::Result<()> {
        self.read_all(desk);
        let exit = self.container.as_ref().map_or(exit, Container::exit);
        let at = sys::clock::now();
        if let Some(record) = self.oom.take().and_then(|watch| watch.at_exit(at)) {
            desk.record(record);
        }
        self.record_exit(exit.clone(), desk);
        if let Some(leader) = self.leader.take() {
            leader.pidfd.reap(&SHIM_REAP)?;
        }
        self.prompt = None;
        if self.ladder.is_sweeping() {
            self.begin_sweep();
        }
        let (mut dead, mut tree) = tree::bury_others()?;
        if tree == Tree::Populated {
            // A signal at the group ends its processes within moments of each other.
            desk.recorder.sync_end();
            let (more, rest) = tree::bury_others()?;
            (dead, tree) = (dead + more, rest);
        }
        self.sweep.count(dead);
        let settle = settle(&exit, &self.term_exit, self.result, Manager::detect());
        self.act(Input::LeaderEnded(settle, tree), desk)
    }

    fn record_exit(&mut self, exit: Exit, desk: &mut Desk) {
        let at = sys::clock::now();
        desk.recorder.record_usage(self.scanner.usage(), at);
        let output_bytes = (self.outputs[0].counts().0, self.outputs[1].counts().0);
        desk.record(Record::Exited {
            at,
            exit,
            output_bytes,
        });
    }

    fn conclude(&mut self, conclusion: Conclusion, desk: &mut Desk) {
        self.read_all(desk);
        if self.leader.is_some() {
            let why = "it could not be ended".to_owned();
            self.record_exit(Exit::Unknown { why }, desk);
        }
        let at = sys::clock::now();
        desk.recorder.record_usage(self.scanner.usage(), at);
        if self.container.is_some() || !desk.link.is_up() {
            // What follows may take long; or nobody listens.
            desk.send();
            desk.recorder.sync_end();
        }
        let (mut empty, mut survivors) = match conclusion {
            Conclusion::Empty => (true, Vec::new()),
            Conclusion::LeftAlone | Conclusion::Unkillable => (false, tree::survivors()),
        };
        if let Some(Emptied::Left {
            why,
            survivors: inside,
        }) = self.empty_container()
        {
            empty = false;
            join(&mut survivors, inside);
            let kind = AlarmKind::Unexpected;
            if let Some(detail) = why {
                desk.record(Record::Alarm { at, kind, detail });
            }
        }
        desk.record(Record::Swept(SweepRecord {
            at,
            empty,
            swept: self.sweep.total(),
            survivors,
            // Behind the container's wall only the marker tells.
            marker_only: self.container.is_some(),
        }));
        let [stdout, stderr] = self.outputs.each_ref().map(Output::counts);
        desk.finish(Record::Finished {
            at,
            output_bytes: (stdout.0, stderr.0),
            gap_bytes: (stdout.1, stderr.1),
        });
        // Before any amount of temporary files.
        desk.recorder.sync_end();
        desk.recorder.trim();
        // Who is left may use it.
        if let (true, Some(temp)) = (empty, self.temp.take()) {
            temp.remove();
        }
        self.state = State::Over;
    }

    /// What became of the task in its container, if it has one.
    fn empty_container(&self) -> Option<Emptied> {
        let container = self.container.as_ref()?;
        Some(if self.ladder.leaves_alone() {
            container.who(&SHIM_SIGNAL)
        } else {
            container.end(&SHIM_SIGNAL)
        })
    }

    /// Reads everything that was written before now.
    fn read_all(&mut self, desk: &mut Desk) {
        for at in 0..self.outputs.len() {
            self.drain(at, MAX_DRAIN, Until::Dry, desk);
        }
        self.scanner.end_of_input();
        self.report_findings(desk);
    }

    /// Reads on in a stream, and says how many bytes there were.
    fn drain(&mut self, at: usize, limit: usize, until: Until, desk: &mut Desk) -> usize {
        let output = &mut self.outputs[at];
        let drained = output.drain(limit, until, &mut self.buffer, &mut self.scanner);
        if let Some(detail) = output.take_failure() {
            let (at, kind) = (sys::clock::now(), AlarmKind::LogWriteFailed);
            desk.record(Record::Alarm { at, kind, detail });
        }
        if drained.bytes > 0 {
            let usage = self.scanner.usage();
            if desk.note_output(self.scanner.take_progress(), usage) == desk::Output::First {
                let at = sys::clock::now();
                desk.record(Record::FirstOutput { at });
            }
        }
        drained.bytes
    }

    fn report_findings(&mut self, desk: &mut Desk) {
        for finding in self.scanner.take_findings() {
            if let Finding::Result { .. } = finding {
                self.result = OwnResult::Seen;
            }
            desk.record_finding(finding);
        }
    }

    fn begin_sweep(&mut self) {
        if self.leader.is_none() {
            self.sweep.begin();
        }
    }
}
