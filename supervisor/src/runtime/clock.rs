//! The wall clock, read in one place.

use std::time::{SystemTime, UNIX_EPOCH};

use protocol::Timestamp;

/// Now. Before 1970 it is 1970.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
