//! Logs: parts of them, their last lines, and how they grow.

use std::fs::{self, File, OpenOptions};
use std::future::ready;
use std::io::Write;
use std::path::{Path, PathBuf};

use protocol::control::Response;
use supervisor::logs::{Known, LogStream, Made, Until};
use supervisor::reply;
use tokio::sync::{mpsc, watch};

use crate::wire::World;

/// A log that is being read.
struct Reading {
    world: World,
    path: PathBuf,
    answers: mpsc::Receiver<Response>,
}

impl Reading {
    fn begin(name: &str, prepare: impl FnOnce(&Path), change: impl FnOnce(&mut LogStream)) -> Self {
        let mut world = World::new();
        let path = world.folder.path().join(name);
        prepare(&path);
        let (reply, answers) = reply::channel();
        let mut stream = LogStream {
            path: path.clone(),
            from_offset: 0,
            last_lines: None,
            until: Until::Now,
            made: Made::Maybe,
            watches: world.watches.clone(),
            reply,
        };
        change(&mut stream);
        world.jobs.spawn(stream.run(ready(Known {
            gap_bytes: 9,
            made: Made::Maybe,
        })));
        Self {
            world,
            path,
            answers,
        }
    }

    /// Reads until `text` has come, or the end.
    async fn read(&mut self, length: usize) -> (String, Option<u64>) {
        let mut text = Vec::new();
        while text.len() < length {
            let response = self.answers.recv().await.expect("an end");
            if let Response::Log(chunk) = response {
                text.extend(chunk.bytes);
                continue;
            }
            let Response::LogEnd {
                offset,
                gap_bytes: 9,
            } = response
            else {
                panic!("not a log: {response:?}");
            };
            return (String::from_utf8(text).expect("text"), Some(offset));
        }
        (String::from_utf8(text).expect("text"), None)
    }

    async fn all(mut self) -> (String, u64) {
        let (text, end) = self.read(usize::MAX).await;
        (text, end.expect("the end"))
    }

    fn append(&self, text: &str) {
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&self.path)
            .expect("there");
        file.write_all(text.as_bytes()).expect("written");
    }
}

fn holding(text: &str) -> impl FnOnce(&Path) {
    move |path| fs::write(path, text).expect("written")
}

#[tokio::test]
async fn a_part_of_a_log_is_read() {
    let reading = Reading::begin("log", holding("one\ntwo\nthree"), |stream| {
        stream.from_offset = 4
    });
    assert_eq!(reading.all().await, (String::from("two\nthree"), 13));
}

#[tokio::test]
async fn the_last_lines_of_a_large_log_are_found() {
    let prepare = |path: &Path| {
        let mut file = File::create(path).expect("made");
        for number in 0..50_000 {
            writeln!(file, "line {number}").expect("written");
        }
    };
    let reading = Reading::begin("log", prepare, |stream| stream.last_lines = Some(2));
    assert_eq!(reading.all().await.0, "line 49998\nline 49999\n");
    let all = Reading::begin("log", prepare, |stream| stream.last_lines = Some(u64::MAX));
    assert_eq!(all.all().await.0.lines().count(), 50_000);
}

#[tokio::test]
async fn a_missing_log_is_empty() {
    let reading = Reading::begin("log", |_| {}, |_| {});
    assert_eq!(reading.all().await, (String::new(), 0));
}

#[tokio::test]
async fn an_offset_beyond_the_end_is_the_end() {
    let reading = Reading::begin("log", holding("short"), |stream| {
        stream.from_offset = 100;
        stream.last_lines = Some(3);
    });
    assert_eq!(reading.all().await, (String::new(), 100));
}

#[tokio::test]
async fn a_log_is_followed_until_the_task_has_ended() {
    let (ended, until) = watch::channel(false);
    let mut reading = Reading::begin("log", holding("old\nlast\n"), |stream| {
        stream.last_lines = Some(1);
        stream.until = Until::Ended(until);
    });
    assert_eq!(reading.read(5).await, (String::from("last\n"), None));
    for text in ["more", " and more\n"] {
        reading.append(text);
        assert_eq!(reading.read(text.len()).await, (String::from(text), None));
    }
    reading.append("the end");
    ended.send_replace(true);
    assert_eq!(reading.all().await, (String::from("the end"), 30));
}

#[tokio::test]
async fn a_log_that_does_not_exist_yet_is_waited_for() {
    let (ended, until) = watch::channel(false);
    let mut reading = Reading::begin(
        "task/sub/log",
        |_| {},
        |stream| stream.until = Until::Ended(until),
    );
    tokio::task::yield_now().await;
    fs::create_dir_all(reading.path.parent().expect("a folder")).expect("made");
    tokio::task::yield_now().await;
    reading.append("here");
    assert_eq!(reading.read(4).await, (String::from("here"), None));
    ended.send_replace(true);
    assert_eq!(reading.all().await, (String::new(), 4));
}

#[tokio::test]
async fn a_task_that_ends_without_a_log_ends_the_wait() {
    let (ended, until) = watch::channel(false);
    let reading = Reading::begin("log", |_| {}, |stream| stream.until = Until::Ended(until));
    tokio::task::yield_now().await;
    ended.send_replace(true);
    assert_eq!(reading.all().await, (String::new(), 0));
}

#[tokio::test]
async fn a_client_that_hangs_up_ends_it_and_a_slow_one_holds_little() {
    let (_ended, until) = watch::channel(false);
    let large = "x".repeat(8 << 20);
    let mut reading = Reading::begin("log", holding(&large), |stream| {
        stream.until = Until::Ended(until)
    });
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(reading.answers.len(), reply::REPLY_QUEUE);
    assert_eq!(reading.read(8 << 20).await.0.len(), 8 << 20);
    drop(reading.answers);
    reading
        .world
        .jobs
        .join_next()
        .await
        .expect("it ends")
        .expect("well");
}

#[tokio::test]
async fn a_supervisor_that_leaves_claims_no_end() {
    let (ended, until) = watch::channel(false);
    let mut reading = Reading::begin("log", holding("x"), |stream| {
        stream.until = Until::Ended(until)
    });
    assert_eq!(reading.read(1).await.0, "x");
    drop(ended);
    assert_eq!(reading.answers.recv().await, None);
}
