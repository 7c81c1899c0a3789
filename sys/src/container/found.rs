//! What an engine and its container say, read.

use protocol::limits::MAX_SURVIVORS;
use protocol::view::Survivor;

use crate::process::{self, Census};

/// A process in a container that carries a task's marker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carrier {
    /// The marker, `NAME=value`.
    pub entry: String,
    /// The process. Its number is that of the container.
    pub process: Survivor,
}

/// Whether a container can have processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// None: it does not run, in this state.
    Without(String),
    /// It can, and is in this state.
    With(String),
    /// Nobody can say: this was heard instead.
    Unknown(String),
}

/// States of a container that has no processes.
const WITHOUT: [&str; 6] = [
    "exited",
    "stopped",
    "dead",
    "created",
    "configured",
    "initialized",
];
/// States of one that has, or may have.
const WITH: [&str; 5] = ["running", "paused", "restarting", "stopping", "removing"];

/// Longest word of an engine that is quoted, in bytes.
const MOST_QUOTED: usize = 200;

/// From the answer to `container inspect -f {{.State.Status}}`.
pub(super) fn state(said: &str) -> State {
    let word = |known: &[&str]| {
        let mut lines = said.lines().map(str::trim);
        lines.find(|line| known.contains(line)).map(str::to_owned)
    };
    if let Some(state) = word(&WITHOUT) {
        return State::Without(state);
    }
    if let Some(state) = word(&WITH) {
        return State::With(state);
    }
    if is_no_such_container(said) {
        return State::Without("removed".to_owned());
    }
    State::Unknown(quoted(said))
}

pub(super) fn is_no_such_container(said: &str) -> bool {
    said.to_ascii_lowercase().contains("no such container")
}

/// The last line, which is the error where there is one.
pub(super) fn quoted(said: &str) -> String {
    let line = said.lines().rfind(|line| !line.trim().is_empty());
    let line = line.unwrap_or("nothing").trim();
    line.chars().take(MOST_QUOTED).collect()
}

/// Whom a container named as left.
pub(super) fn left(said: &str) -> Vec<Survivor> {
    let named = said.lines().filter_map(|line| line.strip_prefix("left "));
    let mut left: Vec<Survivor> = named.filter_map(survivor).collect();
    left.truncate(MAX_SURVIVORS);
    left
}

/// Everybody in a container who carries a marker; `None` if it could not list
/// them to the end.
pub(super) fn carriers(said: &str) -> Option<Vec<Carrier>> {
    let carrier = |line: &str| {
        let (entry, rest) = line.strip_prefix("carrier ")?.split_once(' ')?;
        Some(Carrier {
            entry: entry.to_owned(),
            process: survivor(rest)?,
        })
    };
    let all = said.lines().any(|line| line == "listed");
    all.then(|| said.lines().filter_map(carrier).collect())
}

/// `PID START NAME`.
fn survivor(words: &str) -> Option<Survivor> {
    let mut words = words.splitn(3, ' ');
    Some(Survivor {
        pid: words.next()?.parse().ok()?,
        start_time: words.next()?.parse().ok()?,
        comm: words.next()?.to_owned(),
    })
}

/// Who carries the marker `entry`, as the host sees it: the processes of a
/// container are the host's too, unless the engine runs elsewhere or we
/// ourselves run in a container.
pub(super) fn on_host(entry: &str) -> Vec<Survivor> {
    let carries = |pid: i32| {
        let environment = process::environ(pid).ok().flatten().unwrap_or_default();
        environment
            .iter()
            .any(|found| found.to_str() == Some(entry))
    };
    let alive = |pid: i32| {
        let stat = process::stat(pid).ok().flatten()?;
        (!stat.is_dead()).then_some(Survivor {
            pid,
            start_time: stat.start_time,
            comm: stat.comm,
        })
    };
    let mut found = Vec::new();
    // Without a list the host names nobody, and the container's own word counts.
    let _looked = Census::take(|pid| {
        if carries(pid) {
            found.extend(alive(pid));
        }
    });
    found.truncate(MAX_SURVIVORS);
    found
}

/// Adds those that are not among the survivors yet.
pub fn join(survivors: &mut Vec<Survivor>, more: Vec<Survivor>) {
    for one in more {
        let mut known = survivors.iter();
        let is_known = known.any(|it| (it.pid, it.start_time) == (one.pid, one.start_time));
        if !is_known && survivors.len() < MAX_SURVIVORS {
            survivors.push(one);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_definite_word_says_that_a_container_has_no_processes() {
        let without = |word: &str| State::Without(word.to_owned());
        let with = |word: &str| State::With(word.to_owned());
        let table = [
            ("exited\n", without("exited")),
            ("created\n", without("created")),
            (
                "time=\"…\" level=warning msg=\"old\"\nstopped\n",
                without("stopped"),
            ),
            (
                "Error: inspecting object: no such container box\n",
                without("removed"),
            ),
            (
                "Error response from daemon: No such container: box\n",
                without("removed"),
            ),
            ("running\n", with("running")),
            ("paused\n", with("paused")),
            ("removing\n", with("removing")),
        ];
        for (said, expected) in table {
            assert_eq!(state(said), expected, "{said}");
        }
        for said in [
            "",
            "unknown\n",
            "Cannot connect to the Docker daemon. Has it exited?\n",
            "Error: no such file\n",
        ] {
            assert!(matches!(state(said), State::Unknown(_)), "{said}");
        }
    }

    #[test]
    fn processes_are_read_with_their_names() {
        let named = left("left 12 345 sleep\nleft x\nleft 13 346 a (b) c\n");
        let named: Vec<(i32, u64, &str)> = named
            .iter()
            .map(|one| (one.pid, one.start_time, one.comm.as_str()))
            .collect();
        assert_eq!(named, [(12, 345, "sleep"), (13, 346, "a (b) c")]);
        let said = "carrier AGENT_TASK_a=0f 7 8 sh\nlisted\n";
        let found = carriers(said).expect("a whole list");
        assert_eq!(found[0].entry, "AGENT_TASK_a=0f");
        assert_eq!(found[0].process.pid, 7);
        assert_eq!(carriers("carrier AGENT_TASK_a=0f 7 8 sh\n"), None);
    }
}
