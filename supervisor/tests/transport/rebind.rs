//! A socket whose file vanishes is bound again (R10, F21).

use std::fs;
use std::path::Path;

use protocol::places::CONTROL_SOCKET;
use supervisor::socket::Acceptor;
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::wire::{PATIENCE, World};

/// Accepts for ever and counts.
async fn accept_all(mut acceptor: Acceptor, accepted: mpsc::Sender<UnixStream>) {
    loop {
        let (stream, _) = acceptor.accept().await;
        if accepted.send(stream).await.is_err() {
            return;
        }
    }
}

/// Connects as soon as that is possible: waits for the state, not for a time.
async fn connect(path: &Path, accepted: &mut mpsc::Receiver<UnixStream>) {
    let connected = async {
        loop {
            match UnixStream::connect(path).await {
                Ok(stream) => return stream,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    };
    let _client = timeout(PATIENCE, connected).await.expect("bound again");
    timeout(PATIENCE, accepted.recv())
        .await
        .expect("accepted")
        .expect("served");
}

async fn survives(harm: impl FnOnce(&Path)) {
    let mut world = World::new();
    let acceptor = world.bind(CONTROL_SOCKET);
    let (sender, mut accepted) = mpsc::channel(8);
    world.jobs.spawn(accept_all(acceptor, sender));
    let path = world.runtime_dir().join(CONTROL_SOCKET);
    connect(&path, &mut accepted).await;
    harm(&path);
    connect(&path, &mut accepted).await;
    // And once more, since the place that is watched may be another one now.
    fs::remove_file(&path).expect("there");
    connect(&path, &mut accepted).await;
}

#[tokio::test]
async fn when_it_is_unlinked() {
    survives(|path| fs::remove_file(path).expect("there")).await;
}

#[tokio::test]
async fn when_another_file_takes_its_place() {
    survives(|path| {
        let other = path.with_extension("other");
        fs::write(&other, b"").expect("written");
        fs::rename(&other, path).expect("replaced");
    })
    .await;
}

#[tokio::test]
async fn when_the_directory_is_removed() {
    survives(|path| fs::remove_dir_all(path.parent().expect("a folder")).expect("ours")).await;
}

#[tokio::test]
async fn when_the_directory_is_moved_away() {
    survives(|path| {
        let folder = path.parent().expect("a folder");
        fs::rename(folder, folder.with_extension("old")).expect("moved");
    })
    .await;
}

#[tokio::test]
async fn both_sockets_of_a_directory_come_back() {
    let mut world = World::new();
    let (sender, mut accepted) = mpsc::channel(8);
    let names = [CONTROL_SOCKET, protocol::places::SHIM_SOCKET];
    for name in names {
        let acceptor = world.bind(name);
        world.jobs.spawn(accept_all(acceptor, sender.clone()));
        connect(&world.runtime_dir().join(name), &mut accepted).await;
    }
    fs::remove_dir_all(world.runtime_dir()).expect("ours");
    for name in names {
        connect(&world.runtime_dir().join(name), &mut accepted).await;
    }
}
