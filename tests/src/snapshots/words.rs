//! The verbs of `agentctl`, as it tells them itself.

use crate::harness::World;

/// One verb, or a verb of a verb.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verb {
    /// Its words.
    pub path: Vec<String>,
    /// Its long options, without those that every verb has.
    pub options: Vec<String>,
    /// It has verbs of its own.
    pub is_group: bool,
}

/// All of them, by the help that each of them prints.
#[must_use]
pub fn verbs(world: &World) -> Vec<Verb> {
    let mut found = Vec::new();
    let mut left = vec![Vec::new()];
    let top = Help::of(world, &[]);
    while let Some(path) = left.pop() {
        let help = Help::of(world, &path);
        for name in &help.verbs {
            let mut path = path.clone();
            path.push(name.clone());
            left.push(path);
        }
        if !path.is_empty() {
            let mut options = help.options;
            options.retain(|option| !top.options.contains(option));
            found.push(Verb {
                path,
                options,
                is_group: !help.verbs.is_empty(),
            });
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}

#[derive(Debug, Default)]
struct Help {
    verbs: Vec<String>,
    options: Vec<String>,
}

impl Help {
    fn of(world: &World, path: &[String]) -> Self {
        let mut words = path.to_vec();
        words.push("--help".to_string());
        Self::read(&world.ctl(&words).ok().stdout)
    }

    fn read(text: &str) -> Self {
        let mut help = Self::default();
        let mut section = "";
        for line in text.lines() {
            let begins = line.ends_with(':') && !line.starts_with(' ');
            if begins || line.is_empty() {
                section = if begins { line } else { section };
                continue;
            }
            let first = line.split_whitespace().next().unwrap_or_default();
            if section == "Commands:" {
                let is_name = line.starts_with("  ") && !line.starts_with("   ");
                // `help` is clap's own.
                if is_name && first != "help" {
                    help.verbs.push(first.to_string());
                }
            } else if line.trim_start().starts_with('-') {
                let long = line.split_whitespace().take(2).find_map(|word| {
                    let name = word.trim_end_matches(',');
                    name.starts_with("--").then(|| name.to_string())
                });
                help.options.extend(long);
            }
        }
        help
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_and_options_are_read_from_a_help() {
        let text = "About\n\nUsage: x\n\nCommands:\n  run   Do it\n          more\n  list  Look\n  \
                    help  Print\n\nOptions:\n  -d, --detach\n          leave\n      --id <ID>  a \
                    --word\n\nLabels:\n      --user <USER>  who\n";
        let help = Help::read(text);
        assert_eq!(help.verbs, ["run", "list"]);
        assert_eq!(help.options, ["--detach", "--id", "--user"]);
    }
}
