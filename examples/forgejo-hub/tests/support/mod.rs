//! The hub as a process, the forge in front of it, and who takes its reports.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver as Inbox};
use std::sync::{Arc, Mutex};
use std::thread;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;
use tests::harness::{GENEROUS, Gate, World};

const SECRET: &str = "a secret of the webhook";
const PORT: u16 = 7411;

/// A loopback address of its own for each world: the gateway comes back there
/// after a restart.
fn address() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    let (pid, n) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    format!("127.{}.{}.{n}:{PORT}", 1 + (pid >> 8) % 250, pid % 256)
}

/// A world with a gateway, without a supervisor yet, and the gate at which its
/// agents stand.
pub(crate) fn world() -> (World, Gate) {
    let config = format!(
        "[http]\nlisten = \"{}\"\ntoken_file = \"{{dir}}/token\"\n",
        address()
    );
    let world = World::builder().config(&config).build();
    world.write_token();
    fs::write(world.path("secret"), SECRET).expect("written");
    let gate = world.gate("end");
    (world, gate)
}

/// The hub's process.
pub(crate) struct Hub {
    child: Mutex<Child>,
    address: String,
    state_file: std::path::PathBuf,
}

impl Hub {
    pub(crate) fn start(world: &World, gate: &Gate, receiver: &Receiver) -> Self {
        let fake = world.bins().fake_agent().display().to_string();
        let record = format!("record:{}", world.path("agent.record").display());
        let steps = [fake, record, "mark:up".into(), gate.step(), "exit:0".into()];
        Self::start_with(
            world,
            receiver,
            &format!("argv = {}", serde_json::json!(steps)),
        )
    }

    pub(crate) fn start_with(world: &World, receiver: &Receiver, task: &str) -> Self {
        let mut command = Self::command(world, receiver, task);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped"))
            .read_line(&mut line)
            .expect("it says where it listens");
        let address = line
            .trim()
            .rsplit(' ')
            .next()
            .unwrap_or_default()
            .to_owned();
        assert!(!address.is_empty(), "the hub did not start");
        Self {
            child: Mutex::new(child),
            address,
            state_file: world.path("hub.json"),
        }
    }

    fn command(world: &World, receiver: &Receiver, task: &str) -> Command {
        let config = fs::read_to_string(world.path("config/agent-supervisor/config.toml"));
        let config = config.expect("there");
        let gateway = config.split('"').nth(1).expect("the gateway's address");
        let dir = world.dir().display();
        let text = format!(
            "listen = \"127.0.0.1:0\"\nsecret_file = \"{dir}/secret\"\n\
             gateway = \"http://{gateway}\"\ntoken_file = \"{dir}/token\"\n\
             report_url = \"http://{}/reports?of=hub\"\nstate_file = \"{dir}/hub.json\"\n\
             agent = \"dev\"\nprompt = \"#{{number}}: {{title}}\"\n\
             [task]\ncwd = \"{dir}/work\"\n{task}\n",
            receiver.address
        );
        let file = world.path("hub.toml");
        fs::write(&file, text).expect("written");
        let mut command = world.command(env!("CARGO_BIN_EXE_forgejo-hub"));
        command.arg(file);
        command
    }

    /// What it says when it ends by itself.
    pub(crate) fn ended(world: &World, receiver: &Receiver) -> Result<String, String> {
        let output = Self::command(world, receiver, "")
            .output()
            .expect("it starts");
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() {
            Err(words)
        } else {
            Ok(words)
        }
    }

    /// Its state file; null if there is none.
    pub(crate) fn state(&self) -> Value {
        let text = fs::read_to_string(&self.state_file).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    pub(crate) fn kill(&self) {
        let mut child = self.child.lock().expect("no thread panicked");
        child.kill().expect("ours");
        let _status = child.wait().expect("ours");
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        if let Ok(mut child) = self.child.lock() {
            // It may be dead already.
            let _gone = child.kill();
            let _reaped = child.wait();
        }
    }
}

/// Forgejo, as far as the hub can tell.
pub(crate) struct Forge {
    hub: String,
    secret: String,
}

impl Forge {
    pub(crate) fn of(hub: &Hub) -> Self {
        Self {
            hub: hub.address.clone(),
            secret: SECRET.into(),
        }
    }

    pub(crate) fn with_secret(&self, secret: &str) -> Self {
        Self {
            hub: self.hub.clone(),
            secret: secret.into(),
        }
    }

    /// Delivers a recorded body; gives the status and the words of the answer.
    pub(crate) fn deliver(&self, recorded: &str, delivery: &str) -> (u16, String) {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/deliveries");
        let body = fs::read_to_string(format!("{folder}/{recorded}.json")).expect("recorded");
        self.send_signed(&body, "issues", delivery)
    }

    /// Delivers any body.
    pub(crate) fn send_signed(&self, body: &str, event: &str, delivery: &str) -> (u16, String) {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes()).expect("any length");
        mac.update(body.as_bytes());
        let signature: String = mac
            .finalize()
            .into_bytes()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let headers = [
            ("X-Forgejo-Delivery", delivery),
            ("X-Forgejo-Event", event),
            ("X-Forgejo-Signature", &signature),
        ];
        self.ask("POST", "/webhook", body, &headers)
    }

    pub(crate) fn ask(
        &self,
        method: &str,
        path: &str,
        body: &str,
        headers: &[(&str, &str)],
    ) -> (u16, String) {
        let length = body.len();
        let mut head =
            format!("{method} {path} HTTP/1.1\r\nHost: hub\r\nContent-Length: {length}\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let mut stream = TcpStream::connect(&self.hub).expect("it listens");
        stream.set_read_timeout(Some(GENEROUS)).expect("a socket");
        // The answer may come before everything was read.
        let _refused_early = write!(stream, "{head}\r\n{body}");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let status = answer.split(' ').nth(1).and_then(|word| word.parse().ok());
        let words = answer.split_once("\r\n\r\n").map_or("", |(_, words)| words);
        (status.expect("a status"), words.to_owned())
    }
}

/// Who takes the reports.
pub(crate) struct Receiver {
    address: String,
    reports: Inbox<Value>,
    refused: Arc<AtomicUsize>,
}

impl Receiver {
    /// Refuses the first so many.
    pub(crate) fn start(refuse: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound").to_string();
        let (tell, reports) = mpsc::channel();
        let refused = Arc::new(AtomicUsize::new(0));
        let counted = refused.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let Some(report) = read(&stream) else {
                    continue;
                };
                let again = counted.load(Ordering::SeqCst) < refuse;
                let status = if again {
                    "503 Not Now"
                } else {
                    "204 No Content"
                };
                let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\n");
                let length = if again { "Content-Length: 0\r\n" } else { "" };
                // Counted before it is known to the hub.
                if again {
                    counted.fetch_add(1, Ordering::SeqCst);
                }
                let mut stream = stream;
                let _gone = write!(stream, "{head}{length}\r\n");
                if !again && tell.send(report).is_err() {
                    return;
                }
            }
        });
        Self {
            address,
            reports,
            refused,
        }
    }

    /// The next report.
    pub(crate) fn next(&self) -> Value {
        self.reports.recv_timeout(GENEROUS).expect("a report")
    }

    pub(crate) fn refused(&self) -> usize {
        self.refused.load(Ordering::SeqCst)
    }
}

fn read(stream: &TcpStream) -> Option<Value> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    serde_json::from_slice(&body).ok()
}
