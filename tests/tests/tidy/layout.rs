//! Who may know whom: crates, and the supervisor's modules.

use std::fs;

use crate::source::sources;
use crate::{report, root};

/// Each crate, and the crates of ours that it may use.
const CRATES: [(&str, &[&str]); 10] = [
    ("protocol", &[]),
    ("lifecycle", &["protocol"]),
    ("sys", &["protocol"]),
    ("supervisor", &["lifecycle", "protocol", "sys"]),
    ("agent-shim", &["protocol", "sys"]),
    // Its heap alone: most of a start is memory.
    ("agentctl", &["protocol", "sys"]),
    ("tests", &["protocol", "sys"]),
    // Its guest with a systemd of its own is measured in, too.
    ("benches", &["protocol", "sys", "tests"]),
    ("xtask", &[]),
    ("examples/forgejo-hub", &[]),
];

/// Where the supervisor's edges meet.
const MEETING: [&str; 5] = ["main", "lib", "cli", "background", "runtime"];
/// Small modules without a part in the domain, for all edges.
const LEAVES: [&str; 7] = [
    "document",
    "exit_code",
    "fswatch",
    "readiness",
    "reply",
    "socket",
    "text",
];

/// Modules that stand above others: what they may know, and why.
const ABOVE: [(&str, &[&str], &str); 1] = [(
    "query",
    &["folder", "ledger"],
    "views are made from what the ledger's readers give, with or without a supervisor",
)];

#[test]
fn crates_depend_in_one_direction() {
    let mut found = Vec::new();
    for (name, allowed) in CRATES {
        let path = root().join(name).join("Cargo.toml");
        let manifest = fs::read_to_string(&path).expect("each crate has a manifest");
        for used in dependencies(&manifest) {
            let ours = CRATES.iter().any(|(other, _)| *other == used);
            if ours && !allowed.contains(&used.as_str()) {
                found.push(format!("{name} uses {used}"));
            }
        }
    }
    report("crates depend in one direction", &found);
}

#[test]
fn every_crate_is_known_here() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("the workspace's manifest");
    let members = manifest
        .lines()
        .find_map(|line| line.strip_prefix("members = ["))
        .expect("the workspace lists its members on one line");
    for member in members.trim_end_matches(']').split(", ") {
        let member = member.trim_matches('"');
        assert!(
            CRATES.iter().any(|(name, _)| *name == member),
            "{member} is missing in the table of crates"
        );
    }
}

#[test]
fn crates_have_the_lints_of_the_workspace() {
    for (name, _) in CRATES {
        let path = root().join(name).join("Cargo.toml");
        let manifest = fs::read_to_string(&path).expect("each crate has a manifest");
        assert!(
            manifest.contains("[lints]\nworkspace = true"),
            "{name} does not take the lints of the workspace"
        );
    }
}

#[test]
fn the_edges_of_the_supervisor_meet_in_its_runtime() {
    let mut found = Vec::new();
    for source in sources() {
        let Some(inner) = source.path.strip_prefix("supervisor/src/") else {
            continue;
        };
        let module = inner
            .split('/')
            .next()
            .unwrap_or_default()
            .trim_end_matches(".rs");
        if MEETING.contains(&module) {
            continue;
        }
        let above = ABOVE.iter().find(|(name, _, _)| *name == module);
        let allowed = above.map_or(&[][..], |(_, allowed, _)| allowed);
        for (number, line) in source.product_lines() {
            for used in imports(line) {
                let used = used.as_str();
                if used != module && !LEAVES.contains(&used) && !allowed.contains(&used) {
                    found.push(source.at(number, &format!("{module} knows {used}")));
                }
            }
        }
    }
    report("edge modules meet in runtime/ only", &found);
}

/// The names in `[dependencies]` of a manifest.
fn dependencies(manifest: &str) -> Vec<String> {
    manifest
        .lines()
        .skip_while(|line| *line != "[dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .filter(|name| !name.is_empty())
        .map(str::to_string)
        .collect()
}

/// The modules that a line names behind `crate::`.
fn imports(line: &str) -> Vec<String> {
    line.match_indices("crate::")
        .map(|(at, word)| {
            line[at + word.len()..]
                .chars()
                .take_while(|c| c.is_ascii_lowercase() || *c == '_')
                .collect::<String>()
        })
        .filter(|name| !name.is_empty())
        .collect()
}
