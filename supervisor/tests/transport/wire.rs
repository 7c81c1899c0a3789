//! The other side of a socket, and a private runtime directory.

use std::path::PathBuf;
use std::time::Duration;

use protocol::codec;
use protocol::frame::FrameDecoder;
use protocol::hello::{HELLO_LEN, Hello};
use serde::Serialize;
use serde::de::DeserializeOwned;
use supervisor::fswatch::{self, Watches};
use supervisor::socket::{Acceptor, SocketPlace};
use sys::temp_folder::TempFolder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::task::JoinSet;

/// Longer than any test takes; a test that needs it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

const LIMIT: usize = 16 << 20;

/// A private folder, and the tasks of one test.
pub(crate) struct World {
    pub(crate) folder: TempFolder,
    pub(crate) watches: Watches,
    pub(crate) jobs: JoinSet<()>,
}

impl World {
    pub(crate) fn new() -> Self {
        let folder = TempFolder::create(&[std::env::temp_dir()]).expect("a folder");
        let (watches, driver) = fswatch::open();
        let mut jobs = JoinSet::new();
        jobs.spawn(driver.run());
        Self {
            folder,
            watches,
            jobs,
        }
    }

    pub(crate) fn runtime_dir(&self) -> PathBuf {
        self.folder.path().join("run")
    }

    pub(crate) fn bind(&self, name: &'static str) -> Acceptor {
        let place = SocketPlace::new(self.runtime_dir(), name);
        Acceptor::bind(place, self.watches.clone()).expect("bound")
    }

    pub(crate) async fn connect(&self, name: &str) -> Peer {
        let stream = UnixStream::connect(self.runtime_dir().join(name))
            .await
            .expect("served");
        Peer::new(stream)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // A leftover of a failed test is harmless.
        let _ = std::fs::remove_dir_all(self.folder.path());
    }
}

/// One end of a connection.
pub(crate) struct Peer {
    stream: UnixStream,
    decoder: FrameDecoder,
}

impl Peer {
    pub(crate) fn new(stream: UnixStream) -> Self {
        Self {
            stream,
            decoder: FrameDecoder::new(LIMIT),
        }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("open");
    }

    pub(crate) async fn say(&mut self, message: &impl Serialize) {
        self.send(&frame(message)).await;
    }

    pub(crate) async fn hello(&mut self) -> Hello {
        let mut bytes = [0; HELLO_LEN];
        self.stream.read_exact(&mut bytes).await.expect("a hello");
        Hello::decode(&bytes).expect("ours")
    }

    /// The next message; `None` when the other side has hung up.
    pub(crate) async fn hear<T: DeserializeOwned>(&mut self) -> Option<T> {
        loop {
            if let Some(payload) = self.decoder.next_frame().expect("a frame") {
                return Some(codec::from_payload(payload).expect("a message"));
            }
            let mut bytes = [0; 4096];
            match self.stream.read(&mut bytes).await {
                Ok(0) | Err(_) => return None,
                Ok(length) => self.decoder.push(&bytes[..length]),
            }
        }
    }

    pub(crate) async fn is_hung_up_on(&mut self) -> bool {
        matches!(self.stream.read(&mut [0; 1]).await, Ok(0) | Err(_))
    }
}

pub(crate) fn frame(message: &impl Serialize) -> Vec<u8> {
    codec::to_frame(message, LIMIT).expect("small")
}
