//! containerd, with a server of its own: each agent is in a container with its
//! own namespaces, started by `ctr`, attached, so that nothing is left of it.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sys::PidFd;

use super::programs::{quiet, run, session};
use super::{Peer, Place};

/// A server that does not answer by then never will.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) const CONTAINERD: Peer = Peer {
    name: "containerd",
    program: "containerd",
    open: serve,
    prepare: |_| Ok(()),
    start: |place| container(place, place.argv),
    stop: |place, _| {
        let mut command = ctr(place);
        // The first process of a namespace that catches nothing is deaf to TERM.
        command
            .args(["task", "kill", "--signal", "KILL"])
            .arg(session(place));
        command
    },
    // Its client is told of an end, and removes the container before it ends itself.
    wait: None,
    short: Some(|place| {
        run(&mut container(
            place,
            &[place.argv[0].clone(), "true".to_string()],
        ))
    }),
    processes: &["containerd", "containerd-shim", "ctr"],
    close: leave,
};

/// Starts the server, and waits until it answers.
fn serve(place: &Place<'_>) -> Result<()> {
    let dir = place.dir;
    fs::create_dir(dir.join("rootfs"))?;
    fs::write(dir.join("config.toml"), config(dir))?;
    let mut command = quiet("containerd");
    command.arg("--config").arg(dir.join("config.toml"));
    let mut server = command
        .process_group(0)
        .spawn()
        .context("starting containerd")?;
    fs::write(dir.join("pid"), server.id().to_string())?;
    let since = Instant::now();
    while !ctr(place).arg("version").status()?.success() {
        ensure!(since.elapsed() < PATIENCE, "containerd does not answer");
        if let Some(status) = server.try_wait()? {
            bail!("containerd ended with {status}");
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Only what a container of ours needs.
fn config(dir: &Path) -> String {
    let dir = dir.display();
    format!(
        "version = 2\nroot = \"{dir}/root\"\nstate = \"{dir}/state\"\n\
         disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
         [grpc]\naddress = \"{dir}/containerd\"\n\
         [ttrpc]\naddress = \"{dir}/ttrpc\"\n"
    )
}

fn leave(place: &Place<'_>) -> Result<()> {
    let pid = fs::read_to_string(place.dir.join("pid"))?.parse()?;
    let server = PidFd::open(pid)?.context("containerd is gone")?;
    kill(Pid::from_raw(pid), Signal::SIGTERM)?;
    ensure!(server.wait_ended(PATIENCE)?, "containerd does not end");
    Ok(())
}

fn ctr(place: &Place<'_>) -> Command {
    let mut command = quiet("ctr");
    command.arg("--address").arg(place.dir.join("containerd"));
    command
}

/// `argv` in a container that sees its program and the socket of the crew alone.
fn container(place: &Place<'_>, argv: &[String]) -> Command {
    let mut command = ctr(place);
    command.args(["run", "--rm", "--null-io", "--net-host", "--rootfs"]);
    for shown in [Path::new(&argv[0]), place.crew] {
        command.arg("--mount").arg(format!(
            "type=bind,src={0},dst={0},options=rbind:rw",
            shown.display()
        ));
    }
    command
        .arg(place.dir.join("rootfs"))
        .arg(session(place))
        .args(argv);
    command
}
