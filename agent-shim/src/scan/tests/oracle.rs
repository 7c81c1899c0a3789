//! The reader against a parser that holds everything.

use proptest::prelude::*;
use serde_json::Value as Json;

use super::path;
use crate::scan::capture;
use crate::scan::json::{Reader, Sink, Value};
use crate::scan::paths::{Keep, Paths, SlotId, Wanted};

/// What a reader says, for the comparison with another one.
#[derive(Default)]
struct Recorder {
    line: Vec<(SlotId, Json)>,
    lines: Vec<Vec<(SlotId, Json)>>,
}

impl Sink for Recorder {
    fn scalar(&mut self, slot: SlotId, value: Value<'_>) {
        let value = match value {
            Value::Null => Json::Null,
            Value::Bool(value) => Json::Bool(value),
            Value::Number(bytes) => {
                serde_json::from_slice(bytes).unwrap_or(Json::from("beyond every number"))
            }
            Value::Text { bytes, extent } => Json::String(capture::text_of(bytes, extent)),
        };
        self.line.push((slot, value));
    }
    fn line(&mut self) {
        self.lines.push(std::mem::take(&mut self.line));
    }
    fn discard(&mut self) {
        self.line.clear();
    }
}

fn read(bytes: &[u8], piece: usize, paths: &Paths) -> Vec<Vec<(SlotId, Json)>> {
    let mut reader = Reader::new();
    let mut recorder = Recorder::default();
    for piece in bytes.chunks(piece) {
        reader.feed(piece, paths, &mut recorder);
    }
    reader.report_whole(&mut recorder);
    recorder.lines
}

/// The same by a parser that holds everything.
fn walk(value: &Json, at: &[String], wanted: &[Vec<String>], found: &mut Vec<(SlotId, Json)>) {
    let below = |key: &str| [at, &[key.to_owned()]].concat();
    match value {
        Json::Object(map) => {
            for (key, value) in map {
                walk(value, &below(key), wanted, found);
            }
        }
        Json::Array(list) => {
            for value in list {
                walk(value, &below("[]"), wanted, found);
            }
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {
            if let Some(slot) = wanted.iter().position(|path| path == at) {
                found.push((slot, value.clone()));
            }
        }
    }
}

fn wanted_paths() -> (Vec<Vec<String>>, Paths) {
    let list: Vec<Vec<String>> = [
        "a", "b.a", "a.[]", "a.[].b", "b.[].[]", "c.a.b", "ä\"\\.a", "c",
    ]
    .map(path)
    .to_vec();
    let mut paths = Paths::new();
    for path in &list {
        paths.slot(
            path,
            Wanted {
                cap: 1000,
                keep: Keep::Last,
            },
        );
    }
    (list, paths)
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("a"),
        Just("b"),
        Just("c"),
        Just("ä\"\\"),
        Just("dd"),
        Just("")
    ]
    .prop_map(str::to_owned)
}

fn json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        ".{0,12}".prop_map(Json::from),
        "[\\\\\"/\u{0}-\u{1f}a😀]{0,12}".prop_map(Json::from),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Json::from),
            proptest::collection::vec((key(), inner), 0..5)
                .prop_map(|members| Json::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn the_reader_agrees_with_serde_json(
        members in proptest::collection::vec((key(), json()), 0..5),
        ascii: bool,
        cut in 1usize..50,
    ) {
        let object = Json::Object(members.into_iter().collect());
        let mut text = object.to_string();
        if ascii {
            text = text.chars().map(|c| if c.is_ascii() { c.to_string() } else {
                c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect()
            }).collect();
        }
        let (list, paths) = wanted_paths();
        let mut expected = Vec::new();
        walk(&object, &[], &list, &mut expected);
        prop_assert_eq!(read(text.as_bytes(), cut, &paths), vec![expected]);
    }

    #[test]
    fn a_damaged_structure_is_refused_where_serde_json_refuses_it(
        members in proptest::collection::vec((key(), json()), 0..4),
        at in any::<prop::sample::Index>(),
        insert in prop_oneof![Just(""), Just("{"), Just("}"), Just("["), Just("]"), Just(","),
            Just(":"), Just("0"), Just("1"), Just("-"), Just("."), Just("t"), Just(" ")],
        delete in 0usize..2,
    ) {
        let text = Json::Object(members.into_iter().collect()).to_string();
        let mut bytes = text.into_bytes();
        // Strings are read with lenience: only lines without escapes compare.
        prop_assume!(!bytes.contains(&b'\\') && bytes.is_ascii());
        let at = at.index(bytes.len());
        bytes.splice(at..(at + delete).min(bytes.len()), insert.bytes());
        // serde_json reads values, this reads objects.
        let read_whole = serde_json::from_slice::<Json>(&bytes);
        // It stops at a number beyond its range, whatever follows.
        prop_assume!(!read_whole.as_ref().is_err_and(|error| error.to_string().contains("out of range")));
        let valid = read_whole.is_ok_and(|value| value.is_object());
        let (_, paths) = wanted_paths();
        prop_assert_eq!(read(&bytes, 7, &paths).len(), usize::from(valid), "{}", String::from_utf8_lossy(&bytes));
    }
}
