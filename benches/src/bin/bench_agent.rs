//! The agent of the measurements: it tells when its first instruction ran, and
//! when its last one did, on a socket that its arguments name.
//!
//! ```text
//! bench_agent true                       ends at once
//! bench_agent hold SOCKET                arrives; at a byte it says so and ends
//! bench_agent lines SOCKET COUNT BYTES GATHER
//!     prints so many JSON lines, each write as soon as it has GATHER bytes, then
//!     holds
//! bench_agent flood SOCKET BYTES TOTAL   one line of BYTES, lines up to TOTAL, then holds
//! bench_agent echo SOCKET                sends back each byte
//! bench_agent tree SOCKET COUNT          starts so many that linger, each in a session
//!                                        of its own, then holds
//! bench_agent linger                     leaves its session, says so with a byte, and stays
//! bench_agent create --bundle DIR --pid-file FILE ID
//!     plays a container runtime for a peer: starts one that holds at the socket
//!     that DIR/crew names (without that file one that ends at once), and writes its pid
//! ```
//! It arrives with the clock (ns); that and each later time is a u64, little endian.
//! Nothing is caught: a TERM ends it at once.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Command, ExitCode};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// How much of a flood is written at once.
const FLOOD_GATHER: usize = 8 << 10;

fn main() -> ExitCode {
    let started = now_ns();
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["true"] => return ExitCode::SUCCESS,
        ["hold", socket] => arrive(socket, started).and_then(hold),
        ["lines", socket, count, bytes, gather] => lines(socket, started, [count, bytes, gather]),
        ["flood", socket, bytes, total] => flood(socket, started, bytes, total),
        ["tree", socket, count] => tree(socket, started, count),
        ["linger"] => linger(),
        ["echo", socket] => arrive(socket, started).and_then(echo),
        ["create", "--bundle", bundle, "--pid-file", file, _id] => create(bundle, file),
        _ => Err(io::Error::from(io::ErrorKind::InvalidInput)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench_agent: {error}");
            ExitCode::FAILURE
        }
    }
}

fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from);
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

fn arrive(socket: &str, started: u64) -> io::Result<UnixStream> {
    let mut stream = UnixStream::connect(socket)?;
    stream.write_all(&started.to_le_bytes())?;
    Ok(stream)
}

/// Waits for a byte and ends right after it has told the time; the end of the
/// stream (nobody measures any more) is an end without a word.
fn hold(mut stream: UnixStream) -> io::Result<()> {
    let mut byte = [0];
    if stream.read(&mut byte)? > 0 {
        stream.write_all(&now_ns().to_le_bytes())?;
    }
    Ok(())
}

fn echo(mut stream: UnixStream) -> io::Result<()> {
    let mut byte = [0];
    while stream.read(&mut byte)? > 0 {
        stream.write_all(&byte)?;
    }
    Ok(())
}

/// It arrives when all of them have left its session: no signal at its group
/// reaches them any more.
fn tree(socket: &str, started: u64, count: &str) -> io::Result<()> {
    let count = number(count)?;
    let (mut said, say) = io::pipe()?;
    for _ in 0..count {
        Command::new(std::env::current_exe()?)
            .arg("linger")
            .stdout(say.try_clone()?)
            .spawn()?;
    }
    drop(say);
    said.read_exact(&mut vec![0; count])?;
    arrive(socket, started).and_then(hold)
}

fn linger() -> io::Result<()> {
    nix::unistd::setsid()?;
    io::stdout().write_all(b"l")?;
    io::stdout().flush()?;
    loop {
        std::thread::park();
    }
}

fn create(bundle: &str, pid_file: &str) -> io::Result<()> {
    let mut agent = Command::new(std::env::current_exe()?);
    match fs::read_to_string(format!("{bundle}/crew")) {
        Ok(socket) => agent.args(["hold", &socket]),
        Err(error) if error.kind() == io::ErrorKind::NotFound => agent.arg("true"),
        Err(error) => return Err(error),
    };
    let agent = agent.spawn()?;
    fs::write(pid_file, agent.id().to_string())
}

fn lines(socket: &str, started: u64, [count, bytes, gather]: [&str; 3]) -> io::Result<()> {
    let (count, bytes, gather) = (number(count)?, number(bytes)?, number(gather)?);
    let mut stream = arrive(socket, started)?;
    let begun = now_ns();
    let mut out = Buffered::new(gather);
    for at in 0..count {
        out.line(at, bytes)?;
    }
    out.flush()?;
    let ended = now_ns();
    stream.write_all(&begun.to_le_bytes())?;
    stream.write_all(&ended.to_le_bytes())?;
    hold(stream)
}

fn flood(socket: &str, started: u64, bytes: &str, total: &str) -> io::Result<()> {
    let (bytes, total) = (number(bytes)?, number(total)?);
    let mut stream = arrive(socket, started)?;
    let mut out = Buffered::new(FLOOD_GATHER);
    out.line(0, bytes)?;
    let (mut written, mut at) = (bytes, 1);
    while written < total {
        out.line(at, 100)?;
        written += 100;
        at += 1;
    }
    out.flush()?;
    stream.write_all(&now_ns().to_le_bytes())?;
    hold(stream)
}

fn number(text: &str) -> io::Result<usize> {
    text.parse()
        .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))
}

/// Standard output, written in pieces.
struct Buffered {
    out: io::Stdout,
    buffer: Vec<u8>,
    /// It is written when it has so many bytes.
    gather: usize,
}

impl Buffered {
    fn new(gather: usize) -> Self {
        Self {
            out: io::stdout(),
            buffer: Vec::with_capacity(2 * FLOOD_GATHER),
            gather,
        }
    }

    /// One JSON line of `bytes` bytes, its newline included.
    fn line(&mut self, at: usize, bytes: usize) -> io::Result<()> {
        let begin = self.buffer.len();
        write!(self.buffer, "{{\"type\":\"doing\",\"n\":{at},\"text\":\"")?;
        let mut left = bytes.saturating_sub(self.buffer.len() - begin + 3);
        while left > 0 {
            let piece = left.min(FLOOD_GATHER);
            self.buffer.resize(self.buffer.len() + piece, b'x');
            left -= piece;
            if left > 0 {
                self.write_if_full()?;
            }
        }
        self.buffer.extend_from_slice(b"\"}\n");
        self.write_if_full()
    }

    fn write_if_full(&mut self) -> io::Result<()> {
        if self.buffer.len() >= self.gather {
            self.flush()
        } else {
            Ok(())
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        // Not through the buffer of the standard library, which splits at lines.
        let mut written = 0;
        while written < self.buffer.len() {
            written += nix::unistd::write(&self.out, &self.buffer[written..])?;
        }
        self.buffer.clear();
        Ok(())
    }
}
