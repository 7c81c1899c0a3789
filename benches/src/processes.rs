//! What `/proc` tells of a process: its time and its memory.

use std::fs;

use anyhow::{Context, Result};
use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::unistd::{SysconfVar, sysconf};

/// Time of a process on the processors, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CpuTime {
    /// Its own.
    pub own_ms: f64,
    /// Of its children that ended and were waited for, with theirs.
    pub children_ms: f64,
}

/// The time of process `pid`, in steps of the kernel's tick (10 ms mostly).
///
/// # Errors
/// When there is no such process.
#[expect(clippy::cast_precision_loss, reason = "ticks of a short run")]
pub fn cpu_time(pid: i32) -> Result<CpuTime> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))
        .with_context(|| format!("reading the time of process {pid}"))?;
    let behind_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    // Field 3 of the file is the first behind the name.
    let ticks = |field: usize| -> u64 {
        let value = behind_name.split_whitespace().nth(field - 3);
        value.and_then(|text| text.parse().ok()).unwrap_or(0)
    };
    let per_second = sysconf(SysconfVar::CLK_TCK)?.unwrap_or(100) as f64;
    let ms = |ticks: u64| ticks as f64 * 1000.0 / per_second;
    Ok(CpuTime {
        own_ms: ms(ticks(14) + ticks(15)),
        children_ms: ms(ticks(16) + ticks(17)),
    })
}

/// The exact time of a process with one thread, in milliseconds.
///
/// # Errors
/// When there is no such process.
#[expect(clippy::cast_precision_loss, reason = "nanoseconds of a short run")]
pub fn run_time_ms(pid: i32) -> Result<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/schedstat"))
        .with_context(|| format!("reading the time of process {pid}"))?;
    let ns: u64 = text.split_whitespace().next().unwrap_or("0").parse()?;
    Ok(ns as f64 / 1e6)
}

/// The exact time of a process, all its threads together, in milliseconds.
///
/// # Errors
/// When there is no such process.
pub fn threads_run_time_ms(pid: i32) -> Result<f64> {
    let threads = fs::read_dir(format!("/proc/{pid}/task"))
        .with_context(|| format!("reading the threads of process {pid}"))?;
    // Of a thread, the same file; one that ended meanwhile has no more.
    let ids = threads
        .flatten()
        .filter_map(|thread| thread.file_name().to_str()?.parse().ok());
    Ok(ids.filter_map(|id| run_time_ms(id).ok()).sum())
}

/// The time of this process, or of its children, in milliseconds.
///
/// # Errors
/// The kernel's answer.
pub fn own_usage_ms(who: UsageWho) -> Result<f64> {
    let usage: Usage = getrusage(who)?;
    let ms = |time: nix::sys::time::TimeVal| {
        #[expect(clippy::cast_precision_loss, reason = "seconds of a short run")]
        let seconds = time.tv_sec() as f64;
        #[expect(clippy::cast_precision_loss, reason = "below a million")]
        let micros = time.tv_usec() as f64;
        seconds * 1000.0 + micros / 1000.0
    };
    Ok(ms(usage.user_time()) + ms(usage.system_time()))
}

/// The proportional share of memory of process `pid`, in KiB.
///
/// # Errors
/// When there is no such process, or it may not be read.
pub fn pss_kib(pid: i32) -> Result<f64> {
    kib(&format!("/proc/{pid}/smaps_rollup"), "Pss:")
}

/// The resident memory of process `pid`, in KiB.
///
/// # Errors
/// When there is no such process.
pub fn rss_kib(pid: i32) -> Result<f64> {
    kib(&format!("/proc/{pid}/status"), "VmRSS:")
}

/// The page tables of process `pid`, in KiB.
///
/// # Errors
/// When there is no such process.
pub fn page_tables_kib(pid: i32) -> Result<f64> {
    kib(&format!("/proc/{pid}/status"), "VmPTE:")
}

fn kib(path: &str, name: &str) -> Result<f64> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let value = line.and_then(|rest| rest.split_whitespace().next());
    Ok(value
        .with_context(|| format!("{path} has no {name}"))?
        .parse()?)
}

/// The children of process `pid`.
#[must_use]
pub fn children(pid: i32) -> Vec<i32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten();
    threads
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok())
        .flat_map(|text| {
            text.split_whitespace()
                .filter_map(|word| word.parse().ok())
                .collect::<Vec<i32>>()
        })
        .collect()
}
