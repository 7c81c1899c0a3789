//! The wall clock, as the wire counts it.

use std::time::{SystemTime, UNIX_EPOCH};

use protocol::Timestamp;

/// Now. A clock before 1970 counts as 1970, one beyond the range as its end.
#[must_use]
pub fn now() -> Timestamp {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}
