//! The `[output]` section, compiled to what shims look for.

use protocol::shim::{
    Condition, Field, LinePattern, PatternMeaning, ProviderError, Scalar, ScanFormat, ScanRule,
    ScanSpec, Take, Test,
};
use protocol::vocab::Stream;
use toml::de::DeValue;

use super::path;
use crate::document::{FlagOrTable, Section, Value, nearest};

/// Most rules and patterns of a file: a shim tries each on every line.
const MOST_RULES: usize = 64;

const FORMATS: [(&str, ScanFormat); 2] = [
    ("opaque", ScanFormat::Opaque),
    ("json-lines", ScanFormat::JsonLines),
];

const ERRORS: [(&str, ProviderError); 3] = [
    ("session_not_found", ProviderError::SessionNotFound),
    ("transient", ProviderError::Transient),
    ("missing_skill", ProviderError::MissingSkill),
];

const PATTERN_MEANINGS: [(&str, PatternMeaning); 5] = [
    (
        "session_not_found",
        PatternMeaning::Error(ProviderError::SessionNotFound),
    ),
    ("transient", PatternMeaning::Error(ProviderError::Transient)),
    (
        "missing_skill",
        PatternMeaning::Error(ProviderError::MissingSkill),
    ),
    ("session_id_follows", PatternMeaning::SessionIdFollows),
    (
        "first_session_id_follows",
        PatternMeaning::FirstSessionIdFollows,
    ),
];

const STREAMS: [(&str, Stream); 2] = [("stdout", Stream::Stdout), ("stderr", Stream::Stderr)];

const FIELDS: [(&str, Field); 14] = [
    ("session_id", Field::SessionId),
    ("model", Field::Model),
    ("turns", Field::Turns),
    ("input_tokens", Field::InputTokens),
    ("input_tokens_add", Field::InputTokensAdd),
    ("output_tokens", Field::OutputTokens),
    ("output_tokens_add", Field::OutputTokensAdd),
    ("cost_usd", Field::CostUsd),
    ("cost_usd_add", Field::CostUsdAdd),
    ("progress", Field::Progress),
    ("result_text", Field::ResultText),
    ("error_text", Field::ErrorText),
    ("result_text_add", Field::ResultTextAdd),
    ("result_text_restart", Field::ResultTextRestart),
];

const TESTS: [&str; 6] = [
    "equals", "contains", "present", "absent", "null", "at_least",
];

/// Reads the section.
pub(super) fn scan(section: &mut Section<'_>) -> ScanSpec {
    let format = section.choice("format", &FORMATS).unwrap_or_default();
    let promises_result = section.flag("promises_result").unwrap_or(false);
    let rules: Vec<ScanRule> = section.sections("rule").iter_mut().map(rule).collect();
    let patterns: Vec<LinePattern> = section
        .sections("pattern")
        .iter_mut()
        .filter_map(pattern)
        .collect();
    if rules.len() + patterns.len() > MOST_RULES {
        section.complain(&format!(
            "at most {MOST_RULES} rules and patterns can be used"
        ));
    }
    if format == ScanFormat::Opaque && !rules.is_empty() {
        section.complain("rules read JSON: set `format = \"json-lines\"`");
    }
    if promises_result && !rules.iter().any(|rule| rule.is_result) {
        section.complain("a result is promised, and no rule has `result = true`");
    }
    ScanSpec {
        format,
        rules,
        patterns,
        promises_result,
    }
}

fn rule(section: &mut Section<'_>) -> ScanRule {
    let when = conditions(section, "when");
    let is_result = section.flag("result").unwrap_or(false);
    let success_when = success(section, &when, is_result);
    let error = section.choice("means", &ERRORS);
    let take = takes(section);
    if take.is_empty() && !is_result && error.is_none() {
        section.complain("the rule does nothing: give it `take`, `result` or `means`");
    }
    ScanRule {
        when,
        take,
        is_result,
        success_when,
        error,
    }
}

/// `success = false`, `success = true` or `success = { conditions }`.
fn success(section: &mut Section<'_>, when: &[Condition], is_result: bool) -> Vec<Condition> {
    let always = section.flag_or_table("success");
    if always.is_some() && !is_result {
        section.complain("only a rule with `result = true` has a `success`");
    }
    match always {
        None | Some(FlagOrTable::Flag(true)) => Vec::new(),
        Some(FlagOrTable::Table) => conditions(section, "success"),
        Some(FlagOrTable::Flag(false)) => match when.first() {
            Some(condition) => vec![contradiction(condition)],
            None => {
                section.complain("`success = false` needs a `when`");
                Vec::new()
            }
        },
    }
}

/// A condition that cannot hold where `condition` does.
fn contradiction(condition: &Condition) -> Condition {
    let test = match condition.test {
        Test::Absent => Test::Present,
        Test::Equals(_) | Test::Contains(_) | Test::Present | Test::AtLeast(_) => Test::Absent,
    };
    Condition {
        path: condition.path.clone(),
        test,
    }
}

fn conditions(section: &mut Section<'_>, key: &'static str) -> Vec<Condition> {
    let mut conditions = Vec::new();
    for (name, value) in section.entries(key).unwrap_or_default() {
        match (path::parse(&name), test(value.value)) {
            (Ok(path), Ok(test)) => conditions.push(Condition { path, test }),
            (Err(what), _) | (Ok(_), Err(what)) => section.complain_about(&value, &what),
        }
    }
    conditions
}

/// A scalar to be equal to, or a table with one test.
fn test(value: &DeValue<'_>) -> Result<Test, String> {
    let Some(table) = value.as_table() else {
        return scalar(value).map(Test::Equals);
    };
    let mut entries = table.iter();
    let (Some((name, argument)), None) = (entries.next(), entries.next()) else {
        return Err(format!("expected one test of {}", listed(TESTS)));
    };
    let argument = argument.get_ref();
    let holds = |test: Test| match argument.as_bool() {
        Some(true) => Ok(test),
        Some(false) | None => Err(format!("expected true, found {}", argument.type_str())),
    };
    let name: &str = name.get_ref();
    match name {
        "equals" => scalar(argument).map(Test::Equals),
        "contains" => match argument.as_str() {
            Some(text) if !text.is_empty() => Ok(Test::Contains(text.to_owned())),
            Some(_) => Err("an empty text is in everything".to_owned()),
            None => Err(format!("expected a string, found {}", argument.type_str())),
        },
        "present" => holds(Test::Present),
        "absent" => holds(Test::Absent),
        "null" => holds(Test::Equals(Scalar::Null)),
        "at_least" => match scalar(argument) {
            Ok(Scalar::Number(least)) => Ok(Test::AtLeast(least)),
            Ok(Scalar::Null | Scalar::Bool(_) | Scalar::Text(_)) | Err(_) => {
                Err(format!("expected a number, found {}", argument.type_str()))
            }
        },
        other => Err(format!(
            "`{other}` is not one of {}; a path with dots is put in quotes: \"a.b\" = …",
            listed(TESTS)
        )),
    }
}

fn scalar(value: &DeValue<'_>) -> Result<Scalar, String> {
    let number = |text: &str| text.replace('_', "").parse().ok().map(Scalar::Number);
    let found = match value {
        DeValue::String(text) => Some(Scalar::Text(text.to_string())),
        DeValue::Boolean(flag) => Some(Scalar::Bool(*flag)),
        DeValue::Integer(integer) if integer.radix() == 10 => number(integer.as_str()),
        DeValue::Float(float) => number(float.as_str()),
        DeValue::Integer(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    };
    found.ok_or_else(|| {
        format!(
            "expected a string, number or flag, found {}",
            value.type_str()
        )
    })
}

fn takes(section: &mut Section<'_>) -> Vec<Take> {
    let mut takes = Vec::new();
    for (name, value) in section.entries("take").unwrap_or_default() {
        let Some((_, field)) = FIELDS.iter().find(|(word, _)| *word == name) else {
            section.complain_about(&value, &unknown_field(&name));
            continue;
        };
        for found in paths(&value) {
            match found {
                Ok(path) => takes.push(Take {
                    path,
                    field: *field,
                }),
                Err(what) => section.complain_about(&value, &what),
            }
        }
    }
    takes
}

/// One path, or several.
fn paths(value: &Value<&DeValue<'_>>) -> Vec<Result<Vec<String>, String>> {
    let one = |value: &DeValue<'_>| match value.as_str() {
        Some(text) => path::parse(text),
        None => Err(format!(
            "expected a path or an array of paths, found {}",
            value.type_str()
        )),
    };
    match value.value.as_array() {
        Some(array) => array.iter().map(|item| one(item.get_ref())).collect(),
        None => vec![one(value.value)],
    }
}

fn unknown_field(name: &str) -> String {
    let fields = FIELDS.map(|(word, _)| word);
    match nearest(name, fields) {
        Some(near) => format!("unknown field; did you mean `{near}`?"),
        None => format!("unknown field; known: {}", fields.join(", ")),
    }
}

fn pattern(section: &mut Section<'_>) -> Option<LinePattern> {
    let stream = section.choice("stream", &STREAMS);
    let contains = section.text("contains");
    let meaning = section.choice("means", &PATTERN_MEANINGS);
    if let Some(text) = &contains
        && text.value.is_empty()
    {
        section.complain_about(text, "an empty text is in every line");
    }
    match (stream, contains, meaning) {
        (Some(stream), Some(contains), Some(meaning)) => Some(LinePattern {
            stream,
            contains: contains.value,
            meaning,
        }),
        _ => {
            section.complain("a pattern needs `stream`, `contains` and `means`");
            None
        }
    }
}

fn listed<const N: usize>(words: [&str; N]) -> String {
    words.map(|word| format!("`{word}`")).join(", ")
}
