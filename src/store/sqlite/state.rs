//! The current state in memory: what the journal folds to.

use std::collections::HashMap;
use std::path::Path;

use rusqlite::Connection;

use super::open::OpenError;
use super::rows::{self, StoredEntry};
use crate::domain::ledger::{Account, Entry, EntryId, Fingerprint};
use crate::domain::{AccountName, RequestId, Timestamp};

/// All accounts, and where the journal stands.
pub(super) struct State {
    pub(super) accounts: HashMap<AccountName, Slot>,
    pub(super) next_entry: EntryId,
    pub(super) next_account: i64,
    /// No later write is dated before it.
    pub(super) last_time: Timestamp,
}

/// An account and what is known about its requests.
pub(super) struct Slot {
    pub(super) id: i64,
    pub(super) account: Account,
    pub(super) requests: HashMap<RequestId, (Fingerprint, EntryId)>,
}

impl Slot {
    pub(super) fn new(id: i64, account: Account) -> Self {
        Self {
            id,
            account,
            requests: HashMap::new(),
        }
    }

    /// Notes that the entry answers its request.
    pub(super) fn note_request(&mut self, entry: &Entry, fingerprint: Option<Fingerprint>) {
        if let (Some(id), Some(fingerprint)) = (&entry.request_id, fingerprint) {
            self.requests.insert(id.clone(), (fingerprint, entry.id));
        }
    }
}

impl State {
    /// Folds the journal.
    pub(super) fn load(connection: &Connection, path: &Path) -> Result<Self, OpenError> {
        let mut state = Self {
            accounts: HashMap::new(),
            next_entry: EntryId(1),
            next_account: 1,
            last_time: Timestamp::MIN,
        };
        state
            .load_accounts(connection)
            .and_then(|()| state.load_entries(connection))
            .map_err(|rows::BadRow(what)| OpenError::damaged(path, what))?;
        Ok(state)
    }

    fn load_accounts(&mut self, connection: &Connection) -> Result<(), rows::BadRow> {
        let mut statement = connection.prepare("SELECT account_id, name FROM accounts")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let id: i64 = row.get(0)?;
            let name: String = row.get(1)?;
            let name = AccountName::new(&name)
                .map_err(|_| rows::BadRow(format!("account {id} has no proper name")))?;
            self.next_account = self.next_account.max(id.saturating_add(1));
            self.accounts
                .insert(name.clone(), Slot::new(id, Account::new(name)));
        }
        Ok(())
    }

    fn load_entries(&mut self, connection: &Connection) -> Result<(), rows::BadRow> {
        let mut statement = connection.prepare(&format!("{} ORDER BY e.entry_id", rows::ENTRY))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let StoredEntry { entry, fingerprint } = rows::read_entry(row)?;
            let broken = || rows::BadRow(format!("entry {} does not follow", entry.id.0));
            let slot = self.accounts.get_mut(&entry.account).ok_or_else(broken)?;
            slot.account.apply(&entry).map_err(|_| broken())?;
            slot.note_request(&entry, fingerprint);
            self.next_entry = entry.id.next();
            self.last_time = self.last_time.max(entry.create_time);
        }
        Ok(())
    }
}
