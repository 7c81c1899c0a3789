//! Shims that are started, with a stand-in for the real program: this test
//! binary itself.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream as StdUnixStream;

use protocol::frame::FrameDecoder;
use protocol::hello::{HELLO_LEN, Hello, Role};
use protocol::shim::{FromShim, Leftovers, ProgressReport, Record, ScanSpec, Start, ToShim, Token};
use protocol::{Exit, TaskId, Timestamp};
use supervisor::shim::{
    Kinship, Link, LinkDown, LinkEnd, LinkSender, ShimMessage, ShimProgram, watch,
};
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::wire::{Peer, frame};

/// What a link sends to the core.
#[derive(Debug, PartialEq)]
enum Input {
    Message(ShimMessage),
    Down(LinkDown),
}

impl From<ShimMessage> for Input {
    fn from(message: ShimMessage) -> Self {
        Self::Message(message)
    }
}

impl From<LinkDown> for Input {
    fn from(down: LinkDown) -> Self {
        Self::Down(down)
    }
}

/// Its name is the filter by which the stand-in runs this test alone.
const STAND_IN: &str = "runs_as_a_stand_in";

fn task() -> TaskId {
    TaskId::new(STAND_IN).expect("valid")
}

fn start(prompt: usize) -> Box<Start> {
    Box::new(Start {
        task_id: task(),
        token: Token([7; 32]),
        task_dir: String::from("/tasks/x"),
        runtime_dir: String::from("/run/x"),
        argv: vec![String::from("true")],
        env: Vec::new(),
        cwd: String::from("/"),
        stdin: Some(vec![b'p'; prompt]),
        scan: ScanSpec::default(),
        max_log_bytes: 1,
        stop_signal: 15,
        term_exit: Vec::new(),
        leftovers: Leftovers::End,
        grace_ms: 1,
        nofile_soft: 1024,
    })
}

fn record(number: u64) -> FromShim {
    FromShim::Record {
        number,
        record: Record::FirstOutput { at: Timestamp(1) },
    }
}

/// The stand-in: says how much prompt it got, which variables it has, and
/// leaves. In an ordinary run of the tests it does nothing.
#[test]
fn runs_as_a_stand_in() {
    if std::env::args().next().as_deref() != Some("agent-shim") {
        return;
    }
    let stdin = std::io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .expect("a descriptor");
    let mut link = StdUnixStream::from(stdin);
    link.write_all(&Hello::opening(Role::Shim).encode())
        .expect("open");
    let mut hello = [0; HELLO_LEN];
    link.read_exact(&mut hello).expect("a hello");
    assert_eq!(Hello::decode(&hello).expect("ours").role, Role::Supervisor);
    let mut decoder = FrameDecoder::new(16 << 20);
    let payload = loop {
        let mut bytes = [0; 4096];
        let length = link.read(&mut bytes).expect("open");
        decoder.push(&bytes[..length]);
        if let Some(payload) = decoder.next_frame().expect("a frame") {
            break payload.to_vec();
        }
    };
    let Ok(ToShim::Start(start)) = protocol::codec::from_payload(&payload) else {
        std::process::exit(3);
    };
    let prompt = start.stdin.expect("a prompt").len();
    let variables = std::env::vars_os().count();
    let text = Some(format!("{prompt} {variables}"));
    let report = FromShim::Progress(ProgressReport {
        text,
        ..ProgressReport::default()
    });
    link.write_all(&frame(&report)).expect("open");
    std::process::exit(42);
}

#[tokio::test]
async fn a_spawned_shim_gets_its_order_and_is_heard_and_reaped() {
    const PROMPT: usize = 3 << 20;
    let own = std::env::current_exe().expect("known");
    let program = ShimProgram::open(&own).expect("executable");
    let shim = program.spawn(&task()).expect("spawned");
    let stat = fs::read_to_string(format!("/proc/{}/stat", shim.pid)).expect("it waits for us");
    let group = stat
        .rsplit(')')
        .next()
        .and_then(|rest| rest.split_whitespace().nth(2));
    assert_eq!(
        group,
        Some(shim.pid.to_string().as_str()),
        "a process group of its own"
    );

    let (inputs, mut inbox) = mpsc::channel::<Input>(8);
    let (link, sender) =
        Link::first(task(), shim.link, &ToShim::Start(start(PROMPT))).expect("small enough");
    let number = sender.number();
    let mut jobs = JoinSet::new();
    jobs.spawn(link.run(inputs));
    let Some(Input::Message(heard)) = inbox.recv().await else {
        panic!("nothing was said")
    };
    assert_eq!((heard.task_id, heard.link_number), (task(), number));
    let FromShim::Progress(report) = heard.message else {
        panic!("something else was said")
    };
    assert_eq!(
        report.text,
        Some(format!("{PROMPT} 0")),
        "the whole prompt, and no environment"
    );
    let down = LinkDown {
        task_id: task(),
        link_number: number,
        end: LinkEnd::Closed,
    };
    assert_eq!(inbox.recv().await, Some(Input::Down(down)));
    let gone = watch(task(), shim.pidfd.into(), Kinship::Child).await;
    assert_eq!(gone.exit, Some(Exit::Exited { code: 42 }));
}

/// A first link whose other end is in our hands, past the hellos.
async fn linked(jobs: &mut JoinSet<()>) -> (Peer, LinkSender, mpsc::Receiver<Input>) {
    let (ours, theirs) = StdUnixStream::pair().expect("a pair");
    ours.set_nonblocking(true).expect("possible");
    theirs.set_nonblocking(true).expect("possible");
    let (link, sender) = Link::first(task(), ours, &ToShim::Start(start(1))).expect("small");
    let (inputs, inbox) = mpsc::channel(8);
    jobs.spawn(link.run(inputs));
    let mut shim = Peer::new(UnixStream::from_std(theirs).expect("registered"));
    assert_eq!(shim.hello().await.role, Role::Supervisor);
    assert!(matches!(shim.hear().await, Some(ToShim::Start(_))));
    shim.send(&Hello::opening(Role::Shim).encode()).await;
    (shim, sender, inbox)
}

async fn end_of(inbox: &mut mpsc::Receiver<Input>) -> LinkEnd {
    loop {
        match inbox.recv().await.expect("an end") {
            Input::Down(down) => return down.end,
            Input::Message(_) => {}
        }
    }
}

#[tokio::test]
async fn both_directions_work_and_the_latest_acknowledgement_is_enough() {
    let mut jobs = JoinSet::new();
    let (mut shim, sender, mut inbox) = linked(&mut jobs).await;
    shim.say(&record(1)).await;
    assert!(matches!(inbox.recv().await, Some(Input::Message(_))));
    for upto in 1..1000 {
        sender.acknowledge(upto);
    }
    sender.acknowledge(5);
    assert_eq!(shim.hear().await, Some(ToShim::Ack { upto: 999 }));
    sender.acknowledge(1000);
    drop(sender);
    assert_eq!(end_of(&mut inbox).await, LinkEnd::HungUp);
    assert_eq!(
        shim.hear().await,
        Some(ToShim::Ack { upto: 1000 }),
        "said before hanging up"
    );
    assert!(shim.is_hung_up_on().await);
}

#[tokio::test]
async fn the_last_words_of_a_dying_shim_are_heard() {
    let mut jobs = JoinSet::new();
    let (mut shim, sender, mut inbox) = linked(&mut jobs).await;
    for number in 1..=5 {
        shim.say(&record(number)).await;
    }
    drop(shim);
    // Cannot be delivered, and must not hide what was said.
    sender.acknowledge(1);
    for number in 1..=5 {
        let Some(Input::Message(heard)) = inbox.recv().await else {
            panic!("{number} is missing")
        };
        assert_eq!(heard.message, record(number));
    }
    assert_eq!(end_of(&mut inbox).await, LinkEnd::Closed);
}

#[tokio::test]
async fn a_stuck_shim_is_noticed_and_still_heard() {
    let mut jobs = JoinSet::new();
    let (mut shim, sender, mut inbox) = linked(&mut jobs).await;
    let order = || ToShim::Start(start(64 << 10));
    while sender.send(order()) {
        tokio::task::yield_now().await;
    }
    shim.say(&record(1)).await;
    assert!(matches!(inbox.recv().await, Some(Input::Message(_))));
}

#[tokio::test]
async fn what_is_no_shim_is_said() {
    let mut jobs = JoinSet::new();
    let (ours, theirs) = StdUnixStream::pair().expect("a pair");
    ours.set_nonblocking(true).expect("possible");
    let (link, _sender) = Link::first(task(), ours, &ToShim::Start(start(1))).expect("small");
    let (inputs, mut inbox) = mpsc::channel(8);
    jobs.spawn(link.run(inputs));
    (&theirs)
        .write_all(b"something else altogether")
        .expect("open");
    assert!(matches!(end_of(&mut inbox).await, LinkEnd::Broken(_)));
}

#[tokio::test]
async fn what_is_not_understood_is_skipped() {
    let mut jobs = JoinSet::new();
    let (mut shim, _sender, mut inbox) = linked(&mut jobs).await;
    shim.send(&protocol::frame::encode(&[200, 1, 2, 3], 100).expect("small"))
        .await;
    shim.say(&record(2)).await;
    let Some(Input::Message(heard)) = inbox.recv().await else {
        panic!("nothing was heard")
    };
    assert_eq!(heard.message, record(2));
}
