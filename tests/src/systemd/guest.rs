//! One guest: boot, commands in it, and its end.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use crate::harness::{Bins, GENEROUS, counts_memory, unified_root, wait_for, wait_until};

/// Booting takes half a second; a loaded or an emulated machine may need far longer.
const BOOT: Duration = Duration::from_secs(300);

/// What a guest needs of its host, and the Debian package that has it.
const PROGRAMS: [(&str, &str); 5] = [
    ("/lib/systemd/systemd", "systemd"),
    ("/usr/bin/dbus-daemon", "dbus"),
    ("/usr/bin/unshare", "util-linux"),
    ("/usr/bin/nsenter", "util-linux"),
    ("/usr/bin/bash", "bash"),
];

/// Where the guest's programs lie.
const BIN: &str = "/usr/local/bin";

/// A booted guest.
#[derive(Debug)]
pub struct Guest {
    folder: PathBuf,
    cgroup: PathBuf,
    unshare: Child,
    init: i32,
}

impl Guest {
    /// Why no guest can be booted here, if that is so.
    #[must_use]
    pub fn impossible() -> Option<String> {
        if !nix::unistd::geteuid().is_root() {
            return Some("a guest needs root".to_string());
        }
        if let Some((path, package)) = PROGRAMS.iter().find(|(path, _)| !Path::new(path).exists()) {
            return Some(format!("{path} is missing (package {package})"));
        }
        unified_root()
            .is_none()
            .then(|| "no cgroup of version 2 is mounted".to_string())
    }

    /// Boots one with the programs under test installed, and the unit files of
    /// `deploy/`. `prepare` may add files: it gets a shell script's body, run
    /// with the guest's root folder as `$1` before systemd starts.
    ///
    /// # Panics
    /// When it does not boot; the message has its console.
    #[must_use]
    pub fn boot(prepare: &str) -> Self {
        let bins = Bins::locate();
        let programs = [
            bins.agentctl(),
            bins.supervisor(),
            bins.shim(),
            bins.fake_agent(),
        ];
        Self::boot_with(&programs, prepare)
    }

    /// The same with these programs and no others.
    ///
    /// # Panics
    /// When it does not boot; the message has its console.
    #[must_use]
    pub fn boot_with(programs: &[PathBuf], prepare: &str) -> Self {
        let folder = nix::unistd::mkdtemp("/tmp/asg-XXXXXX").expect("a private folder can be made");
        let share = folder.join("share");
        fs::create_dir(&share).expect("a folder can be made");
        fs::set_permissions(&share, fs::Permissions::from_mode(0o777)).expect("ours");
        fs::write(folder.join("console"), "").expect("a file can be made");
        let script = share.join("prepare");
        fs::write(&script, installation(programs, prepare)).expect("a file can be made");
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("ours");

        let name = folder.file_name().expect("it has a name");
        let mount = unified_root().expect("asked before");
        let cgroup = mount.join(name);
        fs::create_dir(&cgroup).expect("a cgroup can be made");
        if counts_memory() {
            fs::write(mount.join("cgroup.subtree_control"), "+memory").expect("root may");
        }
        let enter = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/enter");
        let console = fs::File::options()
            .append(true)
            .open(folder.join("console"))
            .expect("just made");
        // The shell goes into the cgroup first: its namespace begins there.
        let unshare = Command::new("/usr/bin/bash")
            .arg("-c")
            .arg(
                "echo $$ > \"$1/cgroup.procs\" && exec unshare --mount --pid --uts --ipc --net \
                 --cgroup --propagation private --fork --kill-child=SIGKILL -- \"$2\" \"$3\"",
            )
            .arg("boot")
            .args([&cgroup, &enter, &folder])
            .stdin(Stdio::null())
            .stdout(console.try_clone().expect("a descriptor"))
            .stderr(console)
            .spawn()
            .expect("bash can be started");
        let mut guest = Self {
            folder,
            cgroup,
            unshare,
            init: 0,
        };
        guest.wait_for_boot(&mount);
        guest
    }

    fn wait_for_boot(&mut self, mount: &Path) {
        let parent = self.unshare.id();
        self.init = wait_for("the guest's first process", BOOT, || {
            let children = format!("/proc/{parent}/task/{parent}/children");
            let listed = fs::read_to_string(children).unwrap_or_default();
            listed.trim().parse::<i32>().map_err(|_| self.console())
        });
        wait_for("the guest's boot", BOOT, || {
            assert!(self.is_up(), "it died: {}", self.console());
            let state = self.run(&["systemctl", "is-system-running"]);
            let state = String::from_utf8_lossy(&state.stdout).trim().to_string();
            if matches!(state.as_str(), "running" | "degraded") {
                Ok(())
            } else {
                Err((state, self.console()))
            }
        });
        // Nothing may sit in the root of a guest's cgroups but the guest.
        fs::write(mount.join("cgroup.procs"), parent.to_string()).expect("root may move it");
    }

    /// The folder that the guest sees as `/host`.
    #[must_use]
    pub fn share(&self) -> PathBuf {
        self.folder.join("share")
    }

    /// The guest's root folder, as the host sees it.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root", self.init))
    }

    /// What its first process wrote.
    #[must_use]
    pub fn console(&self) -> String {
        fs::read_to_string(self.folder.join("console")).unwrap_or_default()
    }

    /// Does it run?
    #[must_use]
    pub fn is_up(&self) -> bool {
        Path::new(&format!("/proc/{}", self.init)).exists()
    }

    /// Words that run a command in it, with the environment as it is.
    #[must_use]
    pub fn entrance(&self) -> Vec<String> {
        let target = self.init.to_string();
        let words = ["/usr/bin/nsenter", "-t", &target];
        let spaces = ["-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w", "--"];
        words.into_iter().chain(spaces).map(str::to_owned).collect()
    }

    /// The programs that are installed in it.
    #[must_use]
    pub fn bins(&self) -> Bins {
        Bins::installed(BIN)
    }

    /// Runs a command in it, as root, to its end.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn run(&self, words: &[&str]) -> Output {
        let entrance = self.entrance();
        Command::new(&entrance[0])
            .args(&entrance[1..])
            // Not the host's: somebody may have a supervisor of their own there.
            .args(["env", "-i", "HOME=/run/home", "LANG=C.UTF-8"])
            .arg(format!("PATH={BIN}:/usr/sbin:/usr/bin:/sbin:/bin"))
            .args(words)
            .stdin(Stdio::null())
            .output()
            .expect("nsenter can be started")
    }

    /// The same; its stdout.
    ///
    /// # Panics
    /// When it fails.
    #[track_caller]
    pub fn ok(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert!(
            output.status.success(),
            "{words:?}: {output:#?}\n{}",
            self.journal("agent-supervisor.service")
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs a shell command in it; its stdout.
    #[track_caller]
    pub fn sh(&self, script: &str) -> String {
        self.ok(&["sh", "-ec", script])
    }

    /// The answer of `agentctl … --json`.
    ///
    /// # Panics
    /// When it is none.
    #[track_caller]
    pub fn ctl(&self, words: &[&str]) -> serde_json::Value {
        let mut line = vec!["agentctl"];
        line.extend(words);
        line.push("--json");
        let output = self.run(&line);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
            panic!(
                "{error}: {line:?}: {output:#?}\n{}",
                self.journal("agent-supervisor.service")
            )
        })
    }

    /// Waits until the supervisor answers.
    pub fn serves(&self) {
        wait_until("the guest's supervisor", GENEROUS, || {
            self.run(&["agentctl", "status"]).status.success()
        });
    }

    /// The journal of a unit.
    #[must_use]
    pub fn journal(&self, unit: &str) -> String {
        let output = self.run(&[
            "journalctl",
            "--no-pager",
            "-o",
            "short-monotonic",
            "-u",
            unit,
        ]);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Does a process of the guest live?
    #[must_use]
    pub fn lives(&self, pid: i64) -> bool {
        let stat = self.run(&["cat", &format!("/proc/{pid}/stat")]);
        let stat = String::from_utf8_lossy(&stat.stdout);
        let state = stat
            .rsplit_once(") ")
            .and_then(|(_, rest)| rest.chars().next());
        state.is_some_and(|state| !matches!(state, 'Z' | 'X'))
    }

    /// Waits until a unit's main process is another than `before`.
    pub fn restarted(&self, unit: &str, before: i64) {
        wait_until("a new main process", GENEROUS, || {
            let pid = self.main_pid(unit);
            pid != 0 && pid != before
        });
    }

    /// The main process of a unit; 0 if there is none.
    #[must_use]
    pub fn main_pid(&self, unit: &str) -> i64 {
        let output = self.run(&["systemctl", "show", "-P", "MainPID", unit]);
        String::from_utf8_lossy(&output.stdout)
            .trim()
            .parse()
            .unwrap_or(0)
    }

    /// `systemctl poweroff`, until it is down.
    pub fn power_off(&self) {
        let _gone = self.run(&["systemctl", "poweroff"]);
        wait_until("the guest's end", BOOT, || !self.is_up());
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the guest's console:\n{}", self.console());
        }
        // With its first process everything in it dies.
        let _dead = self.unshare.kill();
        let _reaped = self.unshare.wait();
        wait_until("the death of the guest", GENEROUS, || !self.is_up());
        remove_cgroup(&self.cgroup);
        fs::remove_dir_all(&self.folder).expect("the guest's folder can be removed");
    }
}

/// Programs and units are put where an administrator would put them.
fn installation(programs: &[PathBuf], more: &str) -> String {
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy");
    let programs: Vec<String> = programs
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    format!(
        "#!/bin/sh\nset -e\nroot=\"$1\"\nmkdir -p \"$root{BIN}\"\ncp {} \"$root{BIN}/\"\n\
         cp {}/system/*.service \"$root/etc/systemd/system/\"\n{more}\n",
        programs.join(" "),
        deploy.display(),
    )
}

/// The kernel may take a moment to see the last process go.
fn remove_cgroup(path: &Path) {
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_cgroup(&entry.path());
        }
    }
    wait_until("an empty cgroup", GENEROUS, || {
        fs::remove_dir(path).is_ok() || !path.exists()
    });
}
