//! Processes that an agent leaves behind.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use crate::record::Record;
use crate::{AGAIN, CHILD, MIDDLE};

/// How far a child goes away from its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Distance {
    /// A child in the same group.
    Plain,
    /// A child in a group of its own, in the same session.
    Group,
    /// A child in a session of its own.
    Session,
    /// A session of its own, and its parent is dead: a daemon.
    Daemon,
}

impl Distance {
    fn parse(word: &str) -> Self {
        match word {
            "plain" => Self::Plain,
            "group" => Self::Group,
            "session" => Self::Session,
            "daemon" => Self::Daemon,
            other => panic!("{other}: a child is plain, group, session or daemon"),
        }
    }
}

/// `spawn:DISTANCE:COUNT:STEP,STEP…` where the steps have `=` for `:`.
pub(crate) fn spawn(record: &Record, words: &str) {
    let mut parts = words.splitn(3, ':');
    let distance = Distance::parse(parts.next().unwrap_or_default());
    let count = parts
        .next()
        .and_then(|count| count.parse().ok())
        .expect("spawn:DISTANCE:COUNT");
    let steps: Vec<String> = parts
        .next()
        .unwrap_or("forever")
        .split(',')
        .map(|step| step.replace('=', ":"))
        .collect();
    for _ in 0..count {
        one(record, distance, &steps);
    }
}

/// One link of a chain of processes in which each makes the next one and ends
/// at once; so many are to follow.
pub(crate) fn chain(record: &Record, left: u32) {
    if left > 0 {
        one(record, Distance::Session, &[format!("chain:{}", left - 1)]);
    }
}

/// Goes on with the same pid and an empty environment.
pub(crate) fn wipe_environment(record: &Record, rest: &[String]) -> ! {
    let error = itself()
        .env_clear()
        .arg(AGAIN)
        .args(record.step())
        .args(rest)
        .exec();
    panic!("cannot exec itself: {error}");
}

/// `@middle RECORD-STEP? STEP…`: makes the child and ends.
#[expect(
    clippy::zombie_processes,
    reason = "the child outlives this process on purpose"
)]
pub(crate) fn middle(words: &[String]) {
    nix::unistd::setsid().expect("a fresh child leads no group");
    let mut record = Record::new(crate::record::Kind::Child);
    if let Some(path) = words.first().and_then(|word| word.strip_prefix("record:")) {
        record.open(path);
    }
    let child = itself()
        .arg(CHILD)
        .args(words)
        .stdin(Stdio::null())
        .spawn()
        .expect("a process can be made");
    record.child(child.id());
    record.ending("exit 0");
}

fn one(record: &Record, distance: Distance, steps: &[String]) {
    let mut command = itself();
    match distance {
        Distance::Plain => command.arg(CHILD).args(record.step()),
        Distance::Group => command.process_group(0).arg(CHILD).args(record.step()),
        Distance::Session => command.arg(CHILD).args(record.step()).arg("session"),
        Distance::Daemon => command.arg(MIDDLE).args(record.step()),
    };
    let child = command.args(steps).stdin(Stdio::null()).spawn();
    let mut child = match child {
        Ok(child) => child,
        // A fork storm may meet the limit of processes: it just ends there.
        Err(error) => {
            record.mark(&format!("no child: {error}"));
            return;
        }
    };
    record.child(child.id());
    if distance == Distance::Daemon {
        // The record is whole when this step is done.
        child.wait().expect("a child can be waited for");
    }
}

fn itself() -> Command {
    Command::new(std::env::current_exe().expect("a process knows its program"))
}
