//! `cargo xtask bench`: the package `benches`, with release programs.

use anyhow::Result;

use crate::build;
use crate::run::{cargo, run};

pub(crate) fn bench(words: &[String]) -> Result<()> {
    let dist = build::build(&build::RELEASE)?;
    run(cargo()
        .args(["run", "--quiet", "--release", "--package", "benches", "--"])
        .args(words)
        .env("AGENT_BENCH_BIN_DIR", dist))
}
