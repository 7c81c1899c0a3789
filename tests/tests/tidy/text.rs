//! What no file may contain, and what the documents must.

use std::fs;

use crate::source::{files, numbered};
use crate::{report, root};

/// Written in pieces, so that this file passes its own test.
const FORBIDDEN: [&str; 10] = [
    concat!("/wo", "rk/main"),
    concat!("/wo", "rk/shared"),
    concat!("/wo", "rk/."),
    concat!("/ro", "ot/"),
    concat!("index.", "crates.io"),
    concat!("static.", "crates.io"),
    concat!("registry.", "npmjs"),
    concat!("deb.", "debian.org"),
    concat!("py", "pi.org"),
    concat!("files.python", "hosted.org"),
];

#[test]
fn no_file_names_a_machine_or_a_registry() {
    let mut found = Vec::new();
    for path in files() {
        // Cargo writes its own names there.
        if path.ends_with("Cargo.lock") {
            continue;
        }
        let text = fs::read(root().join(&path)).expect("a file can be read");
        let text = String::from_utf8_lossy(&text);
        for (number, line) in numbered(&text) {
            for word in FORBIDDEN.iter().filter(|word| line.contains(**word)) {
                found.push(format!("{}:{number}: {word}", path.display()));
            }
        }
    }
    report("no paths of a machine, no registry hosts", &found);
}

#[test]
fn the_changelog_has_this_version() {
    let changelog = fs::read_to_string(root().join("CHANGELOG.md")).expect("CHANGELOG.md is there");
    let version = env!("CARGO_PKG_VERSION");
    assert!(
        changelog.contains(version),
        "CHANGELOG.md does not mention {version}"
    );
}

#[test]
fn scripts_can_be_run() {
    use std::os::unix::fs::PermissionsExt;
    let scripts = files().into_iter().filter_map(|path| {
        let whole = root().join(&path);
        let text = fs::read(&whole).expect("a file can be read");
        let mode = fs::metadata(&whole)
            .expect("it is there")
            .permissions()
            .mode();
        (text.starts_with(b"#!/") && mode & 0o111 == 0).then(|| path.display().to_string())
    });
    report("a script is executable", &scripts.collect::<Vec<_>>());
}
