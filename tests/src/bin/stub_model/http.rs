//! As much of HTTP/1.1 as agent CLIs need.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use serde_json::Value;

/// The largest body that is read: conversations with tool schemas have some
/// hundred kilobytes.
const MAX_BODY: usize = 64 << 20;

/// One request.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) body: Vec<u8>,
}

/// One connection of a client.
pub(crate) struct Connection {
    reader: BufReader<TcpStream>,
    over: bool,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self {
            reader: BufReader::new(stream),
            over: false,
        }
    }

    /// The last answer was one that ends with the connection.
    pub(crate) const fn is_over(&self) -> bool {
        self.over
    }

    /// The next request; `None` when the client is done.
    pub(crate) fn read(&mut self) -> io::Result<Option<Request>> {
        let Some(first) = self.line()? else {
            return Ok(None);
        };
        let mut words = first.split(' ');
        let method = words.next().unwrap_or_default().to_string();
        let path = words.next().unwrap_or_default().to_string();
        let (mut length, mut chunked) = (0, false);
        while let Some(header) = self.line()?.filter(|line| !line.is_empty()) {
            let (name, value) = header.split_once(':').unwrap_or((&header, ""));
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse().unwrap_or(0),
                "transfer-encoding" => chunked = value.contains("chunked"),
                "expect" => self.raw(b"HTTP/1.1 100 Continue\r\n\r\n")?,
                _ => {}
            }
        }
        let body = if chunked {
            self.chunks()?
        } else {
            self.exactly(length)?
        };
        Ok(Some(Request { method, path, body }))
    }

    /// A whole JSON answer.
    pub(crate) fn json(&mut self, status: u16, value: &Value) -> io::Result<()> {
        let body = value.to_string();
        let head = format!(
            "HTTP/1.1 {status} Stub\r\ncontent-type: application/json\r\ncontent-length: {}\r\nrequest-id: req_stub\r\n\r\n",
            body.len()
        );
        self.raw(format!("{head}{body}").as_bytes())
    }

    /// An answer without a body.
    pub(crate) fn head(&mut self, status: u16) -> io::Result<()> {
        self.raw(format!("HTTP/1.1 {status} Stub\r\ncontent-length: 0\r\n\r\n").as_bytes())
    }

    /// The head of a stream of events; the stream ends with the connection.
    pub(crate) fn start_events(&mut self) -> io::Result<()> {
        self.over = true;
        self.raw(
            b"HTTP/1.1 200 Stub\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\nrequest-id: req_stub\r\nconnection: close\r\n\r\n",
        )
    }

    /// One event of a stream.
    pub(crate) fn event(&mut self, kind: &str, data: &Value) -> io::Result<()> {
        self.raw(format!("event: {kind}\ndata: {data}\n\n").as_bytes())
    }

    /// One event of a stream, without a name.
    pub(crate) fn data(&mut self, data: &Value) -> io::Result<()> {
        self.raw(format!("data: {data}\n\n").as_bytes())
    }

    /// The end of a stream, where it has a word for it.
    pub(crate) fn done(&mut self) -> io::Result<()> {
        self.raw(b"data: [DONE]\n\n")
    }

    /// Says nothing until the client closes.
    pub(crate) fn wait_for_close(&mut self) -> io::Result<()> {
        self.over = true;
        let mut nothing = [0; 1];
        while self.reader.read(&mut nothing)? > 0 {}
        Ok(())
    }

    fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        let stream = self.reader.get_mut();
        stream.write_all(bytes)?;
        stream.flush()
    }

    fn line(&mut self) -> io::Result<Option<String>> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        Ok(Some(line.trim_end().to_string()))
    }

    fn exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        if length > MAX_BODY {
            return Err(io::Error::other("the body is too large"));
        }
        let mut body = vec![0; length];
        self.reader.read_exact(&mut body)?;
        Ok(body)
    }

    fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let size = self.line()?.unwrap_or_default();
            let size = size.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16).map_err(io::Error::other)?;
            let chunk = self.exactly(size)?;
            self.line()?;
            if chunk.is_empty() {
                return Ok(body);
            }
            body.extend(chunk);
        }
    }
}
