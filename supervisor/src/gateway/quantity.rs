//! Durations, sizes and sums of money in what is posted.
//!
//! They are words with a unit, as on the command line. A bare number is taken
//! where it can mean one thing only: bytes, US dollars. Of a duration it could be
//! seconds as well as milliseconds.

use std::collections::BTreeMap;
use std::fmt;

use protocol::duration::{BadQuantity, parse_duration_ms, parse_size_bytes, parse_usd_micros};
use serde::{Deserialize, Deserializer, de};
use serde_json::{Number, Value};

/// Milliseconds of a duration.
#[derive(Default)]
pub(super) struct Span(pub(super) Option<u64>);

/// The same, which has to leave the task some time.
#[derive(Default)]
pub(super) struct Limit(pub(super) Option<u64>);

/// Bytes of a size.
#[derive(Default)]
pub(super) struct Size(pub(super) Option<u64>);

/// Millionths of US dollars.
#[derive(Default)]
pub(super) struct Usd(pub(super) Option<u64>);

/// Variables by their names, each of them once; none for a `null`.
pub(super) fn variables<'de, D>(from: D) -> Result<BTreeMap<String, String>, D::Error>
where
    D: Deserializer<'de>,
{
    struct Variables;
    impl<'de> de::Visitor<'de> for Variables {
        type Value = BTreeMap<String, String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a map")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(BTreeMap::new())
        }

        fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut variables = BTreeMap::new();
            while let Some((name, value)) = map.next_entry::<String, String>()? {
                if variables.contains_key(&name) {
                    return Err(de::Error::custom(format!("`{name}` is given twice")));
                }
                variables.insert(name, value);
            }
            Ok(variables)
        }
    }
    from.deserialize_any(Variables)
}

/// What stands there; the default for a `null`.
pub(super) fn or_default<'de, T, D>(from: D) -> Result<T, D::Error>
where
    T: Default + Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::<T>::deserialize(from).map(Option::unwrap_or_default)
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let form = "a duration has its unit: \"90s\", \"10m\", \"1h30m\" or \"500ms\"";
        read(from, (parse_duration_ms, no_number), form).map(Self)
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        not_zero(Span::deserialize(from)?.0).map(Self)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let form = "a size looks like \"512K\", \"64M\", \"2G\" or 4096";
        read(from, (parse_size_bytes, whole), form).map(Self)
    }
}

impl<'de> Deserialize<'de> for Usd {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let form = "US dollars look like 2, 1.25 or \"1.25\"";
        not_zero(read(from, (parse_usd_micros, usd_micros), form)?).map(Self)
    }
}

/// How a text and how a number is read.
type Readings = (
    fn(&str) -> Result<u64, BadQuantity>,
    fn(&Number) -> Result<u64, BadQuantity>,
);

fn read<'de, D: Deserializer<'de>>(
    from: D,
    (of_text, of_number): Readings,
    form: &str,
) -> Result<Option<u64>, D::Error> {
    let value = Value::deserialize(from)?;
    let read = match &value {
        Value::Null => return Ok(None),
        Value::String(text) => of_text(text),
        Value::Number(number) => of_number(number),
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => Err(BadQuantity::Form),
    };
    read.map(Some).map_err(|bad| match bad {
        BadQuantity::Form => de::Error::custom(format!("`{value}`: {form}")),
        BadQuantity::TooLarge => de::Error::custom(format!("`{value}` is too large")),
    })
}

fn not_zero<E: de::Error>(limit: Option<u64>) -> Result<Option<u64>, E> {
    match limit {
        Some(0) => Err(E::custom(
            "zero would end the task at once; leave the limit out",
        )),
        limit => Ok(limit),
    }
}

fn no_number(_number: &Number) -> Result<u64, BadQuantity> {
    Err(BadQuantity::Form)
}

fn whole(number: &Number) -> Result<u64, BadQuantity> {
    number.as_u64().ok_or(BadQuantity::Form)
}

/// Rounded: 0.1 + 0.2 has seventeen digits in most languages.
fn usd_micros(number: &Number) -> Result<u64, BadQuantity> {
    const MOST: f64 = 1e12;
    let usd = number.as_f64().ok_or(BadQuantity::TooLarge)?;
    if usd < 0.0 {
        return Err(BadQuantity::Form);
    }
    if usd >= MOST {
        return Err(BadQuantity::TooLarge);
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between zero and 1e18"
    )]
    let micros = (usd * 1e6).round() as u64;
    Ok(micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn money_is_a_number_or_a_text() {
        for (text, micros) in [
            ("2", 2_000_000),
            ("2.5", 2_500_000),
            ("0.30000000000000004", 300_000),
            ("1e-6", 1),
            (r#""1.25""#, 1_250_000),
        ] {
            assert_eq!(of::<Usd>(text).map(|usd| usd.0), Ok(Some(micros)), "{text}");
        }
        for (text, words) in [
            ("-1", "US dollars look like"),
            ("1e300", "too large"),
            ("0", "zero would end"),
            ("1e-9", "zero would end"),
            ("true", "US dollars look like"),
            (r#""1,25""#, "US dollars look like"),
        ] {
            let refusal = of::<Usd>(text).err().expect(text);
            assert!(refusal.contains(words), "{text}: {refusal}");
        }
    }

    #[test]
    fn a_number_is_bytes_and_never_a_duration() {
        assert_eq!(of::<Size>("4096").map(|size| size.0), Ok(Some(4096)));
        assert_eq!(of::<Size>(r#""4K""#).map(|size| size.0), Ok(Some(4096)));
        for text in ["-1", "1.5", "[]"] {
            assert!(of::<Size>(text).is_err(), "{text}");
        }
        let refusal = of::<Span>("90").err().expect("no unit");
        assert!(
            refusal.contains("`90`: a duration has its unit"),
            "{refusal}"
        );
        assert_eq!(of::<Span>("null").map(|span| span.0), Ok(None));
    }
}
