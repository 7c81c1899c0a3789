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

#[test]
fn every_key_of_the_built_in_files_is_explained() {
    for text in [
        include_str!("../../../providers/exec.toml"),
        include_str!("../../../providers/claude.toml"),
    ] {
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
