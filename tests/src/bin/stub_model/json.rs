//! Values out of requests.

use serde_json::Value;

/// The elements, if it is an array.
pub(crate) fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A text, or the texts of its parts.
pub(crate) fn text_of(content: &Value) -> String {
    content.as_str().map_or_else(
        || {
            array(content)
                .iter()
                .filter_map(|part| part["text"].as_str())
                .collect::<Vec<_>>()
                .join("\n")
        },
        str::to_string,
    )
}
