//! Agents in a real container of podman: the exec client is never believed, and
//! nothing of a task is left in the container (DESIGN §8).

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;
use tests::harness::{GENEROUS, World, own_user, wait_until};
use tests::skip;

/// What the image's shell needs.
const APPLETS: [&str; 11] = [
    "sh", "tr", "grep", "cat", "kill", "sleep", "rm", "mv", "setsid", "mkdir", "env",
];

/// A child in a session of its own that ignores TERM, below a leader that does, too.
const STUBBORN: &str = "trap '' TERM; setsid sh -c 'trap \"\" TERM; \
                        while :; do sleep 1; done' & echo up; while :; do sleep 1; done";

/// A container of a private podman, removed with its storage.
struct Box<'a> {
    world: &'a World,
    podman: PathBuf,
}

impl<'a> Box<'a> {
    fn start(world: &'a World) -> Self {
        let (podman, store) = (world.path("bin/podman"), world.path("podman"));
        let text = format!(
            "#!/bin/sh\nexec /usr/bin/podman --root {0}/s --runroot {0}/r --runtime runc \
             --cgroup-manager=cgroupfs --events-backend=file --storage-driver vfs \"$@\"\n",
            store.display()
        );
        fs::write(&podman, text).expect("written");
        fs::set_permissions(&podman, fs::Permissions::from_mode(0o755)).expect("set");
        let root = world.path("image");
        for folder in ["bin", "tmp", "proc", "etc"] {
            fs::create_dir_all(root.join(folder)).expect("made");
        }
        fs::copy("/bin/busybox", root.join("bin/busybox")).expect("copied");
        for applet in APPLETS {
            symlink("busybox", root.join("bin").join(applet)).expect("linked");
        }
        let tar = world.path("image.tar").display().to_string();
        let root = root.display().to_string();
        run(Path::new("tar"), &["-C", &root, "-cf", &tar, "."]);
        let made = Self { world, podman };
        run(&made.podman, &["import", "-q", &tar, "img"]);
        let limits = [
            "--ulimit",
            "nofile=20000:20000",
            "--ulimit",
            "nproc=20000:20000",
        ];
        let begin = ["run", "-d", "--name", "box", "--network", "none"];
        let line = [&begin[..], &limits, &["img", "sleep", "1000"]].concat();
        run(&made.podman, &line);
        made
    }

    /// The command lines of all processes in it.
    fn processes(&self) -> String {
        let script = "for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline; echo; done";
        run(&self.podman, &["exec", "box", "sh", "-c", script])
    }

    fn task(&self, script: &str) -> String {
        let run = self.world.run().option("--container", "box");
        run.argv(["sh", "-c", script]).detached().id
    }

    fn wait_for_up(&self, task: &str) {
        let log = self.world.task_dir(task).join("stdout.log");
        wait_until("the agent's word", GENEROUS, || {
            fs::read_to_string(&log).is_ok_and(|text| text.contains("up"))
        });
    }

    fn is_empty(&self) {
        let left = self.processes();
        assert!(!left.contains("while :"), "{left}");
    }
}

impl Drop for Box<'_> {
    fn drop(&mut self) {
        for line in [&["rm", "-f", "-t", "0", "box"][..], &["rmi", "-f", "img"]] {
            let _gone = Command::new(&self.podman).args(line).output();
        }
    }
}

fn run(program: &Path, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", "/root")
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn missing() -> Option<&'static str> {
    if own_user() != 0 {
        return Some("the tests' podman is root's");
    }
    ["/usr/bin/podman", "/usr/sbin/runc", "/bin/busybox"]
        .into_iter()
        .find(|path| !Path::new(path).exists())
}

#[test]
fn an_agent_in_a_container_ends_with_its_own_code() {
    if let Some(missing) = missing() {
        skip!("no container: {missing}");
    }
    let world = World::running();
    let inside = Box::start(&world);
    let task = inside.task("echo up; exit 3");
    let ended = world.ended(&task);
    assert_eq!(ended["exit"]["code"], 3, "{ended:#}");
    assert_eq!(ended["archive_reason"], "failed", "{ended:#}");
    let run = world.run().option("--container", "none-such");
    let missing = run.task_id().to_owned();
    let _refused = run.argv(["true"]).try_detached().expect_code(10);
    let why = world.ctl(&["why", &missing]).stdout;
    assert!(why.contains("container none-such"), "{why}");
}

#[test]
fn a_stop_ends_what_ignores_it_in_a_session_of_its_own() {
    if let Some(missing) = missing() {
        skip!("no container: {missing}");
    }
    let world = World::running();
    let inside = Box::start(&world);
    let task = inside.task(STUBBORN);
    inside.wait_for_up(&task);
    let _stopped = world.stop(&task, &["--grace", "500ms"]);
    inside.is_empty();
    assert_eq!(world.ended(&task)["archive_reason"], "user");
}

#[test]
fn a_killed_exec_client_does_not_lose_the_task() {
    if let Some(missing) = missing() {
        skip!("no container: {missing}");
    }
    let world = World::running();
    let inside = Box::start(&world);
    let task = inside.task("echo up; while [ ! -f /tmp/go ]; do sleep 0.1; done; exit 4");
    inside.wait_for_up(&task);
    let client = world.marked(&task).into_iter().find(|process| {
        process.comm().as_deref() == Some("podman")
            && process.argv().iter().any(|word| word == "-i")
    });
    client.expect("an exec client").signal(Signal::SIGKILL);
    run(
        &inside.podman,
        &["exec", "box", "sh", "-c", "echo >/tmp/go"],
    );
    let ended = world.ended(&task);
    assert_eq!(ended["exit"]["code"], 4, "{ended:#}");
}

#[test]
fn a_killed_shim_leaves_nothing_in_the_container() {
    if let Some(missing) = missing() {
        skip!("no container: {missing}");
    }
    let world = World::running();
    let inside = Box::start(&world);
    let task = inside.task(STUBBORN);
    inside.wait_for_up(&task);
    world.kill(&world.shim_of(&task).expect("a shim"), Signal::SIGKILL);
    assert_eq!(world.ended(&task)["archive_reason"], "shim_lost");
    inside.is_empty();
}

#[test]
fn a_container_outlives_a_killed_supervisor_and_is_stopped_by_the_next() {
    if let Some(missing) = missing() {
        skip!("no container: {missing}");
    }
    let world = World::new();
    let first = world.start();
    let inside = Box::start(&world);
    let task = inside.task(STUBBORN);
    inside.wait_for_up(&task);
    first.kill();
    let second = world.start();
    let _stopped = world.stop(&task, &["--force"]);
    inside.is_empty();
    let other = inside.task(STUBBORN);
    inside.wait_for_up(&other);
    let shim = world.shim_of(&other).expect("a shim");
    second.kill();
    world.kill(&shim, Signal::SIGKILL);
    let _third = world.start();
    assert_eq!(world.ended(&other)["archive_reason"], "shim_lost");
    inside.is_empty();
}
