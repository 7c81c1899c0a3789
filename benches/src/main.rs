//! Measures the three programs and prints a table, and JSON on request.

use std::fs;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use benches::options::{HELP, Options};
use benches::rows;

fn main() -> ExitCode {
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("benches: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<()> {
    let Some(options) = Options::parse(std::env::args().skip(1))? else {
        print!("{HELP}");
        return Ok(());
    };
    let report = rows::measure(&options)?;
    print!("{}", report.table());
    if let Some(path) = &options.json {
        let text = format!("{:#}\n", report.json());
        fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    ensure!(
        report.failed.is_empty(),
        "{} groups failed",
        report.failed.len()
    );
    Ok(())
}
