//! The processes of a world, and their end with it.

use std::fs;
use std::path::Path;

use nix::sys::signal::Signal;

use super::{WORLD_VAR, World};
use crate::harness::background::Background;
use crate::harness::process::{Process, marker_name, processes};
use crate::harness::record::Records;
use crate::harness::wait::{GENEROUS, wait_for};
use crate::invariants;

/// How a line of the supervisor's log says that a promise was broken.
const ERROR_WORD: &str = "ERROR";

impl World {
    /// Every process that belongs to this world.
    #[must_use]
    pub fn processes(&self) -> Vec<Process> {
        processes()
            .into_iter()
            .filter(|process| {
                // Some agents inherit nothing but what their supervisor says.
                let ours = |(name, value): (String, String)| match name.as_str() {
                    WORLD_VAR => Path::new(&value) == self.dir,
                    "AGENT_SUPERVISOR_RUNTIME_DIR" => Path::new(&value).starts_with(&self.dir),
                    _ => false,
                };
                process.environment().into_iter().any(ours) || process.is_in(&self.dir)
            })
            .collect()
    }

    /// The live shim of a task, found by its argument vector. Other worlds may have a
    /// task of the same id: one that has opened files has opened them in its own.
    #[must_use]
    pub fn shim_of(&self, task: &str) -> Option<Process> {
        let is_shim = |process: &Process| {
            let argv = process.argv();
            argv.first()
                .is_some_and(|word| word.ends_with("agent-shim"))
                && argv.get(1).is_some_and(|word| word == task)
        };
        let (ours, others): (Vec<_>, Vec<_>) = processes()
            .into_iter()
            .filter(is_shim)
            .partition(|process| process.is_in(&self.dir));
        let new = || others.into_iter().find(|process| !process.has_files());
        ours.into_iter().next().or_else(new)
    }

    /// Live processes that carry the task's marker, bystanders aside and those of
    /// another world, which may have a task of the same id.
    #[must_use]
    pub fn marked(&self, task: &str) -> Vec<Process> {
        let name = marker_name(task);
        let bystanders = self.oracle().bystanders.clone();
        processes()
            .into_iter()
            .filter(|process| process.marker().as_deref() == Some(&name))
            .filter(|process| !bystanders.contains(process))
            .filter(|process| {
                let mut environment = process.environment().into_iter();
                let world = environment.find(|(name, _)| name == WORLD_VAR);
                world.is_none_or(|(_, dir)| Path::new(&dir) == self.dir)
            })
            .collect()
    }

    /// Processes of an agent's record that live now, in a guest, too.
    #[must_use]
    pub fn alive(&self, records: &Records) -> Vec<Process> {
        if self.entrance.is_empty() {
            return records.alive();
        }
        let recorded = records.processes();
        let is_recorded = |process: &Process| {
            recorded
                .iter()
                .any(|inner| process.is_known_inside_as(inner))
        };
        processes().into_iter().filter(is_recorded).collect()
    }

    /// Starts a process that carries the name of the task's marker, with another
    /// nonce, and blocks all signals: whatever reaches it is seen (I4).
    pub fn bystander(&self, task: &str) {
        let record = Records::new(self.path(&format!("{task}.bystander")));
        let mut command = self.command(self.bins.fake_agent());
        command
            .arg(format!("record:{}", record.path().display()))
            .args(
                ["TERM", "INT", "HUP", "QUIT", "USR1", "USR2", "CONT"]
                    .map(|name| format!("ignore:{name}")),
            )
            .args(["mark:up", "forever"])
            .env(marker_name(task), "of-another-task");
        // It ends with the world.
        let _lives = Background::start(command);
        let process = wait_for("the bystander", GENEROUS, || match record.has_mark("up") {
            true => record.leaders().pop().ok_or("no leader"),
            false => Err("no mark"),
        });
        self.oracle().bystanders.push(process);
    }

    /// Errors in the log that nobody expected: broken promises.
    fn unexpected_errors(&self) -> Vec<String> {
        let forgiven = self.forgiven.lock().expect("no thread panicked");
        self.log()
            .lines()
            .filter(|line| {
                line.split_whitespace()
                    .take(3)
                    .any(|word| word == ERROR_WORD)
            })
            .filter(|line| !forgiven.iter().any(|text| line.contains(text)))
            .map(str::to_string)
            .collect()
    }

    fn end_everything(&self) {
        if let Some(hooks) = &self.hooks {
            hooks.disarm();
        }
        if let Ok(supervisors) = self.supervisors.lock() {
            supervisors.iter().for_each(|supervisor| supervisor.kill());
        }
        wait_for("the end of the world's processes", GENEROUS, || {
            let left = self.processes();
            for process in &left {
                process.signal(Signal::SIGKILL);
            }
            if left.is_empty() { Ok(()) } else { Err(left) }
        });
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "the world is kept in {}; its supervisors said:\n{}",
                self.dir.display(),
                self.log()
            );
            self.end_everything();
            return;
        }
        let left = invariants::left_behind(self);
        let errors = self.unexpected_errors();
        self.end_everything();
        assert!(left.is_empty(), "left behind by ended tasks: {left:#?}");
        assert!(errors.is_empty(), "errors in the log: {errors:#?}");
        fs::remove_dir_all(&self.dir).expect("the world can be removed");
    }
}
