//! The figures, for people and for programs.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::stats::Summary;

/// What one row says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Figure {
    /// A time in milliseconds, read often.
    Latency(Summary),
    /// One number with a unit.
    Single(f64, &'static str),
}

/// One row.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// What is measured.
    pub name: String,
    /// The figure.
    pub figure: Figure,
    /// What we want, in words.
    pub target: Option<&'static str>,
    /// Syncs on its way, as counted.
    pub syncs: Option<u64>,
}

impl Row {
    /// A time.
    pub fn latency(name: impl Into<String>, summary: Summary) -> Self {
        Self {
            name: name.into(),
            figure: Figure::Latency(summary),
            target: None,
            syncs: None,
        }
    }

    /// A number.
    pub fn single(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self {
            name: name.into(),
            figure: Figure::Single(value, unit),
            target: None,
            syncs: None,
        }
    }

    /// With what we want.
    #[must_use]
    pub const fn target(mut self, target: &'static str) -> Self {
        self.target = Some(target);
        self
    }

    /// With the syncs on its way.
    #[must_use]
    pub const fn syncs(mut self, syncs: Option<u64>) -> Self {
        self.syncs = syncs;
        self
    }
}

/// Rows that belong together.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// What they are about.
    pub name: &'static str,
    /// The rows.
    pub rows: Vec<Row>,
}

/// Everything.
#[derive(Clone, Debug)]
pub struct Report {
    /// When, RFC 3339.
    pub date: String,
    /// Where.
    pub machine: Value,
    /// What.
    pub groups: Vec<Group>,
    /// What could not be measured here, and why.
    pub skipped: Vec<String>,
    /// What should have worked and did not.
    pub failed: Vec<String>,
}

impl Report {
    /// For programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let groups: Vec<Value> = self.groups.iter().map(group_json).collect();
        json!({
            "date": self.date,
            "version": env!("CARGO_PKG_VERSION"),
            "machine": self.machine,
            "groups": groups,
            "skipped": self.skipped,
            "failed": self.failed,
        })
    }

    /// For people.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = String::new();
        // Writing to a text cannot fail.
        let _ = writeln!(text, "{} · {}", self.date, self.machine);
        for group in &self.groups {
            let _ = writeln!(text, "\n{}", group.name);
            for row in &group.rows {
                let _ = writeln!(text, "  {}", line(row));
            }
        }
        for reason in &self.skipped {
            let _ = writeln!(text, "\nnot measured: {reason}");
        }
        for reason in &self.failed {
            let _ = writeln!(text, "\nFAILED: {reason}");
        }
        text
    }
}

fn group_json(group: &Group) -> Value {
    let rows: Vec<Value> = group.rows.iter().map(row_json).collect();
    json!({ "name": group.name, "rows": rows })
}

fn row_json(row: &Row) -> Value {
    let mut value = match row.figure {
        Figure::Latency(summary) => json!({
            "name": row.name,
            "unit": "ms",
            "p50": rounded(summary.p50),
            "p99": rounded(summary.p99),
            "n": summary.n,
        }),
        Figure::Single(number, unit) => {
            json!({ "name": row.name, "unit": unit, "value": rounded(number) })
        }
    };
    value["target"] = json!(row.target);
    value["syncs"] = json!(row.syncs);
    value
}

/// To a thousandth: no figure here is better than that.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

fn line(row: &Row) -> String {
    let figure = match row.figure {
        Figure::Latency(Summary { n, p50, p99 }) => {
            format!("p50 {p50:>8.3} ms   p99 {p99:>8.3} ms   n {n:>4}")
        }
        Figure::Single(value, unit) => format!("{value:>12.2} {unit:<26}"),
    };
    let syncs = row
        .syncs
        .map_or_else(String::new, |count| format!("   syncs {count}"));
    let target = row
        .target
        .map_or_else(String::new, |target| format!("   target {target}"));
    format!("{:<52} {figure}{syncs}{target}", row.name)
        .trim_end()
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_say_the_same() {
        let summary = Summary {
            n: 80,
            p50: 1.25,
            p99: 3.5,
        };
        let row = Row::latency("launch", summary)
            .target("≤ 1.2 ms")
            .syncs(Some(1));
        let report = Report {
            date: "2026-11-20T00:00:00.000Z".into(),
            machine: json!({}),
            groups: vec![Group {
                name: "latency",
                rows: vec![row],
            }],
            skipped: vec!["peers: not installed".into()],
            failed: vec!["list: no answer".into()],
        };
        let json = report.json();
        let row = &json["groups"][0]["rows"][0];
        assert_eq!(
            (row["p50"].as_f64(), row["syncs"].as_u64()),
            (Some(1.25), Some(1))
        );
        let table = report.table();
        assert!(
            table.contains("launch") && table.contains("1.250 ms"),
            "{table}"
        );
        assert!(table.contains("target ≤ 1.2 ms") && table.contains("not measured: peers"));
        assert!(table.contains("FAILED: list"));
    }
}
