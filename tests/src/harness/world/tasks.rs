//! What a test does to the tasks of its world.

use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::World;
use crate::harness::background::Background;
use crate::harness::cgroup::kernel_kills;
use crate::harness::ctl::Output;
use crate::harness::process::Process;
use crate::harness::run::Dispatched;
use crate::harness::wait::{GENEROUS, wait_explained, wait_for};

impl World {
    /// The answer to a `run -d --json`: a task in it is acknowledged from now
    /// on, which is for the invariants. Gives its id.
    pub fn acknowledge(&self, output: &Output) -> Option<String> {
        let answer: Option<Value> = serde_json::from_str(&output.stdout).ok();
        let id = answer?["id"].as_str()?.to_string();
        self.oracle().acknowledged.push(id.clone());
        Some(id)
    }

    /// `show` as JSON.
    #[must_use]
    pub fn show(&self, task: &str) -> Value {
        self.ctl(&["show", task, "--json"]).ok().json()
    }

    /// Waits until the task's row is terminal, and gives `show`.
    ///
    /// # Panics
    /// When it does not end.
    #[must_use]
    pub fn ended(&self, task: &str) -> Value {
        self.ended_within(task, GENEROUS)
    }

    /// The same with a deadline of the caller's, for agents that are slow.
    ///
    /// # Panics
    /// When it does not end.
    #[must_use]
    pub fn ended_within(&self, task: &str, deadline: Duration) -> Value {
        self.wait_for(task, "a terminal row", deadline, |status| {
            !matches!(status, "queued" | "running")
        });
        self.show(task)
    }

    /// Waits until the row's status fits.
    ///
    /// # Panics
    /// When it does not come to that.
    pub fn wait_for_row(&self, task: &str, what: &str, fits: impl Fn(&str) -> bool) {
        self.wait_for(task, what, GENEROUS, fits);
    }

    fn wait_for(&self, task: &str, what: &str, deadline: Duration, fits: impl Fn(&str) -> bool) {
        let row = || self.ledger().task(task);
        wait_explained(
            &format!("{what} of {task}"),
            deadline,
            || row().is_some_and(|row| row.text("status").is_some_and(&fits)),
            || (row(), self.ledger().event_types(task), self.log()),
        );
    }

    /// `stop-session` for one task, its answer remembered for the invariants.
    /// Gives the outcome.
    ///
    /// # Panics
    /// When the answer has no outcome.
    #[must_use]
    pub fn stop(&self, task: &str, options: &[&str]) -> String {
        let mut arguments = vec!["stop-session", task, "--json"];
        arguments.extend(options);
        self.stop_answered(task, &self.ctl(&arguments))
    }

    /// `stop-session` while the test goes on; its answer is for
    /// [`World::stop_answered`].
    #[must_use]
    pub fn stop_in_background(&self, task: &str, options: &[&str]) -> Background {
        let mut arguments = vec!["stop-session", task, "--json"];
        arguments.extend(options);
        Background::start(self.ctl_command(&arguments))
    }

    /// The outcome in the answer to a stop, remembered for the invariants.
    ///
    /// # Panics
    /// When the answer has no outcome.
    pub fn stop_answered(&self, task: &str, output: &Output) -> String {
        let answer = output.json();
        let outcome = answer["results"][0]["outcome"]
            .as_str()
            .unwrap_or_else(|| panic!("no outcome in {answer}"))
            .to_string();
        self.oracle()
            .stops
            .push((task.to_string(), outcome.clone()));
        outcome
    }

    /// `prune --apply`; what goes is forgotten by the invariants, too.
    pub fn prune(&self, options: &[&str]) -> Value {
        let mut arguments = vec!["prune", "--apply", "--json"];
        arguments.extend(options);
        let pruned = self.ctl(&arguments).ok().json();
        self.forget_pruned();
        pruned
    }

    /// Waits until exactly these tasks would go if all that has ended were pruned:
    /// their shims have left.
    ///
    /// # Panics
    /// When others would.
    pub fn may_go(&self, wanted: &[&str]) {
        wait_explained(
            "tasks that may go",
            GENEROUS,
            || self.prunable() == wanted,
            || (self.prunable(), self.log()),
        );
    }

    fn prunable(&self) -> Vec<String> {
        let dry = self.ctl(&["prune", "--older-than", "0s", "--json"]).ok();
        let tasks = dry.json()["tasks"].as_array().cloned().unwrap_or_default();
        let id = |task: &Value| task["id"].as_str().map(str::to_owned);
        tasks.iter().filter_map(id).collect()
    }

    /// Tasks that have no row any more were pruned, says the test.
    pub fn forget_pruned(&self) {
        let ledger = self.ledger();
        let mut oracle = self.oracle();
        oracle.acknowledged.retain(|id| ledger.task(id).is_some());
        oracle.stops.retain(|(id, _)| ledger.task(id).is_some());
    }

    /// Sends a signal from outside, remembered for the invariants.
    pub fn kill(&self, process: &Process, signal: Signal) {
        self.oracle().killed.push((process.clone(), signal));
        process.signal(signal);
    }

    /// A task that has ended, its shim lost, and that has left a process of another
    /// user behind, which only root can.
    ///
    /// # Panics
    /// When it does not.
    #[must_use]
    pub fn task_with_a_stranger(&self) -> (Dispatched, Process) {
        let pid_file = self.path("stranger").display().to_string();
        let script = format!(
            "setpriv --reuid=65534 --clear-groups sleep 1000 & echo $! > {pid_file}.new; \
         mv {pid_file}.new {pid_file}; wait"
        );
        let task = self.run().argv(["sh", "-c", &script]).detached();
        let left = wait_for("the stranger", GENEROUS, || {
            let text = std::fs::read_to_string(&pid_file).ok();
            let process = text
                .as_deref()
                .and_then(|text| text.trim().parse().ok())
                .and_then(Process::now);
            process
                .filter(|process| process.comm().as_deref() == Some("sleep"))
                .ok_or(text)
        });
        let shim = self.shim_of(&task.id).expect("the shim lives");
        self.kill(&shim, Signal::SIGKILL);
        let _lost = self.ended(&task.id);
        (task, left)
    }

    /// The kernel killed this process of a task with this cgroup for want of
    /// memory: by its own count, remembered for the invariants.
    ///
    /// # Panics
    /// When the kernel did not.
    pub fn killed_by_kernel(&self, process: &Process, cgroup: &Path) {
        assert_eq!(kernel_kills(cgroup), 1, "{}", cgroup.display());
        let kill = (process.clone(), Signal::SIGKILL);
        self.oracle().killed.push(kill);
    }
}
