//! The examples of the reference for people are good files.

use super::problems;

const REFERENCE: &str = include_str!("../../../../docs/PROVIDERS.md");

/// What stands around an example that is only a part of a file.
const HEAD: &str = "name = \"p\"\ndescription = \"d\"\ncommand = [\"p\"]\n\
                    [output]\nformat = \"json-lines\"\n";

#[test]
fn every_example_can_be_used() {
    let examples: Vec<&str> = REFERENCE
        .split("```toml\n")
        .skip(1)
        .filter_map(|rest| rest.split_once("```"))
        .map(|(example, _)| example)
        .collect();
    assert!(examples.len() >= 5, "the reference has examples");
    for example in examples {
        let whole = example.starts_with("name = ");
        let file = if whole {
            example.to_owned()
        } else {
            format!("{HEAD}{example}")
        };
        assert_eq!(problems(&file), Vec::<String>::new(), "{example}");
    }
}

/// Every key, those of `take` included.
const KEYS: [&str; 49] = [
    "allow",
    "args",
    "choose",
    "command",
    "contains",
    "cost_usd",
    "cost_usd_add",
    "cumulative",
    "description",
    "error_text",
    "files",
    "format",
    "grace",
    "idle_timeout",
    "input_tokens",
    "input_tokens_add",
    "leftovers",
    "means",
    "model",
    "name",
    "new_id",
    "output_tokens",
    "output_tokens_add",
    "pattern",
    "progress",
    "promises_result",
    "require",
    "required",
    "result",
    "result_text",
    "result_text_add",
    "result_text_restart",
    "resume",
    "session_id",
    "set",
    "start_timeout",
    "stop_signal",
    "stream",
    "strip",
    "success",
    "take",
    "term_exit",
    "tested",
    "turns",
    "variables",
    "via",
    "when",
    "[[output.rule]]",
    "[[output.pattern]]",
];

#[test]
fn one_example_has_every_key() {
    let (_, rest) = REFERENCE
        .split_once("## A whole file")
        .expect("it is there");
    let (_, rest) = rest.split_once("```toml\n").expect("an example");
    let (example, _) = rest.split_once("```").expect("its end");
    for key in KEYS {
        let there = key.starts_with('[') || example.contains(&format!("{key} = "));
        assert!(
            there || example.contains(&format!(".{key}]")),
            "{key} has no example"
        );
        assert!(
            !key.starts_with('[') || example.contains(key),
            "{key} has no example"
        );
    }
}

#[test]
fn every_key_of_the_built_in_files_is_explained() {
    for text in super::super::registry::BUILT_IN {
        let keys = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| {
                let (key, _) = line.split_once(" = ")?;
                (!key.contains([' ', '"'])).then_some(key)
            });
        for key in keys {
            assert!(
                REFERENCE.contains(&format!("`{key}`")),
                "{key} is not explained"
            );
        }
    }
}
