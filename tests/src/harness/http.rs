//! A client of the gateway that owes nothing to the program under test.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::run::Dispatched;
use super::wait::{GENEROUS, wait_for};
use super::world::World;

/// The token of every test.
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// Where the gateway is.
#[derive(Clone, Debug)]
enum Place {
    Address(String),
    Socket(PathBuf),
}

/// A client.
#[derive(Clone, Debug)]
pub struct Http {
    place: Place,
    headers: Vec<(String, String)>,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct HttpAnswer {
    /// Its status.
    pub status: u16,
    /// Its headers, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: String,
}

/// The lines of an answer that goes on.
pub type HttpLines = io::Lines<BufReader<Box<dyn Read + Send>>>;

impl World {
    /// Writes the token file `token` in the world's folder.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write_token(&self) {
        let mut options = fs::OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600);
        file.open(self.path("token"))
            .and_then(|mut file| writeln!(file, "{TOKEN}"))
            .expect("the token can be written");
    }

    /// A client of the newest supervisor's gateway.
    #[must_use]
    pub fn http(&self) -> Http {
        let address = wait_for("the gateway's address", GENEROUS, || {
            let log = self.log();
            let line = log
                .lines()
                .rev()
                .find(|line| line.contains("the gateway listens"));
            let address = line.and_then(|line| line.split_once("address=").map(|(_, at)| at));
            address
                .and_then(|at| at.split_whitespace().next())
                .map(|at| at.trim_matches('"').to_string())
                .ok_or(log)
        });
        let bare = Http {
            place: Place::Address(address),
            headers: Vec::new(),
        };
        bare.with("authorization", &format!("Bearer {TOKEN}"))
    }

    /// Dispatches the fake agent over HTTP, known to the invariants.
    ///
    /// # Panics
    /// When it is not created.
    #[track_caller]
    pub fn post_task(&self, http: &Http, steps: &[&str]) -> Dispatched {
        let run = self.run();
        let (id, records) = (run.task_id().to_string(), run.records());
        let body = self.task_body(&id, steps);
        self.oracle().agents.push((id.clone(), records.clone()));
        let answer = http.post("/v1/tasks", &body);
        assert_eq!(answer.status, 201, "{answer:?}");
        self.oracle().acknowledged.push(id.clone());
        Dispatched {
            id,
            records,
            task: answer.json(),
        }
    }

    /// The body of a dispatch of the fake agent.
    #[must_use]
    pub fn task_body(&self, id: &str, steps: &[&str]) -> Value {
        let record = format!("record:{}", self.path(&format!("{id}.record")).display());
        let fake = self.bins().fake_agent().display().to_string();
        let mut argv = vec![fake, record];
        argv.extend(steps.iter().map(|step| (*step).to_string()));
        json!({ "id": id, "cwd": self.path("work"), "argv": argv })
    }
}

impl Http {
    /// A client of a gateway on a unix socket.
    #[must_use]
    pub const fn on_socket(path: PathBuf) -> Self {
        Self {
            place: Place::Socket(path),
            headers: Vec::new(),
        }
    }

    /// The same without any header, the token included.
    #[must_use]
    pub fn bare(&self) -> Self {
        Self {
            headers: Vec::new(),
            ..self.clone()
        }
    }

    /// The same with one more header.
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut client = self.clone();
        client.headers.push((name.to_string(), value.to_string()));
        client
    }

    /// The address.
    ///
    /// # Panics
    /// When it is a unix socket.
    #[must_use]
    pub fn address(&self) -> &str {
        match &self.place {
            Place::Address(address) => address,
            Place::Socket(path) => panic!("{} is no address", path.display()),
        }
    }

    /// GET.
    #[must_use]
    #[track_caller]
    pub fn get(&self, path: &str) -> HttpAnswer {
        self.ask("GET", path, "")
    }

    /// POST of JSON.
    #[must_use]
    #[track_caller]
    pub fn post(&self, path: &str, body: &Value) -> HttpAnswer {
        let typed = self.with("content-type", "application/json");
        typed.ask("POST", path, &body.to_string())
    }

    /// Any request.
    ///
    /// # Panics
    /// When there is no answer.
    #[must_use]
    #[track_caller]
    pub fn ask(&self, method: &str, path: &str, body: &str) -> HttpAnswer {
        self.try_ask(method, path, body).expect("an answer")
    }

    /// Any request; an error if the connection breaks.
    ///
    /// # Errors
    /// Of the connection, and an answer that is cut off.
    pub fn try_ask(&self, method: &str, path: &str, body: &str) -> io::Result<HttpAnswer> {
        let (status, headers, mut rest) = self.open(method, path, body)?;
        let mut body = Vec::new();
        rest.read_to_end(&mut body)?;
        let length = headers.iter().find(|(name, _)| name == "content-length");
        let length = length.and_then(|(_, length)| length.parse::<usize>().ok());
        if method != "HEAD" && length.is_some_and(|length| length != body.len()) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(HttpAnswer {
            status,
            headers,
            body: String::from_utf8_lossy(&body).into_owned(),
        })
    }

    /// A GET whose answer goes on, line by line.
    ///
    /// # Panics
    /// When the answer is not 200.
    #[must_use]
    #[track_caller]
    pub fn lines(&self, path: &str) -> HttpLines {
        self.try_lines(path).expect("an answer")
    }

    /// The same where the supervisor may die.
    ///
    /// # Errors
    /// Of the connection, and an answer that is not 200, with what it says.
    pub fn try_lines(&self, path: &str) -> io::Result<HttpLines> {
        let (status, _, mut body) = self.open("GET", path, "")?;
        if status != 200 {
            let mut words = String::new();
            body.read_to_string(&mut words)?;
            return Err(io::Error::other(format!("{path}: {status} {words}")));
        }
        Ok(BufReader::new(body).lines())
    }

    #[expect(clippy::type_complexity, reason = "of one private function")]
    fn open(
        &self,
        method: &str,
        path: &str,
        body: &str,
    ) -> io::Result<(u16, Vec<(String, String)>, Box<dyn Read + Send>)> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
        if !self.headers.iter().any(|(name, _)| name == "host") {
            head.push_str("host: test\r\n");
        }
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        let mut reader = BufReader::new(self.send(&[head.as_bytes(), body.as_bytes()].concat())?);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|word| word.parse().ok());
        let status = status.ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut headers = Vec::new();
        loop {
            line.clear();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(": ") else {
                break;
            };
            headers.push((name.to_lowercase(), value.to_string()));
        }
        let chunked = headers.contains(&("transfer-encoding".into(), "chunked".into()));
        let body: Box<dyn Read + Send> = if chunked {
            Box::new(Chunked { reader, left: 0 })
        } else {
            Box::new(reader)
        };
        Ok((status, headers, body))
    }

    fn send(&self, bytes: &[u8]) -> io::Result<Box<dyn Read + Send>> {
        Ok(match &self.place {
            Place::Address(address) => {
                let mut stream = TcpStream::connect(address)?;
                stream.set_read_timeout(Some(GENEROUS))?;
                // The answer may come before everything was read.
                let _refused_early = stream.write_all(bytes);
                Box::new(stream)
            }
            Place::Socket(path) => {
                let mut stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(GENEROUS))?;
                let _refused_early = stream.write_all(bytes);
                Box::new(stream)
            }
        })
    }
}

impl HttpAnswer {
    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// A header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let header = self.headers.iter().find(|(known, _)| known == name);
        header.map(|(_, value)| value.as_str())
    }

    /// The error object of an answer with this status.
    ///
    /// # Panics
    /// When it has another one.
    #[must_use]
    #[track_caller]
    pub fn error(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        let error = self.json()["error"].clone();
        assert!(error["message"].is_string(), "{self:?}");
        error
    }
}

/// A chunked body.
struct Chunked<R> {
    reader: BufReader<R>,
    left: usize,
}

impl<R: Read> Read for Chunked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            let mut line = String::new();
            self.reader.read_line(&mut line)?;
            let size = usize::from_str_radix(line.trim(), 16);
            self.left = size.map_err(|_| io::ErrorKind::UnexpectedEof)?;
            if self.left == 0 {
                return Ok(0);
            }
        }
        let wanted = buffer.len().min(self.left);
        let read = self.reader.read(&mut buffer[..wanted])?;
        self.left -= read;
        if self.left == 0 {
            self.reader.read_line(&mut String::new())?;
        }
        Ok(read)
    }
}
