//! What a provider lacks to be run: its program, the interpreter of that, the
//! variables that it needs, a sign of a login.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use protocol::control::Surroundings;

use super::{Login, Provider, registry};

/// The longest first line of a script that the kernel looks at.
const MOST_OF_A_LINE: u64 = 256;

impl Provider {
    /// In words, each with what to do; nothing if it could be run.
    #[must_use]
    pub fn lacks(&self, around: &Surroundings) -> Vec<String> {
        let mut lacks: Vec<String> = self
            .program()
            .and_then(|it| no_program(it, around))
            .into_iter()
            .collect();
        let unset = |name: &&String| !around.variables.contains(name);
        lacks.extend(
            self.env
                .require
                .iter()
                .filter(unset)
                .map(|name| format!("the variable {name} is not set")),
        );
        lacks.extend(self.login.as_ref().and_then(|login| login.lacks(around)));
        lacks
    }
}

impl Login {
    fn lacks(&self, around: &Surroundings) -> Option<String> {
        let set = self
            .variables
            .iter()
            .any(|name| around.variables.contains(name));
        let there = |file: &String| match (file.strip_prefix("~/"), &around.home) {
            (Some(rest), Some(home)) => Path::new(home).join(rest).exists(),
            (Some(_), None) => false,
            (None, _) => Path::new(file).exists(),
        };
        if set || self.files.iter().any(there) {
            return None;
        }
        let signs = [self.variables.as_slice(), self.files.as_slice()].concat();
        Some(format!(
            "it is perhaps not logged in: there is none of {}",
            signs.join(", ")
        ))
    }
}

fn no_program(program: &str, around: &Surroundings) -> Option<String> {
    let path = around.path.as_deref();
    let Some(found) = registry::find_program(program, path) else {
        return Some(format!("{program} is not on the PATH: install it"));
    };
    let interpreter = interpreter(&found)?;
    if registry::find_program(&interpreter, path).is_some() {
        return None;
    }
    Some(format!(
        "{found} needs {interpreter}, which is not on the PATH"
    ))
}

/// What a script is run by; none for a program of its own.
fn interpreter(program: &str) -> Option<String> {
    let mut first = Vec::new();
    File::open(program)
        .ok()?
        .take(MOST_OF_A_LINE)
        .read_to_end(&mut first)
        .ok()?;
    let line = first
        .strip_prefix(b"#!")?
        .split(|byte| *byte == b'\n')
        .next()?;
    let line = String::from_utf8_lossy(line).into_owned();
    let mut words = line.split_whitespace();
    let named = words.next()?;
    if !named.ends_with("/env") {
        return Some(named.to_owned());
    }
    let is_option = |word: &&str| word.starts_with('-') || word.contains('=');
    words.find(|word| !is_option(word)).map(str::to_owned)
}
