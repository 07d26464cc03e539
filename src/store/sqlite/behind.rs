//! Rows of accounts that are behind the journal, and how they are brought up: a few along
//! with each group, the one that fell behind first before the others, and its neighbours
//! with it.
//!
//! What a start reads of the journal begins at the first entry that any row does not have,
//! so that entry must never be passed while its account is behind.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

use super::books::{Books, Undo};
use super::journal::{BadRow, Position};
use crate::domain::AccountName;

/// How many entries the rows of accounts may be behind.
pub(super) const BEHIND_MAX: i64 = 131_072;
/// After so many rows of accounts no further ones are brought up along with one group.
pub(super) const SAVED_PER_GROUP: usize = 512;
/// Accounts whose numbers follow each other, about as many as a page of the file holds.
const NEIGHBOURS: i64 = 64;

/// Hashes the number of an account, which this program gave out: spreading is enough.
#[derive(Default)]
struct Mixed(u64);

impl Hasher for Mixed {
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

/// Where an account stands whose row is behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Its newest entry.
    pub(super) entry: Position,
    /// The first entry that the account's row does not have.
    pub(super) since: Position,
    /// Whose it is.
    pub(super) name: AccountName,
}

/// Where an account stood whose row was behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stood {
    pub(super) entry: Position,
    pub(super) since: Position,
}

/// The accounts whose rows are behind, by their number and by how far.
#[derive(Default)]
pub(super) struct Behind {
    heads: HashMap<i64, Head, BuildHasherDefault<Mixed>>,
    order: BTreeSet<(Position, i64)>,
    /// Those among them that cannot be read: their rows stay behind.
    stuck: BTreeSet<(Position, i64)>,
}

impl Behind {
    /// Where an account stands, if its row is behind.
    pub(super) fn get(&self, account: i64) -> Option<&Head> {
        self.heads.get(&account)
    }

    /// Notes the account's newest entry; `next` is the first one that its row does not
    /// have, where that is up to date. Where it stood before.
    pub(super) fn advance(
        &mut self,
        account: i64,
        name: &AccountName,
        entry: Position,
        next: Position,
    ) -> Option<Stood> {
        if let Some(head) = self.heads.get_mut(&account) {
            let stood = Stood {
                entry: head.entry,
                since: head.since,
            };
            head.entry = entry;
            return Some(stood);
        }
        let head = Head {
            entry,
            since: next,
            name: name.clone(),
        };
        self.set(account, Some(head));
        None
    }

    /// Sets where an account stands; None: its row is up to date.
    pub(super) fn set(&mut self, account: i64, head: Option<Head>) {
        if let Some(old) = self.heads.remove(&account) {
            self.order.remove(&(old.since, account));
            self.stuck.remove(&(old.since, account));
        }
        if let Some(head) = head {
            self.order.insert((head.since, account));
            self.heads.insert(account, head);
        }
    }

    /// Where an account stands, if its row is behind and is to be brought up.
    fn waiting(&self, account: i64) -> Option<&Head> {
        let head = self.heads.get(&account)?;
        let can_be_read = self.order.contains(&(head.since, account));
        can_be_read.then_some(head)
    }

    /// The account that fell behind first, among those that can be read.
    fn first(&self) -> Option<(Position, i64)> {
        self.order.first().copied()
    }

    fn give_up(&mut self, since: Position, account: i64) {
        self.order.remove(&(since, account));
        self.stuck.insert((since, account));
    }

    /// The first entry that any row does not have.
    fn since(&self) -> Option<Position> {
        let first = |set: &BTreeSet<(Position, i64)>| set.first().map(|(since, _)| *since);
        first(&self.order)
            .into_iter()
            .chain(first(&self.stuck))
            .min()
    }
}

impl Books {
    /// At start: an entry that is newer than the rows of accounts are.
    pub(super) fn note_behind(&mut self, account: i64, name: &AccountName, entry: Position) {
        let since = self.behind.get(account).map_or(entry, |head| head.since);
        let head = Head {
            entry,
            since,
            name: name.clone(),
        };
        self.behind.set(account, Some(head));
    }

    /// Brings rows of accounts up that are too far behind, and with each of them its
    /// neighbours that are behind too: they share pages of the file, and each page is
    /// written whole.
    pub(super) fn save_some(&mut self, most: usize, behind_max: i64) -> Result<(), BadRow> {
        let mut saved = 0_usize;
        while saved < most
            && let Some((since, account)) = self.behind.first()
            && self.next_position.0.saturating_sub(since.0) >= behind_max
        {
            let first = account.saturating_sub(account.rem_euclid(NEIGHBOURS));
            for neighbour in first..first.saturating_add(NEIGHBOURS) {
                if self.save_if_behind(neighbour)? {
                    saved = saved.saturating_add(1);
                }
            }
        }
        if saved > 0 {
            let since = self.behind.since().unwrap_or(self.next_position);
            self.journal
                .connection
                .prepare_cached("UPDATE file SET flushed = ?1")?
                .execute([since.0.saturating_sub(1)])?;
        }
        Ok(())
    }

    /// Brings the row of an account up, if it is behind and can be. Whether it did.
    fn save_if_behind(&mut self, account: i64) -> Result<bool, BadRow> {
        let Some(head) = self.behind.waiting(account).cloned() else {
            return Ok(false);
        };
        match self.save(&head.name) {
            Ok(()) => {}
            Err(cause) if self.journal.connection.is_autocommit() => return Err(cause),
            Err(cause) => {
                // Its trouble is nobody else's.
                tracing::error!(
                    account_id = account,
                    cause = cause.0,
                    "an account cannot be read"
                );
                self.behind.give_up(head.since, account);
                return Ok(false);
            }
        }
        self.group.undo.push(Undo::Head {
            account,
            name: head.name,
            before: Some(Stood {
                entry: head.entry,
                since: head.since,
            }),
            next_position: self.next_position,
        });
        self.behind.set(account, None);
        Ok(true)
    }

    fn save(&mut self, name: &AccountName) -> Result<(), BadRow> {
        let slot = self.bring(name)?;
        match slot.and_then(|slot| self.cache.at(slot)) {
            Some(loaded) => self.journal.save(loaded),
            None => Err(BadRow("an account is not there".to_owned())),
        }
    }
}
