//! A process dies at a hook point; what comes after must still be right.

use std::sync::Arc;

use crate::harness::{
    Background, Dispatched, GENEROUS, Gate, Run, Supervisor, World, wait_explained, wait_until,
};

/// What happens while the point is armed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// The start of the supervisor on a fresh place.
    Boot,
    /// From `run` to the agent's own end.
    Life,
    /// A stop of an agent that ignores TERM and has left a daemon behind.
    Stop,
    /// The shim was killed, and its agent has left a daemon behind.
    ShimLost,
    /// The supervisor was killed before it spawned the shim.
    NeverStarted,
    /// A drain that has to stop an agent that ignores TERM.
    Drain,
    /// A live task is put aside, which stops it first.
    Archive,
    /// An ended task is renamed.
    Rename,
    /// A task takes the place of another one.
    Replace,
    /// An ended task is done again.
    Retry,
}

/// Runs the scenario, in which the hit number `occurrence` (from 0) of `point`
/// kills its process; brings the task to its end and checks every invariant.
/// Gives whether the point was hit so often.
#[must_use]
pub fn crash_at(path: Path, point: &str, occurrence: usize) -> bool {
    let (before, after) = step_of(point);
    let mut points = vec![point, before.as_str(), after.as_str()];
    if path == Path::NeverStarted {
        points.push("sup.spawn.before");
    }
    let mut world = World::builder().hooks(points);
    if path == Path::Drain {
        world = world.config("[shutdown]\ndrain_ms = 0\ngrace_ms = 50\n");
    }
    let world = world.build();
    let case = Case {
        gate: world.gate("end"),
        world: &world,
        point,
        occurrence,
    };
    match path {
        Path::Boot => case.boot(),
        Path::Life => case.life(),
        Path::Stop => case.stop(),
        Path::ShimLost => case.shim_lost(),
        Path::NeverStarted => case.never_started(),
        Path::Drain => case.drain(),
        Path::Archive => case.archive(),
        Path::Rename => case.rename(),
        Path::Replace => case.replace(),
        Path::Retry => case.retry(),
    }
    world.check();
    world.hooks().has_died(point)
}

/// The two points of the step that a point belongs to.
fn step_of(point: &str) -> (String, String) {
    let step = point
        .strip_suffix(".before")
        .or_else(|| point.strip_suffix(".after"))
        .unwrap_or(point);
    (format!("{step}.before"), format!("{step}.after"))
}

struct Case<'world> {
    world: &'world World,
    gate: Gate,
    point: &'world str,
    occurrence: usize,
}

impl Case<'_> {
    fn arm(&self) {
        self.world
            .hooks()
            .arm_death_after(self.point, self.occurrence);
    }

    /// Arms when what came before is over: the client has its answer a moment
    /// before the supervisor has done all of its sending.
    fn arm_when_quiet(&self) {
        wait_until("a quiet supervisor", GENEROUS, || self.is_quiet());
        self.arm();
    }

    /// A supervisor that has done everything of its start: its socket answers
    /// before that.
    fn start(&self) -> Arc<Supervisor> {
        let supervisor = self.world.start();
        wait_until("the end of the supervisor's start", GENEROUS, || {
            self.is_quiet()
        });
        supervisor
    }

    fn boot(&self) {
        self.arm();
        let first = self.world.spawn_supervisor();
        wait_until("the supervisor's start, or its death", GENEROUS, || {
            first.was_killed() || self.is_quiet()
        });
        self.world.hooks().disarm();
        let _supervisor = self.after_a_late_death(first);
        let task = self.world.run().steps(["exit:0"]).detached();
        let _ended = self.world.ended(&task.id);
    }

    fn life(&self) {
        let supervisor = self.start();
        self.arm();
        let gate = self.gate.step();
        let run = self
            .world
            .run()
            .key("crash:life")
            .steps(["print:hello", &gate, "exit:3"]);
        let task = run.task_id().to_string();
        let client = run.in_background();
        let supervisor = self.to_the_end(supervisor, &task, Some(&client));
        self.answered(client);
        self.the_key_is_free(&supervisor);
    }

    fn stop(&self) {
        let supervisor = self.start();
        let task = self
            .world
            .run()
            .key("crash:stop")
            .option("--grace", "50ms")
            .steps([
                "ignore:TERM",
                "spawn:daemon:1:ignore=TERM,forever",
                "mark:ready",
                "forever",
            ])
            .detached();
        task.marked("ready");
        self.arm_when_quiet();
        let client = self.world.stop_in_background(&task.id, &[]);
        let supervisor = self.to_the_end(supervisor, &task.id, Some(&client));
        let outcome = self.world.stop_answered(&task.id, &client.output());
        assert!(
            outcome == "stopped" || outcome == "already_gone",
            "{outcome} after {}",
            self.point
        );
        self.the_key_is_free(&supervisor);
    }

    /// A supervisor that died before its intent was committed left an agent that
    /// goes on: the gate ends it.
    fn drain(&self) {
        let supervisor = self.start();
        let gate = self.gate.step();
        let task = self
            .world
            .run()
            .key("crash:drain")
            .steps([
                "ignore:TERM",
                "spawn:daemon:1:ignore=TERM,forever",
                "mark:ready",
                &gate,
                "exit:0",
            ])
            .detached();
        task.marked("ready");
        self.arm_when_quiet();
        supervisor.signal(nix::sys::signal::Signal::SIGTERM);
        let _status = supervisor.ended();
        let next = self.world.spawn_supervisor();
        let next = self.to_the_end(next, &task.id, None);
        self.the_key_is_free(&next);
        let row = self.world.ledger().task(&task.id).expect("it has a row");
        let reason = row.text("archive_reason").unwrap_or_default().to_owned();
        assert!(
            ["hub_shutdown", "shim_lost", "completed"].contains(&reason.as_str()),
            "{reason} after {}",
            self.point
        );
    }

    fn archive(&self) {
        let supervisor = self.start();
        let run = self.world.run().key("crash:archive");
        let task = run.argv(["sleep", "1000"]).detached();
        self.arm_when_quiet();
        let shown = self.kept(supervisor, &task.id, &["archive", &task.id], "archived");
        assert_eq!(shown["archived"], true);
        assert_eq!(shown["archive_reason"], "user");
    }

    fn rename(&self) {
        let supervisor = self.start();
        let run = self.world.run().key("crash:rename");
        let task = self.done(run);
        self.arm();
        let words = ["rename", &task.id, "other"];
        let shown = self.kept(supervisor, &task.id, &words, "renamed");
        assert_eq!(shown["name"], "other");
    }

    /// However often it had to be asked, it is in the row and in what a rebuild
    /// reads.
    fn kept(
        &self,
        supervisor: Arc<Supervisor>,
        task: &str,
        words: &[&str],
        said: &str,
    ) -> serde_json::Value {
        let words = [words, &["--json"]].concat();
        let client = Background::start(self.world.ctl_command(&words));
        let supervisor = self.to_the_end(supervisor, task, Some(&client));
        let _answer = client.output().ok();
        let settled = self.world.task_dir(task).join("settled");
        wait_until("the operator's word in the folder", GENEROUS, || {
            let text = std::fs::read_to_string(&settled).unwrap_or_default();
            text.contains(&format!("task.{said}"))
        });
        self.the_key_is_free(&supervisor);
        self.world.show(task)
    }

    /// There is one successor, and the first one knows why it went.
    fn replace(&self) {
        let supervisor = self.start();
        let run = self.world.run().key("crash:replace");
        let first = run.argv(["sleep", "1000"]).detached();
        self.arm_when_quiet();
        let words = ["--key", "crash:replace", "--on-conflict", "replace"];
        self.succeeded(
            supervisor,
            &[&["run"], &words[..]].concat(),
            &["--", "true"],
        );
        let first = self.world.show(&first.id);
        assert_eq!(first["archive_reason"], "superseded_by_task", "{first:#}");
    }

    fn retry(&self) {
        let supervisor = self.start();
        let run = self.world.run().key("crash:retry");
        let first = self.done(run);
        self.arm();
        self.succeeded(supervisor, &["retry", &first.id], &[]);
        let row = self.world.ledger().task("next").expect("it has a row");
        assert_eq!(row.text("retry_of"), Some(first.id.as_str()));
    }

    /// A task that has ended, with all that follows.
    fn done(&self, run: Run<'_>) -> Dispatched {
        let task = run.argv(["true"]).detached();
        let settled = self.world.task_dir(&task.id).join("settled");
        wait_until("its end", GENEROUS, || settled.exists() && self.is_quiet());
        task
    }

    /// The second task of this place runs once, whoever died.
    fn succeeded(&self, supervisor: Arc<Supervisor>, words: &[&str], argv: &[&str]) {
        let words = [words, &["--id", "next", "-d", "--json"], argv].concat();
        let next = Background::start(self.world.ctl_command(&words));
        let supervisor = self.to_the_end(supervisor, "next", Some(&next));
        self.answered(next);
        assert_eq!(self.world.ledger().tasks().len(), 2, "after {}", self.point);
        self.the_key_is_free(&supervisor);
    }

    fn shim_lost(&self) {
        let supervisor = self.start();
        let task = self
            .world
            .run()
            .key("crash:shim")
            .steps(["spawn:daemon:1:forever", "mark:ready", "forever"])
            .detached();
        task.marked("ready");
        let shim = self.world.shim_of(&task.id).expect("the shim lives");
        self.arm_when_quiet();
        self.world.kill(&shim, nix::sys::signal::Signal::SIGKILL);
        let supervisor = self.to_the_end(supervisor, &task.id, None);
        self.the_key_is_free(&supervisor);
    }

    fn never_started(&self) {
        let first = self.start();
        self.world.hooks().arm_death("sup.spawn.before");
        let run = self.world.run().key("crash:never").steps(["exit:0"]);
        let task = run.task_id().to_string();
        let client = run.in_background();
        let _dead = self.world.hooks().died("sup.spawn.before");
        let _status = first.ended();
        self.arm();
        let second = self.world.spawn_supervisor();
        let supervisor = self.to_the_end(second, &task, Some(&client));
        self.answered(client);
        self.the_key_is_free(&supervisor);
    }

    /// Starts the supervisor again where it died, opens the gate where the
    /// agent stands at it, until the row is terminal and the client answered.
    fn to_the_end(
        &self,
        supervisor: Arc<Supervisor>,
        task: &str,
        client: Option<&Background>,
    ) -> Arc<Supervisor> {
        let mut supervisor = supervisor;
        let what = format!("the end of {task} after a death at {}", self.point);
        let row = || self.world.ledger().task(task);
        wait_explained(
            &what,
            GENEROUS,
            || {
                supervisor = self.alive(Arc::clone(&supervisor));
                let _passed = self.gate.try_open();
                let ended = row()
                    .is_some_and(|row| !matches!(row.text("status"), Some("queued" | "running")));
                ended
                    && client.is_none_or(Background::has_ended)
                    && self.world.shim_of(task).is_none()
                    && self.world.task_dir(task).join("settled").exists()
                    && self.is_quiet()
            },
            || (row(), self.world.hooks().log(), self.world.log()),
        );
        self.world.hooks().disarm();
        self.after_a_late_death(supervisor)
    }

    /// The last answer may itself have been the hit.
    fn after_a_late_death(&self, supervisor: Arc<Supervisor>) -> Arc<Supervisor> {
        let hooks = self.world.hooks();
        if hooks.has_died(self.point) && hooks.died(self.point) == supervisor.process {
            let _status = supervisor.ended();
        }
        self.alive(supervisor)
    }

    /// A round trip through the supervisor succeeds, and no step that it began
    /// is still under way: a hit of the point can follow from nothing any more.
    fn is_quiet(&self) -> bool {
        let (before, after) = step_of(self.point);
        self.world.ctl(&["status"]).status.success()
            && (self.point.starts_with("shim.") || !self.world.hooks().under_way(&before, &after))
    }

    fn alive(&self, supervisor: Arc<Supervisor>) -> Arc<Supervisor> {
        match supervisor.has_ended() {
            None => supervisor,
            Some(status) => {
                assert!(
                    supervisor.was_killed(),
                    "the supervisor ended by itself ({status}):\n{}",
                    supervisor.log()
                );
                self.world.start()
            }
        }
    }

    /// The dispatch was answered with the task, however it went on.
    fn answered(&self, client: Background) {
        let output = client.output();
        let known = self.world.acknowledge(&output);
        assert!(known.is_some(), "no task in {output:#?}");
        // Started, or one of the verdicts of a task that ended meanwhile.
        assert!(matches!(output.code(), 0 | 10 | 12), "{output:#?}");
    }

    /// Whatever happened, the same conversation can go on.
    fn the_key_is_free(&self, supervisor: &Supervisor) {
        assert!(supervisor.has_ended().is_none(), "{}", supervisor.log());
        for task in self.world.ledger().tasks() {
            let key = task.text("key").expect("a task has a key").to_string();
            let next = self.world.run().key(&key).steps(["exit:0"]).detached();
            let ended = self.world.ended(&next.id);
            assert_eq!(ended["status"], "success", "{ended:#}");
        }
    }
}
