//! The clock that all processes of a machine share.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// `CLOCK_MONOTONIC` in nanoseconds. It cannot fail on Linux; a 0 would show
/// in every figure.
#[must_use]
pub fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from);
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

/// Milliseconds between two readings; negative if `to` came first.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    reason = "differences are far below 2^52 ns"
)]
pub fn ms_between(from: u64, to: u64) -> f64 {
    (to.cast_signed() - from.cast_signed()) as f64 / 1e6
}
