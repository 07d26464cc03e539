//! Rows of charges, which are most of a journal. They have few of the columns that an entry
//! can have: a statement with those alone takes four fifths of what the general one does.

use std::cell::RefCell;
use std::ops::Range;

use super::journal::{BadRow, Journal};
use super::rows::Place;
use super::text::{labels_to_json, write_shares, write_usage};
use super::times::At;
use crate::domain::Credits;
use crate::domain::ledger::{Entry, EntryKind, Fingerprint};

/// What a charge spends is what it takes from the account; it holds and refunds nothing.
const INSERT: &str = "INSERT INTO entries (position, account_id, previous, entry_id, spent, \
    available, answered, create_time, request_id, fingerprint, service, card_id, usage, labels, \
    shares, credits, kind, held) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, -?5, 'charge', 0)";

/// How much memory is kept for the texts of the next row.
const TEXT_BYTES_KEPT: usize = 1 << 16;

/// Memory for the texts of a row: allocating it for each row costs more than writing them.
#[derive(Default)]
pub(super) struct TextBuffer(RefCell<String>);

/// Whether the entry is a charge with nothing about it that most charges do not have.
fn is_plain(entry: &Entry) -> bool {
    matches!(entry.kind, EntryKind::Charge)
        && entry.hold.is_none()
        && entry.held.is_zero()
        && entry.spent.negated() == entry.credits
}

/// Writes a text at the end of the buffer. Returns where it is.
fn append(buffer: &mut String, write: impl FnOnce(&mut String)) -> Range<usize> {
    let start = buffer.len();
    write(buffer);
    start..buffer.len()
}

impl Journal {
    /// Writes the row of a charge. False where the entry needs a row of another form.
    pub(super) fn write_charge(
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
        let mut buffer = self.texts.0.borrow_mut();
        buffer.clear();
        buffer.shrink_to(TEXT_BYTES_KEPT);
        let usage = entry.usage.as_deref();
        let usage = usage.map(|usage| append(&mut buffer, |text| write_usage(usage, text)));
        let shares = append(&mut buffer, |text| write_shares(&entry.shares, text));
        let usage = usage.and_then(|usage| buffer.get(usage));
        let mut statement = self.connection.prepare_cached(INSERT)?;
        statement.raw_bind_parameter(1, place.position.0)?;
        statement.raw_bind_parameter(2, place.account_id)?;
        statement.raw_bind_parameter(3, place.previous.map(|previous| previous.0))?;
        statement.raw_bind_parameter(4, entry.id.0)?;
        statement.raw_bind_parameter(5, entry.spent.nanos())?;
        statement.raw_bind_parameter(6, entry.available.nanos())?;
        statement.raw_bind_parameter(7, answered.map(Credits::nanos))?;
        statement.raw_bind_parameter(8, At(entry.create_time))?;
        statement.raw_bind_parameter(9, entry.request_id.as_ref().map(|id| id.as_str()))?;
        statement.raw_bind_parameter(10, fingerprint.map(|f| f.as_slice()))?;
        statement.raw_bind_parameter(11, entry.service.as_deref())?;
        statement.raw_bind_parameter(12, card_id)?;
        statement.raw_bind_parameter(13, usage)?;
        statement.raw_bind_parameter(14, labels_to_json(&entry.labels))?;
        statement.raw_bind_parameter(15, buffer.get(shares))?;
        statement.raw_execute()?;
        Ok(true)
    }
}
