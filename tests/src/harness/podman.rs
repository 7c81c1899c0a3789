//! A container of a private podman.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;

use super::process::{Process, own_user, processes};
use super::run::Run;
use super::wait::{GENEROUS, wait_for, wait_until};
use super::world::World;

/// What the image's shell needs.
const APPLETS: [&str; 12] = [
    "sh", "tr", "grep", "cat", "kill", "sleep", "rm", "mv", "setsid", "mkdir", "env", "ls",
];

/// A child in a session of its own that ignores TERM, below a leader that does, too.
pub const STUBBORN: &str = "trap '' TERM; setsid sh -c 'trap \"\" TERM; \
                            while :; do sleep 1; done' & echo up; while :; do sleep 1; done";

/// The client that the tasks get. With the file `hang` it never answers; with
/// `late` the start of an agent is written down instead, for the test to do.
const CLIENT: &str = r#"#!/bin/sh
echo "$1 $2" >>DIR/asked
if [ -e DIR/hang ]; then sleep 1000; exit 1; fi
if [ -e DIR/late ] && [ "$1 $2" = 'exec -i' ]; then
    for word; do printf '%s\0' "$word"; done >DIR/words.new
    env -0 >DIR/env; mv DIR/words.new DIR/words; sleep 1000; exit 1
fi
exec PODMAN "$@"
"#;

/// Ends the calling test as skipped where there is no podman.
#[macro_export]
macro_rules! needs_podman {
    () => {
        if let Some(missing) = $crate::harness::Podman::missing() {
            $crate::skip!("no container: {missing}");
        }
    };
}

/// A podman with one running container, `box`, removed with its storage.
#[derive(Debug)]
pub struct Podman<'world> {
    world: &'world World,
    real: PathBuf,
    service: Option<Child>,
}

impl<'world> Podman<'world> {
    /// What is missing here, if something is.
    #[must_use]
    pub fn missing() -> Option<&'static str> {
        if own_user() != 0 {
            return Some("the tests' podman is root's");
        }
        ["/usr/bin/podman", "/usr/sbin/runc", "/bin/busybox"]
            .into_iter()
            .find(|path| !Path::new(path).exists())
    }

    /// The tasks' client starts the processes itself: they are its descendants.
    ///
    /// # Panics
    /// When the container cannot be started.
    #[must_use]
    pub fn start(world: &'world World) -> Self {
        let store = world.path("podman");
        fs::create_dir_all(&store).expect("a folder");
        let real = world.path("real-podman");
        let command = format!(
            "/usr/bin/podman --root {0}/s --runroot {0}/r --runtime runc \
             --cgroup-manager=cgroupfs --events-backend=file --storage-driver vfs",
            store.display()
        );
        program(&real, &format!("#!/bin/sh\nexec {command} \"$@\"\n"));
        let made = Self {
            world,
            real,
            service: None,
        };
        made.client(&made.real.display().to_string());
        made.make_image();
        made.ctl(&["run", "-d", "--name", "box", "--network", "none"], &RUN);
        made
    }

    /// The tasks' client asks a service, as docker's does: the processes are
    /// descendants of nobody that we know.
    ///
    /// # Panics
    /// When the service cannot be started.
    #[must_use]
    pub fn serve(world: &'world World) -> Self {
        let mut made = Self::start(world);
        let socket = world.path("podman/sock");
        let url = format!("unix://{}", socket.display());
        let service = plain(&made.real)
            .args(["system", "service", "-t", "0", &url])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        made.service = Some(service.expect("it runs"));
        made.client(&format!("/usr/bin/podman --remote --url {url}"));
        wait_for("podman's service", GENEROUS, || {
            UnixStream::connect(&socket).map(drop)
        });
        made
    }

    fn client(&self, podman: &str) {
        let dir = self.world.path("podman").display().to_string();
        let text = CLIENT.replace("DIR", &dir).replace("PODMAN", podman);
        program(&self.world.path("bin/podman"), &text);
    }

    fn make_image(&self) {
        let root = self.world.path("image");
        for folder in ["bin", "tmp", "proc", "etc"] {
            fs::create_dir_all(root.join(folder)).expect("made");
        }
        fs::copy("/bin/busybox", root.join("bin/busybox")).expect("copied");
        for applet in APPLETS {
            symlink("busybox", root.join("bin").join(applet)).expect("linked");
        }
        let tar = self.world.path("image.tar").display().to_string();
        let root = root.display().to_string();
        said(plain(Path::new("tar")).args(["-C", &root, "-cf", &tar, "."]));
        self.ctl(&["import", "-q", &tar, "img"], &[]);
    }

    /// Runs podman itself, behind the tasks' client.
    #[track_caller]
    pub fn ctl(&self, words: &[&str], more: &[&str]) -> String {
        said(plain(&self.real).args(words).args(more))
    }

    /// Runs a script in the container.
    #[track_caller]
    pub fn sh(&self, script: &str) -> String {
        self.ctl(&["exec", "box", "sh", "-c", script], &[])
    }

    /// From now on the tasks' client behaves so (`hang`, `late`).
    ///
    /// # Panics
    /// When the file cannot be written.
    pub fn behave(&self, how: &str) {
        fs::write(self.world.path("podman").join(how), "").expect("written");
    }

    /// From now on it does not.
    ///
    /// # Panics
    /// When the file is not there.
    pub fn behave_again(&self, how: &str) {
        fs::remove_file(self.world.path("podman").join(how)).expect("removed");
    }

    /// A dispatch into the container.
    #[must_use]
    pub fn run(&self, script: &str) -> Run<'world> {
        let run = self.world.run().option("--container", "box");
        run.argv(["sh", "-c", script])
    }

    /// A task in the container.
    #[track_caller]
    pub fn task(&self, script: &str) -> String {
        self.run(script).detached().id
    }

    /// One that has said «up».
    #[track_caller]
    pub fn task_up(&self, script: &str) -> String {
        let task = self.task(script);
        let log = self.world.task_dir(&task).join("stdout.log");
        wait_until("the agent's word", GENEROUS, || {
            fs::read_to_string(&log).is_ok_and(|text| text.contains("up"))
        });
        task
    }

    /// Kills the client that started the agent.
    ///
    /// # Panics
    /// When there is none.
    pub fn kill_client(&self, task: &str) {
        let client = self.world.marked(task).into_iter().find(|process| {
            process.comm().as_deref() == Some("podman")
                && process.argv().iter().any(|word| word == "-i")
        });
        let client: Process = client.expect("an exec client");
        client.signal(Signal::SIGKILL);
    }

    /// Does now what was written down under `late`, and gives what it said.
    ///
    /// # Panics
    /// When nothing was.
    #[must_use]
    pub fn start_late(&self) -> String {
        let read = |name: &str| {
            let bytes = fs::read(self.world.path("podman").join(name)).expect("written");
            let text = String::from_utf8(bytes).expect("text");
            let words = text.split_terminator('\0').map(str::to_owned);
            words.collect::<Vec<_>>()
        };
        let env = read("env");
        let env = env.iter().filter_map(|entry| entry.split_once('='));
        let mut command = Command::new(&self.real);
        command.env_clear().envs(env).args(read("words"));
        let output = command.stdin(Stdio::null()).output().expect("it runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Waits until the tasks' client was asked twice in which state a container
    /// is, so that the first question was answered.
    pub fn state_was_told(&self) {
        let file = self.world.path("podman/asked");
        let asked = || {
            let text = fs::read_to_string(&file).unwrap_or_default();
            text.lines()
                .filter(|line| *line == "container inspect")
                .count()
        };
        let before = asked();
        wait_until("questions", GENEROUS, || asked() >= before + 2);
    }

    /// Nothing of [`STUBBORN`] is left.
    #[track_caller]
    pub fn is_empty(&self) {
        let script = "for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline; echo; done";
        let left = self.sh(script);
        assert!(!left.contains("while :"), "{left}");
    }
}

impl Drop for Podman<'_> {
    fn drop(&mut self) {
        for line in [&["rm", "-a", "-f", "-t", "0"][..], &["rmi", "-a", "-f"]] {
            let _gone = plain(&self.real).args(line).output();
        }
        if let Some(service) = &mut self.service {
            let _gone = service.kill();
            let _gone = service.wait();
        }
        // Monitors of its processes clean up for a while, in the world's folder.
        let store = self.world.path("podman/").display().to_string();
        wait_until("podman's end", GENEROUS, || {
            let of_store = |process: &Process| {
                let argv = process.argv();
                argv.iter().any(|word| word.contains(&store))
            };
            let left: Vec<Process> = processes().into_iter().filter(of_store).collect();
            left.iter()
                .for_each(|process| process.signal(Signal::SIGKILL));
            left.is_empty()
        });
    }
}

const RUN: [&str; 7] = [
    "--ulimit",
    "nofile=20000:20000",
    "--ulimit",
    "nproc=20000:20000",
    "img",
    "sleep",
    "1000",
];

fn program(path: &Path, text: &str) {
    fs::write(path, text).expect("written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("set");
}

fn plain(program: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", "/root");
    command
}

#[track_caller]
fn said(command: &mut Command) -> String {
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
