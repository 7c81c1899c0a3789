//! The physical limits of this machine: what nothing can be faster than.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use rusqlite::Connection;

use crate::clock::{ms_between, now_ns};
use crate::crew::Hand;
use crate::report::Row;
use crate::stats::Samples;
use crate::world::World;

/// A page: what one small transaction writes to a log.
const APPEND_BYTES: usize = 4096;

/// The instruments and their readings.
pub(super) struct Floor<'a> {
    world: &'a World,
    file: File,
    ledger: Connection,
    echo: Hand,
    echo_process: Child,
    started: Samples,
    waited: Samples,
    appended: Samples,
    committed: Samples,
    round_trip: Samples,
}

impl<'a> Floor<'a> {
    pub(super) fn new(world: &'a World) -> Result<Self> {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(world.path("floor"))?;
        let ledger = Connection::open(world.path("floor.sqlite3"))?;
        ledger.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             CREATE TABLE row (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT;",
        )?;
        let words = world.agent_words(&["echo", &world.crew.path().to_string_lossy()]);
        let echo_process = command(&words).spawn().context("starting the echo")?;
        Ok(Self {
            world,
            file,
            ledger,
            echo: world.crew.arrive()?,
            echo_process,
            started: Samples::default(),
            waited: Samples::default(),
            appended: Samples::default(),
            committed: Samples::default(),
            round_trip: Samples::default(),
        })
    }

    /// One reading of each.
    pub(super) fn read(&mut self) -> Result<()> {
        let words = self.world.hold();
        let mut command = command(&words);
        let begun = now_ns();
        let mut child = command.spawn().context("starting the agent")?;
        let mut hand = self.world.crew.arrive()?;
        self.started.add(ms_between(begun, hand.started_ns));
        hand.dismiss()?;
        let status = child.wait()?;
        self.waited.add(ms_between(hand.told_ns()?, now_ns()));
        ensure!(status.success(), "the agent ended with {status}");

        let begun = now_ns();
        self.file.write_all(&[b'x'; APPEND_BYTES])?;
        self.file.sync_data()?;
        self.appended.add(ms_between(begun, now_ns()));

        let begun = now_ns();
        let text = "x".repeat(500);
        self.ledger
            .execute("INSERT INTO row (text) VALUES (?1)", [&text])?;
        self.committed.add(ms_between(begun, now_ns()));

        let begun = now_ns();
        self.echo.round_trip()?;
        self.round_trip.add(ms_between(begun, now_ns()));
        Ok(())
    }

    /// The rows.
    pub(super) fn rows(&self) -> Vec<Row> {
        vec![
            Row::latency("posix_spawn → first instruction", self.started.summary()),
            Row::latency("last instruction → waitpid", self.waited.summary()),
            Row::latency("4 KiB append + fdatasync", self.appended.summary()).syncs(Some(1)),
            Row::latency(
                "SQLite WAL commit, synchronous=FULL",
                self.committed.summary(),
            )
            .syncs(Some(1)),
            Row::latency("unix socket round trip", self.round_trip.summary()),
        ]
    }
}

impl Drop for Floor<'_> {
    fn drop(&mut self) {
        // It ends with its stream too; nobody is told about a failure here.
        let _ended = self.echo_process.kill();
        let _status = self.echo_process.wait();
    }
}

/// The agent without anything around it.
pub(super) fn command(words: &[String]) -> Command {
    let mut command = Command::new(&words[0]);
    command
        .args(&words[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}
