//! Texts in raw lines, found as the bytes stream by. Terminal escape sequences
//! are looked through; of a line only a bounded piece is ever held.

use memchr::memmem::Finder;
use memchr::{memchr, memrchr};
use protocol::shim::{LinePattern, PatternMeaning};
use protocol::vocab::Stream;

use super::capture::{Extent, text_of};
use super::finding::{Findings, MAX_ERROR_TEXT};

/// Bytes in front of a match that its error text may begin with.
const MAX_LEAD: usize = 200;

/// The search in one stream.
#[derive(Debug)]
pub(super) struct LineSearch {
    stream: Stream,
    needles: Vec<Needle>,
    longest: usize,
    ansi: Ansi,
    /// The end of what was searched: a match, or its line, may begin in it.
    carry: Vec<u8>,
    /// What follows a match, until its line ends.
    following: Vec<Following>,
}

#[derive(Debug)]
struct Needle {
    finder: Finder<'static>,
    meaning: PatternMeaning,
}

#[derive(Debug)]
struct Following {
    meaning: PatternMeaning,
    bytes: Vec<u8>,
}

/// Where in a terminal escape sequence the stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ansi {
    Text,
    Escape,
    /// `ESC [`, up to a letter.
    Control,
    /// `ESC ]` and the like, up to BEL or `ESC \`.
    Words,
    WordsEscape,
}

const ESC: u8 = 0x1B;
const BEL: u8 = 0x07;

impl LineSearch {
    /// `None` if nothing is looked for in `stream`.
    pub(super) fn new(patterns: &[LinePattern], stream: Stream) -> Option<Self> {
        let wanted = patterns
            .iter()
            .filter(|pattern| pattern.stream == stream && !pattern.contains.is_empty());
        let needles: Vec<Needle> = wanted
            .map(|pattern| Needle {
                finder: Finder::new(pattern.contains.as_bytes()).into_owned(),
                meaning: pattern.meaning,
            })
            .collect();
        let longest = needles
            .iter()
            .map(|needle| needle.finder.needle().len())
            .max()?;
        let (carry, following) = (Vec::new(), Vec::new());
        Some(Self {
            stream,
            needles,
            longest,
            ansi: Ansi::Text,
            carry,
            following,
        })
    }

    /// Searches on.
    pub(super) fn feed(&mut self, bytes: &[u8], findings: &mut Findings) {
        let mut rest = bytes;
        while let [byte, tail @ ..] = rest {
            rest = match (self.ansi, byte) {
                (Ansi::Text, _) => {
                    let at = memchr(ESC, rest).unwrap_or(rest.len());
                    self.text(&rest[..at], findings);
                    if at < rest.len() {
                        self.ansi = Ansi::Escape;
                    }
                    rest.get(at + 1..).unwrap_or_default()
                }
                // No sequence goes over a line's end.
                (_, b'\n') => {
                    self.ansi = Ansi::Text;
                    rest
                }
                (Ansi::Escape, b'[') => self.turn(Ansi::Control, tail),
                (Ansi::Escape, b']' | b'P' | b'^' | b'_') => self.turn(Ansi::Words, tail),
                (Ansi::Escape, 0x20..=0x2F) => tail,
                (Ansi::Control, 0x40..=0x7E) | (Ansi::Words, &BEL) => self.turn(Ansi::Text, tail),
                (Ansi::Words, &ESC) => self.turn(Ansi::WordsEscape, tail),
                (Ansi::Control | Ansi::Words, _) => tail,
                (Ansi::Escape | Ansi::WordsEscape, _) => self.turn(Ansi::Text, tail),
            };
        }
    }

    /// The stream ended, or its last line is taken as it is.
    pub(super) fn end_line(&mut self, findings: &mut Findings) {
        for following in std::mem::take(&mut self.following) {
            following.report(self.stream, findings);
        }
    }

    fn turn<'a>(&mut self, ansi: Ansi, rest: &'a [u8]) -> &'a [u8] {
        self.ansi = ansi;
        rest
    }

    fn text(&mut self, bytes: &[u8], findings: &mut Findings) {
        if bytes.is_empty() {
            return;
        }
        self.follow(bytes, findings);
        self.search_seam(bytes, findings);
        for at in 0..self.needles.len() {
            let mut from = 0;
            while let Some(found) = self.needles[at].finder.find(&bytes[from..]) {
                let start = from + found;
                from = start + self.needles[at].finder.needle().len();
                let before = if start >= MAX_LEAD {
                    bytes[start - MAX_LEAD..start].to_vec()
                } else {
                    [&self.carry, &bytes[..start]].concat()
                };
                self.found(at, &before, &bytes[from..], findings);
            }
        }
        self.remember(bytes);
    }

    /// Matches that begin in what was searched before and end in `bytes`.
    fn search_seam(&mut self, bytes: &[u8], findings: &mut Findings) {
        let old = self.carry.len();
        let from_carry = old.min(self.longest - 1);
        if from_carry == 0 {
            return;
        }
        let mut seam = self.carry[old - from_carry..].to_vec();
        seam.extend_from_slice(&bytes[..bytes.len().min(self.longest - 1)]);
        for at in 0..self.needles.len() {
            let mut from = 0;
            while let Some(found) = self.needles[at].finder.find(&seam[from..]) {
                let start = from + found;
                let end = start + self.needles[at].finder.needle().len();
                from = start + 1;
                if start < from_carry && end > from_carry {
                    let before = self.carry[..old - from_carry + start].to_vec();
                    self.found(at, &before, &bytes[end - from_carry..], findings);
                }
            }
        }
    }

    /// A match with what stands `before` and `after` it.
    fn found(&mut self, at: usize, before: &[u8], after: &[u8], findings: &mut Findings) {
        let Needle { finder, meaning } = &self.needles[at];
        let mut following = Following {
            meaning: *meaning,
            bytes: Vec::new(),
        };
        if let PatternMeaning::Error(_) = meaning {
            let line = memrchr(b'\n', before).map_or(0, |newline| newline + 1);
            let line = line.max(before.len().saturating_sub(MAX_LEAD));
            following.take(&before[line..]);
            following.take(finder.needle());
        }
        if following.take(after) == Line::Ended {
            following.report(self.stream, findings);
        } else {
            self.following.push(following);
        }
    }

    fn follow(&mut self, bytes: &[u8], findings: &mut Findings) {
        let stream = self.stream;
        self.following
            .retain_mut(|following| match following.take(bytes) {
                Line::GoesOn => true,
                Line::Ended => {
                    following.report(stream, findings);
                    false
                }
            });
    }

    fn remember(&mut self, bytes: &[u8]) {
        let keep = self.longest - 1 + MAX_LEAD;
        if bytes.len() >= keep {
            self.carry.clear();
            self.carry.extend_from_slice(&bytes[bytes.len() - keep..]);
        } else {
            let surplus = (self.carry.len() + bytes.len()).saturating_sub(keep);
            self.carry.drain(..surplus);
            self.carry.extend_from_slice(bytes);
        }
    }
}

#[derive(PartialEq, Eq)]
enum Line {
    GoesOn,
    Ended,
}

impl Following {
    /// Takes more of the line; it has ended for us at its limit, too.
    fn take(&mut self, bytes: &[u8]) -> Line {
        let (cap, ends): (_, fn(u8) -> bool) = match self.meaning {
            PatternMeaning::Error(_) => (MAX_ERROR_TEXT, |byte| byte == b'\n'),
            PatternMeaning::SessionIdFollows | PatternMeaning::FirstSessionIdFollows => {
                (protocol::limits::MAX_SESSION_ID + 1, |byte| {
                    byte.is_ascii_whitespace()
                })
            }
        };
        let end = bytes.iter().position(|byte| ends(*byte));
        let piece = &bytes[..end.unwrap_or(bytes.len())];
        let room = cap - self.bytes.len();
        self.bytes
            .extend_from_slice(&piece[..piece.len().min(room)]);
        if end.is_some() || self.bytes.len() >= cap {
            Line::Ended
        } else {
            Line::GoesOn
        }
    }

    fn report(&self, stream: Stream, findings: &mut Findings) {
        let text = text_of(&self.bytes, Extent::Cut);
        match self.meaning {
            PatternMeaning::Error(error) => findings.error(error, text.trim().to_owned()),
            PatternMeaning::SessionIdFollows => findings.session(text, stream),
            PatternMeaning::FirstSessionIdFollows => findings.first_session(text, stream),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Finding;
    use super::*;
    use proptest::prelude::*;
    use protocol::shim::ProviderError;

    fn patterns() -> Vec<LinePattern> {
        let pattern = |contains: &str, meaning| LinePattern {
            stream: Stream::Stderr,
            contains: contains.into(),
            meaning,
        };
        vec![
            pattern(
                "session not found",
                PatternMeaning::Error(ProviderError::SessionNotFound),
            ),
            pattern("created id=", PatternMeaning::SessionIdFollows),
        ]
    }

    fn search(pieces: &[&[u8]]) -> Vec<Finding> {
        let mut findings = Findings::default();
        let mut search = LineSearch::new(&patterns(), Stream::Stderr).expect("patterns");
        for piece in pieces {
            search.feed(piece, &mut findings);
        }
        search.end_line(&mut findings);
        findings.take()
    }

    fn error(detail: &str) -> Finding {
        Finding::Error {
            error: ProviderError::SessionNotFound,
            detail: detail.into(),
        }
    }

    fn session(id: &str) -> Finding {
        Finding::Session {
            id: id.into(),
            stream: Stream::Stderr,
        }
    }

    #[test]
    fn lines_are_searched_through_colours() {
        let coloured =
            b"\x1b[31mError: \x1b[1;31mses\x1b[0msion not\x1b]0;title\x07 found\x1b[0m: x\nnext";
        assert_eq!(search(&[coloured]), [error("Error: session not found: x")]);
        assert_eq!(
            search(&[b"x\ny created id=ses_1 more\n"]),
            [session("ses_1")]
        );
        assert_eq!(search(&[b"created id=ses_2"]), [session("ses_2")]);
        assert_eq!(search(&[b"session not\nfound created id=\n"]), []);
        assert_eq!(
            search(&[b"an unfinished \x1b]0;title\ncreated id=a\n"]),
            [session("a")]
        );
    }

    #[test]
    fn other_streams_are_not_searched() {
        assert!(LineSearch::new(&patterns(), Stream::Stdout).is_none());
        assert!(LineSearch::new(&[], Stream::Stderr).is_none());
    }

    #[test]
    fn a_long_line_is_not_held() {
        let mut findings = Findings::default();
        let mut search = LineSearch::new(&patterns(), Stream::Stderr).expect("patterns");
        search.feed(b"created id=", &mut findings);
        for _ in 0..100 {
            search.feed(&[b'x'; 10_000], &mut findings);
        }
        assert!(search.carry.len() < 300 && search.following.is_empty());
        assert_eq!(findings.take(), [], "no id is that long");
    }

    proptest! {
        #[test]
        fn any_cut_finds_the_same(
            lines in proptest::collection::vec(
                prop_oneof![
                    Just("Error: \x1b[31msession not found\x1b[0m: abc"),
                    Just("log created id=ses_7 ok"),
                    Just("created id=ses_8"),
                    Just("session not foun"),
                    Just("\x1b[1m\x1b]8;;\x1b\\"),
                    Just(""),
                ],
                0..8,
            ),
            cut in 1usize..20,
        ) {
            let text = lines.join("\n");
            let pieces: Vec<&[u8]> = text.as_bytes().chunks(cut).collect();
            let mut whole = search(&[text.as_bytes()]);
            let mut in_pieces = search(&pieces);
            // In one piece the patterns take turns, in many the lines do.
            whole.sort_by_key(|one| format!("{one:?}"));
            in_pieces.sort_by_key(|one| format!("{one:?}"));
            prop_assert_eq!(whole, in_pieces);
        }

        #[test]
        fn any_bytes_are_searched(bytes: Vec<u8>, cut in 1usize..9) {
            let pieces: Vec<&[u8]> = bytes.chunks(cut).collect();
            search(&pieces);
        }
    }
}
