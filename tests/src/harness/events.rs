//! A client of the gateway's event log.

use std::{fmt, io};

use serde_json::Value;

use super::http::{Http, HttpLines};

/// One server-sent event.
#[derive(Clone, Debug, PartialEq)]
pub struct Sent {
    /// Its seq, if it has one.
    pub id: Option<u64>,
    /// Its type.
    pub kind: String,
    /// What it says.
    pub data: Value,
}

/// Reads events until the connection ends.
pub struct Source(HttpLines);

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Source")
    }
}

impl Source {
    /// Connects, and gives what the hello says.
    ///
    /// # Panics
    /// When the answer is not 200, or does not begin with a hello.
    #[must_use]
    #[track_caller]
    pub fn open(http: &Http, path: &str) -> (Self, Value) {
        Self::try_open(http, path).expect("a hello")
    }

    /// The same where the supervisor may die.
    ///
    /// # Errors
    /// The connection broke before the hello was there.
    ///
    /// # Panics
    /// When the first event is another one.
    pub fn try_open(http: &Http, path: &str) -> io::Result<(Self, Value)> {
        let mut source = Self(http.try_lines(path)?);
        let hello = source.next().ok_or(io::ErrorKind::UnexpectedEof)?;
        assert_eq!(hello.kind, "hello");
        Ok((source, hello.data))
    }

    /// Until this kind, which is the last.
    ///
    /// # Panics
    /// When the connection ends before.
    #[track_caller]
    pub fn until(&mut self, kind: &str) -> Vec<Sent> {
        let mut seen = Vec::new();
        for sent in self.by_ref() {
            let found = sent.kind == kind;
            seen.push(sent);
            if found {
                return seen;
            }
        }
        panic!("no {kind} in {seen:#?}");
    }
}

impl Iterator for Source {
    type Item = Sent;

    fn next(&mut self) -> Option<Sent> {
        let (mut id, mut kind, mut data) = (None, None, None);
        loop {
            // A supervisor that was killed breaks the connection.
            let line = self.0.next()?.ok()?;
            match line.split_once(": ") {
                Some(("id", text)) => id = text.parse().ok(),
                Some(("event", text)) => kind = Some(text.to_owned()),
                Some(("data", text)) => data = serde_json::from_str(text).ok(),
                Some(_) => {}
                None if line.is_empty() && kind.is_some() => {
                    return Some(Sent {
                        id,
                        kind: kind?,
                        data: data.unwrap_or_default(),
                    });
                }
                None => {}
            }
        }
    }
}
