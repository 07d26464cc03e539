//! Dirty accounts, whose rows are older than the journal, and how they are flushed: a few
//! with each group, the account that has been dirty for longest first.
//!
//! A start reads the journal from the first entry that is missing from any row. So
//! `file.flushed` never passes an entry while the row of its account lacks it.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::time::{Duration, Instant};

use super::journal::{Position, StorageError};
use super::ledger::{Ledger, Undo};
use crate::domain::AccountName;

/// An account is flushed once the journal is this many positions past the first entry that its
/// row lacks.
pub(super) const DIRTY_POSITIONS_MAX: i64 = 131_072;
/// How many rows one group flushes at most, but for the neighbours of the last one.
pub(super) const FLUSHED_PER_GROUP: usize = 512;
/// How long one group flushes at most; the row of an account with thousands of grants takes
/// milliseconds.
pub(super) const FLUSH_TIME_MAX: Duration = Duration::from_millis(10);
/// Accounts with consecutive numbers that are flushed together: about as many as a page of the
/// file holds.
const NEIGHBOURS: i64 = 64;

/// Hashes the numbers of accounts. Callers do not choose them, so they cannot cause collisions.
#[derive(Default)]
struct MixHasher(u64);

impl Hasher for MixHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_i64(i64::from(*byte));
        }
    }

    fn write_i64(&mut self, number: i64) {
        let mixed = (self.0 ^ number.cast_unsigned()).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }
}

/// An account whose row is older than the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DirtyAccount {
    /// The account's newest entry.
    pub(super) entry: Position,
    /// The first entry that is missing from the account's row.
    pub(super) since: Position,
    pub(super) name: AccountName,
}

/// The positions of a dirty account at an earlier moment, without its name: it is made for
/// each entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DirtyRange {
    pub(super) entry: Position,
    pub(super) since: Position,
}

/// The dirty accounts, by number and by the first entry that is missing from their rows.
#[derive(Default)]
pub(super) struct DirtyAccounts {
    accounts: HashMap<i64, DirtyAccount, BuildHasherDefault<MixHasher>>,
    by_since: BTreeSet<(Position, i64)>,
    /// Dirty accounts that cannot be read and are therefore never flushed.
    unreadable: BTreeSet<(Position, i64)>,
}

impl DirtyAccounts {
    /// The account of this number, if it is dirty.
    pub(super) fn get(&self, account: i64) -> Option<&DirtyAccount> {
        self.accounts.get(&account)
    }

    /// Notes the account's newest entry. If the account was clean, it is the first one that is
    /// missing from its row. Returns its positions before, if it was dirty.
    pub(super) fn note_entry(
        &mut self,
        account: i64,
        name: &AccountName,
        entry: Position,
    ) -> Option<DirtyRange> {
        if let Some(dirty) = self.accounts.get_mut(&account) {
            let range = DirtyRange {
                entry: dirty.entry,
                since: dirty.since,
            };
            dirty.entry = entry;
            return Some(range);
        }
        let dirty = DirtyAccount {
            entry,
            since: entry,
            name: name.clone(),
        };
        self.set(account, Some(dirty));
        None
    }

    /// Makes an account dirty, or clean for None.
    pub(super) fn set(&mut self, account: i64, dirty: Option<DirtyAccount>) {
        if let Some(old) = self.accounts.remove(&account) {
            self.by_since.remove(&(old.since, account));
            self.unreadable.remove(&(old.since, account));
        }
        if let Some(dirty) = dirty {
            self.by_since.insert((dirty.since, account));
            self.accounts.insert(account, dirty);
        }
    }

    /// The account of this number, if it is dirty and can be read.
    fn readable(&self, account: i64) -> Option<&DirtyAccount> {
        let dirty = self.accounts.get(&account)?;
        let can_be_read = self.by_since.contains(&(dirty.since, account));
        can_be_read.then_some(dirty)
    }

    /// The account that has been dirty for longest, of those that can be read.
    fn first(&self) -> Option<(Position, i64)> {
        self.by_since.first().copied()
    }

    fn mark_unreadable(&mut self, since: Position, account: i64) {
        self.by_since.remove(&(since, account));
        self.unreadable.insert((since, account));
    }

    /// The first entry that is missing from any row.
    fn since(&self) -> Option<Position> {
        let first = |set: &BTreeSet<(Position, i64)>| set.first().map(|(since, _)| *since);
        first(&self.by_since)
            .into_iter()
            .chain(first(&self.unreadable))
            .min()
    }
}

impl Ledger {
    /// Notes an entry, read at start, that may be missing from the row of its account.
    pub(super) fn note_dirty(&mut self, account: i64, name: &AccountName, entry: Position) {
        let since = self.dirty.get(account).map_or(entry, |dirty| dirty.since);
        let dirty = DirtyAccount {
            entry,
            since,
            name: name.clone(),
        };
        self.dirty.set(account, Some(dirty));
    }

    /// Flushes accounts that have been dirty for `positions_max` positions, and with each of
    /// them its dirty neighbours: SQLite writes whole pages, and their rows share one. What is not
    /// flushed in the time is flushed with the next group.
    pub(super) fn flush_some(
        &mut self,
        rows_max: usize,
        positions_max: i64,
        time_max: Duration,
    ) -> Result<(), StorageError> {
        let (began, mut flushed) = (Instant::now(), 0_usize);
        while flushed < rows_max
            && (flushed == 0 || began.elapsed() < time_max)
            && let Some((since, account)) = self.dirty.first()
            && self.next_position.0.saturating_sub(since.0) >= positions_max
        {
            let first = account.saturating_sub(account.rem_euclid(NEIGHBOURS));
            let neighbours = first..first.saturating_add(NEIGHBOURS);
            for neighbour in std::iter::once(account).chain(neighbours) {
                if flushed > 0 && began.elapsed() >= time_max {
                    break;
                }
                if self.flush_if_dirty(neighbour)? {
                    flushed = flushed.saturating_add(1);
                }
            }
        }
        if flushed > 0 {
            let since = self.dirty.since().unwrap_or(self.next_position);
            self.journal
                .connection
                .prepare_cached("UPDATE file SET flushed = ?1")?
                .execute([since.0.saturating_sub(1)])?;
        }
        Ok(())
    }

    /// Flushes an account if it is dirty and can be read; returns whether it did.
    fn flush_if_dirty(&mut self, account: i64) -> Result<bool, StorageError> {
        let Some(dirty) = self.dirty.readable(account).cloned() else {
            return Ok(false);
        };
        match self.flush(&dirty.name) {
            Ok(()) => {}
            Err(cause) if self.journal.connection.is_autocommit() => return Err(cause),
            Err(cause) => {
                // The other accounts of the group can still be flushed.
                tracing::error!(
                    account_id = account,
                    cause = cause.0,
                    "an account cannot be read"
                );
                self.dirty.mark_unreadable(dirty.since, account);
                return Ok(false);
            }
        }
        self.group.undo.push(Undo::Head {
            account,
            name: dirty.name,
            before: Some(DirtyRange {
                entry: dirty.entry,
                since: dirty.since,
            }),
            next_position: self.next_position,
        });
        self.dirty.set(account, None);
        Ok(true)
    }

    fn flush(&mut self, name: &AccountName) -> Result<(), StorageError> {
        let slot = self.load(name)?;
        match slot.and_then(|slot| self.cache.at(slot)) {
            Some(loaded) => self.journal.flush(loaded),
            None => Err(StorageError("an account is not there".to_owned())),
        }
    }
}
