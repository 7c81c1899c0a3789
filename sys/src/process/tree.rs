//! Who descends from whom.

use std::io::{self, ErrorKind};

use super::if_there;
use super::stat::stat;
use crate::pidfd::PidFd;

/// Generations that one walk goes down; each keeps one descriptor open.
const MAX_GENERATIONS: usize = 64;

/// The children of `pid`, of all its threads; none if it is gone.
///
/// The kernel may leave some out while others of them end: ask again until
/// there is none, and take a `waitid` that knows no child as the proof.
///
/// # Errors
/// The file system's answer.
pub fn children(pid: i32) -> io::Result<Vec<i32>> {
    let mut found = Vec::new();
    let Some(threads) = if_there(std::fs::read_dir(format!("/proc/{pid}/task")))? else {
        return Ok(found);
    };
    for thread in threads {
        let Some(thread) = if_there(thread)? else {
            continue;
        };
        match std::fs::read_to_string(thread.path().join("children")) {
            Ok(list) => found.extend(
                list.split_ascii_whitespace()
                    .filter_map(|pid| pid.parse::<i32>().ok()),
            ),
            // Gone meanwhile, or a kernel without this file: the slow way is
            // right in both cases.
            Err(error) if error.kind() == ErrorKind::NotFound => return children_by_parent(pid),
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// The same by looking at every process.
fn children_by_parent(parent: i32) -> io::Result<Vec<i32>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        if stat(pid)?.is_some_and(|stat| stat.ppid == parent) {
            found.push(pid);
        }
    }
    Ok(found)
}

/// A living descendant, held so that a signal cannot hit anybody else.
#[derive(Debug)]
pub struct Descendant {
    /// Its number.
    pub pid: i32,
    /// Itself.
    pub pidfd: PidFd,
}

/// Calls `visit` for each living descendant of `root`, parents first, at most
/// `limit` times. Each is proven to descend from `root` at that moment.
///
/// # Errors
/// The kernel's answer; some may have been visited by then.
pub fn descendants(root: i32, limit: usize, visit: &mut dyn FnMut(&Descendant)) -> io::Result<()> {
    let mut left = limit;
    walk(root, None, MAX_GENERATIONS, &mut left, visit)
}

/// The same below a process that is not the caller and may end meanwhile:
/// `held` is the process that has the number `root`.
///
/// # Errors
/// The kernel's answer; some may have been visited by then.
pub fn descendants_of(
    (root, held): (i32, &PidFd),
    limit: usize,
    visit: &mut dyn FnMut(&Descendant),
) -> io::Result<()> {
    let mut left = limit;
    walk(root, Some(held), MAX_GENERATIONS, &mut left, visit)
}

fn walk(
    parent: i32,
    held_parent: Option<&PidFd>,
    generations: usize,
    left: &mut usize,
    visit: &mut dyn FnMut(&Descendant),
) -> io::Result<()> {
    for pid in children(parent)? {
        if *left == 0 || generations == 0 {
            return Ok(());
        }
        let Some(pidfd) = PidFd::open(pid)? else {
            continue;
        };
        // The number may have passed on since the list was read. It is a child
        // if its parent's number is the parent's, and the parent still lives.
        let is_child = stat(pid)?.is_some_and(|stat| stat.ppid == parent);
        // Not the letter of its state, which is that of its first thread.
        let lives = !pidfd.has_ended()?;
        let parent_lives = match held_parent {
            Some(held) => !held.has_ended()?,
            None => true,
        };
        if !(is_child && lives && parent_lives) {
            continue;
        }
        *left -= 1;
        let descendant = Descendant { pid, pidfd };
        visit(&descendant);
        walk(pid, Some(&descendant.pidfd), generations - 1, left, visit)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    #[test]
    fn children_and_grandchildren_are_found() {
        let mut shell = Command::new("sh")
            .args(["-c", "sh -c 'sleep 100 & echo ready; wait' & wait"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let mut line = String::new();
        let stdout = shell.stdout.take().expect("piped");
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("readable");
        let pid = i32::try_from(shell.id()).expect("a pid");
        assert_eq!(children(pid).expect("readable").len(), 1);
        assert_eq!(
            children_by_parent(pid).expect("readable"),
            children(pid).expect("readable")
        );
        let mut parents = Vec::new();
        descendants(pid, 10, &mut |one| {
            parents.push(stat(one.pid).expect("readable").expect("alive").ppid);
        })
        .expect("readable");
        assert_eq!(
            parents,
            [pid, children(pid).expect("readable")[0]],
            "parents come first"
        );
        let mut seen = 0;
        descendants(pid, 1, &mut |_| seen += 1).expect("readable");
        assert_eq!(seen, 1, "the limit holds");
        let mut all = Vec::new();
        descendants(pid, 10, &mut |one| all.push(one.pid)).expect("readable");
        for pid in all {
            let target = PidFd::open(pid).expect("allowed").expect("alive");
            target
                .send_signal(9, &crate::hook::SHIM_SIGNAL)
                .expect("ours");
        }
        shell.wait().expect("ours");
        assert!(children(pid).expect("no error").is_empty());
    }
}
