use std::fs;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use protocol::Exit;

use super::*;
use crate::hook::SHIM_EXEC;
use crate::temp_folder::TempFolder;

struct Ran {
    result: Result<(Spawned, Exit), SpawnError>,
    output: String,
}

/// Runs `argv` to its end with its output in a pipe.
fn run_with(argv: &[&str], env: &[(&str, &str)], cwd: &Path, nofile_soft: u64) -> Ran {
    run_as(argv, env, cwd, nofile_soft, None)
}

fn run_as(
    argv: &[&str],
    env: &[(&str, &str)],
    cwd: &Path,
    nofile_soft: u64,
    user: Option<&AgentUser>,
) -> Ran {
    let argv: Vec<String> = argv.iter().map(|&word| word.to_owned()).collect();
    let env: Vec<(String, String)> = env
        .iter()
        .map(|&(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let null = fs::File::open("/dev/null").expect("there");
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    let stdio = [null.as_fd(), writer.as_fd(), writer.as_fd()];
    let plan = Plan {
        argv: &argv,
        env: &env,
        cwd,
        stdio,
        nofile_soft,
        user,
    };
    let result = spawn(&plan, &SHIM_EXEC);
    drop(writer);
    let mut output = String::new();
    reader.read_to_string(&mut output).expect("text");
    let result = result.map(|spawned| {
        assert!(
            spawned
                .pidfd
                .wait_ended(Duration::from_secs(20))
                .expect("poll")
        );
        let exit = spawned
            .pidfd
            .reap(&SHIM_REAP)
            .expect("ours")
            .expect("ended");
        (spawned, exit)
    });
    Ran { result, output }
}

fn run(argv: &[&str]) -> Ran {
    run_with(argv, &[("PATH", "/usr/bin:/bin")], Path::new("/"), 0)
}

fn error_of(ran: Ran) -> (SpawnStage, i32, String) {
    let error = ran.result.expect_err("nothing to run");
    assert_eq!(ran.output, "");
    (error.stage, error.errno, error.path)
}

#[test]
fn it_leads_its_own_session_with_default_signals() {
    let ran = run(&["sh", "-c", "cat /proc/self/stat /proc/self/status; exit 3"]);
    let (spawned, exit) = ran.result.expect("started");
    assert_eq!(exit, Exit::Exited { code: 3 });
    assert!(spawned.program.ends_with("sh"), "{:?}", spawned.program);
    let pid = spawned.process.pid.to_string();
    let fields: Vec<&str> = ran.output.split_whitespace().collect();
    assert_eq!(
        (fields[4], fields[5]),
        (pid.as_str(), pid.as_str()),
        "group and session"
    );
    // Rust's own runtime ignores SIGPIPE: that must not be handed down.
    assert!(
        ran.output.contains("SigIgn:\t0000000000000000"),
        "{}",
        ran.output
    );
    assert!(
        ran.output.contains("SigBlk:\t0000000000000000"),
        "{}",
        ran.output
    );
}

/// To be spared takes a right that a test may not have: the other way round, this
/// process is more likely a victim for a while.
#[test]
fn what_spares_the_caller_is_not_handed_down() {
    const OWN: &str = "/proc/self/oom_score_adj";
    let before = fs::read_to_string(OWN).expect("we have one");
    fs::write(OWN, "300").expect("anybody may be worse");
    let script = format!("test $(cat {OWN}) = 300");
    let argv = ["sh", "-c", &script].map(str::to_owned);
    let env = [("PATH".to_owned(), "/usr/bin:/bin".to_owned())];
    let null = fs::File::open("/dev/null").expect("there");
    let plan = Plan {
        argv: &argv,
        env: &env,
        cwd: Path::new("/"),
        stdio: [null.as_fd(), null.as_fd(), null.as_fd()],
        nofile_soft: 0,
        user: None,
    };
    let is_worse = |is_spared: bool| {
        let candidates = search::candidates(&plan).expect("there");
        let mut prepared = child::Prepared::new(&plan, &candidates).expect("it can be");
        assert!(!prepared.is_spared, "a worse score stays");
        prepared.is_spared = is_spared;
        let spawned = start(&prepared, &candidates, &SHIM_EXEC).expect("started");
        let ended = spawned.pidfd.wait_ended(Duration::from_secs(20));
        assert!(ended.expect("poll"));
        let exit = spawned.pidfd.reap(&SHIM_REAP).expect("ours");
        exit == Some(Exit::Exited { code: 0 })
    };
    assert!(is_worse(false), "it is inherited");
    assert!(!is_worse(true), "it is plain");
    let own = fs::read_to_string(OWN).expect("we have one");
    assert_eq!(own.trim(), "300", "ours is our own");
    fs::write(OWN, before.trim()).expect("it was so");
}

#[test]
fn environment_folder_and_limits_are_those_of_the_plan() {
    let script = "pwd; ulimit -Sn; env; ls /proc/self/fd | tr '\\n' ' '";
    let env = [("PATH", "/usr/bin:/bin"), ("A", "b c")];
    let ran = run_with(&["sh", "-c", script], &env, Path::new("/usr"), 77);
    assert_eq!(ran.result.expect("started").1, Exit::Exited { code: 0 });
    assert!(ran.output.starts_with("/usr\n77\n"), "{}", ran.output);
    assert!(ran.output.contains("A=b c\n"));
    assert!(!ran.output.contains("CARGO"), "{}", ran.output);
    // 3 is the folder that ls reads.
    assert!(ran.output.ends_with("0 1 2 3 "), "{}", ran.output);
}

#[test]
fn each_failure_has_its_own_words() {
    let folder = TempFolder::create(&[std::env::temp_dir()]).expect("a folder");
    let at = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    fs::write(at("plain"), "#!/bin/sh\n").expect("written");
    fs::write(at("bad"), "#!/no/such/interpreter\n").expect("written");
    fs::write(at("noexec"), "text").expect("written");
    for name in ["bad", "noexec"] {
        fs::set_permissions(at(name), fs::Permissions::from_mode(0o755)).expect("ours");
    }
    fs::create_dir(at("folder")).expect("made");
    let (search, exec) = (SpawnStage::Search, SpawnStage::Exec);

    let missing = "no-such-command-here";
    assert_eq!(
        error_of(run(&[missing])),
        (search, libc::ENOENT, missing.into())
    );
    assert_eq!(error_of(run(&[""])), (search, libc::ENOENT, String::new()));
    assert_eq!(error_of(run(&[])), (search, libc::ENOENT, String::new()));
    assert_eq!(
        error_of(run(&[&at("gone")])),
        (search, libc::ENOENT, at("gone"))
    );
    assert_eq!(
        error_of(run(&[&at("plain")])),
        (search, libc::EACCES, at("plain"))
    );
    assert_eq!(
        error_of(run(&[&at("folder")])),
        (search, libc::EISDIR, at("folder"))
    );
    assert_eq!(
        error_of(run(&[&at("bad")])),
        (exec, libc::ENOENT, at("bad"))
    );
    assert_eq!(
        error_of(run(&[&at("noexec")])),
        (exec, libc::ENOEXEC, at("noexec"))
    );

    let in_folder = [("PATH", folder.path().to_str().expect("text"))];
    let searched = run_with(&["plain"], &in_folder, Path::new("/"), 0);
    assert_eq!(error_of(searched), (search, libc::EACCES, at("plain")));
    let no_cwd = run_with(&["sh"], &[], &folder.path().join("gone"), 0);
    assert_eq!(
        error_of(no_cwd),
        (SpawnStage::Chdir, libc::ENOENT, at("gone"))
    );
    let file_cwd = run_with(&["sh"], &[], &folder.path().join("plain"), 0);
    assert_eq!(
        error_of(file_cwd),
        (SpawnStage::Chdir, libc::ENOTDIR, at("plain"))
    );
    let with_nul = run(&["sh", "a\0b"]);
    assert_eq!(error_of(with_nul), (exec, libc::EINVAL, "sh".into()));
    folder.remove().expect("ours");
}

#[test]
fn words_are_searched_in_the_tasks_own_path_and_folder() {
    let folder = TempFolder::create(&[std::env::temp_dir()]).expect("a folder");
    fs::create_dir(folder.path().join("bin")).expect("made");
    for (name, says) in [("bin/tool", "inner"), ("tool", "outer")] {
        let path = folder.path().join(name);
        fs::write(&path, format!("#!/bin/sh\necho {says} $0\n")).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("ours");
    }
    let said =
        |argv: &[&str], path: &str| run_with(argv, &[("PATH", path)], folder.path(), 0).output;
    assert!(said(&["tool"], "bin:/usr/bin").starts_with("inner"));
    assert!(
        said(&["tool"], "/nowhere::bin").starts_with("outer"),
        "empty is the folder"
    );
    assert!(said(&["./bin/tool"], "/usr/bin").starts_with("inner"));
    assert!(said(&["bin/tool"], "/usr/bin").starts_with("inner"));
    let without_path = run_with(&["sh", "-c", "echo fine"], &[], folder.path(), 0);
    assert_eq!(without_path.output, "fine\n");
    folder.remove().expect("ours");
}

#[test]
fn it_dies_with_the_thread_that_started_it() {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let null = fs::File::options()
            .read(true)
            .write(true)
            .open("/dev/null")
            .expect("there");
        let argv = ["sleep".to_owned(), "100".to_owned()];
        let stdio = [null.as_fd(); 3];
        let plan = Plan {
            argv: &argv,
            env: &[],
            cwd: Path::new("/"),
            stdio,
            nofile_soft: 0,
            user: None,
        };
        sender
            .send(spawn(&plan, &SHIM_EXEC).expect("started"))
            .expect("a receiver");
    });
    let spawned = receiver.recv().expect("sent");
    assert!(
        spawned
            .pidfd
            .wait_ended(Duration::from_secs(20))
            .expect("poll")
    );
    let killed = Exit::Signaled {
        signal: 9,
        core: false,
    };
    assert_eq!(spawned.pidfd.reap(&SHIM_REAP).expect("ours"), Some(killed));
}

/// Makes a session keyring with a key in it, for this thread alone.
#[expect(unsafe_code, reason = "keyrings have no safe wrapper")]
fn with_a_key(name: &std::ffi::CStr) -> bool {
    let anonymous = std::ptr::null::<libc::c_char>();
    let (kind, secret) = (c"user", b"hush");
    // SAFETY: a command and no name; NUL-terminated names, a payload and its length.
    unsafe {
        let join = libc::KEYCTL_JOIN_SESSION_KEYRING;
        let joined = libc::syscall(libc::SYS_keyctl, join, anonymous);
        let ring = libc::KEY_SPEC_SESSION_KEYRING;
        let (kind, name) = (kind.as_ptr(), name.as_ptr());
        let (payload, length) = (secret.as_ptr(), secret.len());
        joined >= 0 && libc::syscall(libc::SYS_add_key, kind, name, payload, length, ring) >= 0
    }
}

#[test]
fn another_user_leaves_everything_of_the_callers_behind() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    std::thread::spawn(|| {
        let has_keyrings = with_a_key(c"a-key-of-the-caller");
        let user = AgentUser {
            name: "nobody".to_owned(),
            uid: 65_534,
            gid: 65_533,
            groups: vec![65_533, 7],
        };
        let script = "cat /proc/keys; id -u; id -g; id -G; umask; grep -e CapPrm /proc/$$/status";
        let words = ["sh", "-c", script];
        let env = [("PATH", "/usr/bin:/bin")];
        let seen = |user| {
            let ran = run_as(&words, &env, Path::new("/"), 0, user);
            ran.result.expect("started");
            ran.output
        };
        let theirs = seen(Some(&user));
        let expected = "65534\n65533\n65533 7\n0022\nCapPrm:\t0000000000000000\n";
        assert!(theirs.ends_with(expected), "{theirs}");
        assert!(!theirs.contains("a-key-of-the-caller"), "{theirs}");
        if has_keyrings {
            assert!(seen(None).contains("a-key-of-the-caller"));
        }
        // A folder that only the caller may enter.
        let folder = TempFolder::create(&["/tmp"]).expect("a folder");
        let refused = run_as(&words, &env, folder.path(), 0, Some(&user)).result;
        let refused = refused.expect_err("closed");
        assert_eq!(
            (refused.stage, refused.errno),
            (SpawnStage::Chdir, libc::EACCES)
        );
        folder.remove().expect("ours");
    })
    .join()
    .expect("no panic");
}
