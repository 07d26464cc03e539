//! What subcommands print: aligned for people, JSON for programs.

use std::io::Write as _;

use clap::builder::BoolishValueParser;
use serde::Serialize;

/// What is printed by a subcommand that can also print JSON.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(super) struct Format {
    /// Print JSON, with the field names of the API
    #[arg(long, env = "CREDITD_JSON", value_parser = BoolishValueParser::new())]
    pub(super) json: bool,
}

/// Prints a value as JSON, or as text.
pub(super) fn print<T: Serialize>(
    format: Format,
    value: &T,
    text: impl FnOnce() -> String,
) -> Result<(), String> {
    let printed = if format.json {
        serde_json::to_string_pretty(value).map_err(|error| error.to_string())?
    } else {
        text()
    };
    put(printed.trim_end()).map(|_| ())
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
pub(super) fn print_line<T: Serialize>(
    format: Format,
    value: &T,
    text: impl FnOnce() -> String,
) -> Result<More, String> {
    if format.json {
        put(&serde_json::to_string(value).map_err(|error| error.to_string())?)
    } else {
        put(&text())
    }
}

/// Prints a text.
pub(super) fn say(text: &str) -> Result<(), String> {
    put(text).map(|_| ())
}

fn put(text: &str) -> Result<More, String> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(More::Enough),
        Err(error) => Err(error.to_string()),
        Ok(()) => Ok(More::Wanted),
    }
}

/// A list on its way out: as JSON one object a line, each as soon as it is there; for
/// people a table, whose columns are known at its end.
pub(super) struct Listing {
    format: Format,
    rows: Vec<Vec<String>>,
    right: &'static [usize],
}

impl Listing {
    /// A list whose table has these titles; columns in `right` lean to the right.
    pub(super) fn new(format: Format, titles: &[&str], right: &'static [usize]) -> Self {
        Self {
            format,
            rows: vec![titles.iter().map(|title| (*title).to_owned()).collect()],
            right,
        }
    }

    /// Adds an item.
    pub(super) fn add<T: Serialize>(
        &mut self,
        item: &T,
        row: impl FnOnce() -> Vec<String>,
    ) -> Result<More, String> {
        if self.format.json {
            return print_line(self.format, item, String::new);
        }
        self.rows.push(row());
        Ok(More::Wanted)
    }

    /// Prints the table, or the words for a list without items.
    pub(super) fn end(self, none: &str) -> Result<(), String> {
        match self.rows.as_slice() {
            _ if self.format.json => Ok(()),
            [] | [_] => put(none).map(|_| ()),
            rows => put(table(rows, self.right).trim_end()).map(|_| ()),
        }
    }
}

/// Says what went wrong.
pub(super) fn complain(problem: &str) {
    let mut err = std::io::stderr().lock();
    // Where nobody can be told, there is nobody to tell.
    let _ = writeln!(err, "creditd: {problem}");
}

/// Names and what they stand for, below each other; what is empty is left out.
pub(super) fn facts(facts: &[(&str, &str)]) -> String {
    let told = facts.iter().filter(|(_, text)| !text.is_empty());
    let rows: Vec<Vec<String>> = told
        .map(|(name, text)| vec![(*name).to_owned(), (*text).to_owned()])
        .collect();
    table(&rows, &[])
}

/// Rows in aligned columns; those in `right` lean to the right.
pub(super) fn table(rows: &[Vec<String>], right: &[usize]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or_default()
        })
        .collect();
    let mut text = String::new();
    for row in rows {
        let cells = row
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(column, (cell, width))| {
                if right.contains(&column) {
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

#[cfg(test)]
mod tests {
    #[test]
    fn columns_are_aligned() {
        let rows = [
            vec!["a".to_owned(), "1".to_owned()],
            vec!["bb".to_owned(), "10".to_owned()],
        ];
        assert_eq!(super::table(&rows, &[1]), "a    1\nbb  10\n");
    }
}
