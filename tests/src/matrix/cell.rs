//! One cell, run.

use std::sync::Arc;

use super::expected::reasons;
use super::ground::Ground;
use super::reach::{Reached, reach, world};
use super::{Fault, Lane, State, Workload};
use crate::harness::{Background, GENEROUS, Row, Supervisor, World, wait_explained};
use crate::invariants::{Settled, answers_although_others_stand, differences, wait_until_settled};

/// A fault, a state, a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    /// What goes wrong.
    pub fault: Fault,
    /// Where the task stands.
    pub state: State,
    /// What its agent does.
    pub workload: Workload,
    /// On what machine.
    pub lane: Lane,
}

/// What a run of a cell shows beside its success.
#[derive(Clone, Debug)]
pub struct Ran {
    /// Why the task ended.
    pub reason: String,
    /// How often the state's hook point was reached; none where the agent
    /// itself tells that it is in the state.
    pub hits: Option<usize>,
}

/// What came of a cell.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It was run.
    Ran(Ran),
    /// This machine cannot have it, and why.
    NotHere(String),
}

/// The exit code of a supervisor whose ledger failed: the next start may do.
const GAVE_UP: i32 = 1;

/// I10.
pub(super) fn converges(world: &World, settled: Settled) {
    let differences = differences(world, settled);
    assert!(differences.is_empty(), "{differences:#?}\n{}", world.log());
}

impl Cell {
    /// `F1×S5×W0`.
    #[must_use]
    pub fn code(self) -> String {
        let Self {
            fault,
            state,
            workload,
            lane,
        } = self;
        let (fault, state, workload) = (fault.code(), state.code(), workload.code());
        format!("{fault}×{state}×{workload}{}", lane.code())
    }

    /// The point at which a process stands in the cell, and how many hits of it come
    /// before; none where the agent itself tells that it is there.
    pub(super) fn point(self) -> Option<(&'static str, usize)> {
        // A shim of a release has no hooks: it is greeted, and waits for the answer.
        if self.fault == Fault::OlderShim && self.state == State::Adopting {
            return Some(("sup.shim_send.before", 0));
        }
        self.state.point(self.workload)
    }

    /// Runs it once.
    ///
    /// # Panics
    /// When an invariant is broken, or the reason is not a true one.
    #[must_use]
    pub fn run(self) -> Outcome {
        let world = world(self);
        let ground = match Ground::of(self, &world) {
            Ok(ground) => ground,
            Err(why) => return Outcome::NotHere(why),
        };
        let mut reached = reach(&world, ground, self);
        world.bystander(&reached.task);
        let supervisor = self.fault.strike(&world, &mut reached);
        self.still_answers(&world, &reached, &supervisor);
        reached.go_on();
        let supervisor = self.to_the_end(&world, &mut reached, supervisor);
        let reason = self.judge(&world, &mut reached);
        self.the_key_is_free(&world, &supervisor);
        wait_until_settled(&world);
        world.check();
        converges(&world, Settled::Kept);
        // What could not be written is in no journal.
        if self.fault != Fault::BrokenDisk {
            converges(&world, Settled::Lost);
        }
        let point = self.point();
        let hits = point.map(|(point, _)| world.hooks().hits(point));
        Outcome::Ran(Ran { reason, hits })
    }

    /// I8, where it is not the supervisor itself that is dead or stands.
    fn still_answers(self, world: &World, reached: &Reached, supervisor: &Supervisor) {
        let point = self.point();
        let stands = point.is_some_and(|(point, _)| point.starts_with("sup."));
        if supervisor.has_ended().is_none() && !stands {
            answers_although_others_stand(world, &reached.task);
        }
    }

    /// Starts the supervisor again where it is dead, opens the gate, stops what
    /// would go on for ever, until the task is over.
    fn to_the_end(
        self,
        world: &World,
        reached: &mut Reached,
        supervisor: Arc<Supervisor>,
    ) -> Arc<Supervisor> {
        let mut supervisor = supervisor;
        let task = reached.task.clone();
        let row = || world.ledger().task(&task);
        let has_ended = |row: &Row| !matches!(row.text("status"), Some("queued" | "running"));
        let is_over = |reached: &Reached| {
            row().is_some_and(|row| has_ended(&row))
                && reached.stops.iter().all(Background::has_ended)
                && reached.run.iter().all(Background::has_ended)
                && world.shim_of(&task).is_none()
                && world.task_dir(&task).join("settled").exists()
        };
        // Their grace has no end, or no gate opens for them.
        let goes_on = (self.state.is_stopped() && self.workload == Workload::IgnoresTerm)
            || !self.workload.ends_by_itself();
        let mut forced = false;
        wait_explained(
            &format!("the end of {}", self.code()),
            GENEROUS,
            || {
                if let Some(status) = supervisor.has_ended() {
                    let gave_up = self.fault == Fault::BrokenDisk && status.code() == Some(GAVE_UP);
                    assert!(gave_up || supervisor.was_killed(), "{}", world.log());
                    supervisor = reached.ground.start(world);
                }
                if row().is_some_and(|row| has_ended(&row)) {
                    reached.ground.relieve();
                }
                // A stop ends it: by itself it would end before the signal.
                let _passed = !self.state.is_stopped() && reached.gate.try_open();
                if goes_on && !forced {
                    forced = true;
                    let stop = world.stop_in_background(&task, &["--force"]);
                    reached.stops.push(stop);
                }
                is_over(reached)
            },
            || (row(), world.ledger().event_types(&task), world.log()),
        );
        // Its end may have been seen by the last look only.
        reached.ground.relieve();
        supervisor
    }

    /// The reason is true, and what was answered fits to it.
    fn judge(self, world: &World, reached: &mut Reached) -> String {
        let task = reached.task.clone();
        for stop in reached.stops.drain(..) {
            let outcome = world.stop_answered(&task, &stop.output());
            assert!(
                matches!(outcome.as_str(), "stopped" | "already_gone"),
                "{}: {outcome}",
                self.code()
            );
        }
        if let Some(run) = reached.run.take() {
            let output = run.output();
            assert!(world.acknowledge(&output).is_some(), "{output:#?}");
        }
        let ended = world.ended(&task);
        let reason = ended["archive_reason"]
            .as_str()
            .unwrap_or("none")
            .to_string();
        let true_ones = reasons(self);
        assert!(
            true_ones.contains(&reason.as_str()),
            "{} ended {reason}, which is none of {true_ones:?}: {ended:#}",
            self.code()
        );
        if self.lane == Lane::NoExitInfo && reason == "shim_lost" {
            assert_eq!(
                ended["exit"]["kind"],
                "unknown",
                "{}: {ended:#}",
                self.code()
            );
        }
        if self.lane == Lane::Delegated && reason == "shim_lost" {
            let told = world.show(&task)["evidence"].to_string();
            assert!(
                told.contains("tree proven empty"),
                "{}: {told}",
                self.code()
            );
        }
        if reason == "failed" {
            assert_eq!(ended["exit"]["code"], 3, "{}: {ended:#}", self.code());
        }
        reason
    }

    /// Whatever happened, the same conversation can go on.
    fn the_key_is_free(self, world: &World, supervisor: &Supervisor) {
        assert!(supervisor.has_ended().is_none(), "{}", supervisor.log());
        if self.state == State::Draining {
            // The next supervisor does not drain, and says so.
            let _called_off = world.ctl(&["drain", "--cancel"]);
        }
        if self.fault == Fault::PidsWrap {
            let _swept = world.ctl(&["orphans", "kill"]).ok();
        }
        let next = world.run().key("matrix:cell").steps(["exit:0"]).detached();
        let ended = world.ended(&next.id);
        assert_eq!(ended["status"], "success", "{ended:#}");
    }
}
