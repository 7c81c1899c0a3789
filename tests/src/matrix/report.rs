//! The table of what was run.

use std::collections::BTreeMap;
use std::fmt;

use super::cell::{Outcome, Ran};

/// Cells of MATRIX.md's faults that are run elsewhere, or cannot exist.
const ELSEWHERE: &[(&str, &str)] = &[
    (
        "F1, F2 × every hook point",
        "tests/tests/crash_points.rs: each hit of each point of supervisor and shim",
    ),
    (
        "F17 × every commit, journal write and sync",
        "tests/tests/crash_points.rs: before it was done, and after",
    ),
    (
        "F1×S16 by hook",
        "tests/tests/crash_points.rs: each point of a drain",
    ),
    (
        "F14, F15",
        "tests/tests/no_shim.rs: no process and no descriptor for a shim, by the kernel's own limits",
    ),
    (
        "F16, while others run",
        "tests/tests/full_disk.rs: an agent fills a real file system, and takes the ballast too",
    ),
    (
        "F18, F19 with tasks of every kind",
        "tests/tests/rebuild.rs: damaged, cut, lost, put back",
    ),
    (
        "F18j×S1, F18j×S2",
        "cannot exist: there is no journal; any cut and any flipped byte: sys/src/journal",
    ),
    (
        "F24 in other states, and newer shims",
        "tests/tests/versions.rs: a release's frozen bytes have no hook points of the shim; versions to come are held",
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
        "F22, F23",
        "supervisor/tests/transport: strangers, half frames, slow readers on both sockets",
    ),
    (
        "F25",
        "supervisor/src/runtime/clock.rs: no test may set this machine's clock",
    ),
    (
        "F27",
        "tests/tests/systemd_drain.rs: a guest is switched off",
    ),
    (
        "F7",
        "tests/tests/watchdog.rs: a shim that stands still, before its claim, in a stop, alone",
    ),
    (
        "F2×S1, F2×S14, F4×S14",
        "cannot exist: there is no shim yet, or no more",
    ),
    (
        "F3×S1–S3, F3×S10–S14",
        "cannot exist: there is no live agent, or it has its KILL already",
    ),
    (
        "F26×S1–S4, S12–S14",
        "the unit reaches the same processes as F1 and F4 do there",
    ),
    (
        "W10×S6",
        "tests/tests/dispatch.rs: a line of 100 MB, and a log with a limit",
    ),
];

/// What was run, how often, and what broke.
#[derive(Debug, Default)]
pub struct Report {
    /// In the order of their first runs.
    lines: Vec<(String, Line)>,
}

#[derive(Debug, Default)]
struct Line {
    runs: usize,
    hits: Option<usize>,
    reasons: BTreeMap<String, usize>,
    violations: Vec<String>,
    not_here: Option<String>,
}

impl Report {
    /// One run of a cell: what it showed, or what it broke.
    pub fn add(&mut self, cell: &str, ran: Result<Outcome, String>) {
        let line = self.line(cell);
        match ran {
            Ok(Outcome::NotHere(why)) => line.not_here = Some(why),
            Ok(Outcome::Ran(Ran { reason, hits })) => {
                line.runs += 1;
                if hits == Some(0) {
                    line.violations.push("it never was in its state".to_owned());
                }
                *line.reasons.entry(reason).or_default() += 1;
                if let Some(hits) = hits {
                    *line.hits.get_or_insert(0) += hits;
                }
            }
            Err(violation) => {
                line.runs += 1;
                line.violations.push(violation);
            }
        }
    }

    fn line(&mut self, cell: &str) -> &mut Line {
        let known = self.lines.iter().position(|(code, _)| code == cell);
        let at = known.unwrap_or_else(|| {
            self.lines.push((cell.to_owned(), Line::default()));
            self.lines.len() - 1
        });
        &mut self.lines[at].1
    }

    /// Runs, and violations, over all cells.
    #[must_use]
    pub fn totals(&self) -> (usize, usize) {
        self.lines.iter().fold((0, 0), |(runs, broken), (_, line)| {
            (runs + line.runs, broken + line.violations.len())
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<42} {:>5} {:>6} {:>10}  reasons",
            "cell", "runs", "hits", "violations"
        )?;
        for (cell, line) in &self.lines {
            write_line(f, cell, line)?;
        }
        writeln!(
            f,
            "\n–: no point stands for the state; the agent itself, or the supervisor, tells"
        )?;
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

fn write_line(f: &mut fmt::Formatter<'_>, cell: &str, line: &Line) -> fmt::Result {
    let hits = line.hits.map_or("–".to_string(), |hits| hits.to_string());
    let reasons: Vec<String> = line
        .reasons
        .iter()
        .map(|(reason, times)| format!("{reason} {times}"))
        .collect();
    let (runs, violations) = (line.runs, line.violations.len());
    let reasons = reasons.join(", ");
    writeln!(
        f,
        "{cell:<42} {runs:>5} {hits:>6} {violations:>10}  {reasons}"
    )?;
    if let Some(why) = &line.not_here {
        writeln!(f, "    not on this machine: {why}")?;
    }
    for violation in &line.violations {
        writeln!(f, "    {}", violation.lines().next().unwrap_or_default())?;
    }
    Ok(())
}
