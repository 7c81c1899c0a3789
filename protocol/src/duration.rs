//! Durations and sizes as people type them.

use core::fmt;

/// Why a duration or a size could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadQuantity {
    /// Not of the form at all.
    Form,
    /// Larger than 64 bits.
    TooLarge,
}

impl fmt::Display for BadQuantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => "expected a number with a unit",
            Self::TooLarge => "too large",
        })
    }
}

impl core::error::Error for BadQuantity {}

/// Reads `90s`, `10m`, `1h30m`, `500ms`, `2d` into milliseconds.
///
/// # Errors
/// [`BadQuantity`] for anything else, a bare number included.
pub fn parse_duration_ms(text: &str) -> Result<u64, BadQuantity> {
    let mut rest = text;
    let mut total: u64 = 0;
    if rest.is_empty() {
        return Err(BadQuantity::Form);
    }
    while !rest.is_empty() {
        let (number, after) = leading_number(rest)?;
        let (unit_ms, after) = duration_unit(after).ok_or(BadQuantity::Form)?;
        let part = number.checked_mul(unit_ms).ok_or(BadQuantity::TooLarge)?;
        total = total.checked_add(part).ok_or(BadQuantity::TooLarge)?;
        rest = after;
    }
    Ok(total)
}

/// Reads `512K`, `64M`, `2G` or plain bytes (`4096`).
///
/// # Errors
/// [`BadQuantity`] for anything else.
pub fn parse_size_bytes(text: &str) -> Result<u64, BadQuantity> {
    let (number, unit) = leading_number(text)?;
    let shift = match unit {
        "" | "B" => 0,
        "K" | "KiB" => 10,
        "M" | "MiB" => 20,
        "G" | "GiB" => 30,
        "T" | "TiB" => 40,
        _ => return Err(BadQuantity::Form),
    };
    number.checked_mul(1 << shift).ok_or(BadQuantity::TooLarge)
}

/// Reads US dollars, `2` or `1.25`, as millionths.
///
/// # Errors
/// [`BadQuantity`] for anything else.
pub fn parse_usd_micros(text: &str) -> Result<u64, BadQuantity> {
    const PLACES: usize = 6;
    let (whole, rest) = leading_number(text)?;
    let parts = match rest.strip_prefix('.') {
        None if rest.is_empty() => 0,
        Some(parts) if parts.len() <= PLACES => {
            let (number, after) = leading_number(parts)?;
            if !after.is_empty() {
                return Err(BadQuantity::Form);
            }
            let missing = u32::try_from(PLACES - parts.len()).unwrap_or(0);
            number * 10_u64.pow(missing)
        }
        None | Some(_) => return Err(BadQuantity::Form),
    };
    whole
        .checked_mul(1_000_000)
        .and_then(|micros| micros.checked_add(parts))
        .ok_or(BadQuantity::TooLarge)
}

fn leading_number(text: &str) -> Result<(u64, &str), BadQuantity> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    if digits.is_empty() {
        return Err(BadQuantity::Form);
    }
    let number = digits.parse().map_err(|_| BadQuantity::TooLarge)?;
    Ok((number, rest))
}

fn duration_unit(text: &str) -> Option<(u64, &str)> {
    // `ms` before `m` and `s`.
    [
        ("ms", 1),
        ("s", 1000),
        ("m", 60_000),
        ("h", 3_600_000),
        ("d", 86_400_000),
    ]
    .into_iter()
    .find_map(|(unit, ms)| text.strip_prefix(unit).map(|rest| (ms, rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_are_read_to_the_millionth() {
        assert_eq!(parse_usd_micros("2"), Ok(2_000_000));
        assert_eq!(parse_usd_micros("1.25"), Ok(1_250_000));
        assert_eq!(parse_usd_micros("0.000001"), Ok(1));
        for bad in ["", "1.", ".5", "1.0000001", "-1", "1e3", "$1", "1.2.3"] {
            assert_eq!(parse_usd_micros(bad), Err(BadQuantity::Form), "{bad}");
        }
        assert_eq!(
            parse_usd_micros("99999999999999"),
            Err(BadQuantity::TooLarge)
        );
    }

    #[test]
    fn the_documented_forms_are_read() {
        assert_eq!(parse_duration_ms("90s"), Ok(90_000));
        assert_eq!(parse_duration_ms("10m"), Ok(600_000));
        assert_eq!(parse_duration_ms("1h30m"), Ok(5_400_000));
        assert_eq!(parse_duration_ms("500ms"), Ok(500));
        assert_eq!(parse_size_bytes("512K"), Ok(512 << 10));
        assert_eq!(parse_size_bytes("64M"), Ok(64 << 20));
        assert_eq!(parse_size_bytes("2G"), Ok(2 << 30));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "5", "s", "-1s", "1.5h", "10 m", "1w"] {
            assert_eq!(parse_duration_ms(text), Err(BadQuantity::Form), "{text}");
        }
        assert_eq!(
            parse_duration_ms("99999999999999999999s"),
            Err(BadQuantity::TooLarge)
        );
        assert_eq!(parse_size_bytes("2X"), Err(BadQuantity::Form));
        assert_eq!(parse_size_bytes("99999999999G"), Err(BadQuantity::TooLarge));
    }
}
