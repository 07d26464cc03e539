//! Accounts in the file: read from their row or a checkpoint and the entries after
//! it, and written back at a distance.

use std::sync::Arc;

use rusqlite::{OptionalExtension as _, ToSql, params};

use super::ahead::Link;
use super::journal::{BadRow, Journal};
use super::text::{GrantText, HoldText, StateText};
use super::times::At;
use crate::domain::ledger::{
    Account, AccountParts, Entry, EntryId, GrantId, GrantState, Hold, HoldId, OpenHold,
};
use crate::domain::{AccountName, Credits, Timestamp};

/// An account out of the file.
pub(super) struct Loaded {
    pub(super) id: i64,
    pub(super) account: Arc<Account>,
    /// Entries since its newest checkpoint.
    pub(super) steps: usize,
}

/// An account at some entry, as a row holds it.
struct Base {
    entry: Option<EntryId>,
    time: Timestamp,
    version: i64,
    state: String,
    steps: usize,
}

impl Journal {
    /// The number and the row's newest entry of the account of that name.
    pub(super) fn account_row(
        &self,
        name: &AccountName,
    ) -> Result<Option<(i64, Option<EntryId>)>, BadRow> {
        Ok(self
            .connection
            .prepare_cached("SELECT account_id, head FROM accounts WHERE name = ?1")?
            .query_row([name.as_str()], |row| {
                Ok((row.get(0)?, row.get::<_, Option<i64>>(1)?.map(EntryId)))
            })
            .optional()?)
    }

    /// The account as it is after its entry `head`.
    pub(super) fn load(
        &self,
        id: i64,
        name: &AccountName,
        head: Option<EntryId>,
    ) -> Result<Loaded, BadRow> {
        let base = match self.newest_checkpoint(id, head)? {
            Some(checkpoint) => {
                let row = self.base_of_row(id)?;
                if row.entry > checkpoint.entry {
                    row
                } else {
                    checkpoint
                }
            }
            None => self.base_of_row(id)?,
        };
        let mut steps = base.steps;
        let (mut account, later) = self.restore_and_walk(name, Some(base), head)?;
        for entry in later.iter().rev() {
            account.apply(entry).map_err(|at| does_not_follow(at.0))?;
        }
        steps = steps.saturating_add(later.len());
        let account = Arc::new(account);
        Ok(Loaded { id, account, steps })
    }

    /// The account as it is kept, and its entries after that, newest first; by a number of
    /// statements that does not grow with it.
    fn restore_and_walk(
        &self,
        name: &AccountName,
        base: Option<Base>,
        head: Option<EntryId>,
    ) -> Result<(Account, Vec<Entry>), BadRow> {
        let from = base.as_ref().and_then(|base| base.entry);
        let links = self.chain(head, from)?;
        let kept = base.filter(|base| base.entry.is_some());
        let text = match &kept {
            Some(base) => serde_json::from_str(&base.state).map_err(|_| unreadable(base))?,
            None => StateText::default(),
        };
        let grants = text.grants.iter().map(|grant| grant.id);
        let grants = grants.chain(links.iter().flat_map(Link::grants));
        let holds = text.holds.iter().map(|hold| hold.id);
        let holds = holds.chain(links.iter().filter_map(Link::earlier_hold));
        let _ahead = self.read_ahead(grants, holds)?;
        let account = match kept {
            Some(base) => self.restore(name.clone(), &base, &text)?,
            None => Account::new(name.clone()),
        };
        Ok((account, self.entries_of(&links)?))
    }

    fn base_of_row(&self, id: i64) -> Result<Base, BadRow> {
        Ok(self
            .connection
            .prepare_cached(
                "SELECT head, last_time, version, state, steps FROM accounts WHERE account_id = ?1",
            )?
            .query_row([id], |row| {
                Ok(Base {
                    entry: row.get::<_, Option<i64>>(0)?.map(EntryId),
                    time: row.get::<_, At>(1)?.0,
                    version: row.get(2)?,
                    state: row.get(3)?,
                    steps: row.get::<_, u32>(4)?.try_into().unwrap_or_default(),
                })
            })?)
    }

    fn newest_checkpoint(&self, id: i64, up_to: Option<EntryId>) -> Result<Option<Base>, BadRow> {
        let Some(up_to) = up_to else { return Ok(None) };
        self.checkpoint(
            "SELECT entry_id, create_time, version, state FROM checkpoints
             WHERE account_id = ?1 AND entry_id <= ?2 ORDER BY entry_id DESC LIMIT 1",
            id,
            up_to.0,
        )
    }

    fn checkpoint(&self, sql: &str, id: i64, value: impl ToSql) -> Result<Option<Base>, BadRow> {
        Ok(self
            .connection
            .prepare_cached(sql)?
            .query_row(params![id, value], |row| {
                Ok(Base {
                    entry: Some(EntryId(row.get(0)?)),
                    time: row.get::<_, At>(1)?.0,
                    version: row.get(2)?,
                    state: row.get(3)?,
                    steps: 0,
                })
            })
            .optional()?)
    }

    /// The account as it was then: from the checkpoint before, and the entries up
    /// to the one after. Nothing that ended meanwhile has left it.
    pub(super) fn load_as_of(
        &self,
        id: i64,
        name: &AccountName,
        head: Option<EntryId>,
        as_of: Timestamp,
    ) -> Result<Account, BadRow> {
        let before = self.checkpoint(
            "SELECT entry_id, create_time, version, state FROM checkpoints
             WHERE account_id = ?1 AND create_time <= ?2 ORDER BY entry_id DESC LIMIT 1",
            id,
            At(as_of),
        )?;
        let before = before.filter(|base| base.entry <= head);
        let after: Option<i64> = self
            .connection
            .prepare_cached(
                "SELECT entry_id FROM checkpoints
                 WHERE account_id = ?1 AND create_time > ?2 ORDER BY entry_id LIMIT 1",
            )?
            .query_row(params![id, At(as_of)], |row| row.get(0))
            .optional()?;
        // The journal may have grown since the question was asked.
        let until = after
            .map(EntryId)
            .filter(|after| Some(*after) <= head)
            .or(head);
        let (mut account, later) = self.restore_and_walk(name, before, until)?;
        for entry in later.iter().rev() {
            if entry.create_time <= as_of {
                account.apply(entry).map_err(|at| does_not_follow(at.0))?;
            }
        }
        Ok(account)
    }

    /// The account of a row. What it needs was read ahead.
    fn restore(&self, name: AccountName, base: &Base, text: &StateText) -> Result<Account, BadRow> {
        let wrong = || unreadable(base);
        let made = self.made_grants(text.grants.iter().map(|grant| grant.id))?;
        let mut grants = Vec::with_capacity(text.grants.len());
        for grant in &text.grants {
            let made = made.get(&grant.id).ok_or_else(wrong)?;
            grants.push(GrantState {
                id: GrantId(EntryId(grant.id)),
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
        let account = Account::from_parts(AccountParts {
            name: name.clone(),
            version: base.version,
            last_entry: base.entry,
            last_time: base.time,
            grants,
            holds,
        });
        // The journal is the word that counts.
        self.write_waiting()?;
        let (available, version): (i64, i64) = self
            .connection
            .prepare_cached("SELECT available, version FROM entries WHERE entry_id = ?1")?
            .query_row([base.entry.map(|id| id.0)], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
        account
            .filter(|a| a.available().nanos() == available && a.version() == version)
            .ok_or_else(wrong)
    }

    /// An open hold; the entry that made it was read ahead.
    fn restore_hold(&self, text: &HoldText) -> Result<OpenHold, BadRow> {
        let wrong = || BadRow(format!("what is kept of hold {} cannot be read", text.id));
        let made = self.hold_ahead(text.id).ok_or_else(wrong)?;
        let mut shares = Vec::with_capacity(text.shares.len());
        let mut held = Credits::ZERO;
        for (grant, kept) in &text.shares {
            let kept = Credits::from_nanos(*kept).map_err(|_| wrong())?;
            held = held.checked_add(kept).map_err(|_| wrong())?;
            shares.push((GrantId(EntryId(*grant)), kept));
        }
        Ok(OpenHold {
            hold: Arc::new(Hold {
                id: HoldId(EntryId(text.id)),
                held,
                settled: Credits::from_nanos(text.settled).map_err(|_| wrong())?,
                expire_time: text.expire_time.0,
                ..Hold::clone(&made)
            }),
            shares,
        })
    }

    /// Brings the account's row to what it is.
    pub(super) fn save(&self, loaded: &Loaded) -> Result<(), BadRow> {
        let account = &loaded.account;
        self.connection
            .prepare_cached(
                "UPDATE accounts SET head = ?2, version = ?3, last_time = ?4, steps = ?5, state = ?6
                 WHERE account_id = ?1",
            )?
            .execute(params![
                loaded.id,
                account.last_entry().map(|id| id.0),
                account.version(),
                At(account.last_time()),
                u32::try_from(loaded.steps).unwrap_or(u32::MAX),
                state_text(account),
            ])?;
        Ok(())
    }

    /// Keeps the account as it is now, for questions about this time.
    pub(super) fn write_checkpoint(&self, loaded: &Loaded) -> Result<(), BadRow> {
        let account = &loaded.account;
        self.connection
            .prepare_cached("INSERT INTO checkpoints VALUES (?1, ?2, ?3, ?4, ?5)")?
            .execute(params![
                loaded.id,
                account.last_entry().map(|id| id.0),
                At(account.last_time()),
                account.version(),
                state_text(account),
            ])?;
        Ok(())
    }
}

/// What the account has, as text.
pub(super) fn state_text(account: &Account) -> String {
    let text = StateText {
        grants: account
            .grants()
            .map(|grant| GrantText {
                id: grant.id.0.0,
                remaining: grant.remaining.nanos(),
                held: grant.held.nanos(),
                revoked: grant.revoked,
            })
            .collect(),
        holds: account
            .holds()
            .values()
            .map(|open| HoldText {
                id: open.hold.id.0.0,
                settled: open.hold.settled.nanos(),
                expire_time: At(open.hold.expire_time),
                shares: open
                    .shares
                    .iter()
                    .map(|(grant, kept)| (grant.0.0, kept.nanos()))
                    .collect(),
            })
            .collect(),
    };
    // Numbers and lists of numbers always make a text.
    serde_json::to_string(&text).unwrap_or_default()
}

fn unreadable(base: &Base) -> BadRow {
    let entry = base.entry.map_or(0, |entry| entry.0);
    BadRow(format!(
        "what is kept of an account at entry {entry} cannot be read"
    ))
}

fn does_not_follow(id: EntryId) -> BadRow {
    BadRow(format!(
        "entry {} does not follow from those before it",
        id.0
    ))
}
