//! An agent fills the disk that the ledger is on.

use std::fs;

use tests::harness::{GENEROUS, SmallDisk, World, wait_until};
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
