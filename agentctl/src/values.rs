//! Option values as people type them, with errors that show the right form.

use clap::builder::PossibleValue;
use protocol::duration::{BadQuantity, parse_duration_ms, parse_size_bytes, parse_usd_micros};
use protocol::{ArchiveReason, Status, Timestamp};

use crate::render::time;

/// Milliseconds from `90s`, `10m`, `1h30m`, `500ms`.
pub(crate) fn duration_ms(text: &str) -> Result<u64, String> {
    parse_duration_ms(text).map_err(|bad| match bad {
        BadQuantity::Form => "a duration looks like 90s, 10m, 1h30m, 500ms or 2d".to_owned(),
        BadQuantity::TooLarge => "this duration is too large".to_owned(),
    })
}

/// The same for a limit, which has to leave the task some time.
pub(crate) fn limit_ms(text: &str) -> Result<u64, String> {
    match duration_ms(text)? {
        0 => Err("zero would end the task at once; leave the option out".to_owned()),
        limit => Ok(limit),
    }
}

/// Bytes from `512K`, `64M`, `2G`.
pub(crate) fn size_bytes(text: &str) -> Result<u64, String> {
    parse_size_bytes(text).map_err(|bad| match bad {
        BadQuantity::Form => "a size looks like 512K, 64M, 2G or 4096".to_owned(),
        BadQuantity::TooLarge => "this size is too large".to_owned(),
    })
}

/// The same for a limit of memory, which has to leave room for a shim and a shell.
pub(crate) fn memory_bytes(text: &str) -> Result<u64, String> {
    const SMALLEST: u64 = 4 << 20;
    match size_bytes(text)? {
        bytes if bytes < SMALLEST => Err("it has to be 4M at least".to_owned()),
        bytes => Ok(bytes),
    }
}

/// Millionths of a US dollar from `2` or `1.25`.
pub(crate) fn usd_micros(text: &str) -> Result<u64, String> {
    match parse_usd_micros(text) {
        Ok(0) => Err("zero would end the task at once; leave the option out".to_owned()),
        Ok(micros) => Ok(micros),
        Err(BadQuantity::Form) => Err("US dollars look like 2 or 1.25".to_owned()),
        Err(BadQuantity::TooLarge) => Err("this amount is too large".to_owned()),
    }
}

/// A count, or a number in a row.
pub(crate) fn whole_number<N: std::str::FromStr>(text: &str) -> Result<N, String> {
    text.parse()
        .map_err(|_| "a whole number is meant, like 5".to_owned())
}

/// A point in time: a duration ago, or RFC 3339 in UTC.
pub(crate) fn since(text: &str) -> Result<Timestamp, String> {
    if let Ok(at) = Timestamp::parse(text) {
        return Ok(at);
    }
    let ms = parse_duration_ms(text).map_err(|_| {
        "a point in time looks like 10m (ago), 2d (ago) or 2026-11-20T11:26:42Z".to_owned()
    })?;
    let ms = i64::try_from(ms).map_err(|_| "this duration is too large".to_owned())?;
    Ok(Timestamp(time::now().0.saturating_sub(ms)))
}

/// `KEY=VALUE` of an environment.
pub(crate) fn variable(text: &str) -> Result<(String, String), String> {
    let form = || "a variable looks like NAME=VALUE".to_owned();
    let (name, value) = text.split_once('=').ok_or_else(form)?;
    if name.is_empty() || name.contains(char::is_whitespace) {
        return Err(form());
    }
    if text.contains('\0') {
        return Err("a variable cannot hold a NUL character".to_owned());
    }
    Ok((name.to_owned(), value.to_owned()))
}

/// A vocabulary on the command line: completion and errors list its words.
macro_rules! words {
    ($parser:ident, $word:ty) => {
        #[doc = concat!("Reads a [`", stringify!($word), "`].")]
        #[derive(Clone, Copy, Debug)]
        pub(crate) struct $parser;

        impl clap::builder::TypedValueParser for $parser {
            type Value = $word;

            fn parse_ref(
                &self,
                command: &clap::Command,
                arg: Option<&clap::Arg>,
                value: &std::ffi::OsStr,
            ) -> Result<Self::Value, clap::Error> {
                let words = <$word>::ALL.iter().map(|word| word.as_str());
                let names = clap::builder::PossibleValuesParser::new(words);
                let name = names.parse_ref(command, arg, value)?;
                <$word>::parse(&name)
                    .ok_or_else(|| clap::Error::new(clap::error::ErrorKind::InvalidValue))
            }

            fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
                Some(Box::new(
                    <$word>::ALL
                        .iter()
                        .map(|word| PossibleValue::new(word.as_str())),
                ))
            }
        }
    };
}

words!(StatusWord, Status);
words!(ReasonWord, ArchiveReason);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_show_the_right_form() {
        assert_eq!(duration_ms("1h30m"), Ok(5_400_000));
        assert!(duration_ms("5").expect_err("no unit").contains("90s, 10m"));
        assert_eq!(limit_ms("1s"), Ok(1_000));
        assert!(limit_ms("0s").expect_err("no time").contains("leave"));
        assert_eq!(whole_number("7"), Ok(7_u32));
        for text in ["many", "-1", "1.5", "5000000000"] {
            let error = whole_number::<u32>(text).expect_err("none");
            assert_eq!(error, "a whole number is meant, like 5", "{text}");
        }
        assert_eq!(size_bytes("64M"), Ok(64 << 20));
        assert!(size_bytes("64X").expect_err("no unit").contains("512K"));
        assert_eq!(since("1970-01-01T00:00:01Z"), Ok(Timestamp(1000)));
        assert!(
            since("yesterday")
                .expect_err("no form")
                .contains("10m (ago)")
        );
        assert!(since("1m").expect("a minute ago").0 <= time::now().0 - 60_000);
    }

    #[test]
    fn variables_have_a_name() {
        assert_eq!(variable("A=b=c"), Ok(("A".into(), "b=c".into())));
        assert_eq!(variable("A="), Ok(("A".into(), String::new())));
        for text in ["A", "=b", "A B=c"] {
            assert!(variable(text).is_err(), "{text}");
        }
    }
}
