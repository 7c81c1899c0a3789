//! Names that must mean the same task on the next connection too.

use protocol::control::{Request, Response};

use crate::client::Client;
use crate::errors::CliError;

/// Is it a whole UUID? Such a name means one task for ever; a key or a name
/// means another one as soon as a newer task has it.
pub(crate) fn is_whole_id(name: &str) -> bool {
    name.len() == 36
        && name.char_indices().all(|(at, c)| match at {
            8 | 13 | 18 | 23 => c == '-',
            _ => c.is_ascii_hexdigit(),
        })
}

/// The ids that these names mean now.
///
/// # Errors
/// Unreachable, unknown or ambiguous.
pub(crate) fn pin(client: &Client, names: &[String]) -> Result<Vec<String>, CliError> {
    names.iter().map(|name| pin_one(client, name)).collect()
}

/// The id that this name means now.
///
/// # Errors
/// Unreachable, unknown or ambiguous.
pub(crate) fn pin_one(client: &Client, name: &str) -> Result<String, CliError> {
    if is_whole_id(name) {
        return Ok(name.to_owned());
    }
    let answer = client.ask(&Request::Show {
        id: name.to_owned(),
    })?;
    let Response::Detail(detail) = answer else {
        return Err(CliError::wrong_answer());
    };
    Ok(detail.task.id.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_uuid_is_whole() {
        assert!(is_whole_id("019a3f2c-4d5e-7000-8000-000000000001"));
        for name in [
            "019a3f2c",
            "nightly",
            "019a3f2c-4d5e-7000-8000-00000000000x",
            "",
        ] {
            assert!(!is_whole_id(name), "{name}");
        }
    }
}
