//! What changes in the folder is seen, and what does not change is not read again.

use std::fs;

use protocol::ProviderName;
use sys::temp_folder::TempFolder;

use super::super::ProviderFiles;

fn text(program: &str) -> String {
    format!("name = \"own\"\ndescription = \"own\"\ncommand = [\"{program}\"]\n")
}

fn program(files: &ProviderFiles) -> Option<String> {
    let name = ProviderName::new("own").expect("legal");
    let own = files.registry().get(&name).ok()?;
    own.program().map(str::to_owned)
}

/// Bug: a file that was added or mended was not seen until the next start, and
/// nothing said so.
#[test]
fn each_look_sees_what_changed() {
    let folder = TempFolder::create(&[std::env::temp_dir()]).expect("a folder");
    let dir = folder.path().join("providers.d");
    let mut files = ProviderFiles::load(&dir);
    assert_eq!(program(&files), None);
    assert!(files.look().is_none(), "there is no folder yet");

    fs::create_dir(&dir).expect("ours");
    let (own, other) = (dir.join("own.toml"), dir.join("other"));
    fs::write(&own, text("one")).expect("ours");
    assert!(files.look().is_some());
    assert_eq!(program(&files).as_deref(), Some("one"));
    assert!(files.look().is_none(), "nothing changed since");

    // As editors write: another file takes the name, as large and as old.
    fs::write(&other, text("two")).expect("ours");
    fs::rename(&other, &own).expect("ours");
    assert!(files.look().is_some());
    assert_eq!(program(&files).as_deref(), Some("two"));

    fs::write(&own, "name = \"own\"\nbroken").expect("ours");
    let before = files.look().expect("it changed");
    assert_eq!(program(&files), None);
    assert_eq!(files.new_problems(&before).count(), 1);
    let still = dir.join("also.toml");
    fs::write(&still, text("three").replace("own", "also")).expect("ours");
    let before = files.look().expect("it changed");
    assert_eq!(files.new_problems(&before).count(), 0, "told before");

    fs::remove_dir_all(&dir).expect("ours");
    assert!(files.look().is_some());
    assert!(files.registry().problems().is_empty());
}

/// Bug: what waited was started with the built-in file of the name.
#[test]
fn a_file_that_is_gone_for_a_moment_is_being_written() {
    let folder = TempFolder::create(&[std::env::temp_dir()]).expect("a folder");
    let dir = folder.path().join("providers.d");
    fs::create_dir(&dir).expect("ours");
    let name = |name: &str| ProviderName::new(name).expect("legal");
    let (claude, exec) = (name("claude"), name("exec"));
    let (own, away) = (dir.join("claude.toml"), dir.join("away"));
    fs::write(&own, text("one").replace("\"own\"", "\"claude\"")).expect("ours");
    let mut files = ProviderFiles::load(&dir);
    assert!(!files.is_being_written(&claude));
    assert!(
        files.is_being_written(&name("late")),
        "on its way at the start"
    );
    fs::rename(&own, &away).expect("ours");
    assert!(files.look().is_some());
    assert!(
        files.registry().get(&claude).is_ok(),
        "the built-in one stands there"
    );
    assert!(files.is_being_written(&claude));
    assert!(!files.is_being_written(&exec));
    fs::write(dir.join("other.toml"), text("two")).expect("ours");
    assert!(files.look().is_some());
    assert!(files.is_being_written(&claude), "still");
    fs::rename(&away, &own).expect("ours");
    assert!(files.look().is_some());
    assert!(!files.is_being_written(&claude));
    fs::write(&own, "broken").expect("ours");
    assert!(files.look().is_some());
    assert!(files.is_being_written(&claude), "it has mistakes");
}
