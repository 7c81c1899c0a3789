//! Directories that are good, and each kind that is not.

use super::*;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use sys::temp_folder::TempFolder;

fn temp() -> TempFolder {
    TempFolder::create(&[std::env::temp_dir()]).expect("a folder")
}

fn inputs(flags: PlaceFlags) -> PlaceInputs {
    PlaceInputs::new(
        flags,
        |name| (name == "HOME").then(|| "/home/u".to_owned()),
        "/",
    )
}

fn named_state(path: &Path) -> PlaceFlags {
    PlaceFlags {
        state_dir: Some(path.display().to_string()),
        ..PlaceFlags::default()
    }
}

fn places_in(path: &Path) -> Places {
    let inputs = inputs(named_state(path));
    find_from(&inputs, Owner::User).expect("a named state").0
}

fn refusal(path: &Path) -> PlacesError {
    Held::take(places_in(path)).expect_err("refused")
}

#[test]
fn the_systems_state_directory_makes_a_system_service() {
    let mode = |flags, owner| find_from(&inputs(flags), owner).expect("a place").1;
    assert_eq!(mode(PlaceFlags::default(), Owner::User), Mode::User);
    assert_eq!(mode(PlaceFlags::default(), Owner::System), Mode::System);
    for path in ["/var/lib/agent-supervisor", "/var/lib/agent-supervisor/"] {
        assert_eq!(
            mode(named_state(Path::new(path)), Owner::User),
            Mode::System
        );
    }
    assert_eq!(
        (Mode::User.to_string(), Mode::System.to_string()),
        ("user".into(), "system".into())
    );
}

#[test]
fn both_are_made_private_and_held_once() {
    let temp = temp();
    let state = temp.path().join("a/state");
    let held = Held::take(places_in(&state)).expect("free");
    for path in [state.clone(), state.join("run")] {
        assert_eq!(
            fs::metadata(&path).expect("made").mode() & 0o777,
            0o700,
            "{path:?}"
        );
    }
    assert!(!state.join("run").join("control.sock").exists());
    held.announce().expect("writable");
    let announced = fs::read_to_string(state.join("runtime-dir")).expect("written");
    assert_eq!(announced, format!("{}/run\n", state.display()));
    let error = refusal(&state);
    assert_eq!(error.exit_code(), crate::exit_code::EXIT_LOCKED);
    assert_eq!(
        error.to_string(),
        format!(
            "another supervisor (process {}) uses the state directory {}: stop it, or choose \
             another one with --state-dir",
            std::process::id(),
            state.display()
        )
    );
    // Another state directory does not help with the same runtime directory.
    let flags = PlaceFlags {
        runtime_dir: Some(held.places().runtime_dir.clone()),
        ..named_state(&temp.path().join("b"))
    };
    let places = find_from(&inputs(flags), Owner::User).expect("named").0;
    let error = Held::take(places).expect_err("held");
    assert_eq!(error.exit_code(), crate::exit_code::EXIT_LOCKED);
    assert!(
        error.to_string().contains("uses the runtime directory"),
        "{error}"
    );
    drop(held);
    Held::take(places_in(&state)).expect("free again");
    temp.remove().expect("ours");
}

#[test]
fn one_directory_for_both_is_one_lock() {
    let temp = temp();
    let path = temp.path().display().to_string();
    let flags = PlaceFlags {
        runtime_dir: Some(path),
        ..named_state(temp.path())
    };
    let places = find_from(&inputs(flags), Owner::User).expect("named").0;
    Held::take(places).expect("no lock against ourselves");
    temp.remove().expect("ours");
}

#[test]
fn a_directory_that_others_write_or_that_is_none_is_refused() {
    let temp = temp();
    let open = temp.path().join("open");
    fs::create_dir(&open).expect("made");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o770)).expect("ours");
    let error = refusal(&open);
    assert_eq!(error.exit_code(), crate::exit_code::EXIT_USAGE);
    assert_eq!(
        error.to_string(),
        format!(
            "the state directory {} can be written by others (mode 0770): `chmod go-w` it",
            open.display()
        )
    );
    fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).expect("ours");
    Held::take(places_in(&open)).expect("others may look");
    let file = temp.path().join("file");
    fs::write(&file, b"").expect("written");
    let error = refusal(&file);
    assert_eq!(
        error.to_string(),
        format!("the state directory {} is not a directory", file.display())
    );
    let error = refusal(&file.join("below"));
    assert_eq!(error.exit_code(), crate::exit_code::EXIT_ERROR);
    assert!(
        error
            .to_string()
            .starts_with("cannot make the state directory "),
        "{error}"
    );
    temp.remove().expect("ours");
}

#[test]
fn a_path_too_long_for_a_socket_is_refused_before_anything_is_made() {
    let temp = temp();
    let state = temp.path().join("x".repeat(100));
    let error = refusal(&state);
    assert_eq!(error.exit_code(), crate::exit_code::EXIT_USAGE);
    assert!(
        error
            .to_string()
            .contains("name a shorter folder with --runtime-dir"),
        "{error}"
    );
    assert!(!state.join("run").exists());
    temp.remove().expect("ours");
}

#[test]
fn an_unnamed_runtime_directory_is_the_last_supervisors() {
    let temp = temp();
    let state = temp.path().join("state");
    let last = temp.path().join("last");
    fs::create_dir(&state).expect("made");
    fs::set_permissions(&state, fs::Permissions::from_mode(0o700)).expect("ours");
    let write = |text: String| fs::write(state.join("runtime-dir"), text).expect("written");
    let taken = || {
        let held = Held::take(places_in(&state)).expect("free");
        held.places().runtime_dir.clone()
    };
    write(format!("{}\n", last.display()));
    assert_eq!(taken(), last.display().to_string());
    assert!(last.is_dir(), "made again");
    let by_rule = state.join("run").display().to_string();
    write(format!("{}/no/such\n", temp.path().display()));
    assert_eq!(taken(), by_rule, "what is above it is gone");
    write("relative\n".to_owned());
    assert_eq!(taken(), by_rule);
    temp.remove().expect("ours");
}

#[test]
fn a_vanished_runtime_directory_is_made_again() {
    let temp = temp();
    let state = temp.path().join("state");
    let held = Held::take(places_in(&state)).expect("free");
    assert_eq!(held.runtime().restore().expect("there"), Restored::WasThere);
    let runtime = state.join("run");
    fs::remove_dir_all(&runtime).expect("ours");
    assert_eq!(held.runtime().restore().expect("made"), Restored::MadeAgain);
    assert_eq!(fs::metadata(&runtime).expect("there").mode() & 0o777, 0o700);
    // Made by somebody else, it is not locked, and is taken too.
    fs::remove_dir_all(&runtime).expect("ours");
    fs::create_dir(&runtime).expect("made");
    fs::set_permissions(&runtime, fs::Permissions::from_mode(0o700)).expect("ours");
    assert_eq!(
        held.runtime().restore().expect("locked"),
        Restored::MadeAgain
    );
    assert_eq!(held.runtime().restore().expect("there"), Restored::WasThere);
    temp.remove().expect("ours");
}

/// Bug: who had lost the directory went on binding sockets in it, against the
/// one who had it now.
#[test]
fn a_runtime_directory_that_another_took_is_not_taken_back() {
    let temp = temp();
    let held = Held::take(places_in(&temp.path().join("one"))).expect("free");
    let runtime = temp.path().join("one").join("run");
    fs::remove_dir_all(&runtime).expect("ours");
    let mut places = places_in(&temp.path().join("two"));
    places.runtime_dir = runtime.display().to_string();
    let other = Held::take(places).expect("nobody's");
    let error = held.runtime().restore().expect_err("held");
    assert_eq!(error.exit_code(), crate::exit_code::EXIT_LOCKED);
    drop(other);
    assert_eq!(
        held.runtime().restore().expect("free again"),
        Restored::MadeAgain
    );
    temp.remove().expect("ours");
}

#[test]
fn a_named_providers_directory_has_to_be_there() {
    let places = |providers_dir: Option<&str>| {
        let flags = PlaceFlags {
            providers_dir: providers_dir.map(str::to_owned),
            ..PlaceFlags::default()
        };
        find_from(&inputs(flags), Owner::User).expect("a home").0
    };
    assert!(
        check_providers(&places(None)).is_ok(),
        "the usual one need not be"
    );
    assert!(check_providers(&places(Some("/"))).is_ok());
    let error = check_providers(&places(Some("/nonexistent"))).expect_err("named");
    assert_eq!(error.exit_code(), crate::exit_code::EXIT_USAGE);
    assert_eq!(
        error.to_string(),
        "the providers directory /nonexistent is not there: make it, or name another one with \
         --providers-dir"
    );
}
