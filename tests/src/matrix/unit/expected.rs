//! Which reasons are true, by whom the unit's end reaches.

use super::{Deed, Home, KillMode};
use crate::matrix::State;

/// Whom the deed reaches beside the supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reaches {
    /// Nobody: the agents go on.
    Nobody,
    /// Nobody; but the supervisor stops them before it goes.
    Drained,
    /// Everybody gets TERM.
    Term,
    /// Everybody gets KILL.
    Kill,
}

fn reaches(home: Home, mode: KillMode, deed: Deed) -> Reaches {
    let spared = home == Home::Holder || mode == KillMode::Process;
    match (deed, home) {
        // systemd signals nobody at all, not even the supervisor.
        (Deed::Restart | Deed::Stop, _) if mode == KillMode::None => Reaches::Nobody,
        (Deed::Restart, _) if spared => Reaches::Nobody,
        (Deed::Stop, _) if spared => Reaches::Drained,
        // The main process is signalled first: it drains.
        (Deed::Restart | Deed::Stop, _) if mode == KillMode::Mixed => Reaches::Drained,
        (Deed::Restart | Deed::Stop, _) => Reaches::Term,
        (Deed::Kill, Home::Holder) => Reaches::Drained,
        (Deed::Kill, Home::OwnUnit) => Reaches::Term,
        (Deed::KillHard, Home::Holder) => Reaches::Nobody,
        (Deed::KillHard, Home::OwnUnit) => Reaches::Kill,
    }
}

/// Do the agents go on, so that somebody has to end them?
pub(super) fn go_on(home: Home, mode: KillMode, deed: Deed) -> bool {
    reaches(home, mode, deed) == Reaches::Nobody
}

/// The reasons that a task may end with.
pub(super) fn reasons(
    (home, mode, deed): (Home, KillMode, Deed),
    state: State,
) -> &'static [&'static str] {
    let running = matches!(state, State::Idle | State::Flooding);
    match reaches(home, mode, deed) {
        // Its leader had ended by itself.
        Reaches::Nobody | Reaches::Drained | Reaches::Term | Reaches::Kill
            if state == State::Leaderless =>
        {
            &["failed"]
        }
        Reaches::Nobody if running => &["failed"],
        Reaches::Drained if running => match deed {
            Deed::Restart => &["hub_restart"],
            Deed::Stop | Deed::Kill | Deed::KillHard => &["hub_shutdown"],
        },
        Reaches::Term if running => match deed {
            Deed::Restart => &["hub_restart"],
            Deed::Stop => &["hub_shutdown"],
            // No job of systemd: by whose signal is seen first.
            Deed::Kill | Deed::KillHard => &["hub_shutdown", "external_signal"],
        },
        // The agent died of systemd's signal before the intent was journalled, or
        // the shim was first.
        Reaches::Term if state == State::Intended => match deed {
            Deed::Restart => &["user", "hub_restart"],
            Deed::Stop => &["user", "hub_shutdown"],
            Deed::Kill | Deed::KillHard => &["user", "hub_shutdown", "external_signal"],
        },
        Reaches::Kill if running || state == State::Intended => &["shim_lost"],
        // The first committed intent is the reason.
        Reaches::Nobody | Reaches::Drained | Reaches::Term | Reaches::Kill => &["user"],
    }
}
