//! A supervisor that is there and does not answer.

use nix::sys::signal::Signal;
use tests::harness::{GENEROUS, World, wait_until};

/// Bug: «no supervisor is running» was said of one that stood still.
#[test]
fn a_supervisor_that_stands_still_is_told_from_none() {
    let world = World::new();
    let supervisor = world.start();
    let task = world.run().steps(["mark:up", "forever"]).detached();
    task.marked("up");
    supervisor.signal(Signal::SIGSTOP);
    wait_until("it to stand still", GENEROUS, || {
        supervisor.process.state() == Some('T')
    });
    let pid = supervisor.process.pid;
    let list = world.ctl_in_background(&["list", "--json"]);
    let status = world.ctl_in_background(&["status", "--json"]);
    // What it had written is there all the same.
    let list = list.output().ok();
    assert_eq!(list.json()["tasks"][0]["id"], task.id.as_str(), "{list:#?}");
    assert!(
        !list.stderr.contains("no supervisor is running"),
        "{list:#?}"
    );
    assert!(
        list.stderr.contains("reading the ledger read-only"),
        "{list:#?}"
    );
    let error = status.output().expect_code(5).error();
    assert_eq!(error["code"], "unreachable", "{error}");
    for told in [&list.stderr, &error.to_string()] {
        let words = format!("process {pid} is stopped (SIGSTOP, or a debugger)");
        assert!(told.contains(&words), "{told}");
        assert!(told.contains(&format!("`kill -CONT {pid}`")), "{told}");
    }
    supervisor.signal(Signal::SIGCONT);
    assert_eq!(world.stop(&task.id, &[]), "stopped");
    world.check();
}
