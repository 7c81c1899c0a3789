//! What a test does to the tasks of its world.

use nix::sys::signal::Signal;
use serde_json::Value;

use super::World;
use crate::harness::process::Process;
use crate::harness::wait::{GENEROUS, wait_for};

impl World {
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
        self.wait_for_row(task, "a terminal row", |status| {
            !matches!(status, "queued" | "running")
        });
        self.show(task)
    }

    /// Waits until the row's status fits.
    ///
    /// # Panics
    /// When it does not come to that.
    pub fn wait_for_row(&self, task: &str, what: &str, fits: impl Fn(&str) -> bool) {
        wait_for(&format!("{what} of {task}"), GENEROUS, || {
            let row = self.ledger().task(task);
            match &row {
                Some(found) if found.text("status").is_some_and(&fits) => Ok(()),
                Some(_) | None => Err((row, self.tail())),
            }
        });
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
        let answer = self.ctl(&arguments).json();
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
