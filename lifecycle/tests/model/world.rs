//! The small world: an agent, its shim, and the supervisor's side of both.

use std::collections::VecDeque;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use lifecycle::{Action, Effects, EventBody, Fact, LinkKind};
use protocol::shim::{Record, SupersededBy};
use protocol::{Exit, StopReason};

use super::moves::Move;
use crate::support::*;

/// The agent's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Agent {
    NotYet,
    Runs,
    /// It called `exit(0)`.
    Exited,
    /// A TERM of the shim ended it.
    Terminated,
    /// A KILL from outside did.
    Killed,
}

/// A record of the model's journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Said {
    Claimed,
    Execd,
    SpawnFailed,
    Result,
    Intent(u64),
    Superseded(u64, SupersededWord),
    Signalled(Option<u64>),
    SignalSeen,
    Exited(Agent),
    Swept,
    Finished,
}

/// [`SupersededBy`], hashable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum SupersededWord {
    Result,
    Zombie,
    Exited,
}

/// What ended the agent: settled once, at the moment at which it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Fate {
    /// The shim's TERM under an intent; or the shim's death behind one.
    Intent,
    /// Its own result or exit.
    Itself,
    /// A signal at the shim.
    ShimSignalled,
    /// A signal at the agent.
    Outside,
    /// The shim's death.
    ShimDied,
    /// It never ran, and the shim said so.
    NotStarted,
    /// It never ran, and no shim ever claimed.
    NeverClaimed,
}

/// Everything.
#[derive(Clone)]
pub(super) struct World {
    /// The supervisor's task and its committed events.
    pub(super) run: Run,
    pub(super) shim_lives: bool,
    pub(super) agent: Agent,
    pub(super) printed: bool,
    pub(super) unread: bool,
    pub(super) journal: Vec<Said>,
    /// Stop orders on their way.
    pub(super) orders: VecDeque<u64>,
    /// An intent is journalled, and its look is still to come.
    pub(super) looking: Option<u64>,
    pub(super) fate: Option<Fate>,
    /// Records that the supervisor has.
    pub(super) heard: usize,
    pub(super) found_dead: bool,
    pub(super) sweeping: bool,
    /// How many people there are, and how many have asked.
    pub(super) people: usize,
    pub(super) asked: usize,
    /// How many restarts are left.
    pub(super) restarts: u8,
}

/// Time stands still: the order of events must be enough.
const NOW: i64 = 1;

impl World {
    pub(super) fn new(people: usize, restarts: u8) -> Self {
        Self {
            run: Run::admitted(with_session(lifecycle::SessionPlan::Chosen(session("s-1")))),
            shim_lives: true,
            agent: Agent::NotYet,
            printed: false,
            unread: false,
            journal: Vec::new(),
            orders: VecDeque::new(),
            looking: None,
            fate: None,
            heard: 0,
            found_dead: false,
            sweeping: false,
            people,
            asked: 0,
            restarts,
        }
    }

    pub(super) const fn alive(&self) -> bool {
        self.shim_lives
    }

    pub(super) fn said(&self, said: Said) -> bool {
        self.journal.contains(&said)
    }

    pub(super) fn reaped(&self) -> bool {
        self.journal
            .iter()
            .any(|said| matches!(said, Said::Exited(_)))
    }

    /// Two worlds with the same one have the same future.
    pub(super) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.shim_lives, self.agent, self.printed, self.unread).hash(&mut hasher);
        (&self.journal, &self.orders, self.looking, self.fate).hash(&mut hasher);
        (self.heard, self.found_dead, self.sweeping).hash(&mut hasher);
        (self.asked, self.restarts).hash(&mut hasher);
        for event in &self.run.events {
            (event.record, event.body.kind()).hash(&mut hasher);
            if let EventBody::StopRequested { reason, .. } = &event.body {
                reason.hash(&mut hasher);
            }
        }
        hasher.finish()
    }

    pub(super) fn take(&mut self, step: Move) {
        match step {
            Move::Stop => self.ask(),
            Move::Claim => self.journal.push(Said::Claimed),
            Move::Exec => {
                self.journal.push(Said::Execd);
                self.agent = Agent::Runs;
            }
            Move::FailToExec => {
                self.journal.push(Said::SpawnFailed);
                self.settle(Fate::NotStarted);
            }
            Move::PrintResult => {
                self.printed = true;
                self.unread = true;
            }
            Move::Exit => self.agent = Agent::Exited,
            Move::KillAgent => self.agent = Agent::Killed,
            Move::KillShim => self.shim_dies(),
            Move::SignalShim => self.shim_is_signalled(),
            Move::ReadResult => {
                self.unread = false;
                self.journal.push(Said::Result);
                self.settle(Fate::Itself);
            }
            Move::TakeOrder => self.take_order(),
            Move::LookAndEnd => self.look(Agent::Terminated),
            Move::LookAndBeTrapped => self.look(Agent::Runs),
            Move::TakeExit => self.take_exit(),
            Move::Sweep => self.journal.push(Said::Swept),
            Move::Leave => {
                self.journal.push(Said::Finished);
                self.shim_lives = false;
            }
            Move::Hear => self.hear(),
            Move::FindShimDead => self.find_shim_dead(),
            Move::HearOfSweep => {
                self.sweeping = false;
                let effects = self.run.fact(NOW, Fact::TreeSwept(sweep(NOW)));
                self.act(effects);
            }
            Move::Restart => self.restart(),
        }
    }

    fn settle(&mut self, fate: Fate) {
        self.fate.get_or_insert(fate);
    }

    /// Each person with a reason of their own.
    fn ask(&mut self) {
        let reason = [StopReason::User, StopReason::RunnerStop][self.asked % 2];
        self.asked += 1;
        let effects = self.run.stop(NOW, reason);
        self.act(effects);
    }

    /// The shell: what the core wants done.
    fn act(&mut self, effects: Effects) {
        for action in effects.actions {
            match action {
                Action::SendStop(order) => {
                    let known = self.said(Said::Intent(order.intent_id))
                        || self.orders.contains(&order.intent_id);
                    if self.shim_lives && !known {
                        self.orders.push_back(order.intent_id);
                    }
                }
                Action::SweepTree { .. } => self.sweeping = true,
                Action::SpawnShim
                | Action::Acknowledge { .. }
                | Action::LookBehindShim { .. }
                | Action::EndWithoutShim
                | Action::Arm { .. }
                | Action::Disarm(_)
                | Action::Settle => {}
            }
        }
    }

    fn take_order(&mut self) {
        let Some(id) = self.orders.pop_front() else {
            return;
        };
        let first = !self
            .journal
            .iter()
            .any(|said| matches!(said, Said::Intent(_)));
        self.journal.push(Said::Intent(id));
        if !first {
            return;
        }
        if self.reaped() {
            self.journal
                .push(Said::Superseded(id, SupersededWord::Exited));
        } else {
            self.looking = Some(id);
        }
    }

    /// R3: the look right before the first signal.
    fn look(&mut self, then: Agent) {
        let Some(id) = self.looking.take() else {
            return;
        };
        let by = if self.said(Said::Result) {
            Some(SupersededWord::Result)
        } else if self.agent == Agent::Runs {
            None
        } else {
            Some(SupersededWord::Zombie)
        };
        if let Some(by) = by {
            self.journal.push(Said::Superseded(id, by));
        } else {
            self.settle(Fate::Intent);
        }
        // What lingers is ended as well.
        if self.agent == Agent::Runs {
            self.journal.push(Said::Signalled(Some(id)));
            self.agent = then;
        }
    }

    fn shim_is_signalled(&mut self) {
        self.settle(Fate::ShimSignalled);
        self.journal.push(Said::SignalSeen);
        self.journal.push(Said::Signalled(None));
        self.agent = Agent::Terminated;
    }

    fn take_exit(&mut self) {
        self.journal.push(Said::Exited(self.agent));
        self.settle(match self.agent {
            Agent::Exited => Fate::Itself,
            Agent::NotYet | Agent::Runs | Agent::Terminated | Agent::Killed => Fate::Outside,
        });
    }

    fn shim_dies(&mut self) {
        self.shim_lives = false;
        let intended = self
            .journal
            .iter()
            .any(|said| matches!(said, Said::Intent(_)));
        let superseded = self
            .journal
            .iter()
            .any(|said| matches!(said, Said::Superseded(..)));
        self.settle(if self.journal.is_empty() {
            Fate::NeverClaimed
        } else if intended && !superseded {
            Fate::Intent
        } else {
            Fate::ShimDied
        });
    }

    fn hear(&mut self) {
        let number = u64::try_from(self.heard).expect("a short journal") + 1;
        let record = record_of(self.journal[self.heard]);
        self.heard += 1;
        let effects = self.run.fact(NOW, Fact::Record { number, record });
        self.act(effects);
    }

    fn find_shim_dead(&mut self) {
        self.found_dead = true;
        while self.heard < self.journal.len() {
            self.hear();
        }
        let fact = if self.journal.is_empty() {
            Fact::NeverStarted {
                detail: "the claim was free".to_string(),
            }
        } else {
            Fact::ShimGone
        };
        let effects = self.run.fact(NOW, fact);
        self.act(effects);
    }

    /// A new supervisor: only the events are left of the old one.
    fn restart(&mut self) {
        self.restarts -= 1;
        self.sweeping = false;
        self.found_dead = false;
        let effects = self.run.restart(NOW);
        self.act(effects);
        for number in 1..=self.heard {
            let record = record_of(self.journal[number - 1]);
            let number = u64::try_from(number).expect("a short journal");
            let again = self.run.fact(NOW, Fact::Record { number, record });
            assert_eq!(again.events, [], "a repeated record is no news");
        }
        if self.shim_lives {
            self.run.presence = attached();
            let effects = self.run.fact(NOW, Fact::LinkUp(LinkKind::Adopted(shim())));
            self.act(effects);
        }
    }
}

pub(super) const fn exit_of(agent: Agent) -> Exit {
    match agent {
        Agent::NotYet | Agent::Runs | Agent::Exited => code(0),
        Agent::Terminated => signal(TERM),
        Agent::Killed => signal(KILL),
    }
}

fn record_of(said: Said) -> Record {
    match said {
        Said::Claimed => claimed(NOW),
        Said::Execd => execd(NOW),
        Said::SpawnFailed => spawn_failed(NOW),
        Said::Result => result(NOW, true),
        Said::Intent(id) => intent(NOW, id),
        Said::Superseded(id, by) => {
            let by = match by {
                SupersededWord::Result => SupersededBy::Result,
                SupersededWord::Zombie => SupersededBy::Zombie,
                SupersededWord::Exited => SupersededBy::Exited,
            };
            superseded(NOW, id, by)
        }
        Said::Signalled(id) => signalled_record(at(NOW), id, TERM),
        Said::SignalSeen => signal_seen(NOW),
        Said::Exited(agent) => exited(NOW, exit_of(agent)),
        Said::Swept => swept(NOW),
        Said::Finished => finished(NOW),
    }
}
