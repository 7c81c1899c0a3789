//! An agent fills the disk that the ledger is on.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use nix::sys::signal::Signal;
use tests::harness::{Dispatched, GENEROUS, SmallDisk, Supervisor, World, wait_until};
use tests::scenarios::assert_ended;

#[test]
fn an_agent_that_filled_the_disk_can_be_seen_and_stopped() {
    let world = World::new();
    let _small = match SmallDisk::mount(&world.state_dir()) {
        Ok(small) => small,
        Err(why) => tests::skip!("{why}"),
    };
    let _supervisor = world.start();
    let before = world.run().steps(["exit:0"]).detached();
    let _ended = world.ended(&before.id);
    let junk = world.state_dir().join("junk");
    let fill = format!("fill:{}", junk.display());
    let task = world
        .run()
        .steps([&fill, "mark:full", "forever"])
        .detached();
    task.marked("full");
    let refused = world.run().steps(["exit:0"]).try_detached().expect_code(4);
    assert!(
        refused.stderr.contains("the disk is full"),
        "{}",
        refused.stderr
    );
    let status = world.ctl(&["status", "--json"]).ok().json();
    assert_eq!(status["phase"], "admitting", "{status:#}");
    assert_eq!(status["refusing"]["code"], "limit", "{status:#}");
    let told = world.ctl(&["status"]).ok().stdout;
    assert!(told.contains("refusing  the disk is full"), "{told}");
    let listed = world.ctl(&["list", "--json"]).ok().json();
    assert_eq!(listed["tasks"][0]["id"], task.id, "{listed:#}");
    assert_eq!(world.stop(&task.id, &[]), "stopped");
    assert_ended(&world.show(&task.id), "cancelled", "user", "declared");
    let _told = world.ctl(&["why", &task.id]).ok();
    let _refused = world.run().steps(["exit:0"]).try_detached().expect_code(4);
    fs::remove_file(&junk).expect("the agent is gone");
    let after = world.run().steps(["exit:0"]).detached();
    assert_ended(&world.ended(&after.id), "success", "completed", "observed");
    let status = world.ctl(&["status", "--json"]).ok().json();
    assert_eq!(status["refusing"], serde_json::Value::Null, "{status:#}");
    wait_until("the ballast is in its place", GENEROUS, || {
        fs::metadata(world.state_dir().join("ballast")).is_ok_and(|file| file.len() == 16 << 20)
    });
    world.check();
}

/// Whatever the log kept in reserve: the stop alone needs more room than there
/// is without the ballast.
#[test]
fn the_ballast_is_thrown_off_when_a_commit_finds_no_room() {
    let world = World::new();
    let _small = match SmallDisk::mount(&world.state_dir()) {
        Ok(small) => small,
        Err(why) => tests::skip!("{why}"),
    };
    let _supervisor = world.start();
    let junk = world.state_dir().join("junk");
    let fill = format!("fill:{}", junk.display());
    let tasks: Vec<_> = (0..20)
        .map(|_| world.run().steps(["mark:up", "forever"]).detached())
        .collect();
    let task = world
        .run()
        .steps([&fill, "mark:full", "forever"])
        .detached();
    task.marked("full");
    let note = "n".repeat(4000);
    for task in &tasks {
        assert_eq!(world.stop(&task.id, &["--note", &note]), "stopped");
    }
    assert!(
        world.log().contains("the ballast is thrown off"),
        "{}",
        world.log()
    );
    assert_eq!(world.stop(&task.id, &[]), "stopped");
    world.check();
}

/// A world on a small disk that an agent has filled, to which nothing can be written
/// any more, the reserve used up: the agent takes whatever gets free.
struct Stuck {
    /// Goes before the world that it is in.
    _small: SmallDisk,
    world: World,
    supervisor: Arc<Supervisor>,
    filler: Dispatched,
    other: Dispatched,
    junk: PathBuf,
}

impl Stuck {
    fn reach() -> Result<Self, String> {
        let world = World::new();
        let small = SmallDisk::mount(&world.state_dir())?;
        let supervisor = world.start();
        let other = world.run().steps(["mark:up", "forever"]).detached();
        other.marked("up");
        let junk = world.state_dir().join("junk");
        let fill = format!("fill:{}", junk.display());
        let keep_filling = format!("keep-filling:{}", junk.display());
        let filler = world
            .run()
            .key("k")
            .steps([&fill, "mark:full", &keep_filling])
            .detached();
        filler.marked("full");
        let name = "n".repeat(4000);
        let refused = (0..1000).find_map(|at| {
            let renamed = world.ctl(&["rename", &other.id, &format!("{at}{}", &name[..3990])]);
            (renamed.code() != 0).then_some(renamed)
        });
        let refused = refused.expect("no disk holds so many names").expect_code(1);
        let said = &refused.stderr;
        assert!(said.contains("the disk of the ledger is full"), "{said}");
        Ok(Self {
            _small: small,
            world,
            supervisor,
            filler,
            other,
            junk,
        })
    }

    /// The agent that filled it is stopped by force, and the answer says what that
    /// is worth.
    fn force(&self) {
        let options = ["stop-session", &self.filler.id, "--force", "--json"];
        let stopped = self.world.ctl(&options).ok();
        assert!(
            stopped.stderr.contains("done from memory"),
            "{}",
            stopped.stderr
        );
        let stopped = stopped.json();
        assert_eq!(stopped["results"][0]["outcome"], "stopped", "{stopped:#}");
        assert_eq!(stopped["not_durable"], true, "{stopped:#}");
        assert!(!self.filler.leader().is_alive());
    }

    fn is_recorded(&self) {
        let ended = self.world.ended(&self.filler.id);
        assert_ended(&ended, "cancelled", "user", "declared");
        assert_eq!(ended["intents"][0]["outcome"], "effective", "{ended:#}");
        let evidence = ended["evidence"].as_array().expect("a list");
        let kinds: Vec<_> = evidence.iter().map(|one| one["kind"].as_str()).collect();
        assert!(kinds.contains(&Some("not_durable")), "{ended:#}");
    }
}

#[test]
fn on_a_disk_that_stays_full_a_forced_stop_is_sent_from_memory() {
    let stuck = match Stuck::reach() {
        Ok(stuck) => stuck,
        Err(why) => tests::skip!("{why}"),
    };
    let world = &stuck.world;
    let listed = world.ctl(&["list", "--json"]).ok().json();
    assert_eq!(
        listed["tasks"].as_array().map(Vec::len),
        Some(2),
        "{listed:#}"
    );
    assert_eq!(world.show(&stuck.filler.id)["status"], "running");
    let _told = world.ctl(&["why", &stuck.filler.id]).ok();
    let _refused = world.run().steps(["exit:0"]).try_detached().expect_code(4);
    let orderly = world.ctl(&["stop-session", &stuck.other.id]).expect_code(1);
    let said = &orderly.stderr;
    assert!(said.contains("nothing is signalled before it is"), "{said}");
    assert!(said.contains("--force"), "{said}");
    assert!(stuck.other.leader().is_alive());

    stuck.force();
    assert!(stuck.other.leader().is_alive(), "nobody forced that one");
    let recorded = world
        .ctl(&["events", "--task", &stuck.filler.id, "--json"])
        .ok();
    assert!(
        !recorded.stdout.contains("task.ended"),
        "{}",
        recorded.stdout
    );

    fs::remove_file(&stuck.junk).expect("the agent is gone");
    stuck.is_recorded();
    // What was asked while nothing could be recorded is done now.
    let other = world.ended(&stuck.other.id);
    assert_ended(&other, "cancelled", "user", "declared");
    let after = world.run().key("k").steps(["exit:0"]).detached();
    assert_ended(&world.ended(&after.id), "success", "completed", "observed");
    world.check();
}

/// A world in which the start of a task waits for room, and nothing else wants any.
struct Waiting {
    /// Goes before the world that it is in.
    small: SmallDisk,
    world: World,
    id: String,
}

impl Waiting {
    fn reach() -> Result<Self, String> {
        let world = World::builder().hooks(["sup.commit.before"]).build();
        let small = SmallDisk::mount(&world.state_dir())?;
        let _supervisor = world.start();
        // What the start tells is recorded before.
        let before = world.run().steps(["exit:0"]).detached();
        let _ended = world.ended(&before.id);
        world.hooks().arm("sup.commit.before");
        let run = world.run().steps(["mark:up", "forever"]);
        let id = run.task_id().to_owned();
        let client = run.in_background();
        let commit = world.hooks().reached();
        // Its folder is written, its row is not.
        fs::remove_file(world.state_dir().join("ballast")).expect("it is in its place");
        small.fill();
        commit.go();
        let said = client.output().expect_code(1).stderr;
        assert!(said.contains("is not recorded yet"), "{said}");
        Ok(Self { small, world, id })
    }

    fn force(&self) {
        let words = ["stop-session", &self.id, "--force", "--json"];
        let stopped = self.world.ctl(&words).ok().json();
        let result = &stopped["results"][0];
        assert_eq!(result["outcome"], "stopped", "{stopped:#}");
        assert_eq!(result["archive_reason"], "user", "{stopped:#}");
        assert_eq!(stopped["not_durable"], true, "{stopped:#}");
    }

    /// There is room: the stop is the reason, and nothing was started.
    fn is_recorded(&self) {
        self.small.free();
        wait_until("the record of its end", GENEROUS, || {
            let kinds = self.world.ledger().event_types(&self.id);
            kinds.contains(&"task.ended".to_owned())
        });
        let ended = self.world.ended(&self.id);
        assert_ended(&ended, "cancelled", "user", "declared");
        assert!(ended["exit"].is_null(), "{ended:#}");
        assert_eq!(ended["intents"][0]["outcome"], "effective", "{ended:#}");
        let kinds = self.world.ledger().event_types(&self.id);
        assert!(!kinds.contains(&"task.started".to_owned()), "{kinds:?}");
        let why = self.world.ctl(&["why", &self.id]).ok().stdout;
        assert!(why.contains("no agent was started"), "{why}");
        self.world.check();
    }
}

/// Bug: it ended as `spawn_failed`, inferred.
#[test]
fn a_stop_of_a_task_whose_start_waits_for_room_is_its_reason() {
    for force in [true, false] {
        let waiting = match Waiting::reach() {
            Ok(waiting) => waiting,
            Err(why) => tests::skip!("{why}"),
        };
        if force {
            waiting.force();
        } else {
            let stop = waiting.world.ctl(&["stop-session", &waiting.id]);
            let said = stop.expect_code(1).stderr;
            assert!(said.contains("as soon as it can be recorded"), "{said}");
        }
        waiting.is_recorded();
    }
}

/// The shim's journal, which had its room in advance, knows of the stop.
#[test]
fn a_stop_from_memory_is_not_lost_with_the_memory() {
    let stuck = match Stuck::reach() {
        Ok(stuck) => stuck,
        Err(why) => tests::skip!("{why}"),
    };
    stuck.force();
    stuck.supervisor.kill();
    fs::remove_file(&stuck.junk).expect("the agent is gone");
    let _second = stuck.world.start();
    stuck.is_recorded();
    let why = ["why", &stuck.filler.id, "--json"];
    let why = stuck.world.ctl(&why).ok().json();
    let chain = why["chain"].as_array().expect("a list");
    let texts = |name: &str| -> Vec<String> {
        let links = chain.iter();
        links
            .filter_map(|link| Some(link[name].as_str()?.to_owned()))
            .collect()
    };
    // Times of one form, and in order.
    assert!(texts("at").is_sorted(), "{why:#}");
    let steps = texts("what");
    assert!(steps.contains(&"adopted".to_owned()), "{why:#}");
    let requests = steps.iter().filter(|what| *what == "stop requested");
    assert_eq!(requests.count(), 1, "{why:#}");
    assert_eq!(stuck.world.stop(&stuck.other.id, &[]), "stopped");
    stuck.world.check();
}

/// Nor is a task that has ended in memory one of those that a drain waits for.
#[test]
fn a_drain_counts_nothing_that_has_ended_in_memory() {
    let stuck = match Stuck::reach() {
        Ok(stuck) => stuck,
        Err(why) => tests::skip!("{why}"),
    };
    stuck.force();
    stuck.supervisor.signal(Signal::SIGTERM);
    wait_until("the drain", GENEROUS, || {
        stuck.world.log().contains("[shutdown] draining")
    });
    let log = stuck.world.log();
    assert!(log.contains("[shutdown] draining 1 tasks"), "{log}");
    fs::remove_file(&stuck.junk).expect("the agent is gone");
    stuck.is_recorded();
    stuck.supervisor.signal(Signal::SIGTERM);
    assert!(stuck.supervisor.ended().success());
    let _second = stuck.world.start();
    let other = stuck.world.ended(&stuck.other.id);
    assert_ended(&other, "interrupted", "hub_shutdown", "declared");
    stuck.world.check();
}

/// A second signal does not wait for room; the agents go on.
#[test]
fn a_supervisor_that_can_record_nothing_can_still_be_ended() {
    let stuck = match Stuck::reach() {
        Ok(stuck) => stuck,
        Err(why) => tests::skip!("{why}"),
    };
    stuck.world.forgive("the ledger failed; leaving");
    stuck.world.forgive("the ledger was not closed in order");
    stuck.supervisor.signal(Signal::SIGTERM);
    wait_until("the first signal was heeded", GENEROUS, || {
        stuck.world.log().contains("[shutdown]")
    });
    stuck.supervisor.signal(Signal::SIGTERM);
    assert_eq!(stuck.supervisor.ended().code(), Some(1));
    assert!(stuck.filler.leader().is_alive());
    assert!(stuck.other.leader().is_alive());
    // Nor can the next one begin: it says why, and with a code that a service manager
    // tries again after.
    let next = stuck.world.spawn_supervisor();
    assert_eq!(next.ended().code(), Some(1), "{}", stuck.world.log());
    let log = stuck.world.log();
    assert!(
        log.contains("its disk is full") || log.contains("No space left"),
        "{log}"
    );
    let leader = stuck.filler.leader();
    stuck.world.kill(&leader, Signal::SIGKILL);
    wait_until("the agent's end", GENEROUS, || leader.state().is_none());
    fs::remove_file(&stuck.junk).expect("the agent is gone");
    let _second = stuck.world.start();
    let ended = stuck.world.ended(&stuck.filler.id);
    assert_ended(&ended, "interrupted", "external_signal", "observed");
    assert_eq!(stuck.world.stop(&stuck.other.id, &[]), "stopped");
    stuck.world.check();
}
