//! `cargo xtask matrix`: runs every cell of the fault matrix and prints the
//! table. `--runs N` runs each so often.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use tests::matrix::{Report, cells};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let runs = match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => 1,
        ["--runs", number] => match number.parse() {
            Ok(runs) => runs,
            Err(error) => return refuse(&format!("--runs {number}: {error}")),
        },
        _ => return refuse("matrix [--runs N]"),
    };
    let mut report = Report::default();
    for _ in 0..runs {
        for cell in cells() {
            let ran = catch_unwind(AssertUnwindSafe(|| cell.run()));
            report.add(cell, ran.map_err(|broken| in_words(broken.as_ref())));
        }
    }
    print!("{report}");
    match report.totals() {
        (_, 0) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn refuse(what: &str) -> ExitCode {
    eprintln!("{what}");
    ExitCode::from(2)
}

fn in_words(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_string()))
        .unwrap_or_else(|| "a panic without words".to_string())
}
