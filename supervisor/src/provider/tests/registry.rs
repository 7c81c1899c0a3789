//! Which file is used, and what happens to those that cannot be.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use protocol::ProviderName;
use sys::temp_folder::TempFolder;

use super::super::{LookupError, Registry};

fn name(text: &str) -> ProviderName {
    ProviderName::new(text).expect("legal")
}

fn file(name: &str, program: &str) -> String {
    format!("name = \"{name}\"\ndescription = \"own\"\ncommand = [\"{program}\"]\n")
}

fn folder(files: &[(&str, &str)]) -> TempFolder {
    let folder = TempFolder::create(&[std::env::temp_dir()]).expect("a folder");
    for (name, text) in files {
        fs::write(folder.path().join(name), text).expect("written");
    }
    folder
}

fn help_for(registry: &Registry, wanted: &str) -> String {
    registry
        .get(&name(wanted))
        .expect_err("not there")
        .to_string()
}

const BUILT_IN_NAMES: [&str; 8] = [
    "claude", "codex", "cursor", "exec", "gemini", "kimi", "opencode", "qwen",
];

#[test]
fn what_was_not_tried_says_so() {
    let registry = Registry::load(Path::new("/nonexistent/providers.d"));
    let untested: Vec<String> = registry
        .views(None)
        .into_iter()
        .filter(|view| !view.tested)
        .map(|view| view.name.to_string())
        .collect();
    assert_eq!(untested, ["cursor", "kimi"]);
}

#[test]
fn a_users_own_file_goes_before_the_built_in_one() {
    let folder = folder(&[
        ("my-claude.toml", &file("claude", "/opt/claude")),
        ("mine.toml", &file("mine", "mine")),
        ("notes.txt", "no provider"),
        (".hidden.toml", "no provider"),
    ]);
    let registry = Registry::load(folder.path());
    assert_eq!(registry.problems(), []);
    let names: Vec<String> = registry
        .views(None)
        .into_iter()
        .map(|view| view.name.to_string())
        .collect();
    let mut expected = BUILT_IN_NAMES.to_vec();
    expected.insert(6, "mine");
    assert_eq!(names, expected);
    let claude = registry.get(&name("claude")).expect("there");
    assert_eq!(claude.program(), Some("/opt/claude"));
    let shown = registry.show("claude", None).expect("there");
    assert_eq!(
        shown.source,
        folder.path().join("my-claude.toml").display().to_string()
    );
    assert_eq!(shown.text.as_deref(), Some(&*file("claude", "/opt/claude")));
    assert!(!shown.tested && !shown.resumes && !shown.chooses_session);
    let exec = registry.show("exec", None).expect("there");
    assert_eq!(
        (exec.source.as_str(), exec.command, exec.tested),
        ("built-in", None, true)
    );
    folder.remove().expect("ours");
}

#[test]
fn a_broken_file_takes_its_name_out_of_service_and_no_other() {
    let broken = file("claude", "x").replace("command", "comand");
    let folder = folder(&[("my.toml", &broken), ("torn.toml", "name = [")]);
    let registry = Registry::load(folder.path());
    let path = |name: &str| folder.path().join(name).display().to_string();
    let my = path("my.toml");
    assert_eq!(
        registry.problems()[0].to_string(),
        format!(
            "provider file {my} is not used: {my}:1: the key `command` is missing; {my}:3: \
             comand: unknown key; did you mean `command`?"
        )
    );
    assert_eq!(registry.problems()[1].file, path("torn.toml"));
    // Not the built-in one: that is not what its owner meant.
    assert_eq!(
        help_for(&registry, "claude"),
        registry.problems()[0].to_string()
    );
    assert!(matches!(
        registry.get(&name("torn")),
        Err(LookupError::Broken(_))
    ));
    assert!(registry.get(&name("exec")).is_ok());
    assert_eq!(registry.views(None).len(), BUILT_IN_NAMES.len() - 1);
    folder.remove().expect("ours");
}

#[test]
fn two_files_of_one_name_are_a_problem() {
    let folder = folder(&[("a.toml", &file("p", "a")), ("b.toml", &file("p", "b"))]);
    let registry = Registry::load(folder.path());
    let a = folder.path().join("a.toml");
    assert_eq!(
        registry.problems()[0].problems,
        [format!("the name `p` is taken by {} already", a.display())]
    );
    assert!(matches!(
        registry.get(&name("p")),
        Err(LookupError::Broken(_))
    ));
    folder.remove().expect("ours");
}

#[test]
fn unknown_names_get_help() {
    let registry = Registry::load(Path::new("/nonexistent/providers.d"));
    assert_eq!(
        help_for(&registry, "cluade"),
        "there is no provider `cluade`; did you mean `claude`?"
    );
    assert_eq!(
        help_for(&registry, "something"),
        format!(
            "there is no provider `something`; known: {}",
            BUILT_IN_NAMES.join(", ")
        )
    );
}

#[test]
fn programs_are_looked_for_on_the_path() {
    let folder = folder(&[("claude", "#!/bin/sh\n")]);
    let registry = Registry::load(Path::new("/nonexistent/providers.d"));
    let dir = folder.path().display().to_string();
    let path_var = format!("/nonexistent:{dir}");
    let found = || {
        registry
            .show("claude", Some(&path_var))
            .expect("there")
            .found
    };
    assert_eq!(found(), None, "not executable");
    let program = folder.path().join("claude");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).expect("ours");
    assert_eq!(found(), Some(program.display().to_string()));
    folder.remove().expect("ours");
}
