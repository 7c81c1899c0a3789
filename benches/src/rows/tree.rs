//! The stop of an agent that has started many processes, each in a session of its
//! own, as the tools of real agents are.

use anyhow::{Context, Result, ensure};

use super::Bench;
use crate::client::Which;
use crate::clock::{ms_between, now_ns};
use crate::processes::children;
use crate::report::{Group, Row};
use crate::stats::Samples;
use crate::world::{EXEC_PROVIDER, World};

/// Processes of the tree, its leader aside.
const PROCESSES: usize = 200;

pub(super) fn measure(bench: &Bench) -> Result<Vec<Group>> {
    let world = World::running(&bench.scratch, &bench.programs)?;
    let (mut by_command, mut kept) = (Samples::default(), Samples::default());
    for _ in 0..bench.depth.pick(3, 20) {
        by_command.add(stop_by_command(&world)?);
        kept.add(stop_by_connection(&world)?);
    }
    Ok(vec![Group {
        name: "stop of a tree: 200 processes in 200 sessions, proven gone",
        rows: vec![
            Row::latency("agentctl stop-session → answer", by_command.summary()),
            Row::latency("kept connection → answer", kept.summary()),
        ],
    }])
}

fn stop_by_command(world: &World) -> Result<f64> {
    let tree = Tree::grow(world)?;
    let begun = now_ns();
    let output = world
        .agentctl(&["stop-session", tree.id.as_str()])
        .output()
        .context("starting agentctl")?;
    let answered = now_ns();
    ensure!(
        output.status.success(),
        "agentctl ended with {}",
        output.status
    );
    tree.is_gone()?;
    Ok(ms_between(begun, answered))
}

fn stop_by_connection(world: &World) -> Result<f64> {
    let tree = Tree::grow(world)?;
    let mut client = world.connect()?;
    let begun = now_ns();
    client.stop(Which::One(&tree.id))?;
    let answered = now_ns();
    tree.is_gone()?;
    Ok(ms_between(begun, answered))
}

struct Tree {
    id: protocol::TaskId,
    processes: Vec<i32>,
    /// Its agent ends when this is dropped.
    _hand: crate::crew::Hand,
}

impl Tree {
    fn grow(world: &World) -> Result<Self> {
        let id = world.fresh_id()?;
        let crew = world.crew.path().to_string_lossy();
        let words = world.agent_words(&["tree", &crew, &PROCESSES.to_string()]);
        let mut client = world.connect()?;
        client.run(id.clone(), &world.dispatch(EXEC_PROVIDER, words))?;
        let hand = world.crew.arrive()?;
        let mut processes = children(hand.pid);
        ensure!(
            processes.len() == PROCESSES,
            "{} processes",
            processes.len()
        );
        processes.push(hand.pid);
        Ok(Self {
            id,
            processes,
            _hand: hand,
        })
    }

    /// The answer came when nothing of it lived any more.
    fn is_gone(&self) -> Result<()> {
        for pid in &self.processes {
            let lives = sys::process::stat(*pid)?.is_some_and(|stat| !stat.is_dead());
            ensure!(!lives, "process {pid} of a stopped tree lives on");
        }
        Ok(())
    }
}
