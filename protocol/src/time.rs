//! Points in time: milliseconds since the Unix epoch, shown as RFC 3339 UTC.

use alloc::string::String;
use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Milliseconds since 1970-01-01T00:00:00Z.
///
/// Binary encodings carry the number; human-readable ones (JSON) carry
/// RFC 3339 text with milliseconds, e.g. `2026-11-20T11:26:42.766Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Milliseconds from `earlier` to `self`; 0 when the clock went backwards.
    #[must_use]
    pub fn since_ms(self, earlier: Self) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0)
    }

    /// This point in time plus `ms` milliseconds.
    #[must_use]
    pub fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(i64::try_from(ms).unwrap_or(i64::MAX)))
    }

    /// Reads RFC 3339 text in UTC (`…Z`), with zero to nine fraction digits,
    /// of which three are kept.
    ///
    /// # Errors
    /// [`BadTimestamp`] for anything else.
    pub fn parse(text: &str) -> Result<Self, BadTimestamp> {
        parse(text.as_bytes()).map(Self).ok_or(BadTimestamp)
    }
}

/// The text is not an RFC 3339 time in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadTimestamp;

impl fmt::Display for BadTimestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an RFC 3339 time in UTC, like 2026-11-20T11:26:42.766Z")
    }
}

impl core::error::Error for BadTimestamp {}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = self.0.div_euclid(DAY_MS);
        let ms = self.0.rem_euclid(DAY_MS);
        let (year, month, day) = civil_from_days(days);
        let (hour, minute) = (ms / 3_600_000, ms / 60_000 % 60);
        let (second, milli) = (ms / 1000 % 60, ms % 1000);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z"
        )
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_i64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            Self::parse(&text).map_err(serde::de::Error::custom)
        } else {
            i64::deserialize(deserializer).map(Self)
        }
    }
}

const DAY_MS: i64 = 86_400_000;

/// Days since the epoch → (year, month, day) in the proleptic Gregorian
/// calendar. Era arithmetic: 400 years are 146,097 days; a year begins in
/// March, so that the leap day is its last.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let shifted_month = (month + 9) % 12;
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

fn parse(text: &[u8]) -> Option<i64> {
    let number = |from: usize, to: usize| -> Option<i64> {
        let digits = text.get(from..to)?;
        digits.iter().try_fold(0i64, |sum, byte| {
            byte.is_ascii_digit()
                .then(|| sum * 10 + i64::from(byte - b'0'))
        })
    };
    let is = |at: usize, byte: u8| text.get(at) == Some(&byte);
    if !(is(4, b'-') && is(7, b'-') && is(10, b'T') && is(13, b':') && is(16, b':')) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let in_range = (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    if !in_range {
        return None;
    }
    let rest = text.get(19..)?;
    let fraction = rest.strip_suffix(b"Z")?;
    let milli = match fraction {
        [] => 0,
        [b'.', digits @ ..] => fraction_ms(digits)?,
        _ => return None,
    };
    let days = days_from_civil(year, month, day);
    // The 30th of February is in March.
    if civil_from_days(days) != (year, month, day) {
        return None;
    }
    Some(days * DAY_MS + hour * 3_600_000 + minute * 60_000 + second * 1000 + milli)
}

/// The first three of one to nine digits.
fn fraction_ms(digits: &[u8]) -> Option<i64> {
    if !(1..=9).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let padded = digits.iter().chain(b"00").take(3);
    Some(padded.fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    #[test]
    fn known_points_read_and_print() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_795_174_002_766, "2026-11-20T11:26:42.766Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(Timestamp(ms).to_string(), text);
            assert_eq!(Timestamp::parse(text), Ok(Timestamp(ms)));
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "now",
            "2026-11-20",
            "2026-13-20T11:26:42Z",
            "2026-11-20T11:26:42+01:00",
            "2026-11-20T11:26:42.Z",
            "2026-11-20T11:26:42.123xyzZ",
            "2026-11-20T11:26:42.1234567890Z",
            "2026-02-29T11:26:42Z",
            "2026-04-31T11:26:42Z",
            "2026-11-00T11:26:42Z",
            "2026-11-20T24:00:00Z",
        ] {
            assert_eq!(Timestamp::parse(text), Err(BadTimestamp), "{text}");
        }
    }

    #[test]
    fn fractions_of_any_length_are_cut_to_milliseconds() {
        let base = Timestamp::parse("2026-11-20T11:26:42Z").expect("no fraction");
        for (fraction, ms) in [("5", 500), ("25", 250), ("766", 766), ("766999999", 766)] {
            let text = alloc::format!("2026-11-20T11:26:42.{fraction}Z");
            assert_eq!(Timestamp::parse(&text), Ok(base.plus_ms(ms)));
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text: String) {
            let _ = Timestamp::parse(&text);
        }

        #[test]
        fn any_number_prints(ms: i64) {
            prop_assert!(Timestamp(ms).to_string().ends_with('Z'));
        }

        #[test]
        fn printing_and_reading_agree(ms in -62_135_596_800_000i64..253_402_300_799_999) {
            prop_assert_eq!(Timestamp::parse(&Timestamp(ms).to_string()), Ok(Timestamp(ms)));
        }
    }
}
