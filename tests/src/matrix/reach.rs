//! Brings a task into a state.

use std::path::PathBuf;
use std::sync::Arc;

use super::cell::Cell;
use super::ground::Ground;
use super::strike::old_ledger;
use super::{Fault, State, Workload};
use crate::harness::{
    Background, Dispatched, GENEROUS, Gate, Records, Stranger, Supervisor, World, wait_until,
};

/// Output of a flood: more than any pipe and any cap of a read.
pub(super) const FLOOD: &str = "lines:200000:100";

/// A grace that only `--force` ends.
pub(super) const NO_END: &str = "10m";

/// A task that stands in its state.
pub(super) struct Reached {
    pub(super) supervisor: Arc<Supervisor>,
    pub(super) ground: Ground,
    pub(super) state: State,
    pub(super) task: String,
    pub(super) records: Records,
    /// What the agent waits at before it exits with 3.
    pub(super) gate: Gate,
    /// What it waits at before it takes more memory than it may.
    pub(super) spark: Gate,
    /// The dispatch, where it has no answer yet.
    pub(super) run: Option<Background>,
    /// Stops that have no answer yet.
    pub(super) stops: Vec<Background>,
    /// Who has the pids of the task's dead.
    pub(super) strangers: Vec<Stranger>,
    go_on: Box<dyn Fn()>,
}

impl Reached {
    /// Whoever stands at a point goes on.
    pub(super) fn go_on(&self) {
        (self.go_on)();
    }

    /// Where its memory is limited.
    pub(super) fn memory_cgroup(&self, world: &World) -> PathBuf {
        match &self.ground {
            Ground::Memory(home) => home.of(world, &self.task),
            Ground::Plain | Ground::Delegated(_) | Ground::Small(_) | Ground::Reaper(_) => {
                unreachable!("its ground has no limits")
            }
        }
    }
}

/// The world of a cell, with the hook points of its state and its fault.
pub(super) fn world(cell: Cell) -> World {
    let of_state = cell.point().map(|(point, _)| point);
    // A world with hooks even where the state has no point: the same programs.
    let mut points = vec![of_state.unwrap_or("sup.spawn.before")];
    points.extend(cell.fault.points());
    let mut world = cell.lane.prepare(World::builder().hooks(points));
    if cell.fault == Fault::OlderShim {
        world = world.released_shim("");
    }
    world.build()
}

/// Dispatches a task and leads it to the cell's state.
pub(super) fn reach(world: &World, ground: Ground, cell: Cell) -> Reached {
    let mut supervisor = ground.start(world);
    if cell.fault == Fault::OldLedger {
        assert!(supervisor.terminate().success(), "{}", world.log());
        // Closed in order, it is one file.
        std::fs::copy(world.ledger().path(), old_ledger(world)).expect("a copy");
        supervisor = ground.start(world);
    }
    // Answered once the commits of the start are done.
    let _listed = world.ctl(&["list"]).ok();
    let (gate, spark) = (world.gate("end"), world.gate("spark"));
    let mut run = world.run().key("matrix:cell");
    if matches!(ground, Ground::Memory(_)) {
        run = run.option("--memory", "32M");
    }
    let steps = steps(cell, &gate, &spark);
    let run = run.steps(steps.iter().map(String::as_str));
    let (task, records) = (run.task_id().to_string(), run.records());
    let hooks = world.hooks().clone();
    let mut reached = Reached {
        supervisor,
        ground,
        state: cell.state,
        task,
        records,
        gate,
        spark,
        run: None,
        stops: Vec::new(),
        strangers: Vec::new(),
        go_on: Box::new(move || hooks.disarm()),
    };
    if cell.state <= State::Unreported {
        arm(world, cell);
        reached.run = Some(run.in_background());
        wait_at(world, cell);
        return reached;
    }
    let task = run.detached();
    task.marked("ready");
    settle(world, &reached.task);
    if cell.fault != Fault::ShimOutOfMemory {
        spare(world, &reached, &task);
    }
    lead(world, cell, &mut reached);
    reached
}

/// What the agent does, in this state and for this fault.
fn steps(cell: Cell, gate: &Gate, spark: &Gate) -> Vec<String> {
    let mut steps = cell.workload.steps(gate);
    let ready = steps.iter().position(|step| step == "mark:ready");
    let (before, behind) = (ready.unwrap_or(0), ready.map_or(0, |at| at + 1));
    match cell.fault {
        Fault::LeaderOutOfMemory => {
            steps.splice(behind..behind, [spark.step(), "alloc:256".to_string()]);
        }
        Fault::ChildOutOfMemory => {
            let child = spark.step().replace(':', "=");
            let child = format!("spawn:session:1:{child},alloc=256,forever");
            steps.insert(before, child);
        }
        Fault::ShimOutOfMemory => {
            let children = "spawn:session:16:alloc=4,forever".to_string();
            steps.splice(behind..behind, [spark.step(), children]);
        }
        Fault::Nothing
        | Fault::Supervisor
        | Fault::Shim
        | Fault::Agent
        | Fault::SupervisorAndShim
        | Fault::SupervisorAndAgent
        | Fault::FrozenSupervisor
        | Fault::CrashLoop
        | Fault::CgroupKilled
        | Fault::PidsWrap
        | Fault::FullDisk
        | Fault::BrokenDisk
        | Fault::TornJournal
        | Fault::DamagedLedger
        | Fault::LostLedger
        | Fault::OldLedger
        | Fault::SocketUnlinked
        | Fault::OlderShim
        | Fault::SecondSupervisor
        | Fault::RacingStops => {}
    }
    if cell.state == State::Flooding {
        steps.insert(behind, FLOOD.to_string());
    }
    steps
}

/// Where the shim is not to be the kernel's choice.
fn spare(world: &World, reached: &Reached, task: &Dispatched) {
    if let Ground::Memory(home) = &reached.ground {
        home.spare(world, task);
    }
}

/// From a running agent to a later state.
fn lead(world: &World, cell: Cell, reached: &mut Reached) {
    match cell.state {
        State::RowOnly | State::Unclaimed | State::Claimed | State::Unreported => {}
        State::Idle | State::Flooding => {}
        State::Intended | State::Acknowledged | State::InGrace | State::Killed => {
            arm(world, cell);
            let grace = if cell.state == State::Killed {
                "20ms"
            } else {
                NO_END
            };
            let options = ["--grace", grace];
            let stop = world.stop_in_background(&reached.task, &options);
            reached.stops.push(stop);
            wait_at(world, cell);
        }
        State::Leaderless | State::Ending | State::OnDisk | State::Unsettled => {
            arm(world, cell);
            reached.gate.open();
            wait_at(world, cell);
        }
        State::Adopting => {
            reached.supervisor.kill();
            arm(world, cell);
            reached.supervisor = reached.ground.start(world);
            wait_at(world, cell);
        }
        State::Draining => {
            let words = ["drain", "--deadline", "1h", "--no-wait"];
            let _begun = world.ctl(&words).ok();
            wait_until("the drain", GENEROUS, || {
                world.ctl(&["status", "--json"]).ok().json()["phase"] == "draining"
            });
        }
    }
    if cell.workload == Workload::LastMoment {
        end_just_now(reached);
    }
}

/// The agent ends by itself while somebody stands: it is on its way, or gone.
pub(super) fn end_just_now(reached: &Reached) {
    reached.gate.open();
    let leader = reached.records.leaders().pop().expect("the agent is up");
    wait_until("the agent's last moment", GENEROUS, || {
        leader.is_exiting() || !leader.is_alive()
    });
}

/// Until nothing that the start set in motion is under way any more: what the
/// shim writes next belongs to the state.
pub(super) fn settle(world: &World, task: &str) {
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

fn arm(world: &World, cell: Cell) {
    if let Some((point, skip)) = cell.point() {
        world.hooks().arm_after(point, skip);
    }
}

/// The pause lasts until [`Reached::go_on`] or the death of who pauses.
fn wait_at(world: &World, cell: Cell) {
    let Some((point, skip)) = cell.point() else {
        return;
    };
    let what = format!("{} at {point}", cell.state.code());
    wait_until(&what, GENEROUS, || world.hooks().is_paused(point));
    assert!(world.hooks().hits(point) > skip);
}
