//! `run --as USER` under a supervisor of root's: the agent is that user and
//! nothing else, its task is closed to it, and it is ended like any other.

use std::fs;
use std::path::Path;

use nix::sys::signal::Signal;
use tests::harness::{GENEROUS, World, wait_until};
use tests::need_root;
use tests::scenarios::{
    OTHER_USER, assert_ended, id_of_other, install_keeper, open_the_way, run_as_other,
    wait_for_output,
};

fn home_of_other() -> String {
    let passwd = fs::read_to_string("/etc/passwd").expect("every machine has it");
    let begin = format!("{OTHER_USER}:");
    let line = passwd.lines().find(|line| line.starts_with(&begin));
    let home = line.and_then(|line| line.split(':').nth(5));
    home.expect("a home").to_owned()
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
    let mut command = run_as_other(&world, script)
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
    let home = home_of_other();
    let uid = id_of_other("-u");
    let gid = id_of_other("-g");
    let mut lines = text.lines();
    for expected in [
        &uid,
        &gid,
        &id_of_other("-G"),
        "0022",
        &format!("{home} {OTHER_USER} {OTHER_USER} b"),
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
    let words = format!("runs as user {OTHER_USER} (uid {uid})");
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
    let task = run_as_other(&world, &script).id(&task).detached();
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
    let task = run_as_other(&world, script).detached();
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
    let task = run_as_other(&world, script).detached();
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
    let adopted = run_as_other(&world, script).detached();
    let orphaned = run_as_other(&world, script).detached();
    for task in [&adopted, &orphaned] {
        wait_for_output(&world, task, "ready");
    }
    let environment = world.marked(&orphaned.id)[0].environment();
    let temp = environment.into_iter().find(|(name, _)| name == "TMPDIR");
    let (_, temp) = temp.expect("it has one");
    assert!(Path::new(&temp).is_dir(), "{temp}");
    let shim = world.shim_of(&orphaned.id).expect("the shim lives");
    world.kill(&shim, Signal::SIGKILL);
    let ended = world.ended(&orphaned.id);
    assert_eq!(ended["archive_reason"], "shim_lost", "{ended:#}");
    assert_eq!(world.marked(&orphaned.id), []);
    wait_until("the end of its TMPDIR", GENEROUS, || {
        !Path::new(&temp).exists()
    });
    first.kill();
    let _second = world.start();
    assert_eq!(world.stop(&adopted.id, &[]), "stopped");
    assert_eq!(world.marked(&adopted.id), []);
    world.check();
}

/// What a provider leaves alone is that user's, and ended when it is asked for.
#[test]
fn its_orphans_are_known_as_that_users() {
    need_root!();
    let world = World::new();
    install_keeper(&world);
    let _supervisor = world.start();
    let run = run_as_other(&world, "setsid sleep 1000 & exit 0");
    let task = run.option("--provider", "keeper").detached();
    let _ended = world.ended(&task.id);
    assert_eq!(world.marked(&task.id).len(), 1, "left alone");
    let killed = world.ctl(&["orphans", "kill", "--json"]).ok().json();
    assert_eq!(killed["survivors"], serde_json::json!([]), "{killed}");
    assert_eq!(world.marked(&task.id), []);
    world.check();
}
