//! One cell, run.

use std::sync::Arc;

use super::expected::reasons;
use super::fault::{FAULTS, Fault};
use super::reach::{Reached, reach, world};
use super::state::{STATES, State};
use super::workload::{WORKLOADS, Workload};
use crate::harness::{Background, GENEROUS, Supervisor, World, wait_explained};

/// A fault, a state, a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    /// What goes wrong.
    pub fault: Fault,
    /// Where the task stands.
    pub state: State,
    /// What its agent does.
    pub workload: Workload,
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

/// Every cell that can exist and is run here.
#[must_use]
pub fn cells() -> Vec<Cell> {
    FAULTS.into_iter().flat_map(cells_of).collect()
}

/// The cells of one fault.
#[must_use]
pub fn cells_of(fault: Fault) -> Vec<Cell> {
    let mut cells = Vec::new();
    for state in STATES {
        if !can_strike(fault, state) {
            continue;
        }
        for workload in WORKLOADS {
            if workload == usual(state) || is_tried(fault, state, workload) {
                cells.push(Cell {
                    fault,
                    state,
                    workload,
                });
            }
        }
    }
    cells
}

/// Does the fault meet anything in this state?
fn can_strike(fault: Fault, state: State) -> bool {
    match fault {
        Fault::Supervisor | Fault::CrashLoop => true,
        Fault::Shim | Fault::SupervisorAndShim => state.has_shim(),
        Fault::Agent | Fault::SupervisorAndAgent => state.has_live_agent(),
        // The supervisor itself stands at the point of the others, or the task
        // cannot come to its end without it.
        Fault::FrozenSupervisor => matches!(
            state,
            State::Claimed | State::Idle | State::Flooding | State::Leaderless | State::Ending
        ),
        Fault::SocketUnlinked | Fault::SecondSupervisor => {
            matches!(state, State::Idle | State::Acknowledged | State::Ending)
        }
        Fault::RacingStops => matches!(
            state,
            State::Intended | State::Acknowledged | State::InGrace
        ),
    }
}

/// The workload that a state needs.
fn usual(state: State) -> Workload {
    match state {
        State::InGrace | State::Killed => Workload::IgnoresTerm,
        State::Leaderless => Workload::Daemons,
        State::RowOnly
        | State::Unclaimed
        | State::Claimed
        | State::Unreported
        | State::Idle
        | State::Flooding
        | State::Intended
        | State::Acknowledged
        | State::Ending
        | State::OnDisk
        | State::Unsettled => Workload::Plain,
    }
}

/// Where all workloads are tried: a running one, and one that is to be stopped.
fn is_tried(fault: Fault, state: State, workload: Workload) -> bool {
    let everywhere = matches!(state, State::Idle | State::Acknowledged);
    match fault {
        Fault::Supervisor | Fault::Shim | Fault::SupervisorAndShim => {
            everywhere || (state == State::Leaderless && workload == Workload::HoldsPipes)
        }
        Fault::Agent => state == State::Idle,
        Fault::SupervisorAndAgent
        | Fault::FrozenSupervisor
        | Fault::CrashLoop
        | Fault::SocketUnlinked
        | Fault::SecondSupervisor
        | Fault::RacingStops => false,
    }
}

impl Cell {
    /// `F1×S5×W0`.
    #[must_use]
    pub fn code(self) -> String {
        let Self {
            fault,
            state,
            workload,
        } = self;
        format!("{}×{}×{}", fault.code(), state.code(), workload.code())
    }

    /// Runs it once.
    ///
    /// # Panics
    /// When an invariant is broken, or the reason is not a true one.
    #[must_use]
    pub fn run(self) -> Ran {
        let world = world(self.state);
        let mut reached = reach(&world, self.state, self.workload);
        let supervisor = self.fault.strike(&world, &mut reached);
        reached.go_on();
        let supervisor = self.to_the_end(&world, &mut reached, supervisor);
        let reason = self.judge(&world, reached);
        world.check();
        the_key_is_free(&world, &supervisor);
        let hits = self
            .state
            .point()
            .map(|(point, _)| world.hooks().hits(point));
        Ran { reason, hits }
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
        let is_over = |reached: &Reached| {
            row().is_some_and(|row| !matches!(row.text("status"), Some("queued" | "running")))
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
                if supervisor.has_ended().is_some() {
                    assert!(supervisor.was_killed(), "{}", world.log());
                    supervisor = world.start();
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
        supervisor
    }

    /// The reason is true, and what was answered fits to it.
    fn judge(self, world: &World, reached: Reached) -> String {
        let task = reached.task;
        for stop in reached.stops {
            let outcome = world.stop_answered(&task, &stop.output());
            assert!(
                matches!(outcome.as_str(), "stopped" | "already_gone"),
                "{}: {outcome}",
                self.code()
            );
        }
        if let Some(run) = reached.run {
            let output = run.output();
            assert!(world.acknowledge(&output).is_some(), "{output:#?}");
        }
        let ended = world.ended(&task);
        let reason = ended["archive_reason"]
            .as_str()
            .unwrap_or("none")
            .to_string();
        let true_ones = reasons(self.fault, self.state, self.workload);
        assert!(
            true_ones.contains(&reason.as_str()),
            "{} ended {reason}, which is none of {true_ones:?}: {ended:#}",
            self.code()
        );
        if reason == "failed" {
            assert_eq!(ended["exit"]["code"], 3, "{}: {ended:#}", self.code());
        }
        reason
    }
}

/// Whatever happened, the same conversation can go on.
fn the_key_is_free(world: &World, supervisor: &Supervisor) {
    assert!(supervisor.has_ended().is_none(), "{}", supervisor.log());
    let next = world.run().key("matrix:cell").steps(["exit:0"]).detached();
    let ended = world.ended(&next.id);
    assert_eq!(ended["status"], "success", "{ended:#}");
}
