//! What a test does to the tasks of its world.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::World;
use crate::harness::background::Background;
use crate::harness::ctl::Output;
use crate::harness::process::Process;
use crate::harness::wait::{GENEROUS, wait_explained};

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

    /// Sends a signal from outside, remembered for the invariants.
    pub fn kill(&self, process: &Process, signal: Signal) {
        self.oracle().killed.push((process.clone(), signal));
        process.signal(signal);
    }
}
