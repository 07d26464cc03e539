//! Rows of charges, which are most of a journal. They have few of the columns that an entry
//! can have, and they are written together, with one statement that is looked up once: at the
//! commit, or before anything reads entries.
//!
//! From the moment it is added a row counts as written. Where writing it fails later, its group
//! cannot be committed.

use std::cell::{Cell, RefCell};
use std::ops::Range;

use rusqlite::Statement;

use super::chain::{Chain, ChainRow};
use super::journal::{Journal, StorageError};
use super::rows::Place;
use super::text::{labels_to_json, values_to_json, write_shares, write_usage};
use super::times::At;
use crate::domain::Credits;
use crate::domain::keys::KeyId;
use crate::domain::ledger::{Entry, EntryKind, Fingerprint};

/// What a charge spends is what it takes from the account; it holds and refunds nothing.
const INSERT: &str = "INSERT INTO entries (position, account_id, previous, entry_id, spent, \
    available, answered, create_time, request_id, fingerprint, service, card_id, usage, labels, \
    shares, credits, kind, held, price_values, price_time, key_id, \
    chain, salts) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, -?5, 'charge', 0, \
    ?16, ?17, ?18, ?19, ?20)";

/// Most rows that are kept in memory.
const PENDING_MAX: usize = 4_096;
/// How much memory is kept for texts when they are written.
const TEXT_BYTES_KEPT: usize = 1 << 20;

/// Rows that are not written yet.
#[derive(Default)]
pub(super) struct PendingCharges {
    rows: RefCell<Rows>,
    /// Whether rows of the open group were lost.
    failed: Cell<bool>,
}

#[derive(Default)]
struct Rows {
    rows: Vec<Row>,
    /// The texts of all rows, one after another: a piece of memory for each costs more than
    /// what stands in it.
    texts: String,
}

/// A row, with the ranges of its texts.
struct Row {
    place: Place,
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
    price_values: Option<Range<usize>>,
    price_time: Option<At>,
    key_id: Option<KeyId>,
    chain: Chain,
    salts: Option<Box<[u8]>>,
}

impl Rows {
    fn clear(&mut self) {
        self.rows.clear();
        self.texts.clear();
        self.texts.shrink_to(TEXT_BYTES_KEPT);
    }

    fn text(&mut self, write: impl FnOnce(&mut String)) -> Range<usize> {
        let start = self.texts.len();
        write(&mut self.texts);
        start..self.texts.len()
    }
}

/// Whether the entry is a charge with nothing about it that most charges do not have.
fn is_plain(entry: &Entry) -> bool {
    matches!(entry.kind, EntryKind::Charge)
        && entry.hold.is_none()
        && entry.held.is_zero()
        && entry.spent.negated() == entry.credits
}

impl Journal {
    /// Adds the row of a charge. False where the entry needs a row of another form.
    pub(super) fn add_charge(
        &self,
        &ChainRow {
            position: _,
            entry,
            fingerprint,
            answered,
            seals,
        }: &ChainRow<'_>,
        place: Place,
        chain: &Chain,
    ) -> Result<bool, StorageError> {
        if !is_plain(entry) {
            return Ok(false);
        }
        let pricing = entry.pricing.as_deref();
        let card_id = self.card_id(pricing)?;
        let mut rows = self.charges.rows.borrow_mut();
        let row = Row {
            place,
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
            price_values: (pricing.and_then(|pricing| values_to_json(&pricing.values)))
                .map(|values| rows.text(|text| text.push_str(&values))),
            price_time: pricing.and_then(|pricing| pricing.time).map(At),
            key_id: entry.key_id.clone(),
            chain: *chain,
            salts: seals.salts().map(Into::into),
        };
        rows.rows.push(row);
        let pending = rows.rows.len();
        drop(rows);
        if pending >= PENDING_MAX {
            self.write_pending()?;
        }
        Ok(true)
    }

    /// Writes the rows that are pending.
    pub(super) fn write_pending(&self) -> Result<(), StorageError> {
        let mut rows = self.charges.rows.borrow_mut();
        if rows.rows.is_empty() {
            return Ok(());
        }
        let written = self.write_rows(&rows);
        self.charges
            .failed
            .set(self.charges.failed.get() || written.is_err());
        rows.clear();
        written
    }

    fn write_rows(&self, Rows { rows, texts }: &Rows) -> Result<(), StorageError> {
        let mut statement = self.connection.prepare_cached(INSERT)?;
        for row in rows {
            bind(&mut statement, row, texts)?;
            statement.raw_execute()?;
        }
        Ok(())
    }

    /// Writes what is pending before a commit.
    ///
    /// # Errors
    /// Where any row of the group was not written: the group cannot be committed.
    pub(super) fn finish_group(&self) -> Result<(), StorageError> {
        self.write_pending()?;
        match self.charges.failed.get() {
            false => Ok(()),
            true => Err(StorageError(
                "a charge of this group was not written".to_owned(),
            )),
        }
    }

    /// A group is rolled back, with what is pending of it.
    pub(super) fn discard_group(&self) {
        self.charges.rows.borrow_mut().clear();
        self.charges.failed.set(false);
    }
}

fn bind(statement: &mut Statement<'_>, row: &Row, texts: &str) -> rusqlite::Result<()> {
    let text = |range: &Option<Range<usize>>| texts.get(range.clone()?);
    let previous = row.place.previous.map(|previous| previous.0);
    statement.raw_bind_parameter(1, row.place.position.0)?;
    statement.raw_bind_parameter(2, row.place.account_id)?;
    statement.raw_bind_parameter(3, previous)?;
    statement.raw_bind_parameter(4, row.entry_id)?;
    statement.raw_bind_parameter(5, row.spent)?;
    statement.raw_bind_parameter(6, row.available)?;
    statement.raw_bind_parameter(7, row.answered)?;
    statement.raw_bind_parameter(8, row.create_time)?;
    statement.raw_bind_parameter(9, text(&row.request_id))?;
    statement.raw_bind_parameter(10, row.fingerprint.as_ref().map(|f| f.as_slice()))?;
    statement.raw_bind_parameter(11, text(&row.service))?;
    statement.raw_bind_parameter(12, row.card_id)?;
    statement.raw_bind_parameter(13, text(&row.usage))?;
    statement.raw_bind_parameter(14, text(&row.labels))?;
    statement.raw_bind_parameter(15, texts.get(row.shares.clone()))?;
    statement.raw_bind_parameter(16, text(&row.price_values))?;
    statement.raw_bind_parameter(17, row.price_time)?;
    statement.raw_bind_parameter(18, row.key_id.as_ref().map(KeyId::as_str))?;
    statement.raw_bind_parameter(19, row.chain)?;
    statement.raw_bind_parameter(20, row.salts.as_deref())
}
