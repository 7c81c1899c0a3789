//! Why an agent ended, as exactly as the kernel tells it.

use std::fs;
use std::process::Command;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tests::harness::{Dispatched, GENEROUS, World, own_user, wait_until};
use tests::scenarios::{assert_ended, exit_code_of, signal_of};
use tests::skip;

/// The first kernel that tells the exits of other parents' children.
const TELLS_EXITS: (u32, u32) = (6, 15);

fn kernel_tells_exits() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("a kernel");
    let mut numbers = release.split(['.', '-']).map(str::parse::<u32>);
    let mut next = || numbers.next().and_then(Result::ok).unwrap_or(0);
    (next(), next()) >= TELLS_EXITS
}

fn evidence(task: &Value, kind: &str) -> String {
    let lines = task["evidence"].as_array().expect("a list");
    let of_kind = lines.iter().filter(|line| line["kind"] == kind);
    of_kind
        .map(|line| format!("{}\n", line["detail"]))
        .collect()
}

/// Kills the shim of a task whose agent is up.
fn shim_killed(world: &World, task: &Dispatched) -> Value {
    task.marked("up");
    let shim = world.shim_of(&task.id).expect("the shim lives");
    world.kill(&shim, Signal::SIGKILL);
    world.ended(&task.id)
}

#[test]
fn the_kernel_tells_how_the_agent_of_a_killed_shim_ended() {
    if !kernel_tells_exits() {
        skip!("this kernel does not tell the exits of other parents' children");
    }
    let world = World::new();
    let first = world.start();
    let task = world.run().steps(["mark:up", "forever"]).detached();
    let ended = shim_killed(&world, &task);
    assert_ended(&ended, "interrupted", "shim_lost", "observed");
    assert_eq!(signal_of(&ended), Some("SIGKILL"), "{ended:#}");
    let exit = evidence(&ended, "exit");
    assert!(exit.contains("as the kernel tells"), "{ended:#}");
    // An adopted one, too.
    let task = world.run().steps(["mark:up", "forever"]).detached();
    task.marked("up");
    first.kill();
    let _second = world.start();
    wait_until("the adoption", GENEROUS, || {
        world.show(&task.id)["presence"] == "attached"
    });
    let ended = shim_killed(&world, &task);
    assert_eq!(signal_of(&ended), Some("SIGKILL"), "{ended:#}");
    world.check();
}

/// It had ended by itself, and the shim died before it could say so.
#[test]
fn an_exit_that_the_shim_never_saw_is_the_real_one() {
    if !kernel_tells_exits() {
        skip!("this kernel does not tell the exits of other parents' children");
    }
    let world = World::running();
    let gate = world.gate("end");
    let steps = ["mark:up", &gate.step(), "exit:7"];
    let task = world.run().steps(steps).detached();
    task.marked("up");
    let leader = task.leader();
    let shim = world.shim_of(&task.id).expect("the shim lives");
    shim.signal(Signal::SIGSTOP);
    gate.open();
    wait_until("the end of the agent", GENEROUS, || !leader.is_alive());
    world.kill(&shim, Signal::SIGKILL);
    let ended = world.ended(&task.id);
    assert_ended(&ended, "interrupted", "shim_lost", "observed");
    assert_eq!(exit_code_of(&ended), Some(7), "{ended:#}");
    world.check();
}

#[test]
fn an_exit_that_no_kernel_tells_is_unknown() {
    let world = World::builder()
        .hooks(["sup.commit.before"])
        .variable("AGENT_SUPERVISOR_NO_PIDFD_EXIT", "1")
        .build();
    let _supervisor = world.start();
    let task = world.run().steps(["mark:up", "forever"]).detached();
    let ended = shim_killed(&world, &task);
    assert_ended(&ended, "interrupted", "shim_lost", "observed");
    assert_eq!(ended["exit"]["kind"], "unknown", "{ended:#}");
    world.check();
}

/// docs/decisions/0013: what comes after a success does not take it back, and is
/// told.
#[test]
fn a_result_of_success_stands_whatever_the_exit() {
    let world = World::running();
    world.install_fake("claude");
    let claude = |key: &str, steps: &[&str]| {
        let run = world.run().provider("claude").key(key);
        run.steps(steps.iter().copied()).detached()
    };
    let exits = claude("exits", &["say:done", "result:success", "exit:3"]);
    let ended = world.ended(&exits.id);
    assert_ended(&ended, "success", "completed", "observed");
    assert_eq!(exit_code_of(&ended), Some(3), "{ended:#}");
    let killed = claude("killed", &["result:success", "mark:up", "forever"]);
    killed.marked("up");
    world.kill(&killed.leader(), Signal::SIGKILL);
    let ended = world.ended(&killed.id);
    assert_ended(&ended, "success", "completed", "observed");
    assert_eq!(signal_of(&ended), Some("SIGKILL"), "{ended:#}");
    let why = world.ctl(&["why", &killed.id]).ok().stdout;
    let words =
        "its own result says success, which its later exit (ended by SIGKILL) does not take";
    assert!(why.contains(words), "{why}");
    let list = world.ctl(&["list", "-a"]).ok().stdout;
    assert!(
        list.contains("Session completed (exited with code 3)"),
        "{list}"
    );
    // An error result stands as well, against an exit of 0.
    let lied = claude("lied", &["result:error:no", "exit:0"]);
    assert_ended(&world.ended(&lied.id), "failure", "failed", "observed");
    world.check();
}

/// W9.
#[test]
fn a_core_dump_is_told() {
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
    if pattern.trim() != "core" {
        skip!("cores go to {}, not to files", pattern.trim());
    }
    let world = World::running();
    let task = world.run().steps(["cores", "abort"]).detached();
    let ended = world.ended(&task.id);
    assert_ended(&ended, "failure", "crashed", "observed");
    let exit = json!({"kind": "signaled", "signal": "SIGABRT", "core": true});
    assert_eq!(ended["exit"], exit, "{ended:#}");
    let why = world.ctl(&["why", &task.id]).ok().stdout;
    assert!(why.contains("core dumped"), "{why}");
    world.check();
}

/// Somebody ends a task from a shell, past everything: who it was is known.
#[test]
fn a_signal_at_the_shim_names_its_sender() {
    for name in ["TERM", "INT", "HUP"] {
        let world = World::running();
        let steps = ["spawn:session:1:forever", "mark:up", "forever"];
        let task = world.run().steps(steps).detached();
        task.marked("up");
        let shim = world.shim_of(&task.id).expect("the shim lives");
        let script = format!("kill -{name} {}; read wait", shim.pid);
        let mut shell = Command::new("sh")
            .args(["-c", &script])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .expect("a shell");
        let ended = world.ended(&task.id);
        let pid = shell.id();
        drop(shell.stdin.take());
        shell.wait().expect("ours");
        assert_ended(&ended, "interrupted", "external_signal", "observed");
        assert_eq!(ended["ended_by"], format!("uid:{} comm:sh", own_user()));
        let signal = evidence(&ended, "signal");
        let said = format!("SIG{name} reached the shim, sent by uid {}", own_user());
        assert!(signal.contains(&said), "{signal}");
        let who = format!("comm sh (pid {pid}, /");
        assert!(signal.contains(&who), "{signal}");
        assert_eq!(task.records.alive(), []);
        world.check();
    }
}

/// The kernel keeps one of two signals that wait: the first one's sender is told.
#[test]
fn of_two_signals_that_coalesce_the_first_sender_is_told() {
    let world = World::running();
    let steps = ["mark:up", "forever"];
    let task = world.run().steps(steps).detached();
    task.marked("up");
    let shim = world.shim_of(&task.id).expect("the shim lives");
    shim.signal(Signal::SIGSTOP);
    wait_until("it stands", GENEROUS, || shim.state() == Some('T'));
    let senders = [(); 2].map(|()| {
        let mut shell = Command::new("sh")
            .args(["-c", &format!("kill -TERM {}", shim.pid)])
            .spawn()
            .expect("a shell");
        let sent = shell.wait().expect("ours");
        assert!(sent.success());
        shell.id()
    });
    shim.signal(Signal::SIGCONT);
    let ended = world.ended(&task.id);
    assert_ended(&ended, "interrupted", "external_signal", "observed");
    let signal = evidence(&ended, "signal");
    let seen = signal.matches("reached the shim").count();
    assert_eq!(seen, 1, "{signal}");
    let of = |pid: u32| format!("(pid {pid}");
    assert!(signal.contains(&of(senders[0])), "{senders:?}: {signal}");
    assert!(!signal.contains(&of(senders[1])), "{senders:?}: {signal}");
    assert_eq!(task.records.alive(), []);
    world.check();
}

#[test]
fn the_sender_of_a_signal_to_the_agent_alone_is_not_invented() {
    let world = World::running();
    let task = world.run().steps(["mark:up", "forever"]).detached();
    task.marked("up");
    world.kill(&task.leader(), Signal::SIGTERM);
    let ended = world.ended(&task.id);
    assert_ended(&ended, "interrupted", "external_signal", "observed");
    assert!(ended["ended_by"].is_null(), "{ended:#}");
    let signal = evidence(&ended, "signal");
    assert!(signal.contains("cannot be known"), "{signal}");
    world.check();
}

/// A task whose supervisor, shim and agent are gone, as behind a power cut.
fn of_the_boot_before(world: &World) -> Dispatched {
    let supervisor = world.start();
    let steps = ["ignore:TERM", "mark:up", "forever"];
    let task = world.run().key("k").steps(steps).detached();
    task.marked("up");
    let leader = task.leader();
    let shim = world.shim_of(&task.id).expect("the shim lives");
    supervisor.kill();
    world.kill(&shim, Signal::SIGKILL);
    wait_until("the end of both", GENEROUS, || {
        !shim.is_alive() && !leader.is_alive()
    });
    task
}

fn after_the_reboot(world: &World, task: &Dispatched, what: &str) {
    let ended = world.ended(&task.id);
    assert_ended(&ended, "interrupted", "host_reboot", "inferred");
    assert_eq!(ended["exit"]["kind"], "unknown", "{ended:#}");
    let told = evidence(&ended, "supervisor");
    assert!(told.contains(what), "{told}");
    let next = world.run().key("k").steps(["exit:0"]).detached();
    assert_eq!(world.ended(&next.id)["status"], "success");
    world.check();
}

#[test]
fn another_boot_is_a_reboot() {
    if own_user() != 0 {
        skip!("only root can bind-mount another boot id");
    }
    let world = World::new();
    let task = of_the_boot_before(&world);
    let other = world.path("boot_id");
    fs::write(&other, "00000000-0000-4000-8000-000000000000\n").expect("a file");
    let script = format!(
        "mount --bind {} /proc/sys/kernel/random/boot_id && exec \"$0\"",
        other.display()
    );
    let wrapper = ["--mount", "--propagation", "private", "sh", "-c", &script];
    let _second = world.start_by("unshare", &wrapper);
    after_the_reboot(&world, &task, "the boot id changed from ");
}

/// The same boot id says nothing about the processes of another namespace.
#[test]
fn another_pid_namespace_is_a_reboot_and_the_evidence_says_which() {
    if own_user() != 0 {
        skip!("only root can make a pid namespace");
    }
    let world = World::new();
    let task = of_the_boot_before(&world);
    let wrapper = ["--pid", "--fork", "--kill-child", "--mount-proc"];
    let _second = world.start_by("unshare", &wrapper);
    after_the_reboot(&world, &task, "the pid namespace changed from ");
}
