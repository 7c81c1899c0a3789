//! The control socket and its clients, good and bad.

use protocol::control::{ErrorCode, LogChunk, Request, Response};
use protocol::hello::{Hello, Role};
use protocol::places::CONTROL_SOCKET;
use supervisor::control::{ControlCall, ControlServer};
use supervisor::socket::Admission;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::wire::{Peer, World, frame};

const ANYBODY: fn() -> Admission = Admission::own;

/// A served control socket and the calls that come from it.
struct Service {
    world: World,
    calls: mpsc::Receiver<ControlCall>,
}

impl Service {
    fn new(admission: Admission) -> Self {
        Self::with(|server| server, admission)
    }

    fn with(change: impl FnOnce(ControlServer) -> ControlServer, admission: Admission) -> Self {
        let mut world = World::new();
        let server = change(ControlServer::new(world.bind(CONTROL_SOCKET), admission));
        let (sender, calls) = mpsc::channel(8);
        world
            .jobs
            .spawn(async move { server.serve(sender, &mut JoinSet::new()).await });
        Self { world, calls }
    }

    async fn client(&self) -> Peer {
        self.world.connect(CONTROL_SOCKET).await
    }

    /// A client whose request is with the core.
    async fn asking(&mut self) -> (Peer, ControlCall) {
        let mut client = self.client().await;
        client.send(&opening()).await;
        assert_eq!(client.hello().await.chosen, Some(1));
        let call = self.calls.recv().await.expect("served");
        assert_eq!(call.request, Request::Status);
        (client, call)
    }

    /// Asks and answers, to see that all is well.
    async fn works(&mut self) {
        let (mut client, call) = self.asking().await;
        assert!(call.reply.send(Response::EventsEnd { next_seq: 1 }));
        drop(call);
        assert_eq!(
            client.hear().await,
            Some(Response::EventsEnd { next_seq: 1 })
        );
    }
}

/// Hello and a first request in one write.
fn opening() -> Vec<u8> {
    let mut bytes = Hello::opening(Role::Client).encode().to_vec();
    bytes.extend(frame(&Request::Status));
    bytes
}

fn error_code(response: Option<Response>) -> ErrorCode {
    match response {
        Some(Response::Error(body)) => body.code,
        other => panic!("no error: {other:?}"),
    }
}

#[tokio::test]
async fn requests_are_answered_one_after_the_other() {
    let mut service = Service::new(ANYBODY());
    let (mut client, call) = service.asking().await;
    assert_eq!(call.peer.pid, std::process::id().cast_signed());
    client.say(&Request::Show { id: "x".to_owned() }).await;
    let chunk = |offset| {
        Response::Log(LogChunk {
            offset,
            bytes: vec![7; 10],
        })
    };
    for offset in 0..40 {
        call.reply
            .send_when_ready(chunk(offset))
            .await
            .expect("open");
    }
    assert!(
        service.calls.try_recv().is_err(),
        "the second waits for the end of the first"
    );
    assert!(
        call.reply
            .send_when_ready(Response::LogEnd {
                offset: 40,
                gap_bytes: 0
            })
            .await
            .is_ok()
    );
    drop(call);
    for offset in 0..40 {
        assert_eq!(client.hear().await, Some(chunk(offset)));
    }
    assert_eq!(
        client.hear().await,
        Some(Response::LogEnd {
            offset: 40,
            gap_bytes: 0
        })
    );
    let second = service.calls.recv().await.expect("served");
    assert_eq!(second.request, Request::Show { id: "x".to_owned() });
}

#[tokio::test]
async fn strangers_to_the_protocol_are_hung_up_on_and_disturb_nobody() {
    let mut service = Service::new(ANYBODY());
    let mut stranger = service.client().await;
    stranger.send(b"GET / HTTP/1.1\r\n\r\n").await;
    assert!(stranger.is_hung_up_on().await);
    let mut silent = service.client().await;
    silent.send(b"AGSV").await;
    service.works().await;
}

#[tokio::test]
async fn a_client_of_another_version_is_told_in_words() {
    let service = Service::new(ANYBODY());
    let mut client = service.client().await;
    let newer = Hello {
        role: Role::Client,
        min: 1000,
        max: 1001,
        chosen: None,
    };
    client.send(&newer.encode()).await;
    let answer = client.hello().await;
    assert!(
        answer
            .accepted()
            .expect_err("none in common")
            .to_string()
            .contains("upgrade")
    );
    assert!(client.is_hung_up_on().await);
}

#[tokio::test]
async fn a_first_request_in_a_higher_version_is_dropped_and_asked_again() {
    let mut service = Service::new(ANYBODY());
    let mut client = service.client().await;
    let mut bytes = Hello {
        role: Role::Client,
        min: 1,
        max: 9,
        chosen: None,
    }
    .encode()
    .to_vec();
    bytes.extend(protocol::frame::encode(b"of version nine", 100).expect("small"));
    client.send(&bytes).await;
    assert_eq!(client.hello().await.chosen, Some(1));
    client.say(&Request::Status).await;
    assert_eq!(
        service.calls.recv().await.expect("served").request,
        Request::Status
    );
}

#[tokio::test]
async fn a_frame_that_is_too_large_ends_the_connection_with_a_word() {
    let service = Service::new(ANYBODY());
    let mut client = service.client().await;
    let mut bytes = Hello::opening(Role::Client).encode().to_vec();
    bytes.extend(u32::MAX.to_le_bytes());
    client.send(&bytes).await;
    client.hello().await;
    assert_eq!(error_code(client.hear().await), ErrorCode::Usage);
    assert!(client.is_hung_up_on().await);
}

#[tokio::test]
async fn an_unknown_request_is_said_to_be_one_and_the_next_is_answered() {
    let mut service = Service::new(ANYBODY());
    let mut client = service.client().await;
    client.send(&Hello::opening(Role::Client).encode()).await;
    client.hello().await;
    client
        .send(&protocol::frame::encode(&[250, 1, 2], 100).expect("small"))
        .await;
    assert_eq!(error_code(client.hear().await), ErrorCode::Unsupported);
    client.say(&Request::Status).await;
    assert_eq!(
        service.calls.recv().await.expect("served").request,
        Request::Status
    );
}

#[tokio::test(start_paused = true)]
async fn half_a_frame_has_a_deadline_and_idleness_has_none() {
    let mut service = Service::new(ANYBODY());
    let (mut idle, call) = service.asking().await;
    call.reply.send(Response::EventsEnd { next_seq: 1 });
    drop(call);
    assert!(idle.hear::<Response>().await.is_some());
    let mut half = service.client().await;
    half.send(&opening()[..20]).await;
    half.hello().await;
    assert!(half.is_hung_up_on().await);
    let mut none = service.client().await;
    assert!(none.is_hung_up_on().await, "nor does a hello take for ever");
    tokio::time::advance(std::time::Duration::from_secs(100_000)).await;
    idle.say(&Request::Status).await;
    assert_eq!(
        service.calls.recv().await.expect("served").request,
        Request::Status
    );
}

#[tokio::test]
async fn a_peer_without_permission_is_told_so() {
    let nobody = Admission {
        users: [u32::MAX, u32::MAX],
        group: None,
    };
    let service = Service::new(nobody);
    let mut client = service.client().await;
    client.hello().await;
    assert_eq!(error_code(client.hear().await), ErrorCode::NotPermitted);
    assert!(client.is_hung_up_on().await);
}

#[tokio::test]
async fn too_many_clients_are_told_so() {
    let mut service = Service::with(|server| server.with_max_connections(1), ANYBODY());
    let (_first, _call) = service.asking().await;
    let mut second = service.client().await;
    second.hello().await;
    assert_eq!(error_code(second.hear().await), ErrorCode::Limit);
    assert!(second.is_hung_up_on().await);
}

#[tokio::test]
async fn the_core_sees_that_a_client_has_hung_up() {
    let mut service = Service::new(ANYBODY());
    let (client, call) = service.asking().await;
    assert!(!call.reply.is_closed());
    drop(client);
    call.reply.closed().await;
    assert!(!call.reply.send(Response::EventsEnd { next_seq: 1 }));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_is_dropped_and_disturbs_nobody() {
    let mut service = Service::new(ANYBODY());
    let (_slow, call) = service.asking().await;
    let flood = async {
        let chunk = Response::Log(LogChunk {
            offset: 0,
            bytes: vec![0; 64 << 10],
        });
        while call.reply.send_when_ready(chunk.clone()).await.is_ok() {}
    };
    tokio::join!(flood, service.works());
}

#[tokio::test]
async fn an_answer_that_breaks_off_ends_the_connection() {
    let mut service = Service::new(ANYBODY());
    let (mut client, call) = service.asking().await;
    call.reply.send(Response::Log(LogChunk {
        offset: 0,
        bytes: vec![1],
    }));
    drop(call);
    assert!(client.hear::<Response>().await.is_some());
    assert!(client.is_hung_up_on().await);
}

#[tokio::test]
async fn an_answer_that_is_too_large_becomes_an_error() {
    let mut service = Service::new(ANYBODY());
    let (mut client, call) = service.asking().await;
    call.reply.send(Response::ProviderChecked {
        problems: vec!["x".repeat(17 << 20)],
    });
    drop(call);
    assert_eq!(error_code(client.hear().await), ErrorCode::Limit);
}
