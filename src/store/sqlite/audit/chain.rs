//! Checks of the chains: that each row is as it was written, that none is missing, and that the
//! journal goes on from a head.

use super::{AccountAudit, Audit};
use crate::domain::canonical::CanonicalForm;
use crate::domain::ledger::EntryKind;
use crate::store::sqlite::chain::head::JournalHead;
use crate::store::sqlite::chain::{Chain, ChainRow};
use crate::store::sqlite::columns::{first_difference, grant_columns};
use crate::store::sqlite::journal::{Position, StorageError};
use crate::store::sqlite::open::schema_of_version;
use crate::store::sqlite::rows::StoredEntry;

impl Audit<'_> {
    /// Tables, indexes and views must be those of the file's version. Others may stand beside them.
    pub(super) fn check_schema(&mut self) -> Result<(), StorageError> {
        let expected = schema_of_version(&self.journal.connection)?;
        let sql = "SELECT 1 FROM sqlite_schema
             WHERE type = ?1 AND name = ?2 AND tbl_name = ?3 AND sql IS ?4";
        for (kind, name, table, text) in expected {
            let mut statement = self.journal.connection.prepare_cached(sql)?;
            if !statement.exists((&kind, &name, &table, text))? {
                self.report.add(format!(
                    "SQLite: the {kind} {name} is missing, or is not that of this version"
                ));
            }
        }
        Ok(())
    }

    /// Positions count from 1 without gaps.
    pub(super) fn check_position(&mut self, expected: i64, position: i64) {
        let before = position.saturating_sub(1);
        if position < expected {
            self.report.add(format!(
                "an entry is at position {position}, and positions count from 1"
            ));
        } else if before == expected {
            self.report
                .add(format!("the entry at position {expected} is missing"));
        } else if position != expected {
            self.report.add(format!(
                "the entries at positions {expected} to {before} are missing"
            ));
        }
    }

    /// A row must have the hash of what it says and of the account's rows before it. From a row
    /// that has another one the check goes on with that, so that each break is told once.
    pub(super) fn check_chain(
        &mut self,
        stored: &StoredEntry,
        account: &mut AccountAudit,
        form: &mut CanonicalForm,
    ) {
        let row = ChainRow {
            position: stored.place.position,
            entry: &stored.entry,
            fingerprint: stored.fingerprint.as_ref(),
            answered: stored.told_otherwise(),
            seals: &stored.seals,
        };
        let place = || account.place(stored);
        match self.odd_column(stored, &row) {
            Ok(None) => {}
            Ok(Some(column)) => {
                let finding = format!("{}: its {column} is not as creditd writes it", place());
                self.report.add(finding);
            }
            Err(StorageError(cause)) => self.report.add(format!("{}: {cause}", place())),
        }
        if !self.is_chained {
            return;
        }
        let expected = row.hash(&account.chain, form);
        if expected.is_none() || expected != stored.chain {
            self.report.add(format!(
                "{}: it is not as it was written, or the entry of {} before it is another one",
                place(),
                account.name
            ));
        }
        if let Some(chain) = stored.chain.or(expected) {
            account.previous_chain = account.chain;
            account.chain = chain;
        }
    }

    /// The name of a column that does not have what creditd writes for the row's meaning.
    pub(super) fn odd_column(
        &self,
        stored: &StoredEntry,
        row: &ChainRow<'_>,
    ) -> Result<Option<String>, StorageError> {
        let columns = (self.journal).entry_columns(stored.place, row, stored.chain.as_ref())?;
        let entries = "SELECT * FROM entries WHERE position = ?1";
        let mut statement = self.journal.connection.prepare_cached(entries)?;
        let mut rows = statement.query([stored.place.position.0])?;
        if let Some(row) = rows.next()?
            && let Some(at) = first_difference(&columns, row)?
        {
            return Ok(Some(row.as_ref().column_name(at)?.to_owned()));
        }
        let EntryKind::Grant { id, terms } = &stored.entry.kind else {
            return Ok(None);
        };
        let columns = grant_columns(stored.place, *id, terms);
        let grants = "SELECT * FROM grants WHERE account_id = ?1 AND grant_id = ?2";
        let mut statement = self.journal.connection.prepare_cached(grants)?;
        let mut rows = statement.query([stored.place.account_id, id.0])?;
        if let Some(row) = rows.next()?
            && let Some(at) = first_difference(&columns, row)?
        {
            return Ok(Some(format!("grant's {}", row.as_ref().column_name(at)?)));
        }
        Ok(None)
    }

    /// The hash that is stored with a row that cannot be read.
    pub(super) fn stored_chain(&self, position: Position) -> Option<Chain> {
        let sql = "SELECT chain FROM entries WHERE position = ?1";
        let chain = (self.journal.connection).query_row(sql, [position.0], |row| row.get(0));
        chain.ok().flatten()
    }

    /// The head of the rows that were read.
    pub(super) fn head(&self, rows: i64) -> JournalHead {
        let mut accounts: Vec<(&str, &Chain)> = (self.accounts.values())
            .filter(|account| account.head.is_some())
            .map(|account| (&*account.name, &account.chain))
            .collect();
        accounts.sort_unstable();
        JournalHead::of(rows, accounts.into_iter())
    }

    /// Compares with the heads from which the file must go on, once so many rows were read, and
    /// with what an archive must make of them.
    pub(super) fn check_since(&mut self, rows: i64) -> Result<(), StorageError> {
        for since in self.heads.iter().filter(|since| since.rows() == rows) {
            let problem = match (self.head(rows) == *since, self.report.damage) {
                (true, _) => continue,
                (false, 0) => {
                    "each entry up to there has the hash of what it says now: an entry was changed and all hashes after it were computed again, or an account got another name, or the head is of another file"
                }
                (false, _) => "what is not as it was is told above, or more than that was changed",
            };
            self.report.add(format!(
                "it does not go on from the head {since}: {problem}"
            ));
        }
        match self.expected.filter(|cut| cut.position == rows) {
            Some(cut) => self.check_cut(cut),
            None => Ok(()),
        }
    }

    /// Notes the head of the whole journal.
    pub(super) fn note_head(&mut self) {
        if !self.is_chained {
            return;
        }
        let last = self.last_position;
        for since in self.heads.iter().filter(|since| since.rows() > last) {
            self.report.add(format!(
                "it does not go on from the head {since}: the journal had {} rows then and has {last} now, so its newest ones were removed, or this is a copy of before then, or the head is of another file",
                since.rows()
            ));
        }
        self.report.head = Some(self.head(last));
    }
}
