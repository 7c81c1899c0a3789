//! A ledger with a hundred thousand ended tasks.

use anyhow::{Context, Result, ensure};
use rusqlite::Connection;

use super::Bench;
use crate::clock::{ms_between, now_ns};
use crate::report::{Group, Row};
use crate::stats::Samples;
use crate::world::{EXEC_PROVIDER, World};

pub(super) fn measure(bench: &Bench) -> Result<Vec<Group>> {
    let ended = bench.depth.pick(10_000, 100_000);
    let mut world = World::running(&bench.scratch, &bench.programs)?;
    let (mut live, mut last) = (Samples::default(), Samples::default());
    one_ended_task(&world)?;
    world.end_supervisor()?;
    multiply(&Connection::open(world.ledger())?, ended).context("filling the ledger")?;

    let mut boot = Samples::default();
    for _ in 0..bench.depth.pick(3, 10) {
        let begun = now_ns();
        world.start()?;
        boot.add(ms_between(begun, now_ns()));
        world.end_supervisor()?;
    }
    world.start()?;
    let counted = usize::try_from(world.connect()?.status()?.tasks.ended)?;
    ensure!(counted == ended + 1, "{counted} ended tasks");
    for _ in 0..bench.depth.pick(10, 40) {
        live.add(list(&world, &["list"])?);
        last.add(list(&world, &["list", "-a", "-n", "50"])?);
    }
    let rows = vec![
        Row::latency(format!("{ended}: agentctl list"), live.summary()).target("≤ 20 ms"),
        Row::latency(format!("{ended}: agentctl list -a -n 50"), last.summary()).target("≤ 20 ms"),
        Row::latency(format!("{ended}: boot → status answered"), boot.summary()).target("≤ 200 ms"),
    ];
    Ok(vec![Group {
        name: "list: many ended tasks in the ledger",
        rows,
    }])
}

fn list(world: &World, words: &[&str]) -> Result<f64> {
    let mut command = world.agentctl(words);
    let begun = now_ns();
    let output = command.output()?;
    let ms = ms_between(begun, now_ns());
    ensure!(
        output.status.success(),
        "list: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(ms)
}

fn one_ended_task(world: &World) -> Result<()> {
    let mut client = world.connect()?;
    let id = world.fresh_id()?;
    client.run(
        id.clone(),
        &world.dispatch(EXEC_PROVIDER, world.agent_words(&["true"])),
    )?;
    client.begin_wait(&id)?;
    client.tasks()?;
    world.settle()
}

/// Copies the ledger's one task, with all its events, `times` times; each copy
/// a second older than the one before.
fn multiply(ledger: &Connection, times: usize) -> Result<()> {
    let tasks = copy_columns(ledger, "task_history", |name| match name {
        "id" => Some("printf('copy-%06d', copy.n)".to_string()),
        "key" => Some("printf('copy:%d', copy.n % 1000)".to_string()),
        "started_at" | "finished_at" | "queued_at" | "last_seen_at" => Some(format!(
            "strftime('%Y-%m-%dT%H:%M:%fZ', one.{name}, '-' || copy.n || ' seconds')"
        )),
        _ => None,
    })?;
    let events = copy_columns(ledger, "agent_run_event", |name| match name {
        "task_id" => Some("printf('copy-%06d', copy.n)".to_string()),
        _ => None,
    })?;
    let copies = format!(
        "WITH RECURSIVE copy (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM copy WHERE n < {times})"
    );
    ledger.execute_batch(&format!(
        "BEGIN;
         INSERT INTO agent_run_event ({}) {copies}
         SELECT {} FROM copy, agent_run_event one WHERE one.task_id IS NOT NULL;
         INSERT INTO task_history ({}) {copies} SELECT {} FROM copy, task_history one;
         COMMIT;
         PRAGMA wal_checkpoint(TRUNCATE);",
        events.0, events.1, tasks.0, tasks.1
    ))?;
    Ok(())
}

/// The names of a table's columns, and what a copy has in them; a numeric key
/// counts on.
fn copy_columns(
    ledger: &Connection,
    table: &str,
    changed: impl Fn(&str) -> Option<String>,
) -> Result<(String, String)> {
    let mut query =
        ledger.prepare("SELECT name, pk > 0 AND type = 'INTEGER' FROM pragma_table_info(?1)")?;
    let columns: Vec<(String, bool)> = query
        .query_map([table], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let value = |(name, counts): &(String, bool)| {
        if *counts {
            return format!(
                "(SELECT max({name}) FROM {table}) + row_number() OVER (ORDER BY copy.n, one.{name})"
            );
        }
        changed(name).unwrap_or_else(|| format!("one.{name}"))
    };
    let values: Vec<String> = columns.iter().map(value).collect();
    let names: Vec<String> = columns.into_iter().map(|(name, _)| name).collect();
    Ok((names.join(", "), values.join(", ")))
}
