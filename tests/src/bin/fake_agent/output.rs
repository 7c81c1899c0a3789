//! What an agent prints.

use std::io::Read;

use crate::tee;

/// Bytes per write of a long line.
const PIECE: usize = 64 << 10;

/// To stdout, at once. A reader that is gone, or a closed stdout, is nothing.
pub(crate) fn print(bytes: &[u8]) {
    tee::write(tee::Stream::Stdout, bytes);
}

/// To stderr.
pub(crate) fn complain(bytes: &[u8]) {
    tee::write(tee::Stream::Stderr, bytes);
}

/// `N[:WIDTH]`: numbered lines.
pub(crate) fn lines(words: &str) {
    let (count, width) = words.split_once(':').unwrap_or((words, "20"));
    let count: u64 = count.parse().expect("lines:N");
    let width: usize = width.parse().expect("lines:N:WIDTH");
    let mut text = Vec::with_capacity(PIECE + width);
    for number in 1..=count {
        let line = format!("line {number} ");
        text.extend_from_slice(line.as_bytes());
        text.resize(text.len() + width.saturating_sub(line.len() + 1), b'.');
        text.push(b'\n');
        if text.len() >= PIECE {
            print(&text);
            text.clear();
        }
    }
    print(&text);
}

/// One line of so many bytes, its newline included.
pub(crate) fn long_line(bytes: &str) {
    let mut left: usize = bytes.parse().expect("long-line:BYTES");
    let piece = [b'x'; PIECE];
    while left > 1 {
        let now = (left - 1).min(PIECE);
        print(&piece[..now]);
        left -= now;
    }
    print(b"\n");
}

/// Invalid UTF-8, NULs, control sequences, and no newline at the end.
pub(crate) fn garbage() {
    print(b"\xff\xfe\x00\x00 \xc3\x28 \x1b[31mred\x1b[0m\r\n\x00{\"type\":\xf0\x28\x8c\xbc}\nno newline");
}

/// Its whole stdin, as it came.
pub(crate) fn echo_stdin() {
    print(read_stdin().as_slice());
}

/// Its whole stdin.
pub(crate) fn read_stdin() -> Vec<u8> {
    let mut bytes = Vec::new();
    std::io::stdin()
        .read_to_end(&mut bytes)
        .expect("stdin can be read to its end");
    bytes
}

/// Every variable, one per line.
pub(crate) fn environment() {
    for (name, value) in std::env::vars_os() {
        let line = format!("{}={}\n", name.to_string_lossy(), value.to_string_lossy());
        print(line.as_bytes());
    }
}

/// Who it is: pid, parent, group, session, umask-free facts for tests.
pub(crate) fn identity() {
    let session = nix::unistd::getsid(None).expect("a process has a session");
    let line = format!(
        "pid {} parent {} group {} session {session}\n",
        std::process::id(),
        nix::unistd::getppid(),
        nix::unistd::getpgrp(),
    );
    print(line.as_bytes());
}

/// Its open file descriptors, one per line.
pub(crate) fn descriptors() {
    let mut found: Vec<String> = std::fs::read_dir("/proc/self/fd")
        .expect("/proc is mounted")
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let target = std::fs::read_link(&path).ok()?;
            // The one that reads this very folder does not count.
            let own = target.to_string_lossy().starts_with("/proc/");
            let number = path.file_name()?.to_string_lossy().into_owned();
            (!own).then(|| format!("fd {number} {}\n", target.display()))
        })
        .collect();
    found.sort();
    print(found.concat().as_bytes());
}

/// `\n`, `\0`, `\\` and `\xNN` of a word, as bytes.
pub(crate) fn unescape(word: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = word.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        match rest.next() {
            Some(b'n') => bytes.push(b'\n'),
            Some(b'0') => bytes.push(0),
            Some(b'x') => {
                let digits: String = rest.by_ref().take(2).map(char::from).collect();
                bytes.push(u8::from_str_radix(&digits, 16).expect("two hexadecimal digits"));
            }
            Some(other) => bytes.push(other),
            None => bytes.push(b'\\'),
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::unescape;

    #[test]
    fn escapes_become_bytes() {
        assert_eq!(unescape(r"a\n\0\xff\\"), b"a\n\0\xff\\");
    }
}
