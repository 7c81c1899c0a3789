//! Durations, ages and sizes for eyes.

use std::time::{SystemTime, UNIX_EPOCH};

use protocol::Timestamp;

/// Now.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// `0.4s`, `12s`, `2m04s`, `1h02m`, `3d04h`.
pub(crate) fn duration(ms: u64) -> String {
    let seconds = ms / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match ms {
        0..10_000 => format!("{}.{}s", seconds, ms % 1000 / 100),
        10_000..60_000 => format!("{seconds}s"),
        60_000..3_600_000 => format!("{minutes}m{:02}s", seconds % 60),
        3_600_000..86_400_000 => format!("{hours}h{:02}m", minutes % 60),
        86_400_000.. => format!("{days}d{:02}h", hours % 24),
    }
}

/// `now`, `12s ago`, `2m ago`, `3h ago`, `4d ago`.
pub(crate) fn ago(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.since_ms(then) / 1000;
    match seconds {
        0..2 => "now".to_owned(),
        2..60 => format!("{seconds}s ago"),
        60..3600 => format!("{}m ago", seconds / 60),
        3600..86_400 => format!("{}h ago", seconds / 3600),
        86_400.. => format!("{}d ago", seconds / 86_400),
    }
}

/// The time of day in UTC with milliseconds: `11:26:42.766`.
pub(crate) fn clock(at: Timestamp) -> String {
    let text = at.to_string();
    let time = text.split_once('T').map_or(text.as_str(), |(_, time)| time);
    time.trim_end_matches('Z').to_owned()
}

/// Date and time in UTC: `2026-11-20 11:26:42.766 UTC`.
pub(crate) fn date(at: Timestamp) -> String {
    format!(
        "{} UTC",
        at.to_string().replace('T', " ").trim_end_matches('Z')
    )
}

/// `812 B`, `1.2 KiB`, `34.0 MiB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut tenths = bytes.saturating_mul(10) / 1024;
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// `340`, `1.2k`, `3.4M`.
pub(crate) fn count(number: u64) -> String {
    match number {
        0..1000 => number.to_string(),
        1000..1_000_000 => format!("{}.{}k", number / 1000, number % 1000 / 100),
        1_000_000.. => format!("{}.{}M", number / 1_000_000, number % 1_000_000 / 100_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_grow_their_units() {
        for (ms, text) in [
            (0, "0.0s"),
            (412, "0.4s"),
            (12_999, "12s"),
            (124_000, "2m04s"),
            (3_720_000, "1h02m"),
            (273_600_000, "3d04h"),
        ] {
            assert_eq!(duration(ms), text);
        }
    }

    #[test]
    fn ages_sizes_and_counts() {
        let now = Timestamp(1_795_174_002_766);
        assert_eq!(ago(now, now), "now");
        assert_eq!(ago(Timestamp(now.0 - 125_000), now), "2m ago");
        assert_eq!(ago(Timestamp(now.0 + 5_000), now), "now");
        assert_eq!(clock(now), "11:26:42.766");
        assert_eq!(date(now), "2026-11-20 11:26:42.766 UTC");
        assert_eq!(size(812), "812 B");
        assert_eq!(size(1_300_000), "1.2 MiB");
        assert_eq!(size(1024), "1.0 KiB");
        assert_eq!(count(1_234), "1.2k");
        assert_eq!(count(340), "340");
    }
}
