//! Shims that come back over the shim socket, and those who only pretend.

use protocol::hello::{Hello, Role};
use protocol::places::SHIM_SOCKET;
use protocol::shim::{Attach, FromShim, ProcessId, Record, RejectReason, ToShim, Token};
use protocol::{TaskId, Timestamp};
use supervisor::shim::{AttachRequest, LinkDown, LinkEnd, OtherVersion, ShimMessage, ShimServer};
use supervisor::socket::Admission;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::wire::{Peer, World, frame};

#[derive(Debug)]
enum Input {
    Attach(AttachRequest),
    Other(OtherVersion),
    Message(ShimMessage),
    Down(LinkDown),
}

impl From<AttachRequest> for Input {
    fn from(request: AttachRequest) -> Self {
        Self::Attach(request)
    }
}

impl From<OtherVersion> for Input {
    fn from(other: OtherVersion) -> Self {
        Self::Other(other)
    }
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

struct Service {
    world: World,
    inbox: mpsc::Receiver<Input>,
}

impl Service {
    fn new(admission: Admission) -> Self {
        let mut world = World::new();
        let server = ShimServer::new(world.bind(SHIM_SOCKET), admission);
        let (sender, inbox) = mpsc::channel(8);
        world
            .jobs
            .spawn(async move { server.serve(sender, &mut JoinSet::new()).await });
        Self { world, inbox }
    }

    async fn shim(&self) -> Peer {
        self.world.connect(SHIM_SOCKET).await
    }

    /// A shim that has introduced itself, and what is asked about it.
    async fn introduced(&mut self) -> (Peer, AttachRequest) {
        let mut shim = self.shim().await;
        shim.send(&opening(std::process::id().cast_signed())).await;
        assert_eq!(shim.hello().await.chosen, Some(1));
        let Some(Input::Attach(request)) = self.inbox.recv().await else {
            panic!("not an attach");
        };
        (shim, request)
    }
}

fn opening(pid: i32) -> Vec<u8> {
    let mut bytes = Hello::opening(Role::Shim).encode().to_vec();
    bytes.extend(frame(&FromShim::Attach(Attach {
        task_id: TaskId::new("t1").expect("valid"),
        token: Token([1; 32]),
        shim: ProcessId {
            boot_id: String::from("b"),
            pid_ns: 1,
            pid,
            start_time: 5,
        },
        records: 3,
        last_output_at: None,
    })));
    bytes
}

#[tokio::test]
async fn an_accepted_shim_has_a_link() {
    let mut service = Service::new(Admission::own());
    let (mut shim, request) = service.introduced().await;
    assert_eq!(request.peer_pid, std::process::id().cast_signed());
    assert_eq!(request.attach.records, 3);
    // Even what is said before the decision comes behind it.
    request.link.acknowledge(3);
    request.reply.send(Ok(2)).expect("waited for");
    assert_eq!(
        shim.hear().await,
        Some(ToShim::Attached { acknowledged: 2 })
    );
    assert_eq!(shim.hear().await, Some(ToShim::Ack { upto: 3 }));
    let said = FromShim::Record {
        number: 3,
        record: Record::FirstOutput { at: Timestamp(1) },
    };
    shim.say(&said).await;
    let Some(Input::Message(heard)) = service.inbox.recv().await else {
        panic!("not a message");
    };
    assert_eq!(
        (heard.link_number, heard.message),
        (request.link.number(), said)
    );
    drop(shim);
    let Some(Input::Down(down)) = service.inbox.recv().await else {
        panic!("not an end");
    };
    assert_eq!(down.end, LinkEnd::Closed);
}

#[tokio::test]
async fn a_rejected_shim_is_told_why() {
    let mut service = Service::new(Admission::own());
    let (mut shim, request) = service.introduced().await;
    request
        .reply
        .send(Err(RejectReason::Ended))
        .expect("waited for");
    assert_eq!(
        shim.hear().await,
        Some(ToShim::Rejected(RejectReason::Ended))
    );
    assert!(shim.is_hung_up_on().await);
}

#[tokio::test]
async fn a_process_that_is_not_the_shim_is_rejected_without_a_question() {
    let mut service = Service::new(Admission::own());
    let mut shim = service.shim().await;
    shim.send(&opening(1)).await;
    shim.hello().await;
    assert_eq!(
        shim.hear().await,
        Some(ToShim::Rejected(RejectReason::NotYou))
    );
    assert!(service.inbox.try_recv().is_err());
}

/// One that speaks a newer version as well is spoken to in ours.
#[tokio::test]
async fn a_shim_of_another_version_is_told_of_and_hung_up_on() {
    let mut service = Service::new(Admission::own());
    let mut shim = service.shim().await;
    shim.send(&hello_of(2, 4)).await;
    assert_eq!(shim.hello().await.chosen, None);
    let Some(Input::Other(other)) = service.inbox.recv().await else {
        panic!("not told of");
    };
    assert_eq!(other.speaks, (2, 4));
    assert_eq!(other.peer_pid, std::process::id().cast_signed());
    assert!(shim.is_hung_up_on().await);
    let mut shim = service.shim().await;
    shim.send(&hello_of(1, 4)).await;
    assert_eq!(shim.hello().await.chosen, Some(1));
}

fn hello_of(min: u16, max: u16) -> [u8; 16] {
    let hello = Hello {
        min,
        max,
        ..Hello::opening(Role::Shim)
    };
    hello.encode()
}

#[tokio::test]
async fn strangers_cost_nothing_and_disturb_nobody() {
    let mut service = Service::new(Admission::own());
    let mut silent = service.shim().await;
    silent.send(b"AGSV\x02").await;
    let mut half = service.shim().await;
    half.send(&opening(5)[..30]).await;
    let mut other = service.shim().await;
    other.send(b"GET / HTTP/1.1\r\n\r\n").await;
    assert!(other.is_hung_up_on().await);
    let mut large = service.shim().await;
    let mut bytes = Hello::opening(Role::Shim).encode().to_vec();
    bytes.extend((65u32 << 10).to_le_bytes());
    large.send(&bytes).await;
    large.hello().await;
    assert!(large.is_hung_up_on().await);
    let mut client = service.shim().await;
    client.send(&Hello::opening(Role::Client).encode()).await;
    client.hello().await;
    assert!(client.is_hung_up_on().await);
    let (_shim, _request) = service.introduced().await;
}

#[tokio::test(start_paused = true)]
async fn a_stranger_that_says_nothing_is_hung_up_on() {
    let service = Service::new(Admission::own());
    let mut half = service.shim().await;
    half.send(&opening(5)[..30]).await;
    half.hello().await;
    assert!(half.is_hung_up_on().await);
}

#[tokio::test]
async fn another_user_is_hung_up_on() {
    let nobody = Admission {
        users: [u32::MAX, u32::MAX],
        group: None,
    };
    let service = Service::new(nobody);
    assert!(service.shim().await.is_hung_up_on().await);
}
