//! Rows of charges that wait for each other: sixteen in one statement, with the columns
//! alone that a charge has, take little more than half of what sixteen whole statements
//! do, and charges are most of what a journal holds.
//!
//! They count as written from the moment they are taken. Whatever reads entries has them
//! written first, and so has the commit. A group in which that failed is torn: it cannot
//! be committed.

use std::cell::{Cell, RefCell};
use std::fmt::Write as _;
use std::ops::Range;

use rusqlite::Statement;

use super::journal::{BadRow, Journal};
use super::rows::Place;
use super::text::{labels_to_json, write_shares, write_usage};
use super::times::At;
use crate::domain::Credits;
use crate::domain::ledger::{Entry, EntryKind, Fingerprint};

/// Rows of one statement.
const ROWS: usize = 16;
/// How much room for texts is kept when they are written.
const TEXT_BYTES_KEPT: usize = 1 << 20;
/// Rows that wait at most.
const WAITING_MAX: usize = 4_096;

/// The columns of a charge that differ from charge to charge. What it spends is what it
/// takes from the account; it holds nothing and refunds nothing.
const COLUMNS: &str = "position, account_id, previous, entry_id, spent, available, answered, \
    create_time, request_id, fingerprint, service, card_id, usage, labels, shares, credits, kind, held";
/// How many of them are bound.
const BOUND: usize = 15;
/// Where `spent` stands among them.
const SPENT: usize = 5;

/// Rows that wait.
pub(super) struct Charges {
    rows: RefCell<Rows>,
    torn: Cell<bool>,
    one_row: String,
    many_rows: String,
}

impl Charges {
    pub(super) fn new() -> Self {
        Self {
            rows: RefCell::default(),
            torn: Cell::new(false),
            one_row: insert(1),
            many_rows: insert(ROWS),
        }
    }
}

#[derive(Default)]
struct Rows {
    rows: Vec<Row>,
    /// All their texts, one after another: a row of its own pieces of memory costs more
    /// than what stands in them.
    texts: String,
}

impl Rows {
    fn clear(&mut self) {
        self.rows.clear();
        self.texts.clear();
        self.texts.shrink_to(TEXT_BYTES_KEPT);
    }

    /// Keeps a text.
    fn text(&mut self, write: impl FnOnce(&mut String)) -> Range<usize> {
        let start = self.texts.len();
        write(&mut self.texts);
        start..self.texts.len()
    }
}

/// A row; its texts are where they stand among all.
struct Row {
    position: i64,
    account_id: i64,
    previous: Option<i64>,
    entry_id: i64,
    spent: i64,
    available: i64,
    answered: Option<i64>,
    create_time: At,
    request_id: Option<Range<usize>>,
    fingerprint: Option<Fingerprint>,
    service: Option<Range<usize>>,
    card_id: Option<i64>,
    usage: Option<Range<usize>>,
    labels: Option<Range<usize>>,
    shares: Range<usize>,
}

/// Whether the entry is a charge with nothing about it that most charges do not have.
fn is_plain(entry: &Entry) -> bool {
    matches!(entry.kind, EntryKind::Charge)
        && entry.hold.is_none()
        && entry.held.is_zero()
        && entry.spent.negated() == entry.credits
}

impl Journal {
    /// Takes the row of a charge; false where the entry needs a row of another form.
    pub(super) fn take_charge(
        &self,
        place: Place,
        entry: &Entry,
        fingerprint: Option<&Fingerprint>,
        answered: Option<Credits>,
    ) -> Result<bool, BadRow> {
        if !is_plain(entry) {
            return Ok(false);
        }
        let card_id = self.card_id(entry.pricing.as_ref())?;
        let mut rows = self.charges.rows.borrow_mut();
        let row = Row {
            position: place.position.0,
            account_id: place.account_id,
            previous: place.previous.map(|previous| previous.0),
            entry_id: entry.id.0,
            spent: entry.spent.nanos(),
            available: entry.available.nanos(),
            answered: answered.map(Credits::nanos),
            create_time: At(entry.create_time),
            request_id: (entry.request_id.as_ref())
                .map(|id| rows.text(|text| text.push_str(id.as_str()))),
            fingerprint: fingerprint.copied(),
            service: (entry.service.as_ref())
                .map(|service| rows.text(|text| text.push_str(service))),
            card_id,
            usage: (entry.usage.as_ref()).map(|usage| rows.text(|text| write_usage(usage, text))),
            labels: labels_to_json(&entry.labels)
                .map(|labels| rows.text(|text| text.push_str(&labels))),
            shares: rows.text(|text| write_shares(&entry.shares, text)),
        };
        rows.rows.push(row);
        let waiting = rows.rows.len();
        drop(rows);
        if waiting >= WAITING_MAX {
            self.write_waiting()?;
        }
        Ok(true)
    }

    /// Writes the rows that wait.
    pub(super) fn write_waiting(&self) -> Result<(), BadRow> {
        let mut rows = self.charges.rows.borrow_mut();
        if rows.rows.is_empty() {
            return Ok(());
        }
        let written = self.write_rows(&rows);
        if written.is_err() {
            self.charges.torn.set(true);
        }
        rows.clear();
        written
    }

    fn write_rows(&self, Rows { rows, texts }: &Rows) -> Result<(), BadRow> {
        let (chunks, rest) = rows.as_chunks::<ROWS>();
        if !chunks.is_empty() {
            let mut statement = self.connection.prepare_cached(&self.charges.many_rows)?;
            for chunk in chunks {
                write_with(&mut statement, chunk, texts)?;
            }
        }
        if !rest.is_empty() {
            let mut statement = self.connection.prepare_cached(&self.charges.one_row)?;
            for row in rest {
                write_with(&mut statement, std::slice::from_ref(row), texts)?;
            }
        }
        Ok(())
    }

    /// Whether all rows that were taken since the group began can be committed.
    pub(super) fn whole(&self) -> Result<(), BadRow> {
        self.write_waiting()?;
        match self.charges.torn.get() {
            false => Ok(()),
            true => Err(BadRow("a charge of this group was not written".to_owned())),
        }
    }

    /// What waits is not to be written: it is taken back.
    pub(super) fn drop_waiting(&self) {
        self.charges.rows.borrow_mut().clear();
    }

    /// A group begins anew.
    pub(super) fn forget_group(&self) {
        self.drop_waiting();
        self.charges.torn.set(false);
    }
}

/// The statement for so many rows.
fn insert(rows: usize) -> String {
    let mut sql = format!("INSERT INTO entries ({COLUMNS}) VALUES ");
    for row in 0..rows {
        let first = row.saturating_mul(BOUND);
        sql.push_str(if row == 0 { "(" } else { ", (" });
        for column in 1..=BOUND {
            // A String takes all that is written.
            let _ = write!(sql, "?{}, ", first.saturating_add(column));
        }
        let spent = first.saturating_add(SPENT);
        let _ = write!(sql, "-?{spent}, 'charge', 0)");
    }
    sql
}

fn write_with(statement: &mut Statement<'_>, rows: &[Row], texts: &str) -> Result<(), BadRow> {
    for (row, first) in rows.iter().zip((0_usize..).step_by(BOUND)) {
        bind(statement, first, row, texts)?;
    }
    statement.raw_execute()?;
    Ok(())
}

fn bind(
    statement: &mut Statement<'_>,
    before: usize,
    row: &Row,
    texts: &str,
) -> rusqlite::Result<()> {
    let text = |place: &Option<Range<usize>>| texts.get(place.clone()?);
    let at = |column: usize| before.saturating_add(column);
    statement.raw_bind_parameter(at(1), row.position)?;
    statement.raw_bind_parameter(at(2), row.account_id)?;
    statement.raw_bind_parameter(at(3), row.previous)?;
    statement.raw_bind_parameter(at(4), row.entry_id)?;
    statement.raw_bind_parameter(at(SPENT), row.spent)?;
    statement.raw_bind_parameter(at(6), row.available)?;
    statement.raw_bind_parameter(at(7), row.answered)?;
    statement.raw_bind_parameter(at(8), row.create_time)?;
    statement.raw_bind_parameter(at(9), text(&row.request_id))?;
    let fingerprint = row.fingerprint.as_ref().map(|f| f.as_slice());
    statement.raw_bind_parameter(at(10), fingerprint)?;
    statement.raw_bind_parameter(at(11), text(&row.service))?;
    statement.raw_bind_parameter(at(12), row.card_id)?;
    statement.raw_bind_parameter(at(13), text(&row.usage))?;
    statement.raw_bind_parameter(at(14), text(&row.labels))?;
    statement.raw_bind_parameter(at(BOUND), texts.get(row.shares.clone()))
}
