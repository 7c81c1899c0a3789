//! What it costs to have each task in a cgroup of the holder, under a real systemd: a
//! root service moves its shims itself, that of a user has systemd do it.

use anyhow::{Context, Result, ensure};
use protocol::TaskId;
use tests::systemd::Guest;

use super::Bench;
use crate::client::{Client, Dispatch};
use crate::clock::{ms_between, now_ns};
use crate::report::{Group, Row};
use crate::stats::Samples;
use crate::world::EXEC_PROVIDER;

/// What `--only` looks at.
pub(super) const NAME: &str = "holder";

const UNIT: &str = "agent-supervisor.service";
const HOLDER: &str = "agents.service";

/// Where the guest's programs are, and its control socket.
const AGENT: &str = "/usr/local/bin/bench_agent";
const SOCKET: &str = "run/agent-supervisor/control.sock";

/// How a shim gets where it belongs.
#[derive(Clone, Copy)]
enum Way {
    /// There is no holder: it stays in the supervisor's unit.
    Stays,
    /// A supervisor that is root moves it.
    Moved,
    /// The supervisor is a user's: `AttachProcessesToUnit`.
    Attached,
}

/// The rows, or why there are none here.
pub(super) fn measure(bench: &Bench) -> Result<Result<Group, String>> {
    if let Some(why) = Guest::impossible() {
        return Ok(Err(why));
    }
    let repeats = bench.depth.pick(20, 400);
    let stays = launches(bench, Way::Stays, repeats)?.summary();
    let moved = launches(bench, Way::Moved, repeats)?.summary();
    let attached = launches(bench, Way::Attached, repeats)?.summary();
    let more = attached.p50 - stays.p50;
    let row = |way: &str, summary| Row::latency(format!("launch → answer: {way}"), summary);
    Ok(Ok(Group {
        name: "each task in the holder, in a guest with its own systemd (no disk under it)",
        rows: vec![
            row("no holder", stays),
            row("a root service moves its shims", moved),
            row("of a user: AttachProcessesToUnit", attached),
            Row::single("AttachProcessesToUnit and the task's cgroup", more, "ms"),
        ],
    }))
}

/// Until each of so many tasks is exec'd, one after the other.
fn launches(bench: &Bench, way: Way, repeats: usize) -> Result<Samples> {
    let programs = &bench.programs;
    let installed = [
        programs.agentctl(),
        programs.supervisor(),
        programs.folder.join("agent-shim"),
        programs.agent.clone(),
    ];
    let guest = Guest::boot_with(&installed, prepared(way));
    guest.ok(&["systemctl", "start", UNIT]);
    guest.serves();
    let mut client = Client::connect(&guest.root().join(SOCKET))?;
    let dispatch = Dispatch {
        provider: EXEC_PROVIDER,
        argv: vec![AGENT.to_string(), "true".to_string()],
        cwd: "/".as_ref(),
    };
    let mut samples = Samples::default();
    // The first ones pay for caches that nobody has filled yet.
    let warm = 5;
    for number in 0..repeats + warm {
        let id = TaskId::new(format!("bench-{number}"))?;
        let begun = now_ns();
        client.run(id.clone(), &dispatch)?;
        let answered = now_ns();
        client.begin_wait(&id)?;
        client.tasks()?;
        if number >= warm {
            samples.add(ms_between(begun, answered));
        }
    }
    proven(&guest, way)?;
    Ok(samples)
}

/// What was measured is what the row says.
fn proven(guest: &Guest, way: Way) -> Result<()> {
    let words = ["run", "-d", "--id", "last", "--", "sleep", "600"];
    guest.ok(&[&["agentctl"], &words[..]].concat());
    let task = guest.ctl(&["show", "last"]);
    let shim = task["shim_pid"].as_i64().context("a task without a shim")?;
    let cgroup = guest.sh(&format!("cat /proc/{shim}/cgroup"));
    guest.ok(&["agentctl", "stop-session", "last"]);
    let held = cgroup.contains(HOLDER);
    ensure!(
        held == !matches!(way, Way::Stays),
        "the shim is in {cgroup}"
    );
    Ok(())
}

fn prepared(way: Way) -> &'static str {
    match way {
        Way::Stays => "ln -sf /dev/null \"$root/etc/systemd/system/agents.service\"",
        Way::Moved => "",
        Way::Attached => {
            "echo 'worker:x:4321:4321::/:/bin/sh' >> \"$root/etc/passwd\"\n\
             echo 'worker:x:4321:' >> \"$root/etc/group\"\n\
             for unit in agent-supervisor agents; do\n\
             mkdir -p \"$root/etc/systemd/system/$unit.service.d\"\n\
             printf '[Service]\\nUser=worker\\n' > \"$root/etc/systemd/system/$unit.service.d/user.conf\"\n\
             done"
        }
    }
}
