//! Lists on their way out: for programs all items, one object a line; for people a table of
//! the first ones, and a line that says how many more there are.

use prost::{Message, Name};

use super::failure::Failure;
use super::output::{Format, More, Table, print_line, put, say};

/// How many items people see where they name no limit.
const LIMIT_DEFAULT: u64 = 50;
/// How many rows a table is printed by: its memory does not grow with the list.
const ROWS_MAX: usize = 1_000;
/// How many further items are counted for people.
const COUNTED_MAX: u64 = 10_000;
/// The most items that a page has.
const PAGE_SIZE_MAX: u64 = 1_000;

// A flattened struct's documentation would replace that of the subcommand.

// How much of a list is wanted.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(super) struct Size {
    /// Stop after so many [default: 50, and all with --json]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// List all of them
    #[arg(long, conflicts_with = "limit")]
    all: bool,
}

impl Size {
    /// How many are listed; None: all.
    pub(super) const fn limit(self, format: Format) -> Option<u64> {
        match self.limit {
            Some(limit) => Some(limit),
            None if self.all || format.json => None,
            None => Some(LIMIT_DEFAULT),
        }
    }

    /// How many to ask the server for at a time.
    pub(super) fn page_size(self, format: Format) -> i32 {
        let wanted = self.limit(format).unwrap_or(PAGE_SIZE_MAX);
        // One more shows whether there are more.
        let asked = wanted.saturating_add(1).min(PAGE_SIZE_MAX);
        i32::try_from(asked).unwrap_or_default()
    }
}

/// A list.
pub(super) struct Listing {
    format: Format,
    /// How many are still to be listed; None: as many as there are.
    left: Option<u64>,
    rows: Vec<Vec<String>>,
    table: Table,
    listed: u64,
    /// How many there are beyond those that are listed, as far as they were counted.
    more: u64,
}

impl Listing {
    /// A list whose table has these titles; columns in `right` lean to the right.
    pub(super) fn new(
        format: Format,
        size: Size,
        titles: &[&str],
        right: &'static [usize],
    ) -> Self {
        Self {
            format,
            left: size.limit(format),
            rows: vec![titles.iter().map(|title| (*title).to_owned()).collect()],
            table: Table::new(right),
            listed: 0,
            more: 0,
        }
    }

    /// Adds an item, or counts it where enough are listed.
    pub(super) fn add<M: Message + Name>(
        &mut self,
        item: &M,
        row: impl FnOnce() -> Vec<String>,
    ) -> Result<More, Failure> {
        match &mut self.left {
            Some(0) if self.format.json => return Ok(More::Enough),
            Some(0) => {
                self.more = self.more.saturating_add(1);
                return Ok(match self.more > COUNTED_MAX {
                    true => More::Enough,
                    false => More::Wanted,
                });
            }
            Some(left) => *left = left.saturating_sub(1),
            None => {}
        }
        self.listed = self.listed.saturating_add(1);
        if self.format.json {
            let more = print_line(self.format, item, String::new)?;
            return Ok(if self.left == Some(0) {
                More::Enough
            } else {
                more
            });
        }
        self.rows.push(row());
        if self.rows.len() < ROWS_MAX {
            return Ok(More::Wanted);
        }
        let rows = std::mem::take(&mut self.rows);
        let text = self.table.rows(&rows);
        put(text.trim_end())
    }

    /// How many items were listed.
    pub(super) const fn listed(&self) -> u64 {
        self.listed
    }

    /// Prints what is left of the table, or the words for a list without items.
    pub(super) fn end(mut self, none: &str) -> Result<(), Failure> {
        if self.format.json {
            return Ok(());
        }
        if self.listed == 0 {
            return say(none);
        }
        let mut text = self.table.rows(&self.rows);
        if self.more > 0 {
            let (counted, how) = match self.more > COUNTED_MAX {
                true => (COUNTED_MAX, "more than "),
                false => (self.more, ""),
            };
            text.push_str(&format!(
                "and {how}{counted} more: --all lists them, --limit N the first N\n"
            ));
        }
        match text.is_empty() {
            true => Ok(()),
            false => say(text.trim_end()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_see_the_first_and_programs_see_all() {
        let size = |limit, all| Size { limit, all };
        let format = |json| Format { json };
        for (size, json, limit, page_size) in [
            (size(None, false), false, Some(50), 51),
            (size(None, false), true, None, 1_000),
            (size(None, true), false, None, 1_000),
            (size(Some(7), false), true, Some(7), 8),
            (size(Some(u64::MAX), false), false, Some(u64::MAX), 1_000),
        ] {
            assert_eq!(size.limit(format(json)), limit);
            assert_eq!(size.page_size(format(json)), page_size);
        }
    }
}
