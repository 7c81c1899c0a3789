use super::*;

fn link() -> (Poller, Link, UnixStream) {
    let process = ProcessId {
        boot_id: String::new(),
        pid_ns: 0,
        pid: 1,
        start_time: 0,
    };
    let identity = Identity {
        task_id: TaskId::new("t").expect("an id"),
        token: Token([0; 32]),
        shim: process,
        task_dir: PathBuf::new(),
        runtime_dir: PathBuf::new(),
    };
    let poller = Poller::new().expect("an epoll");
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    let link = Link::first(identity, ours, wire::decoder(), &poller).expect("a link");
    (poller, link, theirs)
}

#[test]
fn a_lost_link_is_tried_again_after_a_pause() {
    let (_poller, mut link, theirs) = link();
    drop(theirs);
    assert_eq!(link.receive(1_000), []);
    assert_eq!(link.retry_at(), Some(1_000 + BACKOFF_MS.0));
    link.hurry(1_010);
    assert_eq!(link.retry_at(), Some(1_010));
}

#[test]
fn a_wake_up_that_comes_before_the_end_is_noticed_counts() {
    let (_poller, mut link, theirs) = link();
    link.hurry(1_000);
    drop(theirs);
    assert_eq!(link.receive(1_000), []);
    assert_eq!(link.retry_at(), Some(1_000));
    link.lose(1_000);
    assert_eq!(link.retry_at(), Some(1_000 + BACKOFF_MS.0), "once");
}

#[test]
fn an_old_wake_up_says_nothing_about_a_later_end() {
    let (_poller, mut link, theirs) = link();
    link.hurry(1_000);
    drop(theirs);
    let now = 1_001 + WAKE_UP_MS;
    assert_eq!(link.receive(now), []);
    assert_eq!(link.retry_at(), Some(now + BACKOFF_MS.0));
}
