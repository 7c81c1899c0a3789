//! Tests with real folders.

use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use lifecycle::{Limits, Policy, SessionPlan, TaskSpec};
use protocol::control::{OnNotFound, RunRequest, SessionChoice};
use protocol::shim::{Leftovers, ScanSpec, Start, Token};
use protocol::view::Links;
use protocol::{Key, ProviderName};
use sys::temp_folder::TempFolder;

use super::*;

fn id() -> TaskId {
    TaskId::new("t1").expect("a valid id")
}

fn spec() -> SpecFile {
    let request = RunRequest {
        id: id(),
        provider: None,
        argv: vec!["--verbose".into()],
        key: Some("k".into()),
        prompt: Some("SECRET prompt".into()),
        model: None,
        name: None,
        cwd: "/work".into(),
        client_env: vec![("CLIENT".into(), "SECRET client".into())],
        env: vec![("CHOSEN".into(), "SECRET chosen".into())],
        agent: None,
        agent_type: None,
        repo: None,
        issue_number: None,
        user: None,
        session: SessionChoice::Auto,
        unsafe_resume: false,
        timeout_ms: None,
        idle_timeout_ms: None,
        start_timeout_ms: None,
        grace_ms: None,
        max_log_bytes: None,
        provider_args: vec!["SECRET arg".into()],
        wait_for_exec: true,
    };
    let task = TaskSpec {
        id: id(),
        key: Key::new("k").expect("a valid key"),
        provider: ProviderName::new("claude").expect("a valid name"),
        agent: None,
        agent_type: None,
        model: None,
        repo: None,
        issue_number: None,
        user: None,
        name: None,
        session: SessionPlan::Fresh,
        on_not_found: OnNotFound::Fresh,
        limits: Limits::default(),
        policy: Policy::default(),
        links: Links::default(),
        run_as: None,
    };
    let start = Start {
        task_id: id(),
        token: Token([7; 32]),
        task_dir: "/state/tasks/t1".into(),
        runtime_dir: "/run".into(),
        argv: vec!["claude".into(), "SECRET prompt".into()],
        env: vec![
            ("PATH".into(), "/bin:/usr/bin".into()),
            ("KEY".into(), "SECRET key".into()),
        ],
        cwd: "/work".into(),
        stdin: None,
        scan: ScanSpec::default(),
        max_log_bytes: 10,
        stop_signal: 15,
        term_exit: vec![143],
        leftovers: Leftovers::End,
        grace_ms: 5,
        nofile_soft: 1024,
    };
    SpecFile::new(&request, &task, &start, &shown(), known_by())
}

fn shown() -> Shown {
    Shown {
        argv: vec!["claude".into(), "<prompt>".into()],
        cwd: Some("/work".into()),
        run_as: Some("bob".into()),
    }
}

fn known_by() -> KnownBy {
    KnownBy {
        token_hash: "hash".to_owned(),
        nonce: "nonce".to_owned(),
        spec_digest: "digest".to_owned(),
    }
}

#[test]
fn a_folder_is_private_and_has_the_whole_dispatch() {
    let place = TempFolder::create(&[std::env::temp_dir()]).expect("a folder");
    let folders = Folders::new(&place.path().join("tasks"));
    assert_eq!(folders.any().expect("none"), None);
    folders.create(&id(), &spec()).expect("made");
    folders.create(&id(), &spec()).expect("made again");
    assert_eq!(folders.any().expect("one"), Some(id()));
    assert_eq!(folders.spec(&id()).expect("read"), Some(spec()));
    assert_eq!(folders.shown(&id()), spec().shown);
    assert_eq!(folders.search_path(&id()).as_deref(), Some("/bin:/usr/bin"));
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(folders.tasks_dir()), 0o700);
    assert_eq!(mode(&folders.task_dir(&id())), 0o700);
    assert_eq!(mode(&folders.task_dir(&id()).join("spec")), 0o600);
    place.remove().expect("ours");
}

/// Wherever the pages of the file end.
#[test]
fn what_is_wiped_in_place_is_what_would_be_written() {
    let place = TempFolder::create(&[std::env::temp_dir()]).expect("a folder");
    let folders = Folders::new(&place.path().join("tasks"));
    let path = folders.task_dir(&id()).join("spec");
    let bare = serde_json::to_vec(&spec().without_env()).expect("JSON");
    let to_the_page = 4096 - bare.len();
    for padding in to_the_page - 80..to_the_page + 80 {
        let mut padded = spec();
        padded.shown.cwd = Some("x".repeat(padding));
        folders.create(&id(), &padded).expect("made");
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_234);
        let file = File::options().write(true).open(&path).expect("there");
        file.set_modified(at).expect("dated");
        folders.wipe_env(&id()).expect("wiped");
        // A rebuild takes it for the time of the dispatch.
        assert_eq!(folders.written_at(&id()).expect("there"), Timestamp(1_234));
        let wiped = serde_json::to_vec(&padded.without_env()).expect("JSON");
        assert_eq!(fs::read(&path).expect("there"), wiped, "padding {padding}");
    }
    place.remove().expect("ours");
}

/// The supervisor was killed between the new ending and the new length.
#[test]
fn the_rest_of_what_was_wiped_half_way_goes_the_next_time() {
    let place = TempFolder::create(&[std::env::temp_dir()]).expect("a folder");
    let folders = Folders::new(&place.path().join("tasks"));
    folders.create(&id(), &spec()).expect("made");
    let path = folders.task_dir(&id()).join("spec");
    let mut half = fs::read(&path).expect("there");
    let wiped = serde_json::to_vec(&spec().without_env()).expect("JSON");
    half[..wiped.len()].copy_from_slice(&wiped);
    fs::write(&path, &half).expect("written");
    assert_eq!(
        folders.spec(&id()).expect("read"),
        Some(spec().without_env())
    );
    folders.wipe_env(&id()).expect("wiped");
    assert_eq!(fs::read(&path).expect("there"), wiped);
    place.remove().expect("ours");
}

#[test]
fn the_environment_goes_at_the_end_and_the_rest_stays() {
    let place = TempFolder::create(&[std::env::temp_dir()]).expect("a folder");
    let folders = Folders::new(&place.path().join("tasks"));
    folders.wipe_env(&id()).expect("nothing to do");
    folders.create(&id(), &spec()).expect("made");
    folders.wipe_env(&id()).expect("wiped");
    folders.wipe_env(&id()).expect("wiped before");
    let path = folders.task_dir(&id()).join("spec");
    let text = fs::read_to_string(&path).expect("there");
    for secret in ["SECRET client", "SECRET chosen", "SECRET key"] {
        assert!(!text.contains(secret), "{secret} is still there");
    }
    for kept in ["SECRET prompt", "SECRET arg", "/work", "<prompt>"] {
        assert!(text.contains(kept), "{kept} is gone");
    }
    assert_eq!(
        folders.spec(&id()).expect("read"),
        Some(spec().without_env())
    );
    place.remove().expect("ours");
}

#[test]
fn secrets_are_not_in_debug() {
    let text = format!("{:?}", spec());
    assert!(!text.contains("SECRET"), "{text}");
    assert!(text.contains("<prompt>"), "{text}");
}

#[test]
fn what_may_be_shown_is_read_without_the_rest() {
    let place = TempFolder::create(&[std::env::temp_dir()]).expect("a folder");
    let folders = Folders::new(place.path());
    assert_eq!(folders.shown(&id()), Shown::default());
    fs::create_dir(folders.task_dir(&id())).expect("made");
    let path = folders.task_dir(&id()).join("spec");
    // A file that ends in the middle still shows what it begins with.
    let text = r#"{"version":1,"shown":{"argv":["a"],"cwd":"/c"},"task":{"id":"#;
    fs::write(&path, text).expect("written");
    assert_eq!(
        folders.shown(&id()),
        Shown {
            argv: vec!["a".into()],
            cwd: Some("/c".into()),
            run_as: None,
        }
    );
    assert!(matches!(folders.spec(&id()), Err(FolderError::Form { .. })));
    fs::write(&path, r#"{"version":9}"#).expect("written");
    assert!(matches!(
        folders.spec(&id()),
        Err(FolderError::Version { version: 9, .. })
    ));
    place.remove().expect("ours");
}

#[test]
fn a_folder_in_which_a_start_was_decided_is_not_used_again() {
    let place = TempFolder::create(&[std::env::temp_dir()]).expect("a folder");
    let folders = Folders::new(place.path());
    for name in ["claim", "journal"] {
        folders.create(&id(), &spec()).expect("made");
        folders
            .create(&id(), &spec())
            .expect("an attempt that came to nothing");
        let decided = folders.task_dir(&id()).join(name);
        fs::write(&decided, b"").expect("written");
        let taken = folders.create(&id(), &spec());
        assert!(matches!(taken, Err(FolderError::Taken(_))), "{name}");
        fs::remove_file(&decided).expect("ours");
    }
    place.remove().expect("ours");
}

#[test]
fn an_end_is_kept_where_the_folder_is() {
    let place = TempFolder::create(&[std::env::temp_dir()]).expect("a folder");
    let folders = Folders::new(&place.path().join("tasks"));
    let rows = serde_json::json!({"task_history": {"id": "t1"}});
    folders
        .settle(&id(), &rows.to_string())
        .expect("no folder, nothing to do");
    folders.create(&id(), &spec()).expect("made");
    assert!(!folders.is_settled(&id()));
    folders.settle(&id(), &rows.to_string()).expect("kept");
    assert!(folders.is_settled(&id()));
    let bytes = fs::read(folders.task_dir(&id()).join("settled")).expect("there");
    let kept: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
    assert_eq!(kept, rows);
    folders.create(&id(), &spec()).expect("used again");
    assert!(!folders.is_settled(&id()), "it is of another task now");
    place.remove().expect("ours");
}

#[test]
fn a_folder_goes_by_way_of_a_name_that_no_task_has() {
    let place = TempFolder::create(&[std::env::temp_dir()]).expect("a folder");
    let folders = Folders::new(&place.path().join("tasks"));
    folders.move_aside(&[id()]).expect("nothing to move");
    folders.create(&id(), &spec()).expect("made");
    fs::write(folders.task_dir(&id()).join(sys::claim::FILE_NAME), b"c").expect("written");
    assert!(folders.bytes(&id()) > 1);
    folders.move_aside(&[id()]).expect("moved");
    assert_eq!(folders.all().expect("read"), []);
    assert!(!folders.is_decided(&id()), "nobody takes it for a task's");
    assert_eq!(folders.left_aside().expect("read"), [id()]);
    folders.put_back(&id()).expect("put back");
    assert!(folders.is_decided(&id()));
    assert_eq!(folders.left_aside().expect("read"), []);
    // Left by an earlier task of this id that could not be removed whole.
    folders.move_aside(&[id()]).expect("moved");
    folders.create(&id(), &spec()).expect("made again");
    folders.move_aside(&[id()]).expect("moved over it");
    for _twice in 0..2 {
        folders.remove_aside(&id()).expect("removed");
        folders.put_back(&id()).expect("nothing to put back");
    }
    assert_eq!(fs::read_dir(folders.tasks_dir()).expect("there").count(), 0);
    place.remove().expect("ours");
}
