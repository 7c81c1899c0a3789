//! Text for the eyes of people: what others wrote must not move their cursor.
//!
//! A leaf: it imports nothing of this crate, so that edge modules may share it.

/// `text` without control characters, at most `max` bytes of it. What is cut
/// off ends in `…`.
#[must_use]
pub fn printable(text: &str, max: usize) -> String {
    const CUT: char = '…';
    let mut clean: String = text.chars().filter(|c| !hidden(*c)).collect();
    if clean.len() > max {
        let mut end = max.saturating_sub(CUT.len_utf8());
        while !clean.is_char_boundary(end) {
            end -= 1;
        }
        clean.truncate(end);
        clean.push(CUT);
    }
    clean
}

/// A process's own name, which it may choose.
#[must_use]
pub fn command_name(comm: &str) -> String {
    /// In bytes: four times what the kernel keeps.
    const MAX: usize = 64;
    printable(comm, MAX)
}

/// Control characters, and those that change the direction of the text around
/// them.
#[must_use]
pub fn hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// An error with its causes, each said once.
#[must_use]
pub fn in_words(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let text = inner.to_string();
        if !words.contains(&text) {
            words.push_str(": ");
            words.push_str(&text);
        }
        cause = inner.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_moves_the_cursor_and_nothing_is_too_long() {
        assert_eq!(
            printable("a\u{1b}[31mb\n\u{7f}\u{9b}c\u{202e}d", 100),
            "a[31mbcd"
        );
        assert_eq!(printable("ünïcode", 100), "ünïcode");
        assert_eq!(printable("abcdefgh", 6), "abc…");
        assert_eq!(printable("ääääää", 6), "ä…");
        assert_eq!(printable("ok", 2), "ok");
    }
}
