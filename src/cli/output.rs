//! What subcommands print: aligned for people, JSON for programs.

use std::borrow::Cow;
use std::io::{ErrorKind, Write as _};

use clap::builder::BoolishValueParser;
use prost::{Message, Name};
use serde::Serialize;

use super::failure::Failure;
use crate::rpc::json;

/// What is printed by a subcommand that can also print JSON.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(super) struct Format {
    /// Print JSON: the API's own; what goes wrong is an object on standard error
    #[arg(long, env = "CREDITD_JSON", value_parser = BoolishValueParser::new())]
    pub(super) json: bool,
}

/// Prints a message of the API as its JSON, or as text.
pub(super) fn print<M: Message + Name>(
    format: Format,
    message: &M,
    text: impl FnOnce() -> String,
) -> Result<(), Failure> {
    say(&printed(format, message, text)?)
}

/// A message of the API as its JSON, or as text.
pub(super) fn printed<M: Message + Name>(
    format: Format,
    message: &M,
    text: impl FnOnce() -> String,
) -> Result<String, String> {
    let printed = match format.json {
        true => format!("{:#}", json::to_value(message)?),
        false => text(),
    };
    Ok(printed.trim_end().to_owned())
}

/// Prints what is no message of the API.
pub(super) fn print_own<T: Serialize>(
    format: Format,
    value: &T,
    text: impl FnOnce() -> String,
) -> Result<(), Failure> {
    let printed = match format.json {
        true => serde_json::to_string_pretty(value).map_err(|error| error.to_string())?,
        false => text(),
    };
    say(printed.trim_end())
}

/// Whether more of a list or stream is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum More {
    /// As far as is known.
    Wanted,
    /// The reader has seen enough, which is no failure.
    Enough,
}

/// Prints a line of a stream: there JSON is one object a line.
pub(super) fn print_line<M: Message + Name>(
    format: Format,
    message: &M,
    text: impl FnOnce() -> String,
) -> Result<More, Failure> {
    match format.json {
        true => put(&json::to_value(message)?.to_string()),
        false => put(&text()),
    }
}

/// Prints a text. A reader that has gone wants no more of it.
pub(super) fn say(text: &str) -> Result<(), Failure> {
    put(text).map(|_| ())
}

pub(super) fn put(text: &str) -> Result<More, Failure> {
    match write(text) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(More::Enough),
        Err(error) => Err(format!("standard output: {error}").into()),
        Ok(()) => Ok(More::Wanted),
    }
}

/// A text as a terminal may have it: texts of callers can hold what moves the cursor, or more.
fn shown(text: &str, line_breaks: bool) -> Cow<'_, str> {
    let is_bad = |c: char| c.is_control() && !(line_breaks && c == '\n');
    if !text.contains(is_bad) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match is_bad(c) {
            true => shown.extend(c.escape_default()),
            false => shown.push(c),
        }
    }
    shown.into()
}

/// Writes a line to standard output. A closed pipe is an error like any other.
pub(super) fn write(text: &str) -> std::io::Result<()> {
    let text = shown(text, true);
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush())
}

/// Prints an error for people.
pub(super) fn complain(problem: &str) {
    let mut err = std::io::stderr().lock();
    // Standard error is closed: there is no other place for the message.
    let _ = writeln!(err, "creditd: {}", shown(problem, true));
}

/// Prints an error for programs.
pub(super) fn complain_in_json(object: &str) {
    let mut err = std::io::stderr().lock();
    let _ = writeln!(err, "{object}");
}

/// Names and what they stand for, below each other; what is empty is left out.
pub(super) fn facts(facts: &[(&str, &str)]) -> String {
    let shown = facts.iter().filter(|(_, text)| !text.is_empty());
    let rows: Vec<Vec<String>> = shown
        .map(|(name, text)| vec![(*name).to_owned(), (*text).to_owned()])
        .collect();
    Table::new(&[]).rows(&rows)
}

/// Rows in aligned columns; those in `right` lean to the right.
pub(super) fn table(rows: &[Vec<String>], right: &'static [usize]) -> String {
    Table::new(right).rows(rows)
}

/// A table that is printed piece by piece: a column is as wide as its widest cell so far.
pub(super) struct Table {
    right: &'static [usize],
    widths: Vec<usize>,
}

impl Table {
    pub(super) const fn new(right: &'static [usize]) -> Self {
        Self {
            right,
            widths: Vec::new(),
        }
    }

    /// Further rows.
    pub(super) fn rows(&mut self, rows: &[Vec<String>]) -> String {
        // A cell is one line.
        let in_one_line = |cell: &String| shown(cell, false).into_owned();
        let rows: Vec<Vec<String>> = rows
            .iter()
            .map(|row| row.iter().map(in_one_line).collect())
            .collect();
        let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
        self.widths.resize(columns.max(self.widths.len()), 0);
        for row in &rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        let mut text = String::new();
        for row in &rows {
            let cells = row.iter().zip(&self.widths).enumerate();
            let cells = cells.map(|(column, (cell, width))| {
                if self.right.contains(&column) {
                    format!("{cell:>width$}")
                } else {
                    format!("{cell:<width$}")
                }
            });
            let line = cells.collect::<Vec<_>>().join("  ");
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::{Table, table};

    #[test]
    fn no_text_reaches_the_terminal_as_anything_else() {
        let rows = [vec!["a\n\u{1b}[31mb".to_owned(), "c".to_owned()]];
        assert_eq!(table(&rows, &[]), "a\\n\\u{1b}[31mb  c\n");
    }

    #[test]
    fn columns_are_aligned() {
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        let rows = [row(["a", "1"]), row(["bb", "10"])];
        assert_eq!(table(&rows, &[1]), "a    1\nbb  10\n");
        // What comes later is never narrower.
        let mut pieces = Table::new(&[1]);
        assert_eq!(pieces.rows(&rows), "a    1\nbb  10\n");
        assert_eq!(pieces.rows(&[row(["c", "7"])]), "c    7\n");
        assert_eq!(pieces.rows(&[row(["ddd", "100"])]), "ddd  100\n");
    }
}
