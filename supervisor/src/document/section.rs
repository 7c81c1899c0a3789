//! One table of a document.

use std::ops::RangeInclusive;

use protocol::duration::{parse_duration_ms, parse_size_bytes};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Collector, nearest};

/// A table from which keys are taken one by one. A section that the document
/// does not have yields nothing for every key. When it is dropped it complains
/// about the keys that nobody asked for, so that this cannot be forgotten.
pub struct Section<'d> {
    collector: &'d Collector<'d>,
    path: String,
    offset: usize,
    table: Option<&'d DeTable<'d>>,
    known: Vec<&'static str>,
}

/// A value together with where it stands, for problems found later.
#[derive(Clone, Debug)]
pub struct Value<T> {
    /// What was read.
    pub value: T,
    key: String,
    offset: usize,
}

/// What [`Section::flag_or_table`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlagOrTable {
    /// A flag.
    Flag(bool),
    /// A table.
    Table,
}

impl<'d> Section<'d> {
    pub(super) fn new(
        collector: &'d Collector<'d>,
        path: String,
        offset: usize,
        table: Option<&'d DeTable<'d>>,
    ) -> Self {
        Self {
            collector,
            path,
            offset,
            table,
            known: Vec::new(),
        }
    }

    /// Is the section in the document at all?
    #[must_use]
    pub const fn is_there(&self) -> bool {
        self.table.is_some()
    }

    /// Notes a problem with the section as a whole.
    pub fn complain(&self, what: &str) {
        self.collector.add(self.offset, &self.path, what);
    }

    /// Notes a problem with a value that was read before.
    pub fn complain_about<T>(&self, value: &Value<T>, what: &str) {
        self.collector.add(value.offset, &value.key, what);
    }

    /// A section below this one.
    pub fn section(&mut self, key: &'static str) -> Section<'d> {
        let path = self.below(key);
        let Some(value) = self.find(key) else {
            return Section::new(self.collector, path, self.offset, None);
        };
        let table = value.get_ref().as_table();
        if table.is_none() {
            self.wrong_type(&path, value, "a section");
        }
        Section::new(self.collector, path, value.span().start, table)
    }

    /// The sections of an array of tables (`[[key]]`), in order.
    pub fn sections(&mut self, key: &'static str) -> Vec<Section<'d>> {
        let path = self.below(key);
        let Some(value) = self.find(key) else {
            return Vec::new();
        };
        let Some(array) = value.get_ref().as_array() else {
            self.wrong_type(&path, value, "an array of sections (`[[…]]`)");
            return Vec::new();
        };
        let mut sections = Vec::new();
        for (index, item) in array.iter().enumerate() {
            let path = format!("{path}[{index}]");
            match item.get_ref().as_table() {
                Some(table) => {
                    let offset = item.span().start;
                    sections.push(Section::new(self.collector, path, offset, Some(table)));
                }
                None => self.wrong_type(&path, item, "a section"),
            }
        }
        sections
    }

    /// A string.
    pub fn text(&mut self, key: &'static str) -> Option<Value<String>> {
        self.scalar(key, "a string", |value| value.as_str().map(str::to_owned))
    }

    /// `true` or `false`.
    pub fn flag(&mut self, key: &'static str) -> Option<bool> {
        self.scalar(key, "true or false", |value| value.as_bool())
            .map(|found| found.value)
    }

    /// `true`, `false` or a table, which is then read with
    /// [`Section::entries`].
    pub fn flag_or_table(&mut self, key: &'static str) -> Option<FlagOrTable> {
        let kind = |value: &DeValue<'_>| match (value.as_bool(), value.is_table()) {
            (Some(flag), _) => Some(FlagOrTable::Flag(flag)),
            (None, true) => Some(FlagOrTable::Table),
            (None, false) => None,
        };
        self.scalar(key, "true, false or a table", kind)
            .map(|found| found.value)
    }

    /// A whole number in `range`.
    pub fn number(&mut self, key: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
        let found = self.scalar(key, "a whole number", whole_number)?;
        match u64::try_from(found.value)
            .ok()
            .filter(|number| range.contains(number))
        {
            Some(number) => Some(number),
            None => {
                let (low, high) = range.into_inner();
                let what = match high {
                    u64::MAX => format!("expected a number from {low} up, found {}", found.value),
                    _ => format!(
                        "expected a number from {low} to {high}, found {}",
                        found.value
                    ),
                };
                self.complain_about(&found, &what);
                None
            }
        }
    }

    /// A duration as text (`"10m"`), in milliseconds.
    pub fn duration_ms(&mut self, key: &'static str) -> Option<Value<u64>> {
        let found = self.text(key)?;
        match parse_duration_ms(&found.value) {
            Ok(value) => Some(Value {
                value,
                key: found.key,
                offset: found.offset,
            }),
            Err(error) => {
                let what = format!(
                    "`{}` is not a duration: {error}, e.g. `90s`, `10m`, `1h30m`, `500ms`",
                    found.value
                );
                self.complain_about(&found, &what);
                None
            }
        }
    }

    /// A limit that ends tasks, in milliseconds: zero would end every one at once.
    pub fn limit_ms(&mut self, key: &'static str) -> Option<u64> {
        let limit = self.duration_ms(key)?;
        if limit.value == 0 {
            self.complain_about(
                &limit,
                "zero would end every task at once; leave the key out",
            );
            return None;
        }
        Some(limit.value)
    }

    /// A size as text (`"64M"`) or as a number of bytes.
    pub fn size_bytes(&mut self, key: &'static str) -> Option<u64> {
        let found =
            self.scalar(
                key,
                "a size (`\"64M\"` or a number of bytes)",
                |value| match whole_number(value) {
                    Some(number) => Some(number.to_string()),
                    None => value.as_str().map(str::to_owned),
                },
            )?;
        match parse_size_bytes(&found.value) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                let what = format!(
                    "`{}` is not a size: {error}, e.g. `512K`, `64M`, `2G`",
                    found.value
                );
                self.complain_about(&found, &what);
                None
            }
        }
    }

    /// One of a few words.
    pub fn choice<T: Copy>(&mut self, key: &'static str, words: &[(&'static str, T)]) -> Option<T> {
        let found = self.text(key)?;
        if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == found.value) {
            return Some(*meaning);
        }
        let all: Vec<String> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
        let mut what = format!("`{}` is not one of {}", found.value, all.join(", "));
        if let Some(near) = nearest(&found.value, words.iter().map(|(word, _)| *word)) {
            what.push_str(&format!("; did you mean `{near}`?"));
        }
        self.complain_about(&found, &what);
        None
    }

    /// An array of strings.
    pub fn words(&mut self, key: &'static str) -> Option<Vec<Value<String>>> {
        let path = self.below(key);
        let value = self.find(key)?;
        let Some(array) = value.get_ref().as_array() else {
            self.wrong_type(&path, value, "an array of strings");
            return None;
        };
        let mut words = Vec::new();
        for (index, item) in array.iter().enumerate() {
            let key = format!("{path}[{index}]");
            match item.get_ref().as_str() {
                Some(word) => words.push(Value {
                    value: word.to_owned(),
                    key,
                    offset: item.span().start,
                }),
                None => self.wrong_type(&key, item, "a string"),
            }
        }
        Some(words)
    }

    /// An array of whole numbers in `range`.
    pub fn numbers(&mut self, key: &'static str, range: RangeInclusive<i64>) -> Option<Vec<i64>> {
        let path = self.below(key);
        let value = self.find(key)?;
        let Some(array) = value.get_ref().as_array() else {
            self.wrong_type(&path, value, "an array of whole numbers");
            return None;
        };
        let mut numbers = Vec::new();
        for (index, item) in array.iter().enumerate() {
            let (low, high) = range.clone().into_inner();
            let expected = format!("a whole number from {low} to {high}");
            let path = format!("{path}[{index}]");
            match whole_number(item.get_ref()) {
                Some(number) if range.contains(&number) => numbers.push(number),
                Some(number) => {
                    let what = format!("expected {expected}, found {number}");
                    self.collector.add(item.span().start, &path, &what);
                }
                None => self.wrong_type(&path, item, &expected),
            }
        }
        Some(numbers)
    }

    /// A table with keys of the user's own choice and strings as values, in
    /// the order of the keys.
    pub fn pairs(&mut self, key: &'static str) -> Option<Vec<(String, Value<String>)>> {
        let mut pairs = Vec::new();
        for (name, item) in self.entries(key)? {
            match item.value.as_str() {
                Some(text) => {
                    let value = text.to_owned();
                    pairs.push((
                        name,
                        Value {
                            value,
                            key: item.key,
                            offset: item.offset,
                        },
                    ));
                }
                None => {
                    let what = format!("expected a string, found {}", item.value.type_str());
                    self.complain_about(&item, &what);
                }
            }
        }
        Some(pairs)
    }

    /// A table with keys of the user's own choice and any values, in the order
    /// of the keys.
    pub fn entries(&mut self, key: &'static str) -> Option<Vec<(String, Value<&'d DeValue<'d>>)>> {
        let path = self.below(key);
        let value = self.find(key)?;
        let Some(table) = value.get_ref().as_table() else {
            self.wrong_type(&path, value, "a table (`{ name = value }`)");
            return None;
        };
        let entry = |(name, item): (&'d Spanned<_>, &'d Spanned<DeValue<'d>>)| {
            let name: &std::borrow::Cow<'d, str> = name.get_ref();
            let key = format!("{path}.{name}");
            let offset = item.span().start;
            (
                name.to_string(),
                Value {
                    value: item.get_ref(),
                    key,
                    offset,
                },
            )
        };
        Some(table.iter().map(entry).collect())
    }

    /// Complains about every key that nobody asked for.
    fn complain_about_unknown_keys(&self) {
        let Some(table) = self.table else { return };
        for name in table.keys() {
            let word: &str = name.get_ref();
            if self.known.contains(&word) {
                continue;
            }
            let help = match nearest(word, self.known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known here: {}", self.known.join(", ")),
            };
            let key = self.below(word);
            self.collector
                .add(name.span().start, &key, &format!("unknown key; {help}"));
        }
    }

    fn below(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    fn find(&mut self, key: &'static str) -> Option<&'d Spanned<DeValue<'d>>> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        self.table?.get(key)
    }

    fn wrong_type(&self, key: &str, value: &Spanned<DeValue<'_>>, expected: &str) {
        let found = value.get_ref().type_str();
        let what = format!("expected {expected}, found {found}");
        self.collector.add(value.span().start, key, &what);
    }

    fn scalar<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        take: impl FnOnce(&DeValue<'d>) -> Option<T>,
    ) -> Option<Value<T>> {
        let path = self.below(key);
        let found = self.find(key)?;
        match take(found.get_ref()) {
            Some(value) => Some(Value {
                value,
                key: path,
                offset: found.span().start,
            }),
            None => {
                self.wrong_type(&path, found, expected);
                None
            }
        }
    }
}

impl Drop for Section<'_> {
    fn drop(&mut self) {
        self.complain_about_unknown_keys();
    }
}

fn whole_number(value: &DeValue<'_>) -> Option<i64> {
    let number = value.as_integer()?;
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}
