//! Tables that fit the terminal.

use crate::render::style::{Colour, Ink};
use crate::render::text::{clean, fit, width};

/// Between two columns.
const GAP: usize = 2;

/// How a column gives way when the terminal is narrow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Give {
    /// It keeps its width.
    Never,
    /// It shrinks to this many cells.
    To(usize),
}

/// One column.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    title: &'static str,
    give: Give,
}

/// One cell; its text is made safe here.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    text: String,
    ink: Ink,
}

/// Columns and rows.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

impl Cell {
    /// Text in an ink.
    pub(crate) fn new(ink: Ink, text: &str) -> Self {
        Self {
            text: clean(text),
            ink,
        }
    }

    /// Plain text.
    pub(crate) fn plain(text: &str) -> Self {
        Self::new(Ink::Plain, text)
    }
}

impl Table {
    /// A table with these columns.
    pub(crate) fn new(columns: &[(&'static str, Give)]) -> Self {
        let columns = columns
            .iter()
            .map(|(title, give)| Column { title, give: *give })
            .collect();
        Self {
            columns,
            rows: Vec::new(),
        }
    }

    /// One more row, with a cell per column.
    pub(crate) fn push(&mut self, row: Vec<Cell>) {
        self.rows.push(row);
    }

    /// As text; cut to `limit` cells where there is a limit. A column that is
    /// empty in every row is left out.
    pub(crate) fn render(&self, limit: Option<usize>, colour: Colour) -> String {
        let widths = self.widths(limit);
        let header: Vec<Cell> = self
            .columns
            .iter()
            .map(|column| Cell::new(Ink::Dim, column.title))
            .collect();
        let mut out = String::new();
        for row in std::iter::once(&header).chain(&self.rows) {
            out.push_str(&line(row, &widths, limit, colour));
        }
        out
    }

    fn widths(&self, limit: Option<usize>) -> Vec<usize> {
        let natural = |at: usize| {
            self.rows
                .iter()
                .filter_map(|row| row.get(at))
                .map(|cell| width(&cell.text))
                .max()
        };
        let mut widths: Vec<usize> = self
            .columns
            .iter()
            .enumerate()
            .map(|(at, column)| match natural(at) {
                None | Some(0) => 0,
                Some(widest) => widest.max(width(column.title)),
            })
            .collect();
        let Some(limit) = limit else { return widths };
        loop {
            let used: usize = widths
                .iter()
                .filter(|cells| **cells > 0)
                .map(|cells| cells + GAP)
                .sum();
            let excess = used.saturating_sub(GAP).saturating_sub(limit);
            // The widest of those that can still give, first.
            let giver = self
                .columns
                .iter()
                .enumerate()
                .filter(|(at, column)| match column.give {
                    Give::Never => false,
                    Give::To(least) => widths[*at] > least,
                })
                .max_by_key(|(at, _)| widths[*at])
                .map(|(at, _)| at);
            match giver {
                Some(at) if excess > 0 => widths[at] -= 1,
                Some(_) | None => return widths,
            }
        }
    }
}

fn line(row: &[Cell], widths: &[usize], limit: Option<usize>, colour: Colour) -> String {
    let shown: Vec<(&Cell, usize)> = row
        .iter()
        .zip(widths)
        .filter(|(_, cells)| **cells > 0)
        .map(|(cell, cells)| (cell, *cells))
        .collect();
    let mut out = String::new();
    let mut left = limit.unwrap_or(usize::MAX);
    for (at, (cell, cells)) in shown.iter().enumerate() {
        let text = fit(&cell.text, (*cells).min(left));
        let taken = width(&text);
        out.push_str(&colour.paint(cell.ink, &text));
        left = left.saturating_sub(taken);
        let rest_is_empty = shown[at + 1..].iter().all(|(cell, _)| cell.text.is_empty());
        if rest_is_empty {
            break;
        }
        let blanks = (cells - taken + GAP).min(left);
        out.extend(std::iter::repeat_n(' ', blanks));
        left -= blanks;
    }
    out.truncate(out.trim_end_matches(' ').len());
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Table {
        let mut table = Table::new(&[
            ("ID", Give::Never),
            ("EMPTY", Give::Never),
            ("NAME", Give::To(6)),
            ("WHY", Give::To(4)),
        ]);
        let row = |id, name, why| {
            vec![
                Cell::plain(id),
                Cell::plain(""),
                Cell::plain(name),
                Cell::plain(why),
            ]
        };
        table.push(row("a1", "a long name here", "User terminated"));
        table.push(row("b2", "日本\u{1b}[31m語\n", ""));
        table
    }

    #[test]
    fn columns_line_up_and_empty_ones_vanish() {
        let expected = "\
ID  NAME              WHY
a1  a long name here  User terminated
b2  日本語
";
        assert_eq!(sample().render(None, Colour::Off), expected);
    }

    #[test]
    fn narrow_terminals_cut_the_widest_first() {
        let expected = "\
ID  NAME        WHY
a1  a long na…  User term…
b2  日本語
";
        assert_eq!(sample().render(Some(26), Colour::Off), expected);
    }

    #[test]
    fn no_line_is_ever_longer_than_the_terminal() {
        for limit in 1..60 {
            for line in sample().render(Some(limit), Colour::Off).lines() {
                assert!(width(line) <= limit, "{limit}: {line:?}");
            }
        }
    }

    #[test]
    fn colours_do_not_count_as_width() {
        let mut table = Table::new(&[("A", Give::Never), ("B", Give::Never)]);
        table.push(vec![Cell::new(Ink::Green, "x"), Cell::plain("y")]);
        let expected = "\u{1b}[2mA\u{1b}[0m  \u{1b}[2mB\u{1b}[0m\n\u{1b}[32mx\u{1b}[0m  y\n";
        assert_eq!(table.render(Some(80), Colour::On), expected);
    }
}
