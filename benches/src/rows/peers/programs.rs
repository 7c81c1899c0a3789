//! How each peer is spoken to.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

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
            Ok(fs::create_dir(place.dir.join("sockets"))?)
        },
        prepare: |_| Ok(()),
        start: conmon,
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
        close: |_| Ok(()),
    },
    Peer {
        name: "task-spooler",
        program: "tsp",
        open: |place| run(tsp(place).args(["-S", "8"])),
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
                .args(["new-session", "-d", "-s", "bench"])
                .args(place.argv);
            command
        },
        stop: |place, _| {
            let mut command = tmux(place);
            command.args(["kill-session", "-t", "bench"]);
            command
        },
        close: |place| run(tmux(place).arg("kill-server")),
    },
];

/// One monitor per start, as its engine starts it; the runtime is the agent's
/// own program, so its start is in the figure.
fn conmon(place: &Place<'_>) -> Command {
    let id = format!("bench-{}", place.turn);
    let file = |name: &str| place.dir.join(format!("{id}.{name}"));
    let mut log = std::ffi::OsString::from("k8s-file:");
    log.push(file("log"));
    let mut command = quiet("conmon");
    command
        .args(["--api-version", "1", "-n", "bench", "-c", &id, "-u", &id])
        .arg("-r")
        .arg(&place.argv[0])
        .arg("-b")
        .arg(place.dir)
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

/// A service of its own per start: one that is started again waits a second.
fn service_folder(place: &Place<'_>) -> Result<()> {
    let dir = folder(place);
    fs::create_dir(&dir)?;
    let script = dir.join("run");
    fs::write(
        &script,
        format!("#!/bin/sh\nexec {}\n", place.argv.join(" ")),
    )?;
    Ok(fs::set_permissions(&script, Permissions::from_mode(0o755))?)
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

fn quiet(program: &str) -> Command {
    let mut command = Command::new(program);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.env_remove("TMUX");
    command
}

fn run(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("starting {command:?}"))?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(())
}
