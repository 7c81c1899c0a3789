//! Where and when a measurement was made.

use std::fs;

use serde_json::{Value, json};

/// The facts about this machine that figures depend on.
#[must_use]
pub fn describe() -> Value {
    let first = |path: &str, name: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_once(':')).map_or_else(
            || "unknown".to_string(),
            |(_, value)| value.trim().to_string(),
        )
    };
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    json!({
        "cpu": first("/proc/cpuinfo", "model name"),
        "cpus": cpus,
        "memory": first("/proc/meminfo", "MemTotal"),
        "kernel": kernel.trim(),
        "virtual": fs::read_to_string("/proc/cpuinfo")
            .unwrap_or_default()
            .lines()
            .any(|line| line.starts_with("flags") && line.contains(" hypervisor")),
    })
}
