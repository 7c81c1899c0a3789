//! A reader of output after a [`ScanSpec`], as slow and as plain as can be: it
//! says what the rules mean, so that a provider file can be tested without a
//! shim.

use protocol::shim::{
    Condition, Field, PatternMeaning, ProviderError, Scalar, ScanFormat, ScanSpec, Test,
};
use protocol::vocab::Stream;
use serde_json::Value;

/// What was understood.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Understood {
    /// Fields in the order of their appearance, as text.
    pub(super) fields: Vec<(Field, String)>,
    /// The success of each result.
    pub(super) results: Vec<bool>,
    /// Known errors.
    pub(super) errors: Vec<ProviderError>,
}

impl Understood {
    /// The values of one field.
    pub(super) fn all(&self, field: Field) -> Vec<&str> {
        self.fields
            .iter()
            .filter(|(found, _)| *found == field)
            .map(|(_, text)| text.as_str())
            .collect()
    }
}

/// Reads lines of both streams.
pub(super) fn read(spec: &ScanSpec, lines: &[(Stream, &str)]) -> Understood {
    let mut understood = Understood::default();
    for (stream, line) in lines {
        for pattern in &spec.patterns {
            let Some((_, rest)) = line.split_once(&pattern.contains) else {
                continue;
            };
            if pattern.stream != *stream {
                continue;
            }
            match pattern.meaning {
                PatternMeaning::Error(error) => understood.errors.push(error),
                PatternMeaning::SessionIdFollows | PatternMeaning::FirstSessionIdFollows => {
                    let id = rest.split(' ').next().unwrap_or_default();
                    understood.fields.push((Field::SessionId, id.to_owned()));
                }
            }
        }
        if *stream == Stream::Stdout && spec.format == ScanFormat::JsonLines {
            let value: Value = serde_json::from_str(line).expect("a test's line is JSON");
            apply(spec, &value, &mut understood);
        }
    }
    understood
}

fn apply(spec: &ScanSpec, line: &Value, understood: &mut Understood) {
    for rule in &spec.rules {
        if !rule.when.iter().all(|condition| holds(condition, line)) {
            continue;
        }
        for take in &rule.take {
            for value in at(line, &take.path) {
                let text = value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned);
                understood.fields.push((take.field, text));
            }
        }
        if rule.is_result {
            let success = rule
                .success_when
                .iter()
                .all(|condition| holds(condition, line));
            understood.results.push(success);
        }
        understood.errors.extend(rule.error);
    }
}

fn holds(condition: &Condition, line: &Value) -> bool {
    let values = at(line, &condition.path);
    match &condition.test {
        Test::Equals(scalar) => values.iter().any(|value| equals(scalar, value)),
        Test::Contains(text) => values
            .iter()
            .any(|value| value.as_str().is_some_and(|it| it.contains(text.as_str()))),
        Test::Present => !values.is_empty(),
        Test::Absent => values.is_empty(),
        Test::AtLeast(least) => values
            .iter()
            .any(|value| value.as_f64().is_some_and(|it| it >= *least)),
    }
}

fn equals(scalar: &Scalar, value: &Value) -> bool {
    match scalar {
        Scalar::Null => value.is_null(),
        Scalar::Bool(flag) => value.as_bool() == Some(*flag),
        Scalar::Number(number) => value.as_f64() == Some(*number),
        Scalar::Text(text) => value.as_str() == Some(text),
    }
}

/// The scalars at a path.
fn at<'v>(value: &'v Value, path: &[String]) -> Vec<&'v Value> {
    let Some((key, rest)) = path.split_first() else {
        return if value.is_object() || value.is_array() {
            Vec::new()
        } else {
            vec![value]
        };
    };
    match (key.as_str(), value) {
        ("[]", Value::Array(items)) => items.iter().flat_map(|item| at(item, rest)).collect(),
        (key, Value::Object(fields)) => fields
            .get(key)
            .map(|inner| at(inner, rest))
            .unwrap_or_default(),
        _ => Vec::new(),
    }
}
