//! Who did it, in words.

use protocol::shim::SenderRecord;
use protocol::view::Requester;
use protocol::vocab::{SignalledBy, Via};

use crate::text::printable;

/// Longest name of a program or terminal that is shown, in bytes.
const MAX_NAME: usize = 64;

/// `uid 0 comm agentctl (pid 4242, under bash ← sshd, on pts/3)`.
pub(super) fn requester(who: &Requester) -> String {
    if !who.is_known() {
        return "somebody of whom no record is left".to_owned();
    }
    let uid = match (who.via, who.uid) {
        (Via::Supervisor, _) => return "the supervisor".to_owned(),
        (Via::Http, None) => return "a client of the gateway (over HTTP)".to_owned(),
        (Via::Control | Via::Signal, None) => "?".to_owned(),
        (Via::Control | Via::Http | Via::Signal, Some(uid)) => uid.to_string(),
    };
    let comm = who.comm.as_deref().unwrap_or("?");
    let mut more = Vec::new();
    more.extend(who.pid.map(|pid| format!("pid {pid}")));
    if !who.ancestry.is_empty() {
        let parents: Vec<String> = who
            .ancestry
            .iter()
            .map(|parent| printable(&parent.comm, MAX_NAME))
            .collect();
        more.push(format!("under {}", parents.join(" ← ")));
    }
    more.extend(
        who.tty
            .as_deref()
            .map(|tty| format!("on {}", printable(tty, MAX_NAME))),
    );
    match who.via {
        Via::Http => more.push("over http".to_owned()),
        Via::Signal => more.push("by a signal".to_owned()),
        Via::Control | Via::Supervisor => {}
    }
    more.extend(
        who.from_task
            .as_ref()
            .map(|task| format!("inside task {task}")),
    );
    let name = format!("uid {uid} comm {}", printable(comm, MAX_NAME));
    if more.is_empty() {
        name
    } else {
        format!("{name} ({})", more.join(", "))
    }
}

/// The sender of a signal, as the kernel tells it.
pub(super) fn sender(who: &SenderRecord) -> String {
    if who.pid == 0 {
        return "the kernel".to_owned();
    }
    let comm = who.comm.as_deref().unwrap_or("?");
    let name = format!(
        "uid {} comm {} (pid {}",
        who.uid,
        printable(comm, MAX_NAME),
        who.pid
    );
    match who.exe.as_deref() {
        Some(exe) => format!("{name}, {})", printable(exe, 4 * MAX_NAME)),
        None => format!("{name})"),
    }
}

pub(super) const fn signaller(by: SignalledBy) -> &'static str {
    match by {
        SignalledBy::Shim => "the shim",
        SignalledBy::Supervisor => "the supervisor",
    }
}
