//! The `[env]` and `[login]` sections.

use protocol::places::{RUNTIME_DIR_VAR, STATE_DIR_VAR};

use super::{EnvRules, Login};
use crate::document::{Section, Value};

/// The shim makes each task one.
const TMPDIR_VAR: &str = "TMPDIR";
/// Begins the name of each task's marker.
const TASK_MARKER: &str = "AGENT_TASK_";

/// Reads `[env]`.
pub(super) fn env(section: &mut Section<'_>) -> EnvRules {
    let mut rules = EnvRules::default();
    for (name, value) in section.pairs("set").unwrap_or_default() {
        check_variable(section, &value, &name, "");
        if is_ours(&name) {
            let what = format!("`{name}` is reserved: each task has one of its own");
            section.complain_about(&value, &what);
        }
        rules.set.push((name, value.value));
    }
    for name in section.words("strip").unwrap_or_default() {
        check_variable(section, &name, &name.value, "*");
        rules.strip.push(name.value);
    }
    if let Some(names) = section.words("allow") {
        for name in &names {
            check_variable(section, name, &name.value, "*");
        }
        rules.allow = Some(names.into_iter().map(|name| name.value).collect());
    }
    for name in section.words("require").unwrap_or_default() {
        check_variable(section, &name, &name.value, "");
        rules.require.push(name.value);
    }
    rules
}

/// Reads `[login]`.
pub(super) fn login(section: &mut Section<'_>) -> Option<Login> {
    let variables = section.words("variables").unwrap_or_default();
    let files = section.words("files").unwrap_or_default();
    if !section.is_there() {
        return None;
    }
    for name in &variables {
        check_variable(section, name, &name.value, "");
    }
    for file in &files {
        if !file.value.starts_with(['/', '~']) {
            let what = format!("`{}` is neither absolute nor below `~/`", file.value);
            section.complain_about(file, &what);
        }
    }
    if variables.is_empty() && files.is_empty() {
        section.complain("`variables` or `files` name the signs of a login");
    }
    let values = |list: Vec<Value<String>>| list.into_iter().map(|it| it.value).collect();
    Some(Login {
        variables: values(variables),
        files: values(files),
    })
}

/// One that the supervisor or the shim gives to each agent, whatever a file says.
fn is_ours(name: &str) -> bool {
    [STATE_DIR_VAR, RUNTIME_DIR_VAR, TMPDIR_VAR].contains(&name) || name.starts_with(TASK_MARKER)
}

/// A variable's name, which may end in `wildcard`.
fn check_variable(section: &Section<'_>, at: &Value<String>, name: &str, wildcard: &str) {
    let stem = name.strip_suffix(wildcard).unwrap_or(name);
    if stem.is_empty() || stem.contains(['=', '\0', '*']) {
        section.complain_about(at, &format!("`{name}` is not a variable's name"));
    }
}
