//! Which state of a thing a request is for (RFC 9110, section 13).

use hyper::header::{HeaderMap, IF_MATCH};

use super::error::HttpError;
use super::routes::{Operation, Question, Route};

/// The versions of a task that a change is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// Whatever it is.
    Any,
    /// One of these; none of them is the version of nothing.
    OneOf(Vec<u64>),
}

/// What `If-Match` says. Compared strongly: a weak tag is no version.
pub(super) fn if_match(headers: &HeaderMap) -> Result<Expected, HttpError> {
    // Several lines are one list.
    let lines: Vec<&[u8]> = headers
        .get_all(IF_MATCH)
        .iter()
        .map(|line| line.as_bytes())
        .collect();
    if lines.is_empty() {
        return Ok(Expected::Any);
    }
    let text = lines.join(&b","[..]);
    if text.trim_ascii() == b"*" {
        return Ok(Expected::Any);
    }
    let tags = entity_tags(&text).filter(|tags| !tags.is_empty());
    let Some(tags) = tags else {
        return Err(HttpError::usage(
            "If-Match: it is neither `*` nor a list of entity tags like `\"5\"`, with their quotes",
        ));
    };
    Ok(Expected::OneOf(
        tags.into_iter().filter_map(Tag::version).collect(),
    ))
}

/// A condition that would be passed over in silence is refused: what was to be done in one
/// state only would be done in every one. (Of a GET, `If-None-Match` only spares the answer.)
pub(super) fn refuse_others(route: &Route, headers: &HeaderMap) -> Result<(), HttpError> {
    let takes_if_match = route.operation == Operation::Ask(Question::ChangeTask);
    let reads = route.method == "GET";
    for (name, taken) in [
        ("If-Match", takes_if_match),
        ("If-None-Match", reads),
        ("If-Unmodified-Since", reads),
    ] {
        if !taken && headers.contains_key(name) {
            return Err(HttpError::usage(format!("this request takes no `{name}`")));
        }
    }
    Ok(())
}

/// An entity tag.
#[derive(Debug, PartialEq, Eq)]
struct Tag<'a> {
    weak: bool,
    opaque: &'a [u8],
}

impl Tag<'_> {
    /// The version that has this tag, if one can have it.
    fn version(self) -> Option<u64> {
        let text = std::str::from_utf8(self.opaque).ok()?;
        let version: u64 = text.parse().ok()?;
        // Opaque texts are the same or not: `05` is another one.
        (!self.weak && version.to_string() == text).then_some(version)
    }
}

/// The tags of a list; none if it is not one. Empty elements count for nothing.
fn entity_tags(list: &[u8]) -> Option<Vec<Tag<'_>>> {
    let mut tags = Vec::new();
    let mut rest = list.trim_ascii_start();
    while !rest.is_empty() {
        if let Some(behind) = rest.strip_prefix(b",") {
            rest = behind.trim_ascii_start();
            continue;
        }
        let strong = rest.strip_prefix(b"W/");
        let opened = strong.unwrap_or(rest).strip_prefix(b"\"")?;
        let end = opened.iter().position(|byte| !is_in_tag(*byte))?;
        let (opaque, behind) = opened.split_at(end);
        tags.push(Tag {
            weak: strong.is_some(),
            opaque,
        });
        rest = behind.strip_prefix(b"\"")?.trim_ascii_start();
        if !rest.is_empty() && rest.first() != Some(&b',') {
            return None;
        }
    }
    Some(tags)
}

const fn is_in_tag(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x7e | 0x80..)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    fn of(lines: &[&[u8]]) -> Option<Expected> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(IF_MATCH, HeaderValue::from_bytes(line).expect("a value"));
        }
        if_match(&headers).ok()
    }

    #[test]
    fn a_list_of_tags_names_its_versions() {
        let one_of = |versions: &[u64]| Some(Expected::OneOf(versions.to_vec()));
        assert_eq!(of(&[]), Some(Expected::Any));
        assert_eq!(of(&[b" * "]), Some(Expected::Any));
        assert_eq!(of(&[b"\"5\""]), one_of(&[5]));
        assert_eq!(of(&[b",, \"5\"\t,\"6\" , ,"]), one_of(&[5, 6]));
        assert_eq!(of(&[b"\"5\"", b"\"6\",\"7\""]), one_of(&[5, 6, 7]));
        // Tags that no version has: a weak one, another spelling, another server's.
        for other in [
            &b"W/\"5\""[..],
            b"\"05\"",
            b"\"+5\"",
            b"\"\"",
            b"\"a,b\"",
            b"\"\xff\"",
            b"\"99999999999999999999\"",
        ] {
            assert_eq!(of(&[other]), one_of(&[]), "{other:?}");
        }
        assert_eq!(of(&[b"W/\"5\", \"6\""]), one_of(&[6]));
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for bad in [
            &b""[..],
            b",",
            b"5",
            b"'5'",
            b"\"5",
            b"5\"",
            b"\"5\"\"6\"",
            b"\"5\" \"6\"",
            b"\"5 6\"",
            b"w/\"5\"",
            b"W/ \"5\"",
            b"W/5",
            b"*, \"5\"",
            b"\"5\";q=1",
            b"\"5\\\"\"",
        ] {
            assert_eq!(of(&[bad]), None, "{bad:?}");
        }
        assert_eq!(of(&[b"*", b"*"]), None);
    }
}
