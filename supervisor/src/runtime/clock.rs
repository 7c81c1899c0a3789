//! The wall clock, read in one place, and how it is set by others.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use protocol::Timestamp;

/// Now. Before 1970 it is 1970.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// A difference between the clocks that is no rounding and no slewing, in ms.
const JUMP_MS: u64 = 1_000;

/// Sees when somebody sets the wall clock, or when the machine slept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Jumps {
    wall: Timestamp,
    steady: Instant,
}

impl Jumps {
    /// Begins at this moment, as both clocks show it.
    pub(super) const fn from(wall: Timestamp, steady: Instant) -> Self {
        Self { wall, steady }
    }

    /// By how many ms the wall clock was set forward (backward, if negative)
    /// since the last call.
    pub(super) fn next(&mut self, wall: Timestamp, steady: Instant) -> Option<i64> {
        let passed = steady.duration_since(self.steady).as_millis();
        let passed = i64::try_from(passed).unwrap_or(i64::MAX);
        let jumped = wall.0.saturating_sub(self.wall.0).saturating_sub(passed);
        *self = Self { wall, steady };
        (jumped.unsigned_abs() >= JUMP_MS).then_some(jumped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn only_jumps_are_jumps() {
        let start = Instant::now();
        let steady = |ms| start + Duration::from_millis(ms);
        let mut jumps = Jumps::from(Timestamp(1_000_000), start);
        assert_eq!(jumps.next(Timestamp(1_005_000), steady(5_000)), None);
        assert_eq!(jumps.next(Timestamp(1_010_900), steady(10_000)), None);
        let hour = 3_600_000;
        let forward = Timestamp(1_011_900 + hour);
        assert_eq!(jumps.next(forward, steady(11_000)), Some(hour));
        let backward = Timestamp(1_012_900);
        assert_eq!(jumps.next(backward, steady(12_000)), Some(-hour));
        assert_eq!(jumps.next(Timestamp(1_013_900), steady(13_000)), None);
    }
}
