//! One deed while seven tasks stand in their states.

use std::cell::Cell as Once;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::expected::{go_on, reasons};
use super::service::{Service, UNIT};
use super::{Deed, Home, KillMode, STATES};
use crate::harness::{
    Background, Dispatched, GENEROUS, Gate, World, wait_explained, wait_for, wait_until,
};
use crate::invariants::{Settled, answers_although_others_stand, wait_until_settled};
use crate::matrix::State;
use crate::matrix::cell::{Outcome, Ran, converges};
use crate::matrix::choice::usual;
use crate::matrix::reach::{FLOOD, NO_END, settle};

#[derive(Clone, Copy, Debug)]
pub(super) struct Round {
    pub(super) home: Home,
    pub(super) mode: KillMode,
    pub(super) deed: Deed,
}

/// A task in its state.
struct Standing {
    state: State,
    task: Dispatched,
    gate: Gate,
    stop: Option<Background>,
    forced: Once<bool>,
    hits: Option<usize>,
}

impl Round {
    pub(super) fn name(self) -> String {
        let home = match self.home {
            Home::Holder => "holder",
            Home::OwnUnit => "own unit",
        };
        format!("F26 {home} {} {:?}", self.mode.as_str(), self.deed)
    }

    /// Gives the cells.
    pub(super) fn run(self, service: &Service) -> Vec<(String, Result<Outcome, String>)> {
        service.start(self.mode);
        let world = &service.world;
        let standing: Vec<Standing> = STATES
            .iter()
            .map(|state| self.stand(world, *state))
            .collect();
        self.strike(service, &standing);
        world.hooks().disarm();
        self.to_the_end(service, &standing);
        let cells = standing
            .into_iter()
            .map(|one| self.judge(world, one))
            .collect();
        wait_until_settled(world);
        world.check();
        converges(world, Settled::Kept);
        // Where systemd ends the agents itself, whose stop that was is in the ledger
        // and in `settled`, and in no journal.
        if self.home == Home::Holder {
            converges(world, Settled::Lost);
        }
        service.leave(self.mode);
        cells
    }

    /// Leads a new task into a state.
    fn stand(self, world: &World, state: State) -> Standing {
        let workload = usual(state);
        let name = format!(
            "{}-{:?}-{:?}-{}",
            self.mode.as_str(),
            self.deed,
            self.home,
            state.code()
        );
        let gate = world.gate(&name);
        let mut steps = workload.steps(&gate);
        if state == State::Flooding {
            let ready = steps.iter().position(|step| step == "mark:ready");
            steps.insert(ready.map_or(0, |at| at + 1), FLOOD.to_owned());
        }
        let run = world.run().key(&state.code());
        let task = run.steps(steps.iter().map(String::as_str)).detached();
        task.marked("ready");
        settle(world, &task.id);
        let mut standing = Standing {
            state,
            task,
            gate,
            stop: None,
            forced: Once::new(false),
            hits: None,
        };
        if let Some((point, skip)) = state.point(workload) {
            let before = (world.hooks().paused(point), world.hooks().hits(point));
            world.hooks().arm_after(point, skip);
            if state == State::Leaderless {
                standing.gate.open();
            } else {
                let grace = if state == State::Killed {
                    "20ms"
                } else {
                    NO_END
                };
                let options = ["--grace", grace];
                standing.stop = Some(world.stop_in_background(&standing.task.id, &options));
            }
            wait_until(&format!("{} at {point}", state.code()), GENEROUS, || {
                world.hooks().paused(point) > before.0
            });
            standing.hits = Some(world.hooks().hits(point) - before.1);
        }
        standing
    }

    /// The deed, until it has reached whom it reaches.
    fn strike(self, service: &Service, standing: &[Standing]) {
        let guest = &service.guest;
        let before = guest.main_pid(UNIT);
        let said = service.said().len();
        match self.deed {
            Deed::Restart => drop(guest.ok(&["systemctl", "restart", "--no-block", UNIT])),
            Deed::Stop => drop(guest.ok(&["systemctl", "stop", "--no-block", UNIT])),
            Deed::Kill => drop(guest.ok(&["systemctl", "kill", UNIT])),
            Deed::KillHard => drop(guest.ok(&["systemctl", "kill", "-s", "KILL", UNIT])),
        }
        match self.deed {
            Deed::KillHard => {}
            Deed::Restart | Deed::Stop if self.mode == KillMode::None => {}
            Deed::Restart | Deed::Stop | Deed::Kill => {
                wait_until("the supervisor's first word", GENEROUS, || {
                    service.said()[said..].contains("[shutdown]")
                });
            }
        }
        self.outside(service, standing);
        // I8: the next one serves while every shim stands.
        if go_on(self.home, self.mode, self.deed) {
            if self.mode != KillMode::None {
                guest.restarted(UNIT, before);
            }
            service.serves();
            answers_although_others_stand(&service.world, &standing[0].task.id);
        }
    }

    /// What came from outside is remembered for the invariants.
    fn outside(self, service: &Service, standing: &[Standing]) {
        let mut oracle = service.world.oracle();
        for leader in standing.iter().flat_map(|one| one.task.records.leaders()) {
            for signal in [Signal::SIGTERM, Signal::SIGKILL] {
                let by_systemd = self.home == Home::OwnUnit;
                if by_systemd {
                    oracle.killed.push((leader.clone(), signal));
                }
            }
        }
    }

    /// A supervisor serves again, and every task has ended.
    fn to_the_end(self, service: &Service, standing: &[Standing]) {
        let (guest, world) = (&service.guest, &service.world);
        wait_for("the deed's end", GENEROUS, || {
            let state = guest.run(&["systemctl", "is-active", UNIT]);
            let state = String::from_utf8_lossy(&state.stdout).trim().to_owned();
            let jobs = guest.sh("systemctl list-jobs --no-legend");
            match (state.as_str(), jobs.contains(UNIT)) {
                ("active" | "inactive" | "failed", false) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
        // Under KillMode=none the old one was left alone, and keeps its place.
        if self.mode != KillMode::None {
            guest.sh(&format!(
                "systemctl reset-failed {UNIT} || true; systemctl start {UNIT}"
            ));
        }
        service.serves();
        let open = || -> Vec<&Standing> {
            let ended = |one: &&Standing| !one.has_ended(world);
            standing.iter().filter(ended).collect()
        };
        wait_explained(
            &format!("the ends of {}", self.name()),
            GENEROUS,
            || {
                let open = open();
                open.iter().for_each(|one| one.help_on(world));
                open.is_empty()
            },
            || {
                let open = open();
                let told = |one: &&Standing| {
                    let id = &one.task.id;
                    (
                        one.state,
                        world.ledger().task(id),
                        world.ledger().event_types(id),
                    )
                };
                (open.iter().map(told).collect::<Vec<_>>(), service.said())
            },
        );
    }

    fn judge(self, world: &World, one: Standing) -> (String, Result<Outcome, String>) {
        let cell = format!("{} ×{}", self.name(), one.state.code());
        if let Some(stop) = one.stop {
            let outcome = world.stop_answered(&one.task.id, &stop.output());
            assert!(
                matches!(outcome.as_str(), "stopped" | "already_gone"),
                "{cell}: {outcome}"
            );
        }
        let ended: Value = world.show(&one.task.id);
        let reason = ended["archive_reason"]
            .as_str()
            .unwrap_or("none")
            .to_owned();
        let true_ones = reasons((self.home, self.mode, self.deed), one.state);
        let ran = if !true_ones.contains(&reason.as_str()) {
            Err(format!("{reason} is none of {true_ones:?}: {ended:#}"))
        } else if reason == "failed" && ended["exit"]["code"] != 3 {
            Err(format!("not its own exit: {ended:#}"))
        } else {
            let hits = one.hits;
            Ok(Outcome::Ran(Ran { reason, hits }))
        };
        (cell, ran)
    }
}

impl Standing {
    fn has_ended(&self, world: &World) -> bool {
        let row = world.ledger().task(&self.task.id);
        row.is_some_and(|row| row.text("status") != Some("running"))
            && self.stop.iter().all(Background::has_ended)
    }

    /// What would go on for ever is let go, or stopped.
    fn help_on(&self, world: &World) {
        let stopped = self.stop.is_some();
        let _passed = !stopped && self.gate.try_open();
        if stopped && self.state == State::InGrace && !self.forced.replace(true) {
            let _forced = world.ctl(&["stop-session", &self.task.id, "--force", "--no-wait"]);
        }
    }
}
