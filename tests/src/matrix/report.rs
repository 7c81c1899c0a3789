//! The table of what was run.

use std::collections::BTreeMap;
use std::fmt;

use super::cell::{Cell, Ran};

/// Cells of MATRIX.md's faults that are run elsewhere, or cannot exist.
const ELSEWHERE: &[(&str, &str)] = &[
    (
        "F1×every hook point",
        "tests/tests/crash_points.rs: each hit of each point of supervisor and shim",
    ),
    (
        "F17×S1, S7, S12 and more",
        "tests/tests/crash_points.rs: each commit, journal write and sync fails with EIO, before and after it was done",
    ),
    (
        "F16",
        "tests/tests/full_disk.rs: an agent fills a real file system, and takes the ballast too",
    ),
    (
        "F18 (ledger), F19",
        "tests/tests/rebuild.rs: damaged, cut, lost, rolled back, with ended and live tasks",
    ),
    (
        "F13×S15",
        "tests/tests/pids.rs: strangers with the pids of shim and agent, chosen by root",
    ),
    (
        "F24×S5, S13, S15",
        "tests/tests/versions.rs: shims that speak a release's frozen bytes, and versions to come",
    ),
    (
        "F28",
        "tests/tests/versions.rs: the shim's program is deleted and replaced under a supervisor",
    ),
    (
        "F20",
        "tests/tests/evidence.rs: another boot id, another pid namespace",
    ),
    (
        "F25",
        "supervisor/src/runtime/clock.rs: no test may set this machine's clock",
    ),
    (
        "F26, F27",
        "tests/tests/systemd.rs, systemd_drain.rs: restart, stop, kill, poweroff under each KillMode",
    ),
    (
        "F2×S1, F2×S14",
        "cannot exist: there is no shim yet, or no more",
    ),
    (
        "F3×S1–S3, F3×S10–S14",
        "cannot exist: there is no live agent, or it has its KILL already",
    ),
    (
        "F9, F10, F11",
        "tests/tests/memory.rs: the kernel kills leader, child and shim, by its own count",
    ),
    (
        "F22, F23",
        "supervisor/tests/transport: strangers, half frames, slow readers on both sockets",
    ),
    (
        "F18 (journal)",
        "sys/src/journal: any cut, any flipped byte, as property tests",
    ),
    (
        "W1",
        "tests/tests/dispatch.rs; W9: lifecycle's verdict table; W11: tests/tests/stop.rs",
    ),
];

/// What was run, how often, and what broke.
#[derive(Debug, Default)]
pub struct Report {
    lines: BTreeMap<Cell, Line>,
}

#[derive(Debug, Default)]
struct Line {
    runs: usize,
    hits: Option<usize>,
    reasons: BTreeMap<String, usize>,
    violations: Vec<String>,
}

impl Report {
    /// One run of a cell: what it showed, or what it broke.
    pub fn add(&mut self, cell: Cell, ran: Result<Ran, String>) {
        let line = self.lines.entry(cell).or_default();
        line.runs += 1;
        match ran {
            Ok(Ran { reason, hits }) => {
                *line.reasons.entry(reason).or_default() += 1;
                if let Some(hits) = hits {
                    *line.hits.get_or_insert(0) += hits;
                }
            }
            Err(violation) => line.violations.push(violation),
        }
    }

    /// Runs, and violations, over all cells.
    #[must_use]
    pub fn totals(&self) -> (usize, usize) {
        self.lines.values().fold((0, 0), |(runs, broken), line| {
            (runs + line.runs, broken + line.violations.len())
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<14} {:>5} {:>6} {:>10}  reasons",
            "cell", "runs", "hits", "violations"
        )?;
        for (cell, line) in &self.lines {
            let hits = line.hits.map_or("–".to_string(), |hits| hits.to_string());
            let reasons: Vec<String> = line
                .reasons
                .iter()
                .map(|(reason, times)| format!("{reason} {times}"))
                .collect();
            writeln!(
                f,
                "{:<14} {:>5} {:>6} {:>10}  {}",
                cell.code(),
                line.runs,
                hits,
                line.violations.len(),
                reasons.join(", ")
            )?;
            for violation in &line.violations {
                writeln!(f, "    {}", violation.lines().next().unwrap_or_default())?;
            }
        }
        writeln!(f, "\nelsewhere, or nowhere:")?;
        for (cells, why) in ELSEWHERE {
            writeln!(f, "{cells}: {why}")?;
        }
        let (runs, broken) = self.totals();
        writeln!(
            f,
            "\n{} cells, {runs} runs, {broken} violations",
            self.lines.len()
        )
    }
}
