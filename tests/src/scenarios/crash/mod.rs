//! A process dies at a hook point; what comes after must still be right.

mod case;
mod drain;
mod http;
mod prune;
mod queue;
mod sessions;

use std::sync::Arc;

use self::case::{Case, step_of};
use crate::harness::{Background, Dispatched, GENEROUS, Run, Supervisor, World, wait_until};

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
    /// An ended task goes, row and folder.
    Prune,
    /// The same, and the supervisor was killed before the row went.
    PutBack,
    /// From a place in the queue over its turn to the agent's own end.
    Queue,
    /// A session that its provider does not know, and the fresh task that follows.
    Follow,
    /// A session is given back.
    Release,
    /// The same after its task was pruned.
    ReleasePruned,
    /// An archived task's conversation goes on.
    Reopen,
    /// From a dispatch over HTTP to the agent's own end, with a reader of the events.
    HttpLife,
    /// A stop over HTTP.
    HttpStop,
    /// A live task is put aside over HTTP.
    HttpArchive,
}

impl Path {
    const fn is_over_http(self) -> bool {
        matches!(self, Self::HttpLife | Self::HttpStop | Self::HttpArchive)
    }
}

/// What the harness does to the process that stands at the point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strike {
    /// It is killed.
    Death,
    /// Its write or sync fails with `EIO`.
    Failure,
}

/// Runs the scenario, in which the hit number `occurrence` (from 0) of `point`
/// is struck; brings the task to its end and checks every invariant. Gives
/// whether the point was hit so often.
#[must_use]
pub fn strike_at(path: Path, strike: Strike, point: &str, occurrence: usize) -> bool {
    let (before, after) = step_of(point);
    let mut points = vec![point, before.as_str(), after.as_str()];
    if path == Path::NeverStarted {
        points.push("sup.spawn.before");
    }
    if path == Path::PutBack {
        points.push("sup.prune_sync.after");
    }
    let mut world = World::builder().hooks(points);
    if path == Path::Drain {
        world = world.config("[shutdown]\ndrain_ms = 0\ngrace_ms = 50\n");
    }
    if path == Path::Queue {
        world = world.config("[limits]\nmax_tasks = 1\n");
    }
    if path.is_over_http() {
        world = world.config(http::CONFIG);
    }
    let world = world.build();
    if strike == Strike::Failure {
        world.forgive("the ledger failed; leaving");
        world.forgive("the ledger was not closed in order");
    }
    let case = Case {
        gate: world.gate("end"),
        world: &world,
        strike,
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
        Path::Prune => case.prune(),
        Path::PutBack => case.put_back(),
        Path::Queue => case.queue(),
        Path::Follow => case.follow(),
        Path::Release => case.release(),
        Path::ReleasePruned => case.release_pruned(),
        Path::Reopen => case.reopen(),
        Path::HttpLife => case.http_life(),
        Path::HttpStop => case.http_stop(),
        Path::HttpArchive => case.http_archive(),
    }
    world.check();
    case.was_struck()
}

impl Case<'_> {
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
}
