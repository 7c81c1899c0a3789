//! `cargo xtask matrix`: runs every cell of the fault matrix and prints the
//! table. `--runs N` runs each so often; words like `F16` or `F1×S5` choose.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use tests::matrix::{Cell, Home, Report, cells, in_words, run_units};

/// What is asked for.
struct Asked {
    runs: usize,
    codes: Vec<String>,
}

fn main() -> ExitCode {
    let asked = match asked() {
        Ok(asked) => asked,
        Err(why) => {
            eprintln!("{why}\nmatrix [--runs N] [CODE…]");
            return ExitCode::from(2);
        }
    };
    let mut report = Report::default();
    for _ in 0..asked.runs {
        for cell in cells().into_iter().filter(|cell| asked.wants(*cell)) {
            let ran = catch_unwind(AssertUnwindSafe(|| cell.run()));
            report.add(
                &cell.code(),
                ran.map_err(|broken| in_words(broken.as_ref())),
            );
        }
        if asked.wants_units() {
            for (cell, ran) in [Home::Holder, Home::OwnUnit]
                .into_iter()
                .flat_map(run_units)
            {
                report.add(&cell, ran);
            }
        }
    }
    print!("{report}");
    match report.totals() {
        (_, 0) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn asked() -> Result<Asked, String> {
    let mut asked = Asked {
        runs: 1,
        codes: Vec::new(),
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        if word == "--runs" {
            let number = words.next().unwrap_or_default();
            let runs = number.parse();
            asked.runs = runs.map_err(|error| format!("--runs {number}: {error}"))?;
        } else if word == UNITS || cells().iter().any(|cell| is_of(*cell, &word)) {
            asked.codes.push(word);
        } else {
            return Err(format!("{word} is no cell"));
        }
    }
    Ok(asked)
}

impl Asked {
    fn wants_units(&self) -> bool {
        self.codes.is_empty() || self.codes.iter().any(|code| code == UNITS)
    }

    fn wants(&self, cell: Cell) -> bool {
        self.codes.is_empty() || self.codes.iter().any(|code| is_of(cell, code))
    }
}

/// All of F26: its cells share a guest.
const UNITS: &str = "F26";

/// `F1` is of `F1×S5×W0`, and not of `F12×…`.
fn is_of(cell: Cell, code: &str) -> bool {
    let rest = cell.code();
    let rest = rest.strip_prefix(code);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('×'))
}
