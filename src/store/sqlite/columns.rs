//! The columns of rows of `entries` and `grants`, as creditd writes them. An audit compares them
//! with those that are stored: whatever has the same meaning in another form was not written by
//! creditd.

use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Row, ToSql as _};

use super::chain::{Chain, ChainRow};
use super::journal::{Journal, StorageError};
use super::rows::Place;
use super::text::{labels_to_json, shares_to_json, update_to_json, usage_to_json, values_to_json};
use super::times::At;
use crate::domain::keys::KeyId;
use crate::domain::ledger::{EntryKind, GrantId, GrantTerms};
use crate::domain::{Credits, RequestId, Timestamp};
use crate::rfc3339;

/// How many columns `entries` has.
pub(super) const ENTRY_COLUMNS: usize = 32;

const NULL: ToSqlOutput<'static> = ToSqlOutput::Borrowed(ValueRef::Null);

fn number<'a>(number: impl Into<Option<i64>>) -> ToSqlOutput<'a> {
    number.into().map_or(NULL, ToSqlOutput::from)
}

fn text<'a>(text: impl Into<Option<&'a str>>) -> ToSqlOutput<'a> {
    text.into().map_or(NULL, ToSqlOutput::from)
}

fn owned<'a>(text: Option<String>) -> ToSqlOutput<'a> {
    text.map_or(NULL, |text| ToSqlOutput::Owned(Value::Text(text)))
}

fn bytes<'a>(bytes: Option<&[u8]>) -> ToSqlOutput<'a> {
    bytes.map_or(NULL, |bytes| {
        ToSqlOutput::Owned(Value::Blob(bytes.to_vec()))
    })
}

fn time<'a>(time: Option<Timestamp>) -> rusqlite::Result<ToSqlOutput<'a>> {
    Ok(match time {
        None => NULL,
        Some(time) => match At(time).to_sql()? {
            ToSqlOutput::Owned(value) => ToSqlOutput::Owned(value),
            // A time is an owned value.
            _ => NULL,
        },
    })
}

impl Journal {
    /// The columns of a row of `entries`, in the order of the schema.
    pub(super) fn entry_columns<'a>(
        &self,
        place: Place,
        row: &ChainRow<'a>,
        chain: Option<&Chain>,
    ) -> Result<[ToSqlOutput<'a>; ENTRY_COLUMNS], StorageError> {
        let entry = row.entry;
        let pricing = entry.pricing.as_deref();
        let hold = entry.hold.as_deref();
        let (grant_id, refunded_id, account) = match &entry.kind {
            EntryKind::Grant { id, .. } | EntryKind::Expire(id) | EntryKind::Revoke(id) => {
                (Some(id.0), None, None)
            }
            EntryKind::Refund { of, .. } => (None, Some(of.0), None),
            EntryKind::Update(update) => (None, None, update_to_json(update)),
            EntryKind::Charge
            | EntryKind::Hold
            | EntryKind::Settle
            | EntryKind::Release
            | EntryKind::Extend => (None, None, None),
        };
        Ok([
            number(place.position.0),
            number(place.account_id),
            number(place.previous.map(|previous| previous.0)),
            number(entry.id.0),
            text(entry.kind.name()),
            number(entry.credits.nanos()),
            number(entry.held.nanos()),
            number(entry.spent.nanos()),
            number(entry.available.nanos()),
            number(row.answered.map(Credits::nanos)),
            time(Some(entry.create_time))?,
            text(entry.request_id.as_ref().map(RequestId::as_str)),
            bytes(row.fingerprint.map(|fingerprint| &fingerprint[..])),
            text(entry.service.as_deref()),
            number(self.card_id(pricing)?),
            owned(entry.usage.as_deref().map(usage_to_json)),
            number(grant_id),
            number(hold.map(|hold| hold.id.0)),
            number(hold.map(|hold| hold.held.nanos())),
            number(hold.map(|hold| hold.settled.nanos())),
            time(hold.map(|hold| hold.expire_time))?,
            text(hold.map(|hold| hold.status.name())),
            number(refunded_id),
            owned(labels_to_json(&entry.labels)),
            owned(Some(shares_to_json(&entry.shares))),
            owned(pricing.and_then(|pricing| values_to_json(&pricing.values))),
            time(pricing.and_then(|pricing| pricing.time))?,
            owned(account),
            text(entry.key_id.as_ref().map(KeyId::as_str)),
            bytes(chain.map(|chain| &chain[..])),
            bytes(row.seals.salts()),
            owned(row.seals.erased_text()),
        ])
    }
}

/// The columns of a row of `grants`.
pub(super) fn grant_columns(place: Place, id: GrantId, terms: &GrantTerms) -> [ToSqlOutput<'_>; 8] {
    let services = terms.services.iter().map(|service| &**service);
    let services = serde_json::Value::from_iter(services).to_string();
    [
        number(place.account_id),
        number(id.0),
        number(place.position.0),
        number(terms.granted.nanos()),
        number(i64::from(terms.priority)),
        owned(terms.expire_time.map(rfc3339::format)),
        text(&*terms.source),
        owned(Some(services).filter(|_| !terms.services.is_empty())),
    ]
}

/// The number of the first column of a stored row that is another one.
pub(super) fn first_difference(
    columns: &[ToSqlOutput<'_>],
    row: &Row<'_>,
) -> rusqlite::Result<Option<usize>> {
    for (at, column) in columns.iter().enumerate() {
        let expected = match column {
            ToSqlOutput::Owned(value) => ValueRef::from(value),
            ToSqlOutput::Borrowed(value) => *value,
            _ => ValueRef::Null,
        };
        if row.get_ref(at)? != expected {
            return Ok(Some(at));
        }
    }
    Ok(None)
}
