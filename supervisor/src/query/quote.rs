//! Words of others, on one line.

use crate::text::printable;

/// Longest text of others that is quoted, in bytes.
const MAX_QUOTE: usize = 400;

/// `text` as one line without control characters, cut where it is long.
pub(super) fn quote(text: &str) -> String {
    let one_line = text
        .trim()
        .replace("\r\n", " ")
        .replace(['\n', '\r', '\t'], " ");
    printable(&one_line, MAX_QUOTE)
}
