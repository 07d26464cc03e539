//! The journal over one connection: entries, and the tables by which they are found.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _};

use super::chain::Salts;
use super::charges::PendingCharges;
use super::prefetch::Prefetched;
use crate::domain::canonical::CanonicalForm;
use crate::domain::ledger::{EntryId, EntryKind, Hold, HoldId, Reference, Referenced, Spending};
use crate::domain::pricing::{Pairs, Pricing};
use crate::domain::{AccountName, Credits};

/// The file cannot be read or written, or has a row that creditd did not write.
#[derive(Debug)]
pub(super) struct StorageError(pub(super) String);

impl From<rusqlite::Error> for StorageError {
    fn from(error: rusqlite::Error) -> Self {
        Self(error.to_string())
    }
}

/// The position of an entry in the journal of all accounts. Callers never see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position(pub(super) i64);

impl Position {
    pub(super) const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    pub(super) const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

/// A connection to the journal, with what it has read.
pub(super) struct Journal {
    pub(super) connection: Connection,
    pub(super) charges: PendingCharges,
    /// Rows that were prefetched for the account that is being read.
    pub(super) prefetched: Prefetched,
    /// What the next row is hashed in.
    pub(super) form: RefCell<CanonicalForm>,
    pub(super) salts: RefCell<Salts>,
    cards: RefCell<Cards>,
    /// The account whose entries are being read.
    reading: RefCell<Option<(i64, AccountName)>>,
}

/// Rate cards by number and by revision. There are few, and they never change.
#[derive(Default)]
struct Cards {
    by_id: HashMap<i64, Arc<Pricing>>,
    by_revision: HashMap<Arc<str>, i64>,
}

impl Journal {
    pub(super) fn new(connection: Connection) -> Self {
        connection.set_prepared_statement_cache_capacity(64);
        Self {
            connection,
            charges: PendingCharges::default(),
            prefetched: Prefetched::default(),
            form: RefCell::default(),
            salts: RefCell::default(),
            cards: RefCell::default(),
            reading: RefCell::default(),
        }
    }

    /// The rate card of that number.
    pub(super) fn pricing(&self, card: Option<i64>) -> Result<Option<Arc<Pricing>>, StorageError> {
        let Some(id) = card else { return Ok(None) };
        if let Some(known) = self.cards.borrow().by_id.get(&id) {
            return Ok(Some(Arc::clone(known)));
        }
        let stored = self
            .connection
            .prepare_cached("SELECT name, revision FROM rate_cards WHERE card_id = ?1")?
            .query_row([id], |row| {
                Ok(Arc::new(Pricing {
                    rate_card: row.get::<_, String>(0)?.into(),
                    revision: row.get::<_, String>(1)?.into(),
                    values: Pairs::new(),
                    time: None,
                }))
            })
            .optional()?;
        let pricing = stored.ok_or_else(|| StorageError(format!("there is no rate card {id}")))?;
        self.cards
            .borrow_mut()
            .by_id
            .insert(id, Arc::clone(&pricing));
        Ok(Some(pricing))
    }

    /// The number of a rate card.
    pub(super) fn card_id(&self, pricing: Option<&Pricing>) -> Result<Option<i64>, StorageError> {
        let Some(pricing) = pricing else {
            return Ok(None);
        };
        if let Some(known) = self.cards.borrow().by_revision.get(&pricing.revision) {
            return Ok(Some(*known));
        }
        let stored: Option<i64> = self
            .connection
            .prepare_cached("SELECT card_id FROM rate_cards WHERE revision = ?1")?
            .query_row([&*pricing.revision], |row| row.get(0))
            .optional()?;
        let id = stored.ok_or_else(|| {
            StorageError(format!("revision {} was never served", pricing.revision))
        })?;
        let mut cards = self.cards.borrow_mut();
        cards.by_revision.insert(Arc::clone(&pricing.revision), id);
        Ok(Some(id))
    }

    /// The name of an account.
    pub(super) fn account_name(&self, id: i64) -> Result<Option<AccountName>, StorageError> {
        if let Some((known, name)) = &*self.reading.borrow()
            && *known == id
        {
            return Ok(Some(name.clone()));
        }
        let name: Option<String> = self
            .connection
            .prepare_cached("SELECT name FROM accounts WHERE account_id = ?1")?
            .query_row([id], |row| row.get(0))
            .optional()?;
        let name = name.map(|name| {
            AccountName::new(&name)
                .map_err(|_| StorageError(format!("account {id} has no proper name")))
        });
        let name = name.transpose()?;
        *self.reading.borrow_mut() = name.clone().map(|name| (id, name));
        Ok(name)
    }

    /// Forgets the name of the account that was read last. The number of a new account is
    /// given to another one after the group was undone.
    pub(super) fn forget_names(&self) {
        *self.reading.borrow_mut() = None;
    }

    /// Looks up what a decision needs beside the account.
    pub(super) fn look_up(
        &self,
        account_id: i64,
        head: Option<Position>,
        reference: Reference,
    ) -> Result<Option<Referenced>, StorageError> {
        Ok(match reference {
            Reference::ClosedHold(id) => match self.closed_hold(account_id, id)? {
                Some(hold) => Some(Referenced::ClosedHold(hold)),
                None => (self.opening_of_hold(account_id, id)?).map(Referenced::Archived),
            },
            Reference::Grant(id) => self.grant_facts(account_id, id)?.map(|_| Referenced::Grant),
            Reference::Spending(id) => match self.opening(account_id)? {
                Some(opening) if opening.has_entry(id) => Some(Referenced::Archived(opening)),
                _ => {
                    let spending = self.spending(account_id, head, id)?;
                    spending.map(Referenced::Spending)
                }
            },
        })
    }

    /// A hold that is not open any more.
    pub(super) fn closed_hold(
        &self,
        account_id: i64,
        id: HoldId,
    ) -> Result<Option<Arc<Hold>>, StorageError> {
        let closed: Option<Option<i64>> = self
            .connection
            .prepare_cached("SELECT closed FROM holds WHERE account_id = ?1 AND hold_id = ?2")?
            .query_row([account_id, id.0], |row| row.get(0))
            .optional()?;
        let Some(closed) = closed.flatten() else {
            return Ok(None);
        };
        let stored = self.entry(Position(closed))?;
        Ok(stored.and_then(|stored| stored.entry.hold))
    }

    /// The position of the account's entry of that number. Snapshots are indexed by entry_id:
    /// from the first one at or after it, it is a few hundred entries back at most.
    pub(super) fn position_of(
        &self,
        account_id: i64,
        head: Option<Position>,
        id: EntryId,
    ) -> Result<Option<Position>, StorageError> {
        let Some(head) = head else { return Ok(None) };
        self.write_pending()?;
        let snapshot: Option<i64> = self
            .connection
            .prepare_cached(
                "SELECT position FROM snapshots WHERE account_id = ?1 AND entry_id >= ?2
                  ORDER BY entry_id, position LIMIT 1",
            )?
            .query_row([account_id, id.0], |row| row.get(0))
            .optional()?;
        // The journal may have grown since the read was submitted.
        let from = snapshot.map_or(head, |snapshot| head.min(Position(snapshot)));
        let stored: Option<i64> = self
            .connection
            .prepare_cached(
                "WITH RECURSIVE chain (position, previous, entry_id, kind) AS (
                   SELECT position, previous, entry_id, kind FROM entries WHERE position = ?1
                   UNION ALL
                   SELECT e.position, e.previous, e.entry_id, e.kind
                     FROM chain JOIN entries e ON e.position = chain.previous
                    WHERE chain.entry_id > ?2 OR (chain.entry_id = ?2 AND chain.kind IN ('extend', 'update')))
                 SELECT position FROM chain WHERE entry_id = ?2 AND kind NOT IN ('extend', 'update')",
            )?
            .query_row([from.0, id.0], |row| row.get(0))
            .optional()?;
        Ok(stored.map(Position))
    }

    fn spending(
        &self,
        account_id: i64,
        head: Option<Position>,
        id: EntryId,
    ) -> Result<Option<Spending>, StorageError> {
        let position = self.position_of(account_id, head, id)?;
        let stored = position.map(|position| self.entry(position)).transpose()?;
        let Some(stored) = stored.flatten() else {
            return Ok(None);
        };
        let entry = stored.entry;
        let refunded: i64 = self
            .connection
            .prepare_cached(
                "SELECT coalesce(sum(credits), 0) FROM refunds
                  WHERE account_id = ?1 AND refunded_id = ?2",
            )?
            .query_row([account_id, id.0], |row| row.get(0))?;
        let wrong = || StorageError(format!("entry {} cannot be refunded", id.0));
        let refunded = Credits::from_nanos(refunded).map_err(|_| wrong())?;
        let paid = matches!(entry.kind, EntryKind::Charge | EntryKind::Settle);
        let shares = entry.shares.iter().filter(|_| paid);
        let grants = self.grant_records(account_id, shares.clone().map(|share| share.grant.0))?;
        if shares
            .clone()
            .any(|share| !grants.contains_key(&share.grant.0))
        {
            return Err(wrong());
        }
        Ok(Spending::of(&entry, refunded, |id| {
            let made = grants.get(&id.0)?;
            Some(made.before(id, EntryId(i64::MAX)))
        }))
    }
}
