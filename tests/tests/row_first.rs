//! A caller of the control socket that wants the row alone (R1).

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use nix::sys::signal::Signal;
use protocol::control::{Request, Response, RunRequest, SessionChoice};
use protocol::hello::{HELLO_LEN, Hello, Role};
use protocol::limits::MAX_CONTROL_FRAME;
use protocol::{Phase, TaskId, codec};
use tests::harness::{Bins, GENEROUS, World, wait_until};
use tests::scenarios::assert_ended;

/// The answer comes while the shim still stands before its claim.
#[test]
fn the_row_alone_is_an_answer_for_who_wants_no_more() {
    let world = World::builder().hooks(["shim.before_claim"]).build();
    let _supervisor = world.start();
    world.hooks().arm("shim.before_claim");
    let id = TaskId::new("row-first").expect("legal");
    let answer = ask(&world, &Request::Run(Box::new(request(id.clone()))));
    let Response::Task { task, existing, .. } = answer else {
        panic!("no task: {answer:?}");
    };
    assert_eq!(
        (task.id, task.phase, existing),
        (id, Phase::Starting, false)
    );
    assert_eq!(world.ledger().tasks().len(), 1, "the row is durable");
    world.hooks().reached().go();
    let ended = world.ended("row-first");
    assert_ended(&ended, "success", "completed", "observed");
    world.check();
}

/// A supervisor that dies between the two leaves what no row accounts for.
#[test]
fn secrets_without_a_row_are_wiped_by_the_next_supervisor() {
    let world = World::builder().hooks(["sup.commit.before"]).build();
    let first = world.start();
    // Answered once the commit of the start is done.
    let _listed = world.ctl(&["list"]).ok();
    world.hooks().arm("sup.commit.before");
    let run = world
        .run()
        .id("rowless")
        .option("--env", "SECRET=for-nobody");
    let client = run.steps(["exit:0"]).in_background();
    let paused = world.hooks().reached();
    // A client that lives on would dispatch it again.
    client.process.signal(Signal::SIGKILL);
    let _killed = client.output();
    let spec = world.task_dir("rowless").join("spec");
    let has_secret = || {
        let bytes = fs::read(&spec).expect("it is kept");
        String::from_utf8_lossy(&bytes).contains("for-nobody")
    };
    assert!(has_secret(), "written before the row");
    paused.die();
    let _gone = first.ended();
    world.hooks().disarm();
    let _second = world.start();
    wait_until("a wiped spec", GENEROUS, || !has_secret());
    assert_eq!(world.ledger().tasks().len(), 0);
    // The name is not burnt.
    let task = world.run().id("rowless").steps(["exit:0"]).detached();
    assert_ended(&world.ended(&task.id), "success", "completed", "observed");
    world.check();
}

/// One that was to wait is nobody's either: a rebuild of the ledger from the folders
/// does not start it, without its environment.
#[test]
fn who_was_to_wait_without_a_row_is_not_started_by_a_rebuild() {
    let world = World::builder()
        .config("[limits]\nmax_tasks = 1\n")
        .hooks(["sup.commit.before"])
        .build();
    let first = world.start();
    let holder = world.run().steps(["mark:up", "forever"]).detached();
    holder.marked("up");
    world.hooks().arm("sup.commit.before");
    let run = world
        .run()
        .id("rowless")
        .option("--env", "SECRET=for-nobody");
    let client = run.steps(["mark:up", "exit:0"]).in_background();
    let paused = world.hooks().reached();
    // A client that lives on would dispatch it again.
    client.process.signal(Signal::SIGKILL);
    let _killed = client.output();
    let spec = world.task_dir("rowless").join("spec");
    let kept = || fs::read_to_string(&spec).expect("it is kept");
    assert!(kept().contains("queued_at") && kept().contains("for-nobody"));
    paused.die();
    let _gone = first.ended();
    world.hooks().disarm();
    let second = world.start();
    wait_until("a wiped spec", GENEROUS, || !kept().contains("for-nobody"));
    assert_eq!(world.stop(&holder.id, &[]), "stopped");
    assert!(second.terminate().success());
    let mut recover = world.command(Bins::locate().supervisor());
    recover.arg("recover");
    let said = world.finish(recover).ok().stdout;
    assert!(
        said.contains("task rowless is lost: it was never committed"),
        "{said}"
    );
    let _third = world.start();
    let known: Vec<Option<String>> = world
        .ledger()
        .tasks()
        .iter()
        .map(|row| row.text("id").map(str::to_owned))
        .collect();
    assert_eq!(known, [Some(holder.id.clone())]);
    // The name is not burnt.
    let task = world.run().id("rowless").steps(["exit:0"]).detached();
    assert_ended(&world.ended(&task.id), "success", "completed", "observed");
    world.check();
}

/// The disk is busy with one dispatch: the next one is taken meanwhile, what was
/// committed is carried out beside the next commit, and nothing before its own.
#[test]
fn a_dispatch_is_taken_beside_the_commit_of_another() {
    let world = World::builder().hooks(["sup.commit.before"]).build();
    let _supervisor = world.start();
    // Answered once the commit of the start is done.
    let _listed = world.ctl(&["list"]).ok();
    let has = |id: &str, file: &str| world.task_dir(id).join(file).exists();
    let rows = || world.ledger().tasks().len();
    world.hooks().arm("sup.commit.before");
    let first = world.run().id("first").steps(["exit:0"]).in_background();
    let commit_of_first = world.hooks().reached();
    world.hooks().arm("sup.commit.before");
    let second = world.run().id("second").steps(["exit:0"]).in_background();
    wait_until("the second dispatch", GENEROUS, || has("second", "spec"));
    assert_eq!(rows(), 0);
    assert!(!has("first", "claim"), "nothing is spawned before its row");
    commit_of_first.go();
    let commit_of_second = world.hooks().reached();
    wait_until("the first shim", GENEROUS, || has("first", "claim"));
    assert_eq!(rows(), 1);
    assert!(!has("second", "claim"), "nothing is spawned before its row");
    commit_of_second.go();
    // They say that their task was started.
    for (client, id) in [(first, "first"), (second, "second")] {
        let _started = client.output().ok();
        assert_ended(&world.ended(id), "success", "completed", "observed");
    }
    world.check();
}

fn ask(world: &World, request: &Request) -> Response {
    let socket = world.runtime_dir().join("control.sock");
    let mut stream = UnixStream::connect(socket).expect("a supervisor serves");
    let frame = codec::to_frame(request, MAX_CONTROL_FRAME).expect("small");
    let hello = Hello::opening(Role::Client).encode();
    stream.write_all(&hello).expect("it reads");
    stream.write_all(&frame).expect("it reads");
    let mut hello = [0; HELLO_LEN];
    stream.read_exact(&mut hello).expect("its hello");
    let mut length = [0; 4];
    stream.read_exact(&mut length).expect("an answer");
    let mut payload = vec![0; u32::from_le_bytes(length) as usize];
    stream.read_exact(&mut payload).expect("the whole answer");
    codec::from_payload(&payload).expect("a response")
}

fn request(id: TaskId) -> RunRequest {
    RunRequest {
        id,
        provider: None,
        argv: vec!["/bin/true".to_string()],
        key: None,
        prompt: None,
        model: None,
        name: None,
        cwd: "/".to_string(),
        client_env: Vec::new(),
        env: Vec::new(),
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
        provider_args: Vec::new(),
        wait_for_exec: false,
    }
}
