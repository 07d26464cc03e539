//! Between rows and entries: the one place that knows the columns of the journal.

use std::sync::Arc;

use rusqlite::types::ValueRef;
use rusqlite::{Row, params, params_from_iter};

use super::chain::{Chain, ChainRow, Seals};
use super::columns::grant_columns;
use super::journal::{Journal, Position, StorageError};
use super::text::{
    labels_from_json, shares_from_json, update_from_json, usage_from_json, values_from_json,
};
use super::times::At;
use crate::domain::keys::KeyId;
use crate::domain::ledger::{
    Entry, EntryId, EntryKind, Fingerprint, GrantFacts, GrantId, Hold, HoldId, HoldStatus,
    HoldTerms,
};
use crate::domain::pricing::{Pairs, Pricing};
use crate::domain::{AccountName, Credits, RequestId};

/// Where a row stands in the journal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) account_id: i64,
    pub(super) position: Position,
    /// The account's row before it.
    pub(super) previous: Option<Position>,
}

/// A row, and what it says about the request that it answers.
pub(super) struct StoredEntry {
    pub(super) entry: Entry,
    pub(super) place: Place,
    pub(super) fingerprint: Option<Fingerprint>,
    /// Available as the caller was told it.
    pub(super) answered: Credits,
    /// Its hash; None in a file from before there were chains.
    pub(super) chain: Option<Chain>,
    pub(super) seals: Seals,
}

impl StoredEntry {
    /// Available as the caller was told it, where that is not what the entry says.
    pub(super) fn told_otherwise(&self) -> Option<Credits> {
        Some(self.answered).filter(|answered| *answered != self.entry.available)
    }
}

/// All columns, in the order in which they stand in the schema, on which
/// [`Journal::read_entry`] relies.
const ENTRY_AT: &str = "SELECT * FROM entries WHERE position = ?1";
/// The same without the shares, which can be most of a row.
const ENTRY_WITHOUT_SHARES: &str =
    "SELECT position, account_id, previous, entry_id, kind, credits, held, spent, available,
            answered, create_time, request_id, fingerprint, service, card_id, usage, grant_id,
            hold_id, hold_held, hold_settled, hold_expire_time, hold_status, refunded_id, labels,
            '[]', price_values, price_time, account, key_id, chain, salts, erased
       FROM entries WHERE position = ?1";

fn bad(position: i64) -> StorageError {
    StorageError(format!("the entry at {position} cannot be read"))
}

impl Journal {
    /// The entry at that position.
    pub(super) fn entry(&self, position: Position) -> Result<Option<StoredEntry>, StorageError> {
        self.entry_by(ENTRY_AT, position)
    }

    /// The same, without its shares and a refund's grants.
    pub(super) fn entry_without_shares(
        &self,
        position: Position,
    ) -> Result<Option<StoredEntry>, StorageError> {
        self.entry_by(ENTRY_WITHOUT_SHARES, position)
    }

    fn entry_by(&self, sql: &str, position: Position) -> Result<Option<StoredEntry>, StorageError> {
        self.write_pending()?;
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query([position.0])?;
        match rows.next()? {
            Some(row) => self.read_entry(row).map(Some),
            None => Ok(None),
        }
    }

    /// Reads a whole row of `entries`.
    pub(super) fn read_entry(&self, row: &Row<'_>) -> Result<StoredEntry, StorageError> {
        let position: i64 = row.get(0)?;
        let bad = || bad(position);
        let account_id: i64 = row.get(1)?;
        let number: i64 = row.get(3)?;
        let credits = |column: usize| -> Result<Credits, StorageError> {
            Credits::from_nanos(row.get(column)?).map_err(|_| bad())
        };
        let text = |column: usize| row.get::<_, Option<String>>(column);
        let At(create_time) = row.get(10)?;
        let request_id = text(11)?
            .map(|text| RequestId::new(&text).map_err(|_| bad()))
            .transpose()?;
        let usage = text(15)?
            .map(|text| usage_from_json(&text).ok_or_else(bad))
            .transpose()?;
        let shares = shares_from_json(&row.get::<_, String>(24)?).ok_or_else(bad)?;
        let kind = row.get_ref(4)?.as_str().map_err(|_| bad())?;
        let grant = row.get::<_, Option<i64>>(16)?.map(GrantId);
        let kind = match kind {
            "grant" => {
                let id = grant.ok_or_else(bad)?;
                let facts = self.grant_facts(account_id, id)?;
                let terms = facts.ok_or_else(bad)?.terms;
                EntryKind::Grant { id, terms }
            }
            "charge" => EntryKind::Charge,
            "refund" => {
                let of = row.get::<_, Option<i64>>(22)?.ok_or_else(bad)?;
                let made = self.grant_records(account_id, shares.iter().map(|s| s.grant.0))?;
                let facts = |grant: GrantId| {
                    let made = made.get(&grant.0).ok_or_else(bad)?;
                    Ok(made.before(grant, EntryId(number)))
                };
                let grants = shares.iter().map(|share| facts(share.grant));
                EntryKind::Refund {
                    of: EntryId(of),
                    grants: grants.collect::<Result<_, StorageError>>()?,
                }
            }
            "hold" => EntryKind::Hold,
            "settle" => EntryKind::Settle,
            "release" => EntryKind::Release,
            "extend" => EntryKind::Extend,
            "update" => {
                let update = text(27)?.and_then(|text| update_from_json(&text));
                EntryKind::Update(Arc::new(update.ok_or_else(bad)?))
            }
            "expire" => EntryKind::Expire(grant.ok_or_else(bad)?),
            "revoke" => EntryKind::Revoke(grant.ok_or_else(bad)?),
            _ => return Err(bad()),
        };
        let available = credits(8)?;
        let mut entry = Entry {
            id: EntryId(number),
            account: self.account_name(account_id)?.ok_or_else(bad)?,
            kind,
            credits: credits(5)?,
            held: credits(6)?,
            spent: credits(7)?,
            available,
            create_time,
            request_id,
            key_id: match row.get_ref(28)? {
                ValueRef::Null => None,
                text => Some((text.as_str().ok()).and_then(KeyId::new).ok_or_else(bad)?),
            },
            labels: labels_from_json(text(23)?.as_deref()).ok_or_else(bad)?,
            service: text(13)?.map(Arc::from),
            pricing: self.read_pricing(row, (14, 25, 26), bad)?,
            usage,
            hold: None,
            shares,
        };
        entry.hold = self.read_hold(row, account_id, &entry)?;
        let answered = match row.get::<_, Option<i64>>(9)? {
            Some(nanos) => Credits::from_nanos(nanos).map_err(|_| bad())?,
            None => available,
        };
        Ok(StoredEntry {
            entry,
            place: Place {
                account_id,
                position: Position(position),
                previous: row.get::<_, Option<i64>>(2)?.map(Position),
            },
            fingerprint: row.get(12)?,
            answered,
            chain: row.get(29)?,
            seals: Seals::read(
                row.get_ref(30)?.as_blob_or_null().map_err(|_| bad())?,
                row.get_ref(31)?.as_str_or_null().map_err(|_| bad())?,
            )
            .ok_or_else(bad)?,
        })
    }

    /// The prices of an entry: its rate card, its values and its time, in these columns.
    fn read_pricing(
        &self,
        row: &Row<'_>,
        (card, values, time): (usize, usize, usize),
        bad: impl Fn() -> StorageError,
    ) -> Result<Option<Arc<Pricing>>, StorageError> {
        let pricing = self.pricing(row.get(card)?)?;
        let time = row.get::<_, Option<At>>(time)?.map(|At(time)| time);
        let values = match row.get_ref(values)? {
            ValueRef::Null if time.is_none() => return Ok(pricing),
            ValueRef::Null => Pairs::new(),
            text => (text.as_str().ok())
                .and_then(values_from_json)
                .ok_or_else(&bad)?,
        };
        let card = pricing.ok_or_else(bad)?;
        Ok(Some(Arc::new(Pricing {
            rate_card: Arc::clone(&card.rate_card),
            revision: Arc::clone(&card.revision),
            values,
            time,
        })))
    }

    /// The hold after the entry. What never changes of it stands in the entry that
    /// made it.
    fn read_hold(
        &self,
        row: &Row<'_>,
        account_id: i64,
        entry: &Entry,
    ) -> Result<Option<Arc<Hold>>, StorageError> {
        let Some(id) = row.get::<_, Option<i64>>(17)? else {
            return Ok(None);
        };
        let position: i64 = row.get(0)?;
        let wrong = || bad(position);
        let terms = match matches!(entry.kind, EntryKind::Hold) {
            true => Arc::new(HoldTerms::of(entry).ok_or_else(wrong)?),
            false => match self.prefetched_hold(id) {
                Some(made) => Arc::clone(&made.terms),
                None => Arc::new(self.hold_terms(account_id, id)?.ok_or_else(wrong)?),
            },
        };
        let status: String = row.get(21)?;
        Ok(Some(Arc::new(Hold {
            id: HoldId(id),
            terms,
            held: Credits::from_nanos(row.get(18)?).map_err(|_| wrong())?,
            settled: Credits::from_nanos(row.get(19)?).map_err(|_| wrong())?,
            expire_time: row.get::<_, At>(20)?.0,
            status: HoldStatus::named(&status).ok_or_else(wrong)?,
        })))
    }

    /// What the entry says that made a hold, as far as callers see it of the hold.
    fn hold_terms(&self, account_id: i64, id: i64) -> Result<Option<HoldTerms>, StorageError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT e.create_time, e.request_id, e.service, e.card_id, e.usage, e.labels,
                    e.price_values, e.price_time
               FROM holds h JOIN entries e ON e.position = h.made
              WHERE h.account_id = ?1 AND h.hold_id = ?2",
        )?;
        let mut rows = statement.query([account_id, id])?;
        let Some(row) = rows.next()? else {
            return Ok(None);
        };
        let bad = || StorageError(format!("the entry that made hold {id} cannot be read"));
        let text = |column: usize| row.get::<_, Option<String>>(column);
        let usage = text(4)?.map(|text| usage_from_json(&text).ok_or_else(bad));
        Ok(Some(HoldTerms {
            service: text(2)?.map(Arc::from),
            pricing: self.read_pricing(row, (3, 6, 7), bad)?,
            usage: usage.transpose()?,
            create_time: row.get::<_, At>(0)?.0,
            request_id: RequestId::new(&text(1)?.unwrap_or_default()).map_err(|_| bad())?,
            labels: labels_from_json(text(5)?.as_deref()).ok_or_else(bad)?,
        }))
    }

    /// A grant that was ever made, as it is now.
    pub(super) fn grant_facts(
        &self,
        account_id: i64,
        id: GrantId,
    ) -> Result<Option<GrantFacts>, StorageError> {
        let made = self.grant_records(account_id, [id.0])?;
        let made = made.get(&id.0);
        Ok(made.map(|made| made.before(id, EntryId(i64::MAX))))
    }

    /// Adds an entry behind the hash of the account's row before it, and what is to be found of it
    /// without a walk. Returns its own hash.
    pub(super) fn write_entry(
        &self,
        place: Place,
        previous: &Chain,
        (entry, fingerprint, answered): (&Entry, Option<&Fingerprint>, Option<Credits>),
    ) -> Result<Chain, StorageError> {
        let seals = self.salts.borrow_mut().seal(entry, fingerprint)?;
        let row = ChainRow {
            position: place.position,
            entry,
            fingerprint,
            answered,
            seals: &seals,
        };
        let chain = row.hash(previous, &mut self.form.borrow_mut());
        let chain = chain.ok_or_else(|| bad(place.position.0))?;
        if self.add_charge(&row, place, &chain)? {
            return Ok(chain);
        }
        self.write_pending()?;
        let account_id = place.account_id;
        match &entry.kind {
            EntryKind::Grant { id, terms } => {
                self.connection
                    .prepare_cached("INSERT INTO grants VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?
                    .execute(params_from_iter(grant_columns(place, *id, terms)))?;
            }
            EntryKind::Revoke(grant) => {
                self.connection
                    .prepare_cached("INSERT OR IGNORE INTO revocations VALUES (?1, ?2, ?3)")?
                    .execute([account_id, grant.0, entry.id.0])?;
            }
            EntryKind::Refund { of, .. } => {
                self.connection
                    .prepare_cached("INSERT INTO refunds VALUES (?1, ?2, ?3, ?4)")?
                    .execute([account_id, of.0, entry.id.0, entry.credits.nanos()])?;
            }
            EntryKind::Update(_)
            | EntryKind::Expire(_)
            | EntryKind::Charge
            | EntryKind::Hold
            | EntryKind::Settle
            | EntryKind::Release
            | EntryKind::Extend => {}
        }
        if let Some(hold) = entry.hold.as_deref() {
            self.write_hold(place, matches!(entry.kind, EntryKind::Hold), hold)?;
        }
        self.connection
            .prepare_cached(
                "INSERT INTO entries VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12,
                 ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28,
                 ?29, ?30, ?31, ?32)",
            )?
            .execute(params_from_iter(self.entry_columns(
                place,
                &row,
                Some(&chain),
            )?))?;
        Ok(chain)
    }

    /// Where a hold was made, and where it was closed.
    fn write_hold(&self, place: Place, is_new: bool, hold: &Hold) -> Result<(), StorageError> {
        let sql = match (is_new, hold.status) {
            (true, _) => "INSERT INTO holds VALUES (?1, ?2, ?3, NULL)",
            (false, HoldStatus::Open) => return Ok(()),
            (false, _) => "UPDATE holds SET closed = ?3 WHERE account_id = ?1 AND hold_id = ?2",
        };
        let changed = (self.connection.prepare_cached(sql)?).execute([
            place.account_id,
            hold.id.0,
            place.position.0,
        ])?;
        match changed {
            1 => Ok(()),
            _ => Err(StorageError(format!(
                "hold {} is not in its table",
                hold.id.0
            ))),
        }
    }

    /// Adds an account that has no entries yet.
    pub(super) fn write_account(&self, id: i64, name: &AccountName) -> Result<(), StorageError> {
        self.connection
            .prepare_cached(
                "INSERT INTO accounts VALUES (?1, ?2, NULL, 0, 0, '{\"last\":[0,0,0]}')",
            )?
            .execute(params![id, name.as_str()])?;
        Ok(())
    }
}
