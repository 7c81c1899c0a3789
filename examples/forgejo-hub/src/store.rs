//! What the hub has to remember: one small file, replaced whole and synced
//! before anything is answered.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::delivery::Delivery;

/// Everything.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    /// The last event that was taken care of.
    pub(crate) last_event: Option<u64>,
    /// The ledger that it stands in.
    pub(crate) ledger_id: Option<String>,
    /// The task of each issue that is assigned to the agent, by key.
    assigned: BTreeMap<String, String>,
    /// What the gateway has to be told, in order.
    pub(crate) orders: Vec<Order>,
    /// Tasks whose end is waited for, and what it is about.
    pub(crate) tasks: BTreeMap<String, About>,
    /// What has to be reported.
    pub(crate) reports: Vec<Value>,
}

/// What the gateway has to be told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Order {
    /// Begin this task, with this body.
    Dispatch { task: String, body: Value },
    /// Stop it.
    Stop { task: String, note: String },
}

impl Order {
    /// Of which task.
    pub(crate) fn task(&self) -> &str {
        match self {
            Self::Dispatch { task, .. } | Self::Stop { task, .. } => task,
        }
    }
}

/// The issue of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct About {
    key: String,
    repo: String,
    issue: i64,
    url: String,
}

impl State {
    /// Takes a delivery; `body` is what is posted if it means a new task. Tells
    /// whether it meant anything: Forgejo names the assignees and not what
    /// changed among them.
    pub(crate) fn take(&mut self, delivery: &Delivery, agent: &str, body: Value) -> bool {
        let issue = &delivery.issue;
        let key = key(agent, &issue.repo, issue.number);
        match (self.assigned.get(&key).cloned(), delivery.assigned) {
            (Some(_), true) | (None, false) => false,
            (None, true) => {
                // Repeated deliveries are one task.
                let task = format!("fj-{}", delivery.id);
                self.assigned.insert(key.clone(), task.clone());
                let about = About {
                    key,
                    repo: issue.repo.clone(),
                    issue: issue.number,
                    url: issue.url.clone(),
                };
                // Before it is posted: its end may come before the answer.
                self.tasks.insert(task.clone(), about);
                self.orders.push(Order::Dispatch { task, body });
                true
            }
            (Some(task), false) => {
                self.assigned.remove(&key);
                // One that was not answered yet may have begun all the same.
                self.orders.retain(|order| order.task() != task);
                let note = format!("unassigned from {agent} by {}", delivery.sender);
                self.orders.push(Order::Stop { task, note });
                true
            }
        }
    }

    /// Is the gateway still to be asked to begin it?
    pub(crate) fn is_ordered(&self, task: &str) -> bool {
        self.orders
            .iter()
            .any(|order| matches!(order, Order::Dispatch { .. }) && order.task() == task)
    }

    /// A task has come to its end, or never had a beginning: `outcome` goes into
    /// its report.
    pub(crate) fn end(&mut self, task: &str, outcome: &Value) {
        let Some(about) = self.tasks.remove(task) else {
            return;
        };
        self.reports.push(json!({
            "task_id": task,
            "key": about.key,
            "repo": about.repo,
            "issue": about.issue,
            "issue_url": about.url,
            "outcome": outcome,
        }));
    }
}

/// The conversation of an issue.
pub(crate) fn key(agent: &str, repo: &str, number: i64) -> String {
    format!("forgejo:{agent}:{repo}:{number}")
}

/// The state and its file.
pub(crate) struct Store {
    path: PathBuf,
    /// Held for a change and its way to the disk, never over a wait.
    state: Mutex<State>,
    /// There may be something to deliver.
    pub(crate) orders: Notify,
    pub(crate) reports: Notify,
}

impl Store {
    /// Reads what an earlier hub left. A file that cannot be read is an error:
    /// to begin anew would forget tasks.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let state = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => State::default(),
            read => read
                .and_then(|bytes| Ok(serde_json::from_slice(&bytes)?))
                .with_context(|| path.display().to_string())?,
        };
        Ok(Self {
            path: path.to_owned(),
            state: Mutex::new(state),
            orders: Notify::new(),
            reports: Notify::new(),
        })
    }

    /// A look at it.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state())
    }

    /// Changes it; on the disk when this returns.
    ///
    /// # Errors
    /// Then nothing has changed.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> Result<T> {
        let mut state = self.state();
        let mut next = state.clone();
        let result = change(&mut next);
        if next != *state {
            write(&self.path, &next).with_context(|| self.path.display().to_string())?;
            *state = next;
            self.orders.notify_one();
            self.reports.notify_one();
        }
        Ok(result)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // It is replaced whole: a panic leaves the old one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Issue texts and secrets of `[task]` may stand in it: for its owner only.
fn write(path: &Path, state: &State) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&new)?;
    file.write_all(&serde_json::to_vec_pretty(state)?)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    match path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        Some(folder) => File::open(folder)?.sync_all(),
        None => File::open(".")?.sync_all(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::Issue;

    fn delivery(id: &str, assigned: bool) -> Delivery {
        Delivery {
            id: id.into(),
            assigned,
            issue: Issue {
                repo: "o/r".into(),
                number: 7,
                url: "u".into(),
                title: "t".into(),
                body: "b".into(),
            },
            sender: "s".into(),
        }
    }

    #[test]
    fn an_assignment_is_one_task_and_its_end_one_report() {
        let mut state = State::default();
        assert!(!state.take(&delivery("0", false), "dev", Value::Null));
        assert!(state.take(&delivery("1", true), "dev", json!({"a": 1})));
        assert!(
            !state.take(&delivery("1", true), "dev", json!({"a": 1})),
            "repeated"
        );
        assert!(
            !state.take(&delivery("2", true), "dev", json!({"a": 1})),
            "another assignee"
        );
        let task = String::from("fj-1");
        let order = Order::Dispatch {
            task,
            body: json!({"a": 1}),
        };
        assert_eq!(state.orders, [order]);
        assert!(state.is_ordered("fj-1"));
        state.end("fj-1", &json!({"status": "success"}));
        state.end("fj-1", &json!({"status": "success"}));
        assert_eq!(state.reports.len(), 1);
        assert_eq!(state.reports[0]["key"], "forgejo:dev:o/r:7");
        assert!(
            !state.take(&delivery("3", true), "dev", Value::Null),
            "still assigned"
        );
        assert!(state.take(&delivery("4", false), "dev", Value::Null));
        assert!(
            state.take(&delivery("5", true), "dev", Value::Null),
            "assigned anew"
        );
    }

    #[test]
    fn what_was_not_begun_is_only_stopped() {
        let mut state = State::default();
        state.take(&delivery("1", true), "dev", Value::Null);
        state.take(&delivery("2", false), "dev", Value::Null);
        let (task, note) = ("fj-1".into(), "unassigned from dev by s".into());
        assert_eq!(state.orders, [Order::Stop { task, note }]);
        assert!(!state.is_ordered("fj-1"));
    }
}
