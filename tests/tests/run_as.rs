//! `run --as USER` under a supervisor of root's: the agent is that user and
//! nothing else, its task is closed to it, and it is ended like any other.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use nix::sys::signal::Signal;
use serde_json::Value;
use tests::harness::{Dispatched, GENEROUS, Output, Run, World, own_user, wait_for, wait_until};
use tests::scenarios::assert_ended;
use tests::skip;

/// Every machine has it, and nothing belongs to it.
const USER: &str = "nobody";

macro_rules! need_root {
    () => {
        if own_user() != 0 {
            skip!("only root can start agents as another user");
        }
    };
}

/// What `id` says of the user.
fn id(option: &str) -> String {
    let told = std::process::Command::new("id")
        .args([option, USER])
        .output();
    let told = told.expect("every machine has id");
    assert!(told.status.success(), "there is no user {USER}");
    String::from_utf8_lossy(&told.stdout).trim().to_owned()
}

/// A dispatch of a shell as the other user. What the world's end looks for is
/// not in its environment by itself.
fn run<'w>(world: &'w World, script: &str) -> Run<'w> {
    let mark = format!("AGENT_TEST_WORLD={}", world.dir().display());
    world
        .run()
        .option("--as", USER)
        .option("--cwd", "/")
        .option("--env", &mark)
        .argv(["sh", "-c", script])
}

fn printed(world: &World, task: &Dispatched) -> String {
    let _ended = world.ended(&task.id);
    world.ctl(&["logs", &task.id, "--raw"]).ok().stdout
}

/// Everybody may come up to the folders that the supervisor itself closes.
fn open_the_way(world: &World) {
    fs::set_permissions(world.dir(), Permissions::from_mode(0o755)).expect("ours");
}

fn wait_for_output(world: &World, task: &Dispatched, words: &str) {
    wait_for("its output", GENEROUS, || {
        let log = world.task_dir(&task.id).join("stdout.log");
        let text = fs::read_to_string(log).unwrap_or_default();
        if text.contains(words) {
            Ok(())
        } else {
            Err(text)
        }
    });
}

#[test]
fn the_agent_is_that_user_with_its_groups_and_its_environment() {
    need_root!();
    let world = World::builder()
        .config("[env]\nbase = { BASE = \"b\", HOME = \"/var/agents\" }\n")
        .build();
    let _supervisor = world.start();
    let script = "id -u; id -g; id -G; umask; echo $HOME $USER $LOGNAME $BASE; \
                  grep -h -e ^Uid -e ^Gid -e ^CapEff -e ^CapPrm /proc/self/status; \
                  stat -c %u-%a $TMPDIR; touch $TMPDIR/x && echo tmp=$TMPDIR; \
                  echo to-stderr > /dev/stderr; cat /dev/stdin; env | sort";
    let mut command = run(&world, script)
        .option("--env", "GIVEN=g")
        .command(&["-d", "--json"]);
    // The caller's own environment is root's: nothing of it is handed over.
    let output = world.finish({
        command
            .env("ROOTS_TOKEN", "root-secret")
            .env("XDG_RUNTIME_DIR", "/run/user/0");
        command
    });
    let task = output.ok().json();
    let task = task["id"].as_str().expect("an id").to_owned();
    let ended = world.ended(&task);
    assert_eq!(ended["status"], "success", "{ended:#}");
    let text = world.ctl(&["logs", &task, "--raw"]).ok().stdout;
    let home = std::process::Command::new("getent")
        .args(["passwd", USER])
        .output()
        .expect("getent");
    let home = String::from_utf8_lossy(&home.stdout).into_owned();
    let home = home.split(':').nth(5).expect("a home").to_owned();
    let uid = id("-u");
    let gid = id("-g");
    let mut lines = text.lines();
    for expected in [
        &uid,
        &gid,
        &id("-G"),
        "0022",
        &format!("{home} {USER} {USER} b"),
    ] {
        assert_eq!(lines.next(), Some(expected), "{text}");
    }
    let (four_uids, four_gids) = ([&*uid; 4].join("\t"), [&*gid; 4].join("\t"));
    for words in [
        format!("Uid:\t{four_uids}\n"),
        format!("Gid:\t{four_gids}\n"),
        "CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n".to_owned(),
        format!("\n{uid}-700\n"),
        "\ntmp=/".to_owned(),
        "\nGIVEN=g\n".to_owned(),
    ] {
        assert!(text.contains(&words), "{words:?} is not in {text}");
    }
    for secret in ["root-secret", "/run/user/0", "AGENTCTL_NO_START"] {
        assert!(!text.contains(secret), "{secret} is in {text}");
    }
    let errors = world.ctl(&["logs", &task, "--raw", "--stderr"]).ok().stdout;
    assert_eq!(errors, "to-stderr\n");
    let temp = text.lines().find_map(|line| line.strip_prefix("tmp="));
    let temp = Path::new(temp.expect("named"));
    wait_until("the end of its TMPDIR", GENEROUS, || !temp.exists());
    let shown = world.ctl(&["show", &task]).ok().stdout;
    let why = world.ctl(&["why", &task]).ok().stdout;
    let words = format!("runs as user {USER} (uid {uid})");
    assert!(
        shown.contains(&words) && why.contains(&words),
        "{shown}\n{why}"
    );
    world.check();
}

/// Whatever it tries, its task, those of others and the supervisor are closed to
/// it.
#[test]
fn its_task_and_the_supervisor_are_closed_to_it() {
    need_root!();
    let world = World::new();
    open_the_way(&world);
    let _supervisor = world.start();
    let supervisor = world.ctl(&["status", "--json"]).ok().json()["pid"].clone();
    let other = world.run().argv(["echo", "of-another"]).detached();
    let _ended = world.ended(&other.id);
    let agentctl = world.path("agentctl");
    fs::copy(world.bins().agentctl(), &agentctl).expect("copied");
    let (state, sockets) = (world.state_dir(), world.runtime_dir());
    let (state, sockets, other) = (state.display(), sockets.display(), &other.id);
    let task = uuid::Uuid::now_v7().to_string();
    let own = format!("{state}/tasks/{task}");
    let tries = [
        format!("ls {own}"),
        format!("cat {own}/spec"),
        format!("cat {own}/journal"),
        format!("echo x >> {own}/stdout.log"),
        format!("rm {own}/claim"),
        format!("mv {own} {own}.gone"),
        format!("cat {state}/tasks/{other}/stdout.log"),
        format!("mkdir {state}/tasks/new"),
        format!("cat {state}/ledger.sqlite3"),
        format!("ls {sockets}"),
        format!("test -w {sockets}/shim.sock"),
        format!("test -w {sockets}/control.sock"),
        "kill -9 $PPID".to_owned(),
        "cat /proc/$PPID/environ".to_owned(),
        "cat /proc/$PPID/mem".to_owned(),
        "ls -l /proc/$PPID/fd/0".to_owned(),
        format!("kill -9 {supervisor}"),
    ];
    let tries = tries.map(|what| format!("if {what} 2>/dev/null; then echo \"DID: {what}\"; fi\n"));
    let script = format!(
        "{}{} list; echo agentctl=$?; cat /proc/self/mountinfo > /dev/null; ls /proc/self/fd",
        tries.concat(),
        agentctl.display()
    );
    let task = run(&world, &script).id(&task).detached();
    let ended = world.ended(&task.id);
    let text = world.ctl(&["logs", &task.id, "--raw"]).ok().stdout;
    assert!(!text.contains("DID: "), "{text}");
    assert_eq!(ended["status"], "success", "{text}");
    assert!(text.contains("agentctl=7\n"), "{text}");
    let open = text.split("agentctl=7\n").nth(1).expect("its descriptors");
    // The fourth is that of the folder itself.
    assert_eq!(open, "0\n1\n2\n3\n", "nothing else was handed down");
    let words = world
        .ctl(&["logs", &task.id, "--raw", "--stderr"])
        .ok()
        .stdout;
    assert!(words.contains("is not open to this user"), "{words}");
    world.check();
}

#[test]
fn a_stop_ends_its_whole_tree() {
    need_root!();
    let world = World::running();
    let script = "setsid sleep 1000 & setsid sh -c 'trap \"\" TERM; sleep 1000; sleep 1000' & \
                  echo ready; wait";
    let task = run(&world, script).detached();
    wait_for_output(&world, &task, "ready");
    wait_until("its tree", GENEROUS, || world.marked(&task.id).len() >= 4);
    assert_eq!(world.stop(&task.id, &["--grace", "200ms"]), "stopped");
    assert_eq!(world.marked(&task.id), []);
    assert_ended(&world.ended(&task.id), "cancelled", "user", "declared");
    world.check();
}

/// The parent-death signal outlives the change of the user: with nobody there to
/// sweep, the leader dies with its shim. The next supervisor ends the rest.
#[test]
fn its_leader_dies_with_the_shim_and_the_next_supervisor_ends_the_rest() {
    need_root!();
    let world = World::new();
    let first = world.start();
    let script = "setsid sleep 1000 & echo ready; exec sleep 1000";
    let task = run(&world, script).detached();
    wait_for_output(&world, &task, "ready");
    wait_until("its tree", GENEROUS, || world.marked(&task.id).len() == 2);
    let leader = world.show(&task.id)["agent_pid"].as_i64().expect("it runs");
    let shim = world.shim_of(&task.id).expect("the shim lives");
    first.kill();
    world.kill(&shim, Signal::SIGKILL);
    wait_until("the leader's death", GENEROUS, || {
        let left = world.marked(&task.id);
        left.len() == 1 && i64::from(left[0].pid) != leader
    });
    let _second = world.start();
    let ended = world.ended(&task.id);
    assert_ended(&ended, "interrupted", "shim_lost", "observed");
    assert_eq!(world.marked(&task.id), []);
    world.check();
}

#[test]
fn what_a_dead_shim_left_is_ended_at_once_and_a_new_supervisor_adopts() {
    need_root!();
    let world = World::new();
    let first = world.start();
    let script = "setsid sleep 1000 & echo ready; exec sleep 1000";
    let adopted = run(&world, script).detached();
    let orphaned = run(&world, script).detached();
    for task in [&adopted, &orphaned] {
        wait_for_output(&world, task, "ready");
    }
    let shim = world.shim_of(&orphaned.id).expect("the shim lives");
    world.kill(&shim, Signal::SIGKILL);
    let ended = world.ended(&orphaned.id);
    assert_eq!(ended["archive_reason"], "shim_lost", "{ended:#}");
    assert_eq!(world.marked(&orphaned.id), []);
    first.kill();
    let _second = world.start();
    assert_eq!(world.stop(&adopted.id, &[]), "stopped");
    assert_eq!(world.marked(&adopted.id), []);
    world.check();
}

#[test]
fn what_cannot_be_is_told_in_words() {
    need_root!();
    let world = World::running();
    let refused = |output: Output, code: i32| -> String {
        let error = output.expect_code(code).error();
        error["message"].as_str().expect("words").to_owned()
    };
    let unknown = world
        .run()
        .option("--as", "no-such-user-here")
        .argv(["true"]);
    let words = refused(unknown.try_detached(), 2);
    assert!(
        words.contains("has no user \"no-such-user-here\""),
        "{words}"
    );
    let boxed = run(&world, "true").option("--container", "box");
    let words = refused(boxed.try_detached(), 2);
    assert!(words.contains("--as names a user of this host"), "{words}");
    assert_eq!(world.ledger().tasks().len(), 0, "no row for either");

    let closed = world.path("closed");
    fs::create_dir(&closed).expect("made");
    fs::set_permissions(&closed, Permissions::from_mode(0o700)).expect("ours");
    let dir = closed.display().to_string();
    let run = world.run().option("--as", USER).option("--cwd", &dir);
    let output = run.argv(["true"]).try_detached().expect_code(10);
    let task = output.json();
    assert_ended(&task, "failure", "spawn_failed", "observed");
    let id = task["id"].as_str().expect("an id");
    let why = world.ctl(&["why", id]).ok().stdout;
    let words = format!("{dir}” may not be entered by user {USER} (EACCES)");
    assert!(why.contains(&words), "{why}");
    world.check();
}

/// It waits, is done again and followed as the same user.
#[test]
fn the_queue_and_a_retry_keep_the_user() {
    need_root!();
    let world = World::builder().config("[limits]\nmax_tasks = 1\n").build();
    let first = world.start();
    let gate = world.run().argv(["sleep", "1000"]).detached();
    let queued = run(&world, "id -u").detached();
    assert_eq!(queued.task["status"], "queued");
    first.kill();
    let _second = world.start();
    assert_eq!(world.stop(&gate.id, &[]), "stopped");
    assert_eq!(printed(&world, &queued), format!("{}\n", id("-u")));
    let again = world.ctl(&["retry", &queued.id, "-d", "--json"]).ok();
    world.acknowledge(&again);
    let again = again.json()["id"].as_str().expect("an id").to_owned();
    let _ended = world.ended(&again);
    let text = world.ctl(&["logs", &again, "--raw"]).ok().stdout;
    assert_eq!(text, format!("{}\n", id("-u")));
    // The same id as another user is another dispatch.
    let other = world.run().id(&queued.id).option("--cwd", "/");
    let refused = other.argv(["sh", "-c", "id -u"]).try_detached();
    assert_eq!(refused.expect_code(4).error()["code"], "id_conflict");
    world.check();
}

/// What a CLI keeps of a conversation is in the home folder of its user.
#[test]
fn a_conversation_is_not_resumed_as_another_user() {
    need_root!();
    let world = World::new();
    let file = "name = \"shell\"\ndescription = \"A shell\"\ncommand = [\"sh\", \"-s\", \"{session}\"]\n\
                [prompt]\nvia = \"stdin\"\n\
                [session]\npattern = 's-[0-9]+'\nresume = [\"{session_id}\"]\n\
                [[output.pattern]]\nstream = \"stdout\"\ncontains = \"chat \"\n\
                means = \"session_id_follows\"\n";
    fs::create_dir_all(world.providers_dir()).expect("a folder");
    fs::write(world.providers_dir().join("shell.toml"), file).expect("a file");
    let _supervisor = world.start();
    let turn = |options: &[&str]| -> Output {
        let base = [
            "run",
            "-d",
            "--json",
            "--provider",
            "shell",
            "--key",
            "k",
            "--cwd",
            "/",
        ];
        let told = world.ctl(&[&base[..], &["--prompt", "echo chat s-1"], options].concat());
        world.acknowledge(&told);
        told
    };
    let ended = |output: Output| -> Value {
        let task = output.ok().json();
        world.ended(task["id"].as_str().expect("an id"))
    };
    let roots = ended(turn(&[]));
    assert_eq!(roots["session_id"], "s-1", "{roots:#}");
    let told = turn(&["--as", USER]);
    assert!(told.stderr.contains("another user's"), "{told:#?}");
    assert!(
        told.stderr.contains("starting fresh, resume=<none>"),
        "{told:#?}"
    );
    assert_eq!(ended(told)["resumed"], Value::Null);
    // It is that user's now.
    assert_eq!(ended(turn(&["--as", USER]))["resumed"], "s-1");
    let refused = turn(&["--resume", "s-1"]).expect_code(4).error();
    assert_eq!(refused["code"], "session_refused", "{refused}");
    assert!(
        refused["hint"]
            .as_str()
            .is_some_and(|hint| hint.contains("--as"))
    );
    let at_own_risk = turn(&["--resume", "s-1", "--unsafe-resume"]);
    assert_eq!(ended(at_own_risk)["resumed"], "s-1");
    world.check();
}

/// A member of the control group must not become root by it.
#[test]
fn members_of_the_control_group_have_agents_of_their_own_user() {
    need_root!();
    let group = id("-gn");
    let config = format!("[control]\ngroup = \"{group}\"\n");
    let world = World::builder().config(&config).build();
    open_the_way(&world);
    let _supervisor = world.start();
    let agentctl = world.path("agentctl");
    fs::copy(world.bins().agentctl(), &agentctl).expect("copied");
    let as_member = |line: &[&str]| -> Output {
        let mut command = world.command("setpriv");
        let (uid, gid) = (id("-u"), id("-g"));
        command
            .args([format!("--reuid={uid}"), format!("--regid={gid}")])
            .arg("--clear-groups")
            .arg(&agentctl)
            .args(line)
            .current_dir("/");
        let told = world.finish(command);
        world.acknowledge(&told);
        told
    };
    let uid_of = |output: Output| -> String {
        let task = output.ok().json()["id"].as_str().expect("an id").to_owned();
        let _ended = world.ended(&task);
        world
            .ctl(&["logs", &task, "--raw"])
            .ok()
            .stdout
            .trim()
            .to_owned()
    };
    let dispatch = ["run", "-d", "--json"];
    let script = ["--", "sh", "-c", "id -u"];
    let with = |options: &[&str]| as_member(&[&dispatch[..], options, &script].concat());
    assert_eq!(uid_of(with(&[])), id("-u"), "without a word, too");
    assert_eq!(uid_of(with(&["--as", USER])), id("-u"));
    for options in [["--as", "root"], ["--as", "0"], ["--container", "box"]] {
        let refused = with(&options).expect_code(7).error();
        assert_eq!(refused["code"], "not_permitted", "{refused}");
    }
    // Nor by a task of root's that is done again.
    let roots = world.run().argv(["id", "-u"]).detached();
    assert_eq!(printed(&world, &roots), "0\n");
    let again = as_member(&["retry", &roots.id, "-d", "--json", "--cwd", "/"]);
    assert_eq!(uid_of(again), id("-u"));
    world.check();
}

#[test]
fn only_roots_supervisor_can() {
    need_root!();
    let world = World::new();
    let owned = std::process::Command::new("chown")
        .args(["-R", &format!("{}:{}", id("-u"), id("-g"))])
        .arg(world.dir())
        .status();
    assert!(owned.expect("chown").success());
    let reachable = world.bins().agentctl();
    let closed = |dir: &&Path| fs::metadata(dir).is_ok_and(|at| at.mode() & 0o001 == 0);
    if let Some(closed) = reachable.ancestors().skip(1).find(closed) {
        skip!(
            "user {USER} cannot reach the programs below {}",
            closed.display()
        );
    }
    let ids = [
        format!("--reuid={}", id("-u")),
        format!("--regid={}", id("-g")),
    ];
    let _supervisor = world.start_by("setpriv", &[&ids[0], &ids[1], "--clear-groups"]);
    let refused = |user: &str| {
        let run = world.run().option("--as", user).option("--cwd", "/");
        run.argv(["id", "-u"]).try_detached()
    };
    let error = refused("root").expect_code(7).error();
    assert_eq!(error["code"], "not_permitted", "{error}");
    let words = error["message"].as_str().expect("words");
    assert!(
        words.contains("only root's can start agents as root"),
        "{words}"
    );
    assert_eq!(world.ledger().tasks().len(), 0);
    // Its own user is what it is anyway.
    let own = refused(USER).ok().json()["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    assert_eq!(world.ended(&own)["status"], "success");
    world.check();
}
