//! `run -d`: dispatch and leave.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use protocol::control::{OnNotFound, Request, Response, RunOption, RunRequest, SessionChoice};
use protocol::view::ChainLink;
use protocol::{ArchiveReason, Exit, Status};
use serde_json::Value;

use crate::support::{Home, NOW, Server, accepted, code, ended, running, stderr, stdout};

fn accept_all(home: &Home) -> Server {
    Server::start(home, |request, peer| {
        let (Request::Run(run) | Request::RunWith(run, _)) = request else {
            panic!("{request:?}")
        };
        peer.send(&accepted(running(run.id.as_str())));
    })
}

fn dispatched(server: &Server) -> RunRequest {
    with_options(server).0
}

fn with_options(server: &Server) -> (RunRequest, Vec<RunOption>) {
    match server.next() {
        Request::Run(run) => (*run, Vec::new()),
        Request::RunWith(run, options) => (*run, options),
        other => panic!("not a run: {other:?}"),
    }
}

#[test]
fn every_option_reaches_the_supervisor() {
    let home = Home::new();
    let server = accept_all(&home);
    let env_file = home.path.join("env");
    fs::write(&env_file, "# c\nA=1\nB=2\n").expect("a writable home");
    fs::set_permissions(&env_file, fs::Permissions::from_mode(0o600)).expect("our own file");
    let line = "run -d --id t1 --provider claude --key k --prompt hello --model m --name n \
        --cwd sub --env B=3 --env-file env --agent a --agent-type at --repo o/r --issue 7 \
        --user u --resume s1 --unsafe-resume --timeout 1h --idle-timeout 90s \
        --start-timeout 500ms --grace 2s --max-log 64M --provider-arg=--x --on-conflict queue \
        --on-not-found fail";
    let output = home.output(&line.split_whitespace().collect::<Vec<_>>());
    assert_eq!(
        (stdout(&output).as_str(), code(&output)),
        ("t1\n", 0),
        "{}",
        stderr(&output)
    );
    assert_eq!(stderr(&output), "");
    let (run, options) = with_options(&server);
    assert_eq!(
        options,
        [RunOption::Queue, RunOption::OnNotFound(OnNotFound::Fail)]
    );
    let text = |value: &str| Some(value.to_owned());
    assert_eq!(run.provider.as_ref().map(AsRef::as_ref), Some("claude"));
    assert_eq!(
        (run.key, run.prompt, run.model),
        (text("k"), text("hello"), text("m"))
    );
    assert_eq!(
        (run.name, run.agent, run.agent_type),
        (text("n"), text("a"), text("at"))
    );
    assert_eq!(
        (run.repo, run.issue_number, run.user),
        (text("o/r"), Some(7), text("u"))
    );
    assert_eq!(run.cwd, home.path.join("sub").to_str().expect("text"));
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(run.env, [pair("A", "1"), pair("B", "2"), pair("B", "3")]);
    assert!(run.client_env.contains(&pair("PATH", "/usr/bin:/bin")));
    assert!(matches!(run.session, SessionChoice::Resume(id) if id.as_str() == "s1"));
    assert!(run.unsafe_resume && run.wait_for_exec);
    assert_eq!(
        (run.timeout_ms, run.idle_timeout_ms),
        (Some(3_600_000), Some(90_000))
    );
    assert_eq!(
        (run.start_timeout_ms, run.grace_ms),
        (Some(500), Some(2000))
    );
    assert_eq!(
        (run.max_log_bytes, run.provider_args),
        (Some(64 << 20), vec!["--x".to_owned()])
    );
}

#[test]
fn prompts_come_from_stdin_and_files_too() {
    let home = Home::new();
    let server = accept_all(&home);
    fs::write(home.path.join("p"), "from a file\n").expect("a writable home");
    home.output(&["run", "-d", "--provider", "claude", "--prompt-file", "p"]);
    assert_eq!(dispatched(&server).prompt.as_deref(), Some("from a file\n"));
    let stdin = fs::File::open(home.path.join("p")).expect("just written");
    let output = home
        .agentctl(&["run", "-d", "--prompt", "-"])
        .stdin(stdin)
        .output();
    assert_eq!(code(&output.expect("the binary starts")), 0);
    assert_eq!(dispatched(&server).prompt.as_deref(), Some("from a file\n"));
}

/// It is a warning: a file that is made on the spot has the usual mode.
#[test]
fn a_file_of_variables_that_others_can_open_is_warned_of() {
    let home = Home::new();
    let server = accept_all(&home);
    let file = home.path.join("env");
    fs::write(&file, "A=hush\n").expect("a writable home");
    for (mode, warned) in [(0o600, false), (0o640, true), (0o604, true), (0o602, true)] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("our own file");
        let output = home.output(&["run", "-d", "--env-file", "env", "--", "true"]);
        let words = stderr(&output);
        let told = words.contains("env can be read or changed by others (`chmod 600 env`)");
        assert_eq!(told, warned, "{mode:o}: {words}");
        assert!(!words.contains("hush"), "{words}");
    }
    drop(server);
}

#[test]
fn what_is_wrong_here_is_never_sent() {
    let home = Home::new();
    let server = accept_all(&home);
    fs::write(home.path.join("env"), "A=1\nnonsense\n").expect("a writable home");
    for (line, words) in [
        (
            vec!["run", "--prompt-file", "missing"],
            "cannot read missing",
        ),
        (vec!["run", "--env-file", "missing"], "cannot read missing"),
        (
            vec!["run", "--env-file", "env", "--", "true"],
            "env:2: a variable looks like",
        ),
        (
            vec!["run", "--provider", "Bad", "--", "true"],
            "'B' is not allowed",
        ),
    ] {
        let output = home.output(&line);
        assert_eq!(code(&output), 2, "{line:?}");
        assert!(
            stderr(&output).contains(words),
            "{line:?}: {}",
            stderr(&output)
        );
    }
    assert_eq!(server.rest(), []);
}

#[test]
fn a_failed_spawn_gives_the_id_the_reason_and_exit_code_10() {
    let home = Home::new();
    let failed = |id: &str| {
        ended(
            id,
            Status::Failure,
            ArchiveReason::SpawnFailed,
            Exit::Exited { code: 1 },
        )
    };
    let _server = Server::start(&home, move |request, peer| match request {
        Request::Run(run) => peer.send(&accepted(failed(run.id.as_str()))),
        Request::Why { id } => {
            let link = |what: &str, detail: &str| ChainLink {
                at: NOW,
                what: what.into(),
                who: "the shim".into(),
                detail: detail.into(),
            };
            let chain = vec![
                // Bug: whatever was known of it was told as a cause.
                link("dispatched", "its agent runs as user nobody (uid 65534)"),
                link("could not start", "nosuch: no such command (ENOENT)"),
            ];
            let task = Box::new(failed(&id));
            peer.send(&Response::Why { task, chain });
        }
        other => panic!("unexpected {other:?}"),
    });
    let output = home.output(&["run", "-d", "--id", "t", "--", "nosuch"]);
    assert_eq!((stdout(&output).as_str(), code(&output)), ("t\n", 10));
    let words = "agentctl: Could not start: nosuch: no such command (ENOENT)\n";
    assert_eq!(stderr(&output), words);
    let output = home.output(&["run", "--id", "t", "--", "nosuch"]);
    assert_eq!((stdout(&output).as_str(), code(&output)), ("", 10));
    assert_eq!(stderr(&output), format!("{words}agentctl why t\n"));
}

#[test]
fn known_ids_and_warnings_are_told_on_stderr() {
    let home = Home::new();
    let _server = Server::start(&home, |_, peer| {
        peer.send(&Response::Task {
            task: Box::new(running("t")),
            existing: true,
            warnings: vec!["the session was \u{1b}[1mnot resumed".into()],
        });
    });
    let output = home.output(&["run", "-d", "--id", "t", "--json", "--", "true"]);
    let printed: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    assert_eq!(printed["id"], "t");
    let said = stderr(&output);
    assert!(
        said.contains("warning: the session was not resumed\n"),
        "{said}"
    );
    assert!(said.contains("task t was there already"), "{said}");
}

#[test]
fn the_marker_of_an_outer_task_is_not_passed_on() {
    let home = Home::new();
    let server = accept_all(&home);
    let output = home
        .agentctl(&["run", "-d", "--", "true"])
        .env("AGENT_TASK_x", "n")
        .output();
    assert_eq!(code(&output.expect("the binary starts")), 0);
    let run = dispatched(&server);
    assert!(
        run.client_env
            .iter()
            .all(|(name, _)| !name.starts_with("AGENT_TASK_"))
    );
    assert_eq!(run.argv, ["true"]);
    assert_eq!(run.id.as_str().len(), 36);
}
