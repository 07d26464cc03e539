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
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{}", printed.trim_end()).and_then(|()| out.flush()) {
        // A reader that has seen enough is no failure.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(error.to_string()),
        Ok(()) => Ok(()),
    }
}

/// Says what went wrong.
pub(super) fn complain(problem: &str) {
    let mut err = std::io::stderr().lock();
    // Where nobody can be told, there is nobody to tell.
    let _ = writeln!(err, "creditd: {problem}");
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
