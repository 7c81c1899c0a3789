//! `agentctl`, word for word (CONTRACT §2): each script of `tests/snapshots/`
//! comes out as it is written, and the scripts leave nothing out.

use std::collections::BTreeSet;

use tests::harness::World;
use tests::snapshots::{Call, Verb, all, calls, compare, text_of, verbs};

/// A test for each script.
macro_rules! scripts {
    ($($name:ident),+ $(,)?) => {
        $(#[test]
        fn $name() {
            compare(stringify!($name));
        })+

        const PLAYED: &[&str] = &[$(stringify!($name)),+];
    };
}

scripts! {
    again, archive, codes, completions, doctor, drain, events, help, list, logs, offline,
    orphans, providers, prune, queue, rename, run, sessions, show, status, stop, wait, why,
}

/// Options that no script can have, and where they are tested.
const ELSEWHERE: [(&str, &str, &str); 2] = [
    (
        "list",
        "--watch",
        "agentctl/tests/cli/terminal.rs: it never ends by itself",
    ),
    (
        "run",
        "--container",
        "tests/tests/container.rs: needs podman",
    ),
];

/// Every exit code that is documented.
const CODES: [u8; 13] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13];

fn every_call() -> Vec<Call> {
    let names = all();
    names
        .iter()
        .flat_map(|name| calls(&text_of(name)))
        .collect()
}

/// Is this a call of the verb?
fn is_of(call: &Call, verb: &Verb) -> bool {
    let alias = |word: &str| match word {
        "ls" | "ps" => "list".to_string(),
        "stop" => "stop-session".to_string(),
        other => other.to_string(),
    };
    let words: Vec<String> = call.words.iter().map(|word| alias(word)).collect();
    words.starts_with(&verb.path)
}

fn has(call: &Call, option: &str) -> bool {
    let mut own = call.words.iter().take_while(|word| *word != "--");
    own.any(|word| word.split('=').next() == Some(option))
}

fn asks_for_help(call: &Call) -> bool {
    has(call, "--help")
}

#[test]
fn every_script_is_played() {
    assert_eq!(all(), PLAYED);
    let unplayed: Vec<Call> = every_call()
        .into_iter()
        .filter(|call| call.code.is_none())
        .collect();
    assert_eq!(unplayed, []);
}

/// Each verb in its help, in words and in JSON where all is well, and where not.
#[test]
fn no_verb_is_without_a_snapshot() {
    let world = World::new();
    let calls = every_call();
    let verbs = verbs(&world);
    assert!(verbs.len() > 25, "the help was not understood: {verbs:#?}");
    let mut missing = Vec::new();
    for verb in &verbs {
        let own: Vec<&Call> = calls.iter().filter(|call| is_of(call, verb)).collect();
        let found = |what: &dyn Fn(&Call) -> bool| own.iter().any(|call| what(call));
        let wants: [(&str, bool); 4] = [
            ("help", found(&|call| asks_for_help(call))),
            (
                "a good end",
                found(&|call| call.code == Some(0) && !asks_for_help(call)),
            ),
            (
                "JSON",
                found(&|call| call.code == Some(0) && has(call, "--json")),
            ),
            ("an error", found(&|call| call.code > Some(0))),
        ];
        for (what, is_there) in wants {
            if !is_there {
                missing.push(format!("{}: {what}", verb.path.join(" ")));
            }
        }
    }
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn no_option_is_without_a_snapshot() {
    let world = World::new();
    let calls = every_call();
    let verbs = verbs(&world);
    let run = verbs.iter().find(|verb| verb.path == ["run"]);
    let mut missing = Vec::new();
    for verb in verbs.iter().filter(|verb| !verb.is_group) {
        let name = verb.path.join(" ");
        for option in &verb.options {
            let elsewhere = ELSEWHERE
                .iter()
                .any(|(verb, other, _)| *verb == name && other == option);
            let used = calls
                .iter()
                .any(|call| is_of(call, verb) && has(call, option));
            // They take what `run` takes.
            let borrowed = ["retry", "reopen"].contains(&name.as_str())
                && run.is_some_and(|run| run.options.contains(option));
            if !used && !elsewhere && !borrowed {
                missing.push(format!("{name} {option}"));
            }
        }
    }
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn no_exit_code_is_without_a_snapshot() {
    let seen: BTreeSet<u8> = every_call().iter().filter_map(|call| call.code).collect();
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), CODES);
}
