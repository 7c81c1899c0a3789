//! F26: what somebody does to the service's unit, under a real systemd, while
//! seven tasks stand in seven states.

mod expected;
mod round;
mod service;

use std::panic::{AssertUnwindSafe, catch_unwind};

use self::round::Round;
use self::service::Service;
use super::cell::Outcome;
use super::{State, in_words};
use crate::systemd::Guest;

/// Where the agents' processes live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// In the cgroup of `agents.service`.
    Holder,
    /// In that of the service itself.
    OwnUnit,
}

/// `KillMode=` of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KillMode {
    ControlGroup,
    Mixed,
    Process,
    None,
}

/// What is done to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Restart,
    Stop,
    /// `systemctl kill`: TERM to all processes of the unit.
    Kill,
    /// The same with KILL.
    KillHard,
}

/// The states in which there is something to end.
pub(super) const STATES: [State; 7] = [
    State::Idle,
    State::Intended,
    State::Acknowledged,
    State::InGrace,
    State::Killed,
    State::Leaderless,
    // Last: its output is to be under way.
    State::Flooding,
];

impl KillMode {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::ControlGroup => "control-group",
            Self::Mixed => "mixed",
            Self::Process => "process",
            Self::None => "none",
        }
    }
}

impl Home {
    /// Everything that may be done there. Whom `systemctl kill` reaches is not the
    /// mode's to say; in the holder no agent is reached in any mode.
    fn rounds(self) -> Vec<Round> {
        use Deed as D;
        use KillMode as M;
        let pairs: &[(KillMode, Deed)] = match self {
            Self::Holder => &[
                (M::ControlGroup, D::Restart),
                (M::ControlGroup, D::Stop),
                (M::ControlGroup, D::Kill),
                (M::ControlGroup, D::KillHard),
                (M::Mixed, D::Stop),
                (M::Process, D::Restart),
                (M::None, D::Restart),
            ],
            Self::OwnUnit => &[
                (M::ControlGroup, D::Restart),
                (M::ControlGroup, D::Stop),
                (M::Mixed, D::Restart),
                (M::Mixed, D::Stop),
                (M::Process, D::Restart),
                (M::Process, D::Stop),
                (M::None, D::Restart),
                (M::None, D::Stop),
                (M::ControlGroup, D::Kill),
                (M::ControlGroup, D::KillHard),
            ],
        };
        let round = |(mode, deed)| Round {
            home: self,
            mode,
            deed,
        };
        pairs.iter().copied().map(round).collect()
    }
}

/// Runs all rounds of a home in one guest. Gives each cell with its name.
#[must_use]
pub fn run_units(home: Home) -> Vec<(String, Result<Outcome, String>)> {
    if let Some(why) = Guest::impossible() {
        return vec![("F26".to_owned(), Ok(Outcome::NotHere(why)))];
    }
    let service = Service::boot(home);
    let mut found = Vec::new();
    for round in home.rounds() {
        match catch_unwind(AssertUnwindSafe(|| round.run(&service))) {
            Ok(cells) => found.extend(cells),
            Err(broken) => {
                found.push((round.name(), Err(in_words(broken.as_ref()))));
                // What it left would spoil the others.
                return found;
            }
        }
    }
    found
}
