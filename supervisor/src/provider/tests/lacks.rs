//! What `doctor` is told of a provider.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use protocol::control::Surroundings;
use sys::temp_folder::TempFolder;

use super::provider;

const FILE: &str = "name = \"p\"\ndescription = \"d\"\ncommand = [\"agent\", \"{args}\"]\n\
    [env]\nrequire = [\"NEEDED\"]\n\
    [login]\nvariables = [\"AGENT_KEY\"]\nfiles = [\"~/.agent/auth.json\"]\n";

fn program(folder: &TempFolder, name: &str, text: &str) {
    let path = folder.path().join(name);
    fs::write(&path, text).expect("ours");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("ours");
}

#[test]
fn everything_that_is_missing_is_named() {
    let folder = TempFolder::create(&[std::env::temp_dir()]).expect("a folder");
    let home = folder.path().join("home");
    let dir = folder.path().display().to_string();
    let mut around = Surroundings {
        path: Some(dir.clone()),
        home: Some(home.display().to_string()),
        variables: Vec::new(),
    };
    let agent = provider(FILE);
    assert_eq!(
        agent.lacks(&around),
        [
            "agent is not on the PATH: install it",
            "the variable NEEDED is not set",
            "it is perhaps not logged in: there is none of AGENT_KEY, ~/.agent/auth.json",
        ]
    );
    program(&folder, "agent", "#!/usr/bin/env -S node --x\n");
    around.variables = vec!["NEEDED".to_owned(), "AGENT_KEY".to_owned()];
    let needs = format!("{dir}/agent needs node, which is not on the PATH");
    assert_eq!(agent.lacks(&around), [needs]);
    program(&folder, "node", "#!/bin/sh\n");
    assert_eq!(agent.lacks(&around), Vec::<String>::new());
    // A file is as good a sign as a variable.
    around.variables.pop();
    assert_eq!(agent.lacks(&around).len(), 1);
    fs::create_dir_all(home.join(".agent")).expect("ours");
    fs::write(home.join(".agent/auth.json"), "{}").expect("ours");
    assert_eq!(agent.lacks(&around), Vec::<String>::new());
    program(&folder, "agent", "#!/nonexistent/shell\n");
    let needs = format!("{dir}/agent needs /nonexistent/shell, which is not on the PATH");
    assert_eq!(agent.lacks(&around), [needs]);
    folder.remove().expect("ours");
}
