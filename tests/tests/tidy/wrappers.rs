//! Whatever commits, links, renames, writes, syncs, sends, signals, spawns or reaps stands in
//! one of a few files, where it passes through a hook point: else a crash test
//! could not stop the program on either side of it.

use crate::code::has_word;
use crate::report;
use crate::source::sources;

/// Calls that change something for ever.
const CALLS: [&str; 24] = [
    "commit",
    "hard_link",
    "linkat",
    "rename",
    "renameat",
    "sync_data",
    "sync_all",
    "fdatasync",
    "fsync",
    "kill",
    "killpg",
    "pidfd_send_signal",
    "waitid",
    "waitpid",
    "group_spawn",
    "posix_spawn",
    "execve",
    "fs::write",
    "write_all",
    "write_all_at",
    "poll_write",
    "poll_write_vectored",
    "send",
    "sendmsg",
];

/// The crates whose programs the crash tests stop.
const CRATES: [&str; 3] = ["sys/src/", "supervisor/src/", "agent-shim/src/"];

/// The files that may call them, each with its reason.
const WRAPPERS: [(&str, &str); 22] = [
    (
        "sys/src/atomic_file.rs",
        "write, sync and rename of small files; the callers' hooks are around it",
    ),
    (
        "sys/src/claim.rs",
        "the link that decides a start, between its hooks",
    ),
    ("sys/src/hook.rs", "a hook point kills its own process"),
    ("sys/src/journal/", "appends and syncs, between their hooks"),
    (
        "sys/src/pidfd.rs",
        "signals a process by its pidfd, between the caller's hooks",
    ),
    (
        "sys/src/reap.rs",
        "looks at and ends zombies, between hooks",
    ),
    (
        "sys/src/signal.rs",
        "signals children and groups, between the caller's hooks",
    ),
    (
        "sys/src/spawn/",
        "starts the agent; the shim's exec hooks are around it",
    ),
    ("supervisor/src/ledger/", "the only transactions"),
    (
        "supervisor/src/folder/pruned.rs",
        "moves the folders that retention takes, between its hooks",
    ),
    (
        "supervisor/src/folder/lost.rs",
        "moves the folders of which a rebuild makes no task, between hooks",
    ),
    (
        "supervisor/src/shim/spawn.rs",
        "starts a shim, between its hooks",
    ),
    (
        "supervisor/src/shim/watch.rs",
        "reaps ended shims: nothing durable follows from it",
    ),
    (
        "supervisor/src/telemetry.rs",
        "moves its own full log aside: nothing durable follows from it",
    ),
    (
        "supervisor/src/socket/bind.rs",
        "puts a socket in its place: nothing durable",
    ),
    (
        "sys/src/ipc.rs",
        "bytes to the other side, between the caller's hooks",
    ),
    (
        "sys/src/container/",
        "notes the container before the claim: without a claim it says nothing",
    ),
    (
        "supervisor/src/cgroup/",
        "files of the kernel; `cgroup.kill` is between its hooks",
    ),
    (
        "supervisor/src/runtime/offline.rs",
        "answers from a ledger that is only read",
    ),
    (
        "supervisor/src/gateway/patience.rs",
        "bytes to a client of the gateway, between their hooks",
    ),
    (
        "agent-shim/src/opening.rs",
        "tells a supervisor of no common version ours: nothing is started",
    ),
    (
        "sys/src/oom.rs",
        "its own score in the kernel's choice: nothing durable",
    ),
];

#[test]
fn what_changes_something_passes_through_a_hook() {
    let mut found = Vec::new();
    for source in sources() {
        let watched = CRATES.iter().any(|place| source.path.starts_with(place));
        let wrapper = WRAPPERS
            .iter()
            .any(|(place, _)| source.path.starts_with(place));
        if !watched || wrapper || source.is_test() {
            continue;
        }
        for (number, line) in source.product_lines() {
            for call in CALLS.iter().filter(|call| is_call(line, call)) {
                found.push(source.at(number, &format!("a direct `{call}`")));
            }
        }
    }
    report(
        "what changes something for ever stands in a hooked wrapper",
        &found,
    );
}

#[test]
fn every_wrapper_exists() {
    let sources = sources();
    for (place, reason) in WRAPPERS {
        assert!(
            sources.iter().any(|source| source.path.starts_with(place)),
            "{place} ({reason}) is gone: take it out of the list"
        );
    }
}

/// A call, and no definition, of a function or method of this name. A
/// transaction commits without arguments; the ledger's own `commit` has some. A
/// type's own method of such a name is no system call either.
fn is_call(line: &str, name: &str) -> bool {
    let call = match name {
        "commit" => ".commit()".to_string(),
        _ => format!("{name}("),
    };
    let own = format!("self.{name}(");
    // Channels have a method of that name.
    let line = &line.replace(&own, "").replace(".send(", "");
    let last = name.rsplit("::").next().unwrap_or(name);
    has_word(line, last) && line.contains(&call) && !line.contains(&format!("fn {call}"))
}
