//! Paths to values in a line of output: `message.content[].text`.
//!
//! Keys are separated by dots; `[]` after a key means any element of the array
//! there; a key with dots or brackets of its own is put in double quotes:
//! `stats."model-3.5".tokens`.

/// Most keys of a path. Real ones have up to five.
const MOST_KEYS: usize = 16;

/// The key that means any element of an array.
const ANY_ELEMENT: &str = "[]";

/// Reads a path.
pub(super) fn parse(text: &str) -> Result<Vec<String>, String> {
    let wrong = |why: &str| {
        format!("`{text}` is not a path: {why}, e.g. `usage.input_tokens` or `content[].text`")
    };
    let mut keys = Vec::new();
    let mut rest = text;
    loop {
        let (key, after) = key(rest).ok_or_else(|| wrong("a key is empty or not closed"))?;
        keys.push(key);
        rest = after;
        while let Some(after) = rest.strip_prefix(ANY_ELEMENT) {
            keys.push(ANY_ELEMENT.to_owned());
            rest = after;
        }
        if rest.is_empty() {
            break;
        }
        rest = rest
            .strip_prefix('.')
            .ok_or_else(|| wrong("expected `.` or `[]` after a key"))?;
    }
    if keys.len() > MOST_KEYS {
        return Err(wrong("it is too long"));
    }
    Ok(keys)
}

/// The first key, and what follows it.
fn key(text: &str) -> Option<(String, &str)> {
    if let Some(quoted) = text.strip_prefix('"') {
        let (key, after) = quoted.split_once('"')?;
        return if key.is_empty() {
            None
        } else {
            Some((key.to_owned(), after))
        };
    }
    let end = text.find(['.', '[', ']', '"']).unwrap_or(text.len());
    let (key, after) = text.split_at(end);
    if key.is_empty() {
        None
    } else {
        Some((key.to_owned(), after))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_forms_are_read() {
        assert_eq!(parse("type"), Ok(vec!["type".into()]));
        assert_eq!(parse("a.b_c"), Ok(vec!["a".into(), "b_c".into()]));
        let nested = vec![
            "message".into(),
            "content".into(),
            "[]".into(),
            "text".into(),
        ];
        assert_eq!(parse("message.content[].text"), Ok(nested));
        assert_eq!(parse("errors[]"), Ok(vec!["errors".into(), "[]".into()]));
        assert_eq!(
            parse("a[][]"),
            Ok(vec!["a".into(), "[]".into(), "[]".into()])
        );
        assert_eq!(
            parse("s.\"m-3.5\".n"),
            Ok(vec!["s".into(), "m-3.5".into(), "n".into()])
        );
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "", ".", "a.", ".a", "a..b", "a[0]", "a[", "[]", "\"a", "\"\"", "a b.[]",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert_eq!(
            parse("a..b"),
            Err(
                "`a..b` is not a path: a key is empty or not closed, e.g. `usage.input_tokens` \
                 or `content[].text`"
                    .to_owned()
            )
        );
        assert!(parse(&["k"; 17].join(".")).is_err());
    }
}
