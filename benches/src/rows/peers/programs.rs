//! How each peer is spoken to.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, ensure};

use super::containerd::CONTAINERD;
use super::until::Until;
use super::{Peer, Place};

pub(super) const PEERS: &[Peer] = &[
    Peer {
        name: "conmon",
        program: "conmon",
        open: |place| {
            fs::write(
                place.dir.join("crew"),
                place.crew.as_os_str().as_encoded_bytes(),
            )?;
            fs::create_dir(place.dir.join("exits"))?;
            fs::create_dir(place.dir.join("short"))?;
            Ok(fs::create_dir(place.dir.join("sockets"))?)
        },
        prepare: |_| Ok(()),
        start: |place| conmon(place, place.dir.to_owned()),
        wait: Some(|place| Until::written(exit_file(place))),
        // In the foreground: of those that end at once it leaves out some exit files.
        short: Some(|place| short_container(&mut conmon(place, place.dir.join("short")))),
        processes: &["conmon"],
        stop: |_, pid| {
            let mut command = quiet("kill");
            command.args(["-TERM", &pid.to_string()]);
            command
        },
        close: |_| Ok(()),
    },
    Peer {
        name: "s6",
        program: "s6-supervise",
        open: |_| Ok(()),
        prepare: service_folder,
        start: |place| {
            let mut command = quiet("s6-supervise");
            command.arg(folder(place));
            command
        },
        stop: |place, _| {
            let mut command = quiet("s6-svc");
            command.arg("-dx").arg(folder(place));
            command
        },
        wait: Some(|place| {
            let mut command = quiet("s6-svwait");
            command.arg("-d").arg(folder(place));
            Ok(Until::Ended(command.spawn()?))
        }),
        short: Some(short_service),
        processes: &["s6-supervise"],
        close: |_| Ok(()),
    },
    Peer {
        name: "task-spooler",
        program: "tsp",
        open: |place| run(tsp(place).args(["-S", "1000"])),
        prepare: |_| Ok(()),
        start: |place| {
            let mut command = tsp(place);
            command.args(place.argv);
            command
        },
        stop: |place, _| {
            let mut command = tsp(place);
            command.arg("-k");
            command
        },
        wait: Some(|place| Ok(Until::Ended(tsp(place).arg("-w").spawn()?))),
        short: Some(|place| run(tsp(place).arg("-nf").arg(&place.argv[0]).arg("true"))),
        processes: &["tsp"],
        close: |place| run(tsp(place).arg("-K")),
    },
    Peer {
        name: "tmux",
        program: "tmux",
        open: |place| run(tmux(place).args(["new-session", "-d", "-s", "keep", "cat"])),
        prepare: |_| Ok(()),
        start: |place| {
            let mut command = tmux(place);
            command
                .args(["new-session", "-d", "-s"])
                .arg(session(place))
                .args(place.argv);
            command
        },
        stop: |place, _| {
            let mut command = tmux(place);
            command.args(["kill-session", "-t"]).arg(session(place));
            command
        },
        wait: None,
        short: None,
        processes: &["tmux: server", "tmux: client", "tmux"],
        close: |place| run(tmux(place).arg("kill-server")),
    },
    CONTAINERD,
];

/// One monitor per start, as its engine starts it; the runtime is the agent's
/// own program, so its start is in the figure. What that starts stands in `bundle`.
fn conmon(place: &Place<'_>, bundle: PathBuf) -> Command {
    let id = session(place);
    let file = |name: &str| place.dir.join(format!("{id}.{name}"));
    let mut log = std::ffi::OsString::from("k8s-file:");
    log.push(file("log"));
    let mut command = quiet("conmon");
    command
        .args(["--api-version", "1", "-n", "bench", "-c", &id, "-u", &id])
        .arg("-r")
        .arg(&place.argv[0])
        .arg("-b")
        .arg(bundle)
        .arg("-p")
        .arg(file("pid"))
        .arg("-l")
        .arg(log)
        .arg("--exit-dir")
        .arg(place.dir.join("exits"))
        .arg("--socket-dir-path")
        .arg(place.dir.join("sockets"));
    command
}

/// Of what ends at once conmon loses 3 in 100, and says so by a 1. They count as done
/// all the same; more of them would be something else.
fn short_container(command: &mut Command) -> Result<()> {
    static DONE: AtomicUsize = AtomicUsize::new(0);
    static LOST: AtomicUsize = AtomicUsize::new(0);
    let status = command.arg("--sync").status()?;
    let done = DONE.fetch_add(1, Ordering::Relaxed) + 1;
    if status.success() {
        return Ok(());
    }
    let lost = LOST.fetch_add(1, Ordering::Relaxed) + 1;
    let is_its_way = status.code() == Some(1) && lost <= 10 + done / 10;
    ensure!(is_its_way, "{status}, and {lost} of {done} were lost");
    Ok(())
}

fn exit_file(place: &Place<'_>) -> PathBuf {
    place.dir.join("exits").join(session(place))
}

/// A service of its own per start: one that is started again waits a second.
fn service_folder(place: &Place<'_>) -> Result<()> {
    service(&folder(place), place.argv)
}

/// A folder of s6 whose service is `argv`.
pub(super) fn service(dir: &Path, argv: &[String]) -> Result<()> {
    fs::create_dir(dir)?;
    script(&dir.join("run"), &argv.join(" "))
}

/// One that is not started again, and whose supervisor leaves with it.
fn short_service(place: &Place<'_>) -> Result<()> {
    let dir = folder(place);
    service(&dir, &[place.argv[0].clone(), "true".to_string()])?;
    script(&dir.join("finish"), "s6-svc -dx .")?;
    run(quiet("s6-supervise").arg(dir))
}

fn script(path: &Path, command: &str) -> Result<()> {
    fs::write(path, format!("#!/bin/sh\nexec {command}\n"))?;
    Ok(fs::set_permissions(path, Permissions::from_mode(0o755))?)
}

pub(super) fn session(place: &Place<'_>) -> String {
    format!("bench-{}", place.turn)
}

fn folder(place: &Place<'_>) -> PathBuf {
    place.dir.join(format!("service-{}", place.turn))
}

fn tmux(place: &Place<'_>) -> Command {
    let mut command = quiet("tmux");
    command
        .args(["-f", "/dev/null"])
        .arg("-S")
        .arg(place.dir.join("tmux"));
    command
}

fn tsp(place: &Place<'_>) -> Command {
    let mut command = quiet("tsp");
    command
        .env("TS_SOCKET", place.dir.join("tsp"))
        .env("TMPDIR", place.dir);
    command
}

/// A program without anything to read or to say.
pub(super) fn quiet(program: &str) -> Command {
    let mut command = Command::new(program);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.env_remove("TMUX");
    command
}

pub(super) fn run(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("starting {command:?}"))?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(())
}
