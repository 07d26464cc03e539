//! Accounts in the file: read from their row or a snapshot and the entries after it, and
//! flushed to their row.

use std::sync::Arc;

use rusqlite::{OptionalExtension as _, ToSql, params};

use super::chain::Chain;
use super::journal::{Journal, Position, StorageError};
use super::prefetch::Link;
use super::rows::StoredEntry;
use super::text::{GrantText, HoldText, StateText};
use super::times::At;
use crate::domain::ledger::{
    Account, AccountParts, AccountSettings, EntryId, GrantId, GrantState, Hold, HoldId, OpenHold,
};
use crate::domain::{AccountName, Credits, Timestamp};
use crate::store::NameQuery;

/// An account that was loaded from the file.
pub(super) struct Loaded {
    pub(super) id: i64,
    pub(super) account: Arc<Account>,
    /// The position of its newest entry; None before the first.
    pub(super) head: Option<Position>,
    /// The hash of that entry and of all before it.
    pub(super) chain: Chain,
    /// Entries since its newest snapshot.
    pub(super) steps: usize,
}

/// The stored state of an account after some entry.
pub(super) struct StoredState {
    pub(super) head: Option<Position>,
    pub(super) time: Timestamp,
    pub(super) state: String,
    pub(super) steps: usize,
}

impl Journal {
    /// The number of the account of that name, and the newest entry that its row has.
    pub(super) fn account_row(
        &self,
        name: &AccountName,
    ) -> Result<Option<(i64, Option<Position>)>, StorageError> {
        Ok(self
            .connection
            .prepare_cached("SELECT account_id, head FROM accounts WHERE name = ?1")?
            .query_row([name.as_str()], |row| {
                Ok((row.get(0)?, row.get::<_, Option<i64>>(1)?.map(Position)))
            })
            .optional()?)
    }

    /// Names of accounts, in ascending order of their bytes: a range of the index by name.
    pub(super) fn account_names(
        &self,
        query: &NameQuery,
    ) -> Result<Vec<AccountName>, StorageError> {
        // Every byte of a name is less than 0x7f.
        let end = format!("{}\x7f", query.prefix);
        let after = query.after.as_ref().map_or("", AccountName::as_str);
        let limit = i64::try_from(query.limit).unwrap_or(i64::MAX);
        let mut statement = self.connection.prepare_cached(
            "SELECT name FROM accounts WHERE name >= ?1 AND name < ?2 AND name > ?3
              ORDER BY name LIMIT ?4",
        )?;
        let mut rows = statement.query(params![query.prefix, end, after, limit])?;
        let mut names = Vec::new();
        while let Some(row) = rows.next()? {
            let name = AccountName::new(row.get_ref(0)?.as_str().unwrap_or_default());
            let improper = |_| StorageError("an account has no proper name".to_owned());
            names.push(name.map_err(improper)?);
        }
        Ok(names)
    }

    /// The account as it is after its entry at `head`.
    pub(super) fn load(
        &self,
        id: i64,
        name: &AccountName,
        head: Option<Position>,
    ) -> Result<Loaded, StorageError> {
        let base = match self.newest_snapshot(id, head)? {
            Some(snapshot) => {
                let row = self.state_of_row(id)?;
                if row.head > snapshot.head {
                    row
                } else {
                    snapshot
                }
            }
            None => self.state_of_row(id)?,
        };
        let mut steps = base.steps;
        let (mut account, later) = self.restore_with_entries(id, name, Some(base), head)?;
        for stored in later.iter().rev() {
            let applied = account.apply(&stored.entry);
            applied.map_err(|_| does_not_follow(stored))?;
        }
        steps = steps.saturating_add(later.len());
        Ok(Loaded {
            id,
            account: Arc::new(account),
            head,
            chain: self.chain_at(head)?,
            steps,
        })
    }

    /// The account of a stored state, and its entries after that, newest first. The number of
    /// statements does not grow with the account.
    pub(super) fn restore_with_entries(
        &self,
        id: i64,
        name: &AccountName,
        base: Option<StoredState>,
        head: Option<Position>,
    ) -> Result<(Account, Vec<StoredEntry>), StorageError> {
        let from = base.as_ref().and_then(|base| base.head);
        let links = self.chain(head, from)?;
        let base = base.filter(|base| base.head.is_some());
        let text = match &base {
            Some(base) => serde_json::from_str(&base.state).map_err(|_| unreadable(base))?,
            None => StateText::default(),
        };
        let grants = text.grants.iter().map(|grant| grant.id);
        let grants = grants.chain(links.iter().flat_map(Link::grants));
        let holds = text.holds.iter().map(|hold| hold.id);
        let holds = holds.chain(links.iter().filter_map(Link::earlier_hold));
        let _prefetched = self.prefetch(id, grants, holds)?;
        let account = match base {
            Some(base) => self.restore(id, name.clone(), &base, &text)?,
            None => Account::new(name.clone()),
        };
        Ok((account, self.entries_of(&links)?))
    }

    fn state_of_row(&self, id: i64) -> Result<StoredState, StorageError> {
        Ok(self
            .connection
            .prepare_cached(
                "SELECT head, last_time, state, steps FROM accounts WHERE account_id = ?1",
            )?
            .query_row([id], |row| {
                Ok(StoredState {
                    head: row.get::<_, Option<i64>>(0)?.map(Position),
                    time: row.get::<_, At>(1)?.0,
                    state: row.get(2)?,
                    steps: row.get::<_, u32>(3)?.try_into().unwrap_or_default(),
                })
            })?)
    }

    fn newest_snapshot(
        &self,
        id: i64,
        up_to: Option<Position>,
    ) -> Result<Option<StoredState>, StorageError> {
        let Some(up_to) = up_to else { return Ok(None) };
        self.snapshot(
            "SELECT position, create_time, state FROM snapshots
             WHERE account_id = ?1 AND position <= ?2
             ORDER BY entry_id DESC, position DESC LIMIT 1",
            id,
            up_to.0,
        )
    }

    fn snapshot(
        &self,
        sql: &str,
        id: i64,
        value: impl ToSql,
    ) -> Result<Option<StoredState>, StorageError> {
        Ok(self
            .connection
            .prepare_cached(sql)?
            .query_row(params![id, value], |row| {
                Ok(StoredState {
                    head: Some(Position(row.get(0)?)),
                    time: row.get::<_, At>(1)?.0,
                    state: row.get(2)?,
                    steps: 0,
                })
            })
            .optional()?)
    }

    /// The account as it was then, from the snapshot or opening before and the entries up to the
    /// snapshot after. Lapses that were due then and written later are not applied.
    pub(super) fn load_as_of(
        &self,
        id: i64,
        name: &AccountName,
        head: Option<Position>,
        as_of: Timestamp,
    ) -> Result<Account, StorageError> {
        let before = self.snapshot(
            "SELECT position, create_time, state FROM snapshots
             WHERE account_id = ?1 AND create_time <= ?2
             ORDER BY entry_id DESC, position DESC LIMIT 1",
            id,
            At(as_of),
        )?;
        let before = before.filter(|base| base.head <= head);
        let before = match before {
            Some(before) => Some(before),
            None => (self.stored_opening(id)?).map(|opening| opening.stored_state()),
        };
        let after: Option<i64> = self
            .connection
            .prepare_cached(
                "SELECT position FROM snapshots
                 WHERE account_id = ?1 AND create_time > ?2
                 ORDER BY entry_id, position LIMIT 1",
            )?
            .query_row(params![id, At(as_of)], |row| row.get(0))
            .optional()?;
        // The journal may have grown since the read was submitted.
        let until = after
            .map(Position)
            .filter(|after| Some(*after) <= head)
            .or(head);
        let (mut account, later) = self.restore_with_entries(id, name, before, until)?;
        for stored in later.iter().rev() {
            if stored.entry.create_time <= as_of {
                let applied = account.apply(&stored.entry);
                applied.map_err(|_| does_not_follow(stored))?;
            }
        }
        Ok(account)
    }

    /// The account as it was after its row at that position, which may be older than what its own
    /// row has.
    pub(super) fn load_at(
        &self,
        id: i64,
        name: &AccountName,
        position: Position,
    ) -> Result<Loaded, StorageError> {
        let head = Some(position);
        let snapshot = self.newest_snapshot(id, head)?;
        let opening = self.stored_opening(id)?;
        let opening = opening.filter(|opening| opening.position <= position);
        let base = snapshot.or_else(|| opening.map(|opening| opening.stored_state()));
        let (mut account, later) = self.restore_with_entries(id, name, base, head)?;
        for stored in later.iter().rev() {
            let applied = account.apply(&stored.entry);
            applied.map_err(|_| does_not_follow(stored))?;
        }
        Ok(Loaded {
            id,
            account: Arc::new(account),
            head,
            chain: self.chain_at(head)?,
            steps: 0,
        })
    }

    /// The account of a stored state. The rows that it needs were prefetched.
    fn restore(
        &self,
        id: i64,
        name: AccountName,
        base: &StoredState,
        text: &StateText,
    ) -> Result<Account, StorageError> {
        let wrong = || unreadable(base);
        let made = self.grant_records(id, text.grants.iter().map(|grant| grant.id))?;
        let mut grants = Vec::with_capacity(text.grants.len());
        for grant in &text.grants {
            let made = made.get(&grant.id).ok_or_else(wrong)?;
            grants.push(GrantState {
                id: GrantId(grant.id),
                terms: Arc::clone(made.terms()),
                remaining: Credits::from_nanos(grant.remaining).map_err(|_| wrong())?,
                held: Credits::from_nanos(grant.held).map_err(|_| wrong())?,
                revoked: grant.revoked,
            });
        }
        let mut holds = Vec::with_capacity(text.holds.len());
        for hold in &text.holds {
            holds.push(self.restore_hold(hold)?);
        }
        let create_time = match text.create_time() {
            Some(time) => time,
            None => self.first_grant_time(id)?.ok_or_else(wrong)?,
        };
        let settings = match &text.settings {
            Some(settings) => settings.settings().ok_or_else(wrong)?,
            None => AccountSettings::default(),
        };
        let account = Account::from_parts(AccountParts {
            name,
            last: text.last(),
            last_time: base.time,
            create_time: Some(create_time),
            settings,
            grants,
            holds,
        });
        // Compared with the journal, which is authoritative.
        self.write_pending()?;
        let (available, entry): (i64, i64) = self
            .connection
            .prepare_cached("SELECT available, entry_id FROM entries WHERE position = ?1")?
            .query_row([base.head.map(|head| head.0)], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
        account
            .filter(|a| a.available().nanos() == available && a.last().entry == EntryId(entry))
            .ok_or_else(wrong)
    }

    /// When the first grant of an account was made.
    fn first_grant_time(&self, id: i64) -> Result<Option<Timestamp>, StorageError> {
        self.write_pending()?;
        Ok(self
            .connection
            .prepare_cached(
                "SELECT e.create_time FROM grants g JOIN entries e ON e.position = g.position
                  WHERE g.account_id = ?1 AND g.grant_id = 1",
            )?
            .query_row([id], |row| row.get::<_, At>(0))
            .optional()?
            .map(|At(time)| time))
    }

    /// An open hold. The entry that made it was prefetched.
    fn restore_hold(&self, text: &HoldText) -> Result<OpenHold, StorageError> {
        let wrong = || StorageError(format!("what is kept of hold {} cannot be read", text.id));
        let made = self.prefetched_hold(text.id).ok_or_else(wrong)?;
        let mut shares = Vec::with_capacity(text.shares.len());
        let mut held = Credits::ZERO;
        for (grant, amount) in &text.shares {
            let amount = Credits::from_nanos(*amount).map_err(|_| wrong())?;
            held = held.checked_add(amount).map_err(|_| wrong())?;
            shares.push((GrantId(*grant), amount));
        }
        Ok(OpenHold {
            hold: Arc::new(Hold {
                id: HoldId(text.id),
                held,
                settled: Credits::from_nanos(text.settled).map_err(|_| wrong())?,
                expire_time: text.expire_time.0,
                ..Hold::clone(&made)
            }),
            shares,
        })
    }

    /// Writes the account into its row.
    pub(super) fn flush(&self, loaded: &Loaded) -> Result<(), StorageError> {
        let account = &loaded.account;
        self.connection
            .prepare_cached(
                "UPDATE accounts SET head = ?2, last_time = ?3, steps = ?4, state = ?5
                 WHERE account_id = ?1",
            )?
            .execute(params![
                loaded.id,
                loaded.head.map(|head| head.0),
                At(account.last_time()),
                u32::try_from(loaded.steps).unwrap_or(u32::MAX),
                state_text(account),
            ])?;
        Ok(())
    }

    /// Writes a snapshot of the account, for reads as of this time.
    pub(super) fn write_snapshot(&self, loaded: &Loaded) -> Result<(), StorageError> {
        let account = &loaded.account;
        self.connection
            .prepare_cached("INSERT INTO snapshots VALUES (?1, ?2, ?3, ?4, ?5)")?
            .execute(params![
                loaded.id,
                account.last().entry.0,
                loaded.head.map(|head| head.0),
                At(account.last_time()),
                state_text(account),
            ])?;
        Ok(())
    }
}

/// The stored state of an account, as JSON.
pub(super) fn state_text(account: &Account) -> String {
    // Serialising numbers, texts and lists of them cannot fail.
    serde_json::to_string(&state_of(account)).unwrap_or_default()
}

/// The same as version 3 wrote it; None where it could not.
pub(super) fn state_text_3(account: &Account) -> Option<String> {
    serde_json::to_string(&state_of(account).into_version_3()?).ok()
}

pub(super) fn state_of(account: &Account) -> StateText {
    StateText::of(
        account,
        account
            .grants()
            .map(|grant| GrantText {
                id: grant.id.0,
                remaining: grant.remaining.nanos(),
                held: grant.held.nanos(),
                revoked: grant.revoked,
            })
            .collect(),
        account
            .holds()
            .values()
            .map(|open| HoldText {
                id: open.hold.id.0,
                settled: open.hold.settled.nanos(),
                expire_time: At(open.hold.expire_time),
                shares: open
                    .shares
                    .iter()
                    .map(|(grant, amount)| (grant.0, amount.nanos()))
                    .collect(),
            })
            .collect(),
    )
}

fn unreadable(base: &StoredState) -> StorageError {
    let head = base.head.map_or(0, |head| head.0);
    StorageError(format!("the state of an account at {head} cannot be read"))
}

fn does_not_follow(stored: &StoredEntry) -> StorageError {
    let position = stored.place.position.0;
    StorageError(format!(
        "the entry at {position} does not follow from those before it"
    ))
}
