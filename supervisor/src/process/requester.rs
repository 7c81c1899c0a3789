//! Who asks: what the kernel tells about the process at the other end of a
//! socket. For the record and for people; nothing is allowed or refused by it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use protocol::TaskId;
use protocol::limits::MAX_ANCESTRY;
use protocol::view::{Ancestor, Requester};
use protocol::vocab::Via;
use sys::process::{self, Stat};

use super::marker;
use crate::text::command_name;

/// Looks the peer up, as far as it can still be seen. `pid` and `uid` are the
/// socket's (`SO_PEERCRED`); the pid is 0 if the peer is in another namespace.
///
/// Reads a handful of small files of `/proc`.
#[must_use]
pub fn look_up(pid: Option<i32>, uid: Option<u32>, via: Via) -> Requester {
    let pid = pid.filter(|pid| *pid > 0);
    let mut requester = Requester {
        uid,
        pid,
        comm: None,
        via,
        ancestry: Vec::new(),
        tty: None,
        from_task: None,
    };
    let Some((pid, stat)) = pid.and_then(|pid| Some((pid, seen(pid)?))) else {
        return requester;
    };
    requester.comm = Some(shown(&stat));
    requester.tty = tty_name(stat.tty_nr);
    requester.from_task = task_of(pid);
    let mut parent = stat.ppid;
    while parent > 0 && requester.ancestry.len() < MAX_ANCESTRY {
        let Some(stat) = seen(parent) else { break };
        // One that wiped its own environment still has parents.
        requester.from_task = requester.from_task.or_else(|| remembered(parent, &stat));
        requester.ancestry.push(Ancestor {
            pid: parent,
            comm: shown(&stat),
        });
        parent = stat.ppid;
    }
    requester
}

/// The supervisor itself asks.
#[must_use]
pub fn ourselves() -> Requester {
    let pid = i32::try_from(std::process::id()).ok();
    Requester {
        uid: Some(nix::unistd::geteuid().as_raw()),
        pid,
        comm: pid.and_then(seen).map(|stat| shown(&stat)),
        via: Via::Supervisor,
        ancestry: Vec::new(),
        tty: None,
        from_task: None,
    }
}

/// A process that cannot be read is not there, for this purpose.
fn seen(pid: i32) -> Option<Stat> {
    process::stat(pid).ok().flatten()
}

fn shown(stat: &Stat) -> String {
    command_name(&stat.comm)
}

/// The task whose marker stands in the environment of `pid`.
fn task_of(pid: i32) -> Option<TaskId> {
    read_task(pid).flatten()
}

/// The same; `None` if its environment cannot be read, or not now.
fn read_task(pid: i32) -> Option<Option<TaskId>> {
    let environment = process::environ(pid).ok().flatten()?;
    let marked = environment.iter().find_map(|entry| {
        let (name, _) = entry.to_str()?.split_once('=')?;
        marker::parse_marker_name(name)
    });
    (!environment.is_empty()).then_some(marked)
}

/// What stood in the environments of parents when they were first seen, by number and
/// start time: the same shells and services ask again and again, and whoever waits for
/// a stop waits for this look. One that execs anew keeps what it had.
static PARENTS: Mutex<BTreeMap<(i32, u64), Option<TaskId>>> = Mutex::new(BTreeMap::new());

/// Then it begins anew.
const MAX_PARENTS: usize = 256;

/// As [`task_of`], of a parent.
fn remembered(pid: i32, stat: &Stat) -> Option<TaskId> {
    let process = (pid, stat.start_time);
    // A map is whole at every point where a panic can happen.
    let parents = || PARENTS.lock().unwrap_or_else(PoisonError::into_inner);
    let known = parents().get(&process).cloned();
    if let Some(known) = known {
        return known;
    }
    let task = read_task(pid)?;
    let mut parents = parents();
    if parents.len() >= MAX_PARENTS {
        parents.clear();
    }
    parents.insert(process, task.clone());
    task
}

/// The name of the terminal with this number, e.g. `pts/3`.
fn tty_name(tty_nr: i32) -> Option<String> {
    if tty_nr == 0 {
        return None;
    }
    // `new_encode_dev` of the kernel: twelve bits of major between two parts
    // of minor.
    let device = tty_nr.cast_unsigned();
    let major = (device >> 8) & 0xfff;
    let minor = (device & 0xff) | ((device >> 12) & 0xf_ff00);
    Some(match (major, minor) {
        (136..=143, _) => format!("pts/{}", ((major - 136) << 8) + minor),
        (4, 0..=63) => format!("tty{minor}"),
        (4, _) => format!("ttyS{}", minor - 64),
        (5, 1) => "console".to_owned(),
        _ => format!("device {major}:{minor}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::process::{Child, Command, Stdio};

    fn started(command: &mut Command) -> (Child, i32) {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("piped");
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("readable");
        let pid = line.trim().parse().expect("the shell's pid");
        (child, pid)
    }

    fn ended(mut child: Child) {
        drop(child.stdin.take());
        child.wait().expect("ours");
    }

    #[test]
    fn a_peer_is_shown_with_its_parents_and_its_task() {
        let task = TaskId::new("t-1").expect("legal");
        let (child, pid) = started(
            Command::new("sh")
                .args(["-c", "sh -c 'echo $$; read line'; :"])
                .env(marker::marker_name(&task), "00"),
        );
        let requester = look_up(Some(pid), Some(7), Via::Control);
        ended(child);
        assert_eq!((requester.pid, requester.uid), (Some(pid), Some(7)));
        assert_eq!(requester.comm.as_deref(), Some("sh"));
        assert_eq!(requester.from_task, Some(task));
        assert_eq!(requester.via, Via::Control);
        assert_eq!(requester.ancestry[0].comm, "sh");
        let own = i32::try_from(std::process::id()).expect("a pid");
        assert_eq!(requester.ancestry[1].pid, own);
        assert!(requester.ancestry.len() <= MAX_ANCESTRY);
    }

    #[test]
    fn a_wiped_environment_is_seen_through_a_parent() {
        let task = TaskId::new("t-2").expect("legal");
        let (child, pid) = started(
            Command::new("sh")
                .args(["-c", "env -i sh -c 'echo $$; read line'; :"])
                .env(marker::marker_name(&task), "00"),
        );
        let requester = look_up(Some(pid), None, Via::Control);
        ended(child);
        assert_eq!(requester.from_task, Some(task));
    }

    #[test]
    fn a_peer_that_is_gone_or_hidden_leaves_what_the_socket_said() {
        for pid in [None, Some(0), Some(-1), Some(i32::MAX)] {
            let requester = look_up(pid, Some(7), Via::Http);
            assert_eq!(requester.uid, Some(7));
            assert_eq!(requester.pid, pid.filter(|pid| *pid > 0));
            assert_eq!(requester.comm, None);
            assert!(requester.ancestry.is_empty());
        }
    }

    #[test]
    fn terminals_have_their_names() {
        assert_eq!(tty_name(0), None);
        assert_eq!(tty_name((136 << 8) | 3).as_deref(), Some("pts/3"));
        assert_eq!(
            tty_name((136 << 8) | (1 << 20) | 4).as_deref(),
            Some("pts/260")
        );
        assert_eq!(tty_name((137 << 8) | 1).as_deref(), Some("pts/257"));
        assert_eq!(tty_name((4 << 8) | 1).as_deref(), Some("tty1"));
        assert_eq!(tty_name((4 << 8) | 64).as_deref(), Some("ttyS0"));
        assert_eq!(tty_name((5 << 8) | 1).as_deref(), Some("console"));
        assert_eq!(tty_name((204 << 8) | 64).as_deref(), Some("device 204:64"));
    }

    #[test]
    fn we_know_ourselves() {
        let requester = ourselves();
        assert_eq!(requester.via, Via::Supervisor);
        assert!(requester.comm.is_some());
    }
}
