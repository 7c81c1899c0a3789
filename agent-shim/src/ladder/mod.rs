//! The stop ladder: what is done to an agent and its tree, and when. Pure: it
//! is told what happened and the time, and answers with commands, in order.
//!
//! ```text
//! Running ──stop──▶ Looking ──▶ Grace ──leader ended, or over──▶ Term ──500 ms──▶ Kill ──30 s──▶ Over
//!    │                                                            ▲  └─ tree empty ─┴─ empty ─────▲
//!    └──leader ended──▶ Settling ──20 ms──▶ left over? ── yes ────┘                               │
//!                                              └── no, or only to be named ───────────────────────┘
//! ```
//!
//! * `Looking`: a stop is journalled; the driver looks whether the agent ended
//!   by itself, and what it saw then decides the cause.
//! * `Grace`: the agent's group was signalled (unless it was already ending).
//! * `Settling`: an end that looks like somebody else's work waits a moment for
//!   the signal that would explain it.
//! * `Term`, `Kill`: what is left of the tree.

mod words;

use protocol::shim::{Leftovers, StopOrder, SupersededBy};

pub use words::{Command, Conclusion, Input, Policy, Settle, Tree};

/// Time between TERM and KILL for what outlives its leader or its grace, in ms.
pub const TREE_TERM_MS: u64 = 500;
/// How long KILL is repeated until the rest is named as survivors, in ms. Only
/// a process that hangs in the kernel, or of another user, takes that long.
pub const KILL_FOR_MS: u64 = 30_000;
/// How long an end waits for a signal that explains it, in ms: a service
/// manager signals all processes of a unit within 3 ms.
pub const SETTLE_MS: u64 = 20;
/// Most grace of a stop that began with a signal at the shim, in ms: it must
/// not delay a shutdown.
pub const OWN_GRACE_MS: u64 = 5_000;
/// Stops that are recorded; later ones still shorten the grace.
pub const MAX_INTENTS: usize = 256;

/// First and longest time between two rounds of KILL, in ms. Most rounds begin
/// earlier, with the end of a child.
const ROUND_MS: (u64, u64) = (2, 50);

const SIGTERM: i32 = 15;
const SIGKILL: i32 = 9;

/// Where the task is on its way to the end. Times are milliseconds on the
/// driver's own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    Looking { intent_id: u64, grace_ms: u64 },
    Grace { until: u64 },
    Settling { until: u64 },
    Term { until: u64 },
    Kill { until: u64, next: u64, pace: u64 },
    Over,
}

/// Why the agent is ended, decided once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// Nobody ends it.
    None,
    /// This intent came before the first signal.
    Intent(u64),
    /// Somebody wanted it to end, but it ended by itself.
    Superseded,
    /// A signal at the shim, or the word of the ledger.
    Undeclared,
}

/// The ladder of one task.
#[derive(Debug)]
pub struct Ladder {
    policy: Policy,
    phase: Phase,
    cause: Cause,
    leader: Leader,
    tree: Tree,
    intents: Vec<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leader {
    Alive,
    Ended,
}

impl Ladder {
    /// The ladder of an agent that was just started.
    #[must_use]
    pub const fn new(policy: Policy) -> Self {
        Self {
            policy,
            phase: Phase::Running,
            cause: Cause::None,
            leader: Leader::Alive,
            tree: Tree::Populated,
            intents: Vec::new(),
        }
    }

    /// When [`Input::Tick`] is due; `None` while there is nothing to wait for.
    #[must_use]
    pub const fn deadline(&self) -> Option<u64> {
        match self.phase {
            Phase::Running | Phase::Looking { .. } | Phase::Over => None,
            Phase::Grace { until } | Phase::Settling { until } | Phase::Term { until } => {
                Some(until)
            }
            Phase::Kill { until, next, .. } => Some(if next < until { next } else { until }),
        }
    }

    /// A signal was sent under a cause, so that the end needs no explanation.
    #[must_use]
    pub const fn end_is_explained(&self) -> bool {
        match self.cause {
            Cause::Intent(_) | Cause::Undeclared => true,
            Cause::None | Cause::Superseded => false,
        }
    }

    /// What is left of the tree is being signalled.
    #[must_use]
    pub const fn is_sweeping(&self) -> bool {
        matches!(self.phase, Phase::Term { .. } | Phase::Kill { .. })
    }

    /// Nobody ends the agent, and what outlives it is only named.
    #[must_use]
    pub fn leaves_alone(&self) -> bool {
        self.policy.leftovers == Leftovers::Report && self.cause == Cause::None
    }

    /// Takes one input at `now` and says what to do.
    #[must_use]
    pub fn step(&mut self, input: Input, now: u64) -> Vec<Command> {
        match input {
            Input::Stop(order) => self.stop(order, now),
            Input::Looked(seen) => self.looked(seen, now),
            Input::Signalled | Input::Disowned => self.end_undeclared(now),
            Input::LeaderEnded(settle, tree) => self.leader_ended(settle, tree, now),
            Input::TreeShrank => match self.phase {
                Phase::Kill { .. } => vec![Command::KillRound],
                Phase::Running
                | Phase::Looking { .. }
                | Phase::Grace { .. }
                | Phase::Settling { .. }
                | Phase::Term { .. }
                | Phase::Over => vec![],
            },
            Input::TreeEmptied => self.tree_emptied(),
            Input::Tick => self.tick(now),
        }
    }

    fn stop(&mut self, order: StopOrder, now: u64) -> Vec<Command> {
        if self.phase == Phase::Over || self.intents.contains(&order.intent_id) {
            return vec![];
        }
        let (intent_id, grace_ms) = (order.intent_id, order.grace_ms);
        let mut commands = vec![];
        let joined = !self.intents.is_empty();
        if self.intents.len() < MAX_INTENTS {
            self.intents.push(intent_id);
            commands.push(Command::RecordIntent { order, joined });
        }
        match self.phase {
            Phase::Running => {
                self.phase = Phase::Looking {
                    intent_id,
                    grace_ms,
                };
                commands.push(Command::Look);
            }
            Phase::Looking {
                intent_id,
                grace_ms: earlier,
            } => {
                self.phase = Phase::Looking {
                    intent_id,
                    grace_ms: earlier.min(grace_ms),
                };
            }
            Phase::Grace { until } => {
                self.phase = Phase::Grace {
                    until: until.min(now.saturating_add(grace_ms)),
                };
                if grace_ms == 0 {
                    commands.extend(self.kill(now));
                }
            }
            Phase::Settling { .. } | Phase::Term { .. } | Phase::Kill { .. } => {
                if self.leader == Leader::Ended && !joined {
                    let by = SupersededBy::Exited;
                    commands.push(Command::RecordSuperseded { intent_id, by });
                    self.blame(Cause::Superseded);
                }
                if let Phase::Term { .. } = self.phase
                    && grace_ms == 0
                {
                    commands.extend(self.kill(now));
                }
            }
            Phase::Over => {}
        }
        commands
    }

    fn looked(&mut self, seen: Option<SupersededBy>, now: u64) -> Vec<Command> {
        let Phase::Looking {
            intent_id,
            grace_ms,
        } = self.phase
        else {
            return vec![];
        };
        match seen {
            None => {
                self.blame(Cause::Intent(intent_id));
                self.signal_group(grace_ms, now)
            }
            Some(by) => {
                self.blame(Cause::Superseded);
                let mut commands = vec![Command::RecordSuperseded { intent_id, by }];
                match by {
                    // It lingers: that is what the stop still ends.
                    SupersededBy::Result => commands.extend(self.signal_group(grace_ms, now)),
                    SupersededBy::Zombie | SupersededBy::Exiting | SupersededBy::Exited => {
                        self.phase = Phase::Grace {
                            until: now.saturating_add(grace_ms),
                        };
                    }
                }
                commands
            }
        }
    }

    fn end_undeclared(&mut self, now: u64) -> Vec<Command> {
        let grace_ms = self.policy.grace_ms.min(OWN_GRACE_MS);
        match self.phase {
            Phase::Running | Phase::Looking { .. } => {
                self.blame(Cause::Undeclared);
                self.signal_group(grace_ms, now)
            }
            Phase::Grace { until } => {
                self.phase = Phase::Grace {
                    until: until.min(now.saturating_add(grace_ms)),
                };
                vec![]
            }
            Phase::Settling { .. } => {
                self.blame(Cause::Undeclared);
                self.sweep(now)
            }
            Phase::Term { .. } | Phase::Kill { .. } | Phase::Over => vec![],
        }
    }

    fn leader_ended(&mut self, settle: Settle, tree: Tree, now: u64) -> Vec<Command> {
        self.leader = Leader::Ended;
        self.tree = tree;
        match self.phase {
            Phase::Running | Phase::Looking { .. } | Phase::Grace { .. } => {
                if settle == Settle::Wait && !self.end_is_explained() {
                    self.phase = Phase::Settling {
                        until: now + SETTLE_MS,
                    };
                    return vec![];
                }
                self.sweep(now)
            }
            Phase::Term { .. } | Phase::Kill { .. } if tree == Tree::Empty => {
                self.conclude(Conclusion::Empty)
            }
            Phase::Kill { .. } => vec![Command::KillRound],
            Phase::Settling { .. } | Phase::Term { .. } | Phase::Over => vec![],
        }
    }

    fn tree_emptied(&mut self) -> Vec<Command> {
        self.tree = Tree::Empty;
        match self.phase {
            Phase::Term { .. } | Phase::Kill { .. } if self.leader == Leader::Ended => {
                self.conclude(Conclusion::Empty)
            }
            Phase::Running
            | Phase::Looking { .. }
            | Phase::Grace { .. }
            | Phase::Settling { .. }
            | Phase::Term { .. }
            | Phase::Kill { .. }
            | Phase::Over => vec![],
        }
    }

    fn tick(&mut self, now: u64) -> Vec<Command> {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return vec![];
        }
        match self.phase {
            Phase::Running | Phase::Looking { .. } | Phase::Over => vec![],
            Phase::Grace { .. } => self.term(now),
            Phase::Settling { .. } => self.sweep(now),
            Phase::Term { .. } => self.kill(now),
            Phase::Kill { until, .. } if now >= until => self.conclude(Conclusion::Unkillable),
            Phase::Kill { until, pace, .. } => {
                let pace = (pace * 2).min(ROUND_MS.1);
                self.phase = Phase::Kill {
                    until,
                    next: now + pace,
                    pace,
                };
                vec![Command::KillRound]
            }
        }
    }

    /// The leader is gone: what about the rest?
    fn sweep(&mut self, now: u64) -> Vec<Command> {
        match (self.tree, self.policy.leftovers, self.cause) {
            (Tree::Empty, _, _) => self.conclude(Conclusion::Empty),
            (Tree::Populated, Leftovers::Report, Cause::None) => {
                self.conclude(Conclusion::LeftAlone)
            }
            (Tree::Populated, Leftovers::Report | Leftovers::End, _) => self.term(now),
        }
    }

    fn signal_group(&mut self, grace_ms: u64, now: u64) -> Vec<Command> {
        let intent_id = self.intent_id();
        if grace_ms == 0 {
            let mut commands = vec![Command::SignalGroup {
                signal: SIGKILL,
                intent_id,
            }];
            commands.extend(self.kill(now));
            return commands;
        }
        self.phase = Phase::Grace {
            until: now.saturating_add(grace_ms),
        };
        vec![Command::SignalGroup {
            signal: self.policy.stop_signal,
            intent_id,
        }]
    }

    fn term(&mut self, now: u64) -> Vec<Command> {
        self.phase = Phase::Term {
            until: now + TREE_TERM_MS,
        };
        vec![Command::SignalTree {
            signal: SIGTERM,
            intent_id: self.intent_id(),
        }]
    }

    fn kill(&mut self, now: u64) -> Vec<Command> {
        let pace = ROUND_MS.0;
        self.phase = Phase::Kill {
            until: now + KILL_FOR_MS,
            next: now + pace,
            pace,
        };
        vec![Command::SignalTree {
            signal: SIGKILL,
            intent_id: self.intent_id(),
        }]
    }

    fn conclude(&mut self, conclusion: Conclusion) -> Vec<Command> {
        self.phase = Phase::Over;
        vec![Command::Conclude(conclusion)]
    }

    /// The first cause stays.
    fn blame(&mut self, cause: Cause) {
        if self.cause == Cause::None {
            self.cause = cause;
        }
    }

    const fn intent_id(&self) -> Option<u64> {
        match self.cause {
            Cause::Intent(id) => Some(id),
            Cause::None | Cause::Superseded | Cause::Undeclared => None,
        }
    }
}

#[cfg(test)]
mod tests;
