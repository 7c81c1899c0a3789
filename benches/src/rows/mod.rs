//! The groups of figures, one file each.

mod crowd;
mod floor;
mod holder;
mod injected;
mod latency;
mod list;
mod output;
mod peers;
mod recovery;
mod subscribers;
mod throughput;
mod tree;
mod wedged;

use anyhow::Result;

use crate::machine;
use crate::options::{Depth, Options, Peers};
use crate::programs::Programs;
use crate::report::{Group, Report};
use crate::syncs::{SyncCounts, count_syncs};
use crate::world::Scratch;

/// What every group needs.
#[derive(Debug)]
pub struct Bench {
    /// Where the worlds are.
    pub scratch: Scratch,
    /// The programs as users get them.
    pub programs: Programs,
    /// The programs with hooks, if there are any.
    pub hooked: Option<Programs>,
    /// How thorough.
    pub depth: Depth,
    /// The syncs of each way, if they could be counted.
    pub syncs: Option<SyncCounts>,
}

/// Measures what is wanted.
///
/// # Errors
/// When the programs are missing. A group that fails is named in the report.
pub fn measure(options: &Options) -> Result<Report> {
    let programs = Programs::release()?;
    let scratch = Scratch::new()?;
    let (mut skipped, mut failed) = (Vec::new(), Vec::new());
    let hooked = programs.hooked();
    let syncs = match hooked.as_ref().map(|hooked| count_syncs(&scratch, hooked)) {
        Some(Ok(counts)) => Some(counts),
        Some(Err(error)) => {
            failed.push(format!("syncs: {error:#}"));
            None
        }
        None => {
            skipped.push("syncs: no build with hooks (`cargo xtask build --hooks`)".to_string());
            None
        }
    };
    let bench = Bench {
        scratch,
        programs,
        hooked,
        depth: options.depth,
        syncs,
    };
    let mut report = Report {
        date: sys::clock::now().to_string(),
        machine: machine::describe(),
        groups: Vec::new(),
        skipped,
        failed,
    };
    for (name, run) in GROUPS {
        if options.wants(name) {
            eprintln!("benches: {name}");
            // What one group finds broken says nothing about the others.
            match run(&bench) {
                Ok(groups) => report.groups.extend(groups),
                Err(error) => report.failed.push(format!("{name}: {error:#}")),
            }
        }
    }
    if bench.hooked.is_none() {
        report
            .skipped
            .push("5 ms per sync: no build with hooks".to_string());
    }
    if options.peers != Peers::Ignored {
        eprintln!("benches: peers");
        match peers::measure(&bench, &options.peers) {
            Ok((group, missing)) => {
                report.groups.push(group);
                report.skipped.extend(missing);
            }
            Err(error) => report.failed.push(format!("peers: {error:#}")),
        }
    }
    if options.wants(holder::NAME) {
        in_a_guest(&bench, &mut report);
    }
    Ok(report)
}

/// A guest that does not boot ends the program: nothing comes behind it.
fn in_a_guest(bench: &Bench, report: &mut Report) {
    eprintln!("benches: {}", holder::NAME);
    match holder::measure(bench) {
        Ok(Ok(group)) => report.groups.push(group),
        Ok(Err(why)) => report.skipped.push(format!("{}: {why}", holder::NAME)),
        Err(error) => report.failed.push(format!("{}: {error:#}", holder::NAME)),
    }
}

type Measurement = fn(&Bench) -> Result<Vec<Group>>;

/// The names are what `--only` looks at.
const GROUPS: &[(&str, Measurement)] = &[
    ("latency", latency::measure),
    ("throughput", throughput::measure),
    ("memory", crowd::measure),
    ("subscribers", subscribers::measure),
    ("recovery", recovery::measure),
    ("wedged", wedged::measure),
    ("tree", tree::measure),
    ("output", output::measure),
    ("list", list::measure),
    ("injected", injected::measure),
];
