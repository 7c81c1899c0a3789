//! What to answer, decided by the words of the conversation alone.

use std::io;
use std::thread;
use std::time::Duration;

/// What one part of a conversation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// A text of the user.
    User,
    /// The result of a tool.
    ToolResult,
    /// Anything that the model said.
    Model,
}

/// One part of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) part: Part,
    pub(crate) text: String,
}

impl Turn {
    pub(crate) fn new(part: Part, text: &str) -> Self {
        Self {
            part,
            text: text.to_string(),
        }
    }
}

/// What to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// These pieces, each after the first one a second later.
    Text { pieces: Vec<String> },
    /// Run this with the CLI's own shell tool.
    Tool { command: String },
    /// This HTTP status.
    Fail { status: u16 },
    /// Nothing.
    Hang,
}

impl Plan {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text {
            pieces: vec![text.into()],
        }
    }
}

/// Sends the pieces, a second between two.
pub(crate) fn pace(
    pieces: &[String],
    mut send: impl FnMut(&str) -> io::Result<()>,
) -> io::Result<()> {
    for (at, piece) in pieces.iter().enumerate() {
        if at > 0 {
            thread::sleep(PACE);
        }
        send(piece)?;
    }
    Ok(())
}

/// Between two pieces of a slow answer.
const PACE: Duration = Duration::from_secs(1);
/// Most pieces of a slow answer: ten minutes.
const MAX_PIECES: usize = 600;
/// Bytes of a prompt or a tool's result that an answer repeats.
const REPEATED: usize = 200;
/// What CLIs put around the words of their own that they send as the user's.
const REMINDER: (&str, &str) = ("<system-reminder>", "</system-reminder>");

/// Reads the plan from the newest part that says something.
pub(crate) fn decide(turns: &[Turn]) -> Plan {
    for turn in turns.iter().rev() {
        match turn.part {
            Part::ToolResult => {
                return Plan::text(format!("tool done; result was: {}", tail(&turn.text)));
            }
            Part::Model => break,
            Part::User => {
                let text = without_reminders(&turn.text);
                if !text.trim().is_empty() {
                    return by_word(&text).unwrap_or_else(|| answer(turns, &text));
                }
            }
        }
    }
    answer(turns, "")
}

fn answer(turns: &[Turn], text: &str) -> Plan {
    let said = turns.iter().filter(|turn| turn.part == Part::Model).count();
    Plan::text(format!("stub answer {}: {}", said + 1, tail(text.trim())))
}

fn by_word(text: &str) -> Option<Plan> {
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        for (at, word) in words.iter().enumerate() {
            let next = words.get(at + 1).copied().unwrap_or_default();
            let rest = words.get(at + 1..).unwrap_or_default().join(" ");
            match *word {
                "SLOW" => return Some(slow(next.parse().unwrap_or(30))),
                "TOOL" => return Some(Plan::Tool { command: rest }),
                "FAIL" => {
                    let status = next.parse().unwrap_or(500);
                    return Some(Plan::Fail { status });
                }
                "HANG" => return Some(Plan::Hang),
                _ => {}
            }
        }
    }
    None
}

fn slow(pieces: usize) -> Plan {
    let pieces = pieces.min(MAX_PIECES);
    Plan::Text {
        pieces: (1..=pieces)
            .map(|piece| format!("piece {piece} of {pieces}. "))
            .collect(),
    }
}

fn without_reminders(text: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some((before, reminder)) = rest.split_once(REMINDER.0) {
        kept.push_str(before);
        rest = reminder
            .split_once(REMINDER.1)
            .map_or("", |(_, after)| after);
    }
    kept.push_str(rest);
    kept
}

fn tail(text: &str) -> &str {
    let from = text.len().saturating_sub(REPEATED);
    let from = (from..=text.len())
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(text.len());
    &text[from..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_text_of_the_user_decides() {
        let talk = [
            Turn::new(Part::User, "HANG"),
            Turn::new(Part::Model, "no"),
            Turn::new(Part::User, "FAIL 529"),
            Turn::new(Part::User, "<system-reminder>SLOW 3</system-reminder>"),
        ];
        assert_eq!(decide(&talk), Plan::Fail { status: 529 });
        assert_eq!(decide(&talk[..1]), Plan::Hang);
        assert_eq!(decide(&talk[..2]), Plan::text("stub answer 2: "));
        let tool = Turn::new(Part::User, "please TOOL echo a b");
        let command = "echo a b".to_string();
        assert_eq!(decide(&[tool]), Plan::Tool { command });
        let result = [
            Turn::new(Part::User, "TOOL x"),
            Turn::new(Part::ToolResult, "out"),
        ];
        assert_eq!(decide(&result), Plan::text("tool done; result was: out"));
    }
}
