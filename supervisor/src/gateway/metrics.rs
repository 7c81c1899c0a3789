//! Figures for Prometheus, by its conventions: base units, `_total` for what
//! only grows.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::Duration;

/// Upper bounds in seconds: a commit takes milliseconds, a stop up to its grace.
const BOUNDS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0,
];

/// Most providers that have series of their own: far more than anybody installs.
const MAX_PROVIDERS: usize = 64;

/// All others. No provider has such a name.
const OTHERS: &str = "(others)";

/// The type of the answer.
pub(super) const KIND: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How long something took, so often.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    /// One per bound, each for itself.
    buckets: [u64; BOUNDS.len()],
    count: u64,
    sum: Duration,
}

impl Histogram {
    /// It took this long once more.
    pub fn observe(&mut self, took: Duration) {
        let seconds = took.as_secs_f64();
        if let Some(at) = BOUNDS.iter().position(|bound| seconds <= *bound) {
            self.buckets[at] += 1;
        }
        self.count += 1;
        self.sum += took;
    }
}

/// Everything that is measured.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// The program's version.
    pub version: String,
    /// When it started, in milliseconds since the epoch.
    pub started_at_ms: i64,
    /// `admitting`, `draining` and so on.
    pub phase: String,
    /// Rows by status, reason (empty: none yet) and provider.
    pub tasks: Vec<([String; 3], u64)>,
    /// Live tasks whose shim is connected.
    pub attached: u64,
    /// Live tasks whose shim is not.
    pub detached: u64,
    /// Tasks that wait for their turn.
    pub queued: u64,
    /// How long the first of them has waited.
    pub oldest_queued: Duration,
    /// Shims that were taken over.
    pub adopted: u64,
    /// The ledger's size.
    pub ledger_bytes: u64,
    /// The last seq.
    pub events: u64,
    /// From a turn's events to their durability.
    pub commits: Histogram,
    /// From a durable row to a running agent.
    pub launches: Histogram,
    /// From the first durable intent to the end of the tree.
    pub stops: Histogram,
}

/// The phases of `status`.
const PHASES: [&str; 5] = ["admitting", "draining", "stopping", "forced", "drained"];

/// The text that Prometheus reads.
pub(super) fn text(figures: &Figures) -> String {
    let mut page = Page(String::new());
    page.family("build_info", "gauge", "The program's version.");
    page.sample("build_info", &[("version", &figures.version)], 1.0);
    page.family(
        "start_time_seconds",
        "gauge",
        "When it started, since the epoch.",
    );
    page.sample(
        "start_time_seconds",
        &[],
        figures.started_at_ms as f64 / 1e3,
    );
    page.family("phase", "gauge", "1 for the phase that it is in.");
    for phase in PHASES {
        let is_it = u8::from(figures.phase == phase);
        page.sample("phase", &[("phase", phase)], f64::from(is_it));
    }
    page.family("tasks", "gauge", "Tasks in the ledger.");
    for ([status, reason, provider], count) in bounded(&figures.tasks) {
        let labels = [
            ("status", status),
            ("reason", reason),
            ("provider", provider),
        ];
        page.sample("tasks", &labels, count as f64);
    }
    page.family(
        "shims",
        "gauge",
        "Live tasks by the presence of their shim.",
    );
    page.sample(
        "shims",
        &[("presence", "attached")],
        figures.attached as f64,
    );
    page.sample(
        "shims",
        &[("presence", "detached")],
        figures.detached as f64,
    );
    queue(&mut page, figures);
    page.family(
        "adopted_total",
        "counter",
        "Shims taken over from an earlier supervisor.",
    );
    page.sample("adopted_total", &[], figures.adopted as f64);
    page.family(
        "ledger_bytes",
        "gauge",
        "The ledger's size, its log included.",
    );
    page.sample("ledger_bytes", &[], figures.ledger_bytes as f64);
    page.family("events_total", "counter", "The ledger's last seq.");
    page.sample("events_total", &[], figures.events as f64);
    times(&mut page, figures);
    page.0
}

/// Whoever makes provider files by the hundred makes no series by the thousand: those of the
/// most tasks have their names, the rest is one.
fn bounded(tasks: &[([String; 3], u64)]) -> BTreeMap<[&str; 3], u64> {
    let mut sizes: BTreeMap<&str, u64> = BTreeMap::new();
    for ([_, _, provider], count) in tasks {
        *sizes.entry(provider).or_default() += count;
    }
    let mut largest: Vec<(&str, u64)> = sizes.into_iter().collect();
    largest.sort_by_key(|(name, size)| (Reverse(*size), *name));
    largest.truncate(MAX_PROVIDERS);
    let named: BTreeSet<&str> = largest.into_iter().map(|(name, _)| name).collect();
    let mut sums = BTreeMap::new();
    for ([status, reason, provider], count) in tasks {
        // Status and reason are of closed lists.
        let provider = named.get(provider.as_str()).copied().unwrap_or(OTHERS);
        *sums
            .entry([status.as_str(), reason.as_str(), provider])
            .or_default() += count;
    }
    sums
}

fn queue(page: &mut Page, figures: &Figures) {
    page.family("queue_depth", "gauge", "Tasks that wait for their turn.");
    page.sample("queue_depth", &[], figures.queued as f64);
    page.family(
        "queue_oldest_seconds",
        "gauge",
        "How long the first of them has waited.",
    );
    let oldest = figures.oldest_queued.as_secs_f64();
    page.sample("queue_oldest_seconds", &[], oldest);
}

fn times(page: &mut Page, figures: &Figures) {
    page.histogram(
        "commit_duration_seconds",
        "From events to their durability.",
        &figures.commits,
    );
    page.histogram(
        "launch_duration_seconds",
        "From a durable row to a running agent.",
        &figures.launches,
    );
    page.histogram(
        "stop_duration_seconds",
        "From a durable intent to the end of the tree.",
        &figures.stops,
    );
}

struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.line(&format!("# HELP agent_supervisor_{name} {help}"));
        self.line(&format!("# TYPE agent_supervisor_{name} {kind}"));
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let labels: Vec<String> = labels
            .iter()
            .map(|(name, text)| format!("{name}=\"{}\"", escaped(text)))
            .collect();
        let labels = match labels.is_empty() {
            true => String::new(),
            false => format!("{{{}}}", labels.join(",")),
        };
        self.line(&format!("agent_supervisor_{name}{labels} {value}"));
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.family(name, "histogram", help);
        let bucket = format!("{name}_bucket");
        let mut so_far = 0;
        for (bound, count) in BOUNDS.iter().zip(histogram.buckets) {
            so_far += count;
            self.sample(&bucket, &[("le", &bound.to_string())], so_far as f64);
        }
        self.sample(&bucket, &[("le", "+Inf")], histogram.count as f64);
        self.sample(&format!("{name}_sum"), &[], histogram.sum.as_secs_f64());
        self.sample(&format!("{name}_count"), &[], histogram.count as f64);
    }

    fn line(&mut self, text: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "{text}");
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Prometheus' conventions, and every family that is promised.
    #[test]
    fn families_are_named_by_the_conventions() {
        let figures = Figures {
            tasks: vec![(["success", "completed", "exec"].map(String::from), 2)],
            ..Figures::default()
        };
        let text = text(&figures);
        let mut families: Vec<(&str, &str)> = Vec::new();
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, words) = help.split_once(' ').expect("it has words");
                assert!(words.ends_with('.'), "{line}");
                assert!(
                    families.iter().all(|(known, _)| *known != name),
                    "{name} twice"
                );
                families.push((name, ""));
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').expect("it has a type");
                let family = families.last_mut().expect("its help is before it");
                assert_eq!(family.0, name);
                family.1 = kind;
                assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
                let is_time = name.contains("duration") || name.contains("oldest");
                assert!(!is_time || name.ends_with("_seconds"), "{line}");
            } else {
                let (name, kind) = families.last().expect("samples follow their family");
                let rest = line.strip_prefix(name).expect("one family after the other");
                let suffix = rest.split(['{', ' ']).next().expect("a name");
                let of_histogram = ["_bucket", "_sum", "_count"].contains(&suffix);
                assert_eq!(of_histogram, *kind == "histogram", "{line}");
            }
        }
        let names: Vec<&str> = families
            .iter()
            .map(|(name, _)| name.strip_prefix("agent_supervisor_").expect("ours"))
            .collect();
        assert_eq!(
            names,
            [
                "build_info",
                "start_time_seconds",
                "phase",
                "tasks",
                "shims",
                "queue_depth",
                "queue_oldest_seconds",
                "adopted_total",
                "ledger_bytes",
                "events_total",
                "commit_duration_seconds",
                "launch_duration_seconds",
                "stop_duration_seconds",
            ]
        );
    }

    #[test]
    fn there_are_so_many_series_and_no_task_is_left_out() {
        let figures = Figures {
            tasks: (0..1000)
                .map(|n| {
                    let labels = ["success", "completed", &format!("p{n}")];
                    (labels.map(String::from), 1 + u64::from(n == 777))
                })
                .collect(),
            ..Figures::default()
        };
        let text = text(&figures);
        let series = text
            .lines()
            .filter(|line| line.starts_with("agent_supervisor_tasks{"));
        let counts = series.map(|line| {
            let (labels, count) = line.rsplit_once(' ').expect("a value");
            (labels.to_owned(), count.parse::<u64>().expect("whole"))
        });
        let counts: Vec<(String, u64)> = counts.collect();
        assert_eq!(counts.len(), MAX_PROVIDERS + 1);
        assert_eq!(counts.iter().map(|(_, count)| count).sum::<u64>(), 1001);
        let of = |provider: &str| {
            let label = format!("provider=\"{provider}\"");
            let found = counts.iter().find(|(labels, _)| labels.contains(&label));
            found.map(|(_, count)| *count)
        };
        assert_eq!((of("p777"), of(OTHERS)), (Some(2), Some(1000 - 64)));
    }

    #[test]
    fn buckets_add_up() {
        let mut figures = Figures::default();
        for ms in [1, 3, 700_000] {
            figures.commits.observe(Duration::from_millis(ms));
        }
        figures.tasks = vec![(["success", "completed", "a\"b"].map(String::from), 2)];
        let text = text(&figures);
        for line in [
            "agent_supervisor_commit_duration_seconds_bucket{le=\"0.001\"} 1",
            "agent_supervisor_commit_duration_seconds_bucket{le=\"0.005\"} 2",
            "agent_supervisor_commit_duration_seconds_bucket{le=\"+Inf\"} 3",
            "agent_supervisor_commit_duration_seconds_sum 700.004",
            "agent_supervisor_tasks{status=\"success\",reason=\"completed\",provider=\"a\\\"b\"} 2",
            "# TYPE agent_supervisor_events_total counter",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
