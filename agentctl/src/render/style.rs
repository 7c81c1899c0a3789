//! Colours: only on a terminal, and never with `NO_COLOR`.

use std::env;
use std::io::{self, IsTerminal};

/// Where people look, or a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colour {
    /// Escape sequences are welcome.
    On,
    /// Plain text.
    Off,
}

/// What a piece of text wants to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ink {
    /// Nothing special.
    Plain,
    /// Less important.
    Dim,
    /// A title.
    Bold,
    /// Good.
    Green,
    /// Bad.
    Red,
    /// Ended by somebody.
    Yellow,
    /// Alive.
    Blue,
    /// Cut off.
    Magenta,
}

impl Colour {
    /// For stdout.
    pub(crate) fn stdout() -> Self {
        Self::of(io::stdout().is_terminal())
    }

    /// For stderr.
    pub(crate) fn stderr() -> Self {
        Self::of(io::stderr().is_terminal())
    }

    fn of(terminal: bool) -> Self {
        let refused = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || env::var_os("TERM").is_some_and(|value| value == "dumb");
        if terminal && !refused {
            Self::On
        } else {
            Self::Off
        }
    }

    /// `text` in `ink`.
    pub(crate) fn paint(self, ink: Ink, text: &str) -> String {
        match (self, ink.code()) {
            (Self::On, Some(code)) if !text.is_empty() => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            (Self::On | Self::Off, _) => text.to_owned(),
        }
    }
}

impl Ink {
    const fn code(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Dim => Some("2"),
            Self::Bold => Some("1"),
            Self::Green => Some("32"),
            Self::Red => Some("31"),
            Self::Yellow => Some("33"),
            Self::Blue => Some("34"),
            Self::Magenta => Some("35"),
        }
    }
}

/// The width of the terminal on stdout, if it is one.
pub(crate) fn stdout_width() -> Option<usize> {
    terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| usize::from(width.0))
}

/// The width of the terminal on stderr, if it is one.
pub(crate) fn stderr_width() -> Option<usize> {
    terminal_size::terminal_size_of(io::stderr()).map(|(width, _)| usize::from(width.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paint_is_off_where_it_should_be() {
        assert_eq!(Colour::Off.paint(Ink::Red, "x"), "x");
        assert_eq!(Colour::On.paint(Ink::Red, "x"), "\u{1b}[31mx\u{1b}[0m");
        assert_eq!(Colour::On.paint(Ink::Plain, "x"), "x");
        assert_eq!(Colour::On.paint(Ink::Red, ""), "");
    }
}
