//! Brings a task into a state.

use std::sync::Arc;

use super::{State, Workload};
use crate::harness::{Background, GENEROUS, Gate, Records, Supervisor, World, wait_until};

/// Output of a flood: more than any pipe and any cap of a read.
const FLOOD: &str = "lines:200000:100";

/// A grace that only `--force` ends.
const NO_END: &str = "10m";

/// A task that stands in its state.
pub(super) struct Reached {
    pub(super) supervisor: Arc<Supervisor>,
    pub(super) task: String,
    pub(super) records: Records,
    /// What the agent waits at before it exits with 3.
    pub(super) gate: Gate,
    /// The dispatch, where it has no answer yet.
    pub(super) run: Option<Background>,
    /// Stops that have no answer yet.
    pub(super) stops: Vec<Background>,
    go_on: Box<dyn Fn()>,
}

impl Reached {
    /// Whoever stands at a point goes on.
    pub(super) fn go_on(&self) {
        (self.go_on)();
    }
}

/// The world of a cell, with the hook point of its state.
pub(super) fn world(state: State) -> World {
    let points = state.point().map(|(point, _)| point);
    // A world with hooks even where the state has no point: the same programs.
    World::builder()
        .hooks([points.unwrap_or("sup.spawn.before")])
        .build()
}

/// Dispatches a task and leads it to `state`.
pub(super) fn reach(world: &World, state: State, workload: Workload) -> Reached {
    let supervisor = world.start();
    // Answered once the commits of the start are done.
    let _listed = world.ctl(&["list"]).ok();
    let gate = world.gate("end");
    let mut steps = workload.steps(&gate);
    if state == State::Flooding {
        let ready = steps.iter().position(|step| step == "mark:ready");
        steps.insert(ready.map_or(0, |at| at + 1), FLOOD.to_string());
    }
    let run = world
        .run()
        .key("matrix:cell")
        .steps(steps.iter().map(String::as_str));
    let (task, records) = (run.task_id().to_string(), run.records());
    let hooks = world.hooks().clone();
    let mut reached = Reached {
        supervisor,
        task,
        records,
        gate,
        run: None,
        stops: Vec::new(),
        go_on: Box::new(move || hooks.disarm()),
    };
    if state <= State::Unreported {
        arm(world, state);
        reached.run = Some(run.in_background());
        wait_at(world, state);
        return reached;
    }
    let task = run.detached();
    task.marked("ready");
    settle(world, &reached.task);
    lead(world, state, &mut reached);
    reached
}

/// From a running agent to a later state.
fn lead(world: &World, state: State, reached: &mut Reached) {
    match state {
        State::RowOnly | State::Unclaimed | State::Claimed | State::Unreported => {}
        State::Idle | State::Flooding => {}
        State::Intended | State::Acknowledged | State::InGrace | State::Killed => {
            arm(world, state);
            let grace = if state == State::Killed {
                "20ms"
            } else {
                NO_END
            };
            let options = ["--grace", grace];
            let stop = world.stop_in_background(&reached.task, &options);
            reached.stops.push(stop);
            wait_at(world, state);
        }
        State::Leaderless | State::Ending | State::OnDisk | State::Unsettled => {
            arm(world, state);
            reached.gate.open();
            wait_at(world, state);
        }
    }
}

/// Until nothing that the start set in motion is under way any more: what the
/// shim writes next belongs to the state.
fn settle(world: &World, task: &str) {
    let told = |word: &str| {
        world
            .ledger()
            .event_types(task)
            .iter()
            .any(|seen| seen == word)
    };
    wait_until("the start in the ledger", GENEROUS, || told("task.started"));
    let _round_trip = world.ctl(&["status"]).ok();
}

fn arm(world: &World, state: State) {
    if let Some((point, skip)) = state.point() {
        world.hooks().arm_after(point, skip);
    }
}

/// The pause lasts until [`Reached::go_on`] or the death of who pauses.
fn wait_at(world: &World, state: State) {
    let Some((point, skip)) = state.point() else {
        return;
    };
    wait_until(&format!("{} at {point}", state.code()), GENEROUS, || {
        world.hooks().is_paused(point)
    });
    assert!(world.hooks().hits(point) > skip);
}
