//! The agent of the measurements does what the figures are about.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use benches::clock::now_ns;
use benches::crew::Crew;

/// A meeting point in a folder of its own, and that folder.
struct Meeting {
    crew: Crew,
    dir: PathBuf,
}

impl Meeting {
    fn new() -> Self {
        let dir = nix::unistd::mkdtemp("/tmp/ab-XXXXXX").expect("a private folder");
        let crew = Crew::bind(dir.join("crew")).expect("a short path");
        Self { crew, dir }
    }

    fn start(&self, verb: &str, words: &[&str]) -> Child {
        Command::new(env!("CARGO_BIN_EXE_bench_agent"))
            .arg(verb)
            .arg(self.crew.path())
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the agent was built")
    }
}

impl Drop for Meeting {
    fn drop(&mut self) {
        let _removed = std::fs::remove_dir_all(&self.dir);
    }
}

#[test]
fn it_tells_its_first_and_its_last_instruction() {
    let meeting = Meeting::new();
    let before = now_ns();
    let mut child = meeting.start("hold", &[]);
    let mut hand = meeting.crew.arrive().expect("it arrives");
    assert_eq!(u32::try_from(hand.pid).ok(), Some(child.id()));
    let asked = now_ns();
    assert!(before < hand.started_ns && hand.started_ns < asked);
    hand.dismiss().expect("it listens");
    assert!(child.wait().expect("ours").success());
    let last = hand.told_ns().expect("it told");
    assert!(asked < last && last < now_ns());
}

#[test]
fn it_ends_with_nobody_left_to_measure() {
    let meeting = Meeting::new();
    let mut child = meeting.start("hold", &[]);
    drop(meeting.crew.arrive().expect("it arrives"));
    assert!(child.wait().expect("ours").success());
}

#[test]
fn its_lines_have_the_promised_length() {
    let lines = |gather| ("lines", vec!["500", "100", gather], 500);
    let flood = ("flood", vec!["100000", "150000"], 501);
    for (verb, words, count) in [lines("1"), lines("8192"), flood] {
        let meeting = Meeting::new();
        let child = meeting.start(verb, &words);
        let mut hand = meeting.crew.arrive().expect("it arrives");
        hand.dismiss().expect("it listens");
        let output = child.wait_with_output().expect("ours");
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).expect("ASCII");
        assert_eq!(text.lines().count(), count);
        for (number, line) in text.lines().enumerate() {
            let long = verb == "flood" && number == 0;
            assert_eq!(line.len() + 1, if long { 100_000 } else { 100 });
            let value: serde_json::Value = serde_json::from_str(line).expect("JSON");
            assert_eq!(value["n"].as_u64(), u64::try_from(number).ok());
        }
    }
}

#[test]
fn its_tree_is_out_of_reach_of_its_group() {
    let meeting = Meeting::new();
    let mut child = meeting.start("tree", &["3"]);
    let hand = meeting.crew.arrive().expect("it arrives");
    let lingering = benches::processes::children(hand.pid);
    assert_eq!(lingering.len(), 3);
    for pid in lingering {
        let pid = nix::unistd::Pid::from_raw(pid);
        assert_eq!(nix::unistd::getsid(Some(pid)), Ok(pid));
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("ours");
    }
    drop(hand);
    assert!(child.wait().expect("ours").success());
}
