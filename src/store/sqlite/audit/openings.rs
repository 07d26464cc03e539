//! Checks of what stands for archived rows: the openings of accounts, from which their folds and
//! chains go on, the rows that were kept, the seal over both, and the trail's word for the seal.

use super::{AccountAudit, Audit};
use crate::domain::canonical::CanonicalForm;
use crate::domain::ledger::{Account, EntryKind};
use crate::domain::{AccountName, Labels};
use crate::store::sqlite::accounts::state_text;
use crate::store::sqlite::archive::{Seal, seal_text};
use crate::store::sqlite::chain::ChainRow;
use crate::store::sqlite::chain::head::JournalHead;
use crate::store::sqlite::journal::{Journal, Position, StorageError};
use crate::store::sqlite::openings::StoredOpening;
use crate::store::sqlite::times::At;

/// A row of `archives`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StoredArchive {
    pub(super) number: i64,
    pub(super) position: i64,
    pub(super) head: String,
    pub(super) seal: Seal,
    pub(super) file: String,
    pub(super) is_finished: bool,
}

/// All archives of a file, in order.
pub(super) fn archives(journal: &Journal) -> Result<Vec<StoredArchive>, StorageError> {
    let mut statement = journal.connection.prepare(
        "SELECT archive_id, position, head, seal, file, finished FROM archives ORDER BY archive_id",
    )?;
    let rows = statement.query_map([], |row| {
        Ok(StoredArchive {
            number: row.get(0)?,
            position: row.get(1)?,
            head: row.get(2)?,
            seal: row.get(3)?,
            file: row.get(4)?,
            is_finished: row.get(5)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

impl Audit<'_> {
    /// Begins each account at its opening.
    pub(super) fn read_openings(&mut self) -> Result<(), StorageError> {
        let mut openings = Vec::new();
        self.journal.each_opening(|_, opening| {
            openings.push(opening);
            Ok(())
        })?;
        let lost = "SELECT count(*) FROM openings
             WHERE account_id NOT IN (SELECT account_id FROM accounts)";
        if self.count(lost)? != 0 {
            self.report
                .add("an opening is of an account that is not there");
        }
        for opening in &openings {
            let Some(mut account_audit) = self.accounts.remove(&opening.account_id) else {
                continue;
            };
            if let Some(problem) = self.begin_at(opening, &mut account_audit) {
                let name = &account_audit.name;
                self.report
                    .add(format!("the opening of account {name}: {problem}"));
                account_audit.account = None;
            }
            self.accounts.insert(opening.account_id, account_audit);
        }
        Ok(())
    }

    /// What is wrong with an opening. The account begins there in any case.
    fn begin_at(
        &mut self,
        opening: &StoredOpening,
        account_audit: &mut AccountAudit,
    ) -> Option<String> {
        account_audit.head = Some(opening.position);
        account_audit.chain = opening.chain;
        account_audit.previous_chain = opening.previous_chain;
        account_audit.last_update = opening.settings;
        account_audit.archive = opening.archive;
        let read = AccountName::new(&account_audit.name).ok().and_then(|name| {
            let account = self.journal.account_at_opening(&name, opening);
            account.ok()
        });
        let Some(account) = read else {
            account_audit.row_was_checked |= account_audit.row_head == account_audit.head;
            return Some(
                "it cannot be read, or the row at which it ends is another one".to_owned(),
            );
        };
        let problem = match self.differs(opening, &account) {
            Ok(problem) => problem.map(str::to_owned),
            Err(StorageError(cause)) => Some(cause),
        };
        if account_audit.row_head == account_audit.head {
            account_audit.row_was_checked = true;
            if !self.is_row_at(opening, &account) {
                self.report.add(format!(
                    "account {}: its row is not what its opening makes",
                    account_audit.name
                ));
            }
        }
        account_audit.account = Some(account);
        problem
    }

    /// Whether the row of an account says the same as its opening.
    fn is_row_at(&self, opening: &StoredOpening, account: &Account) -> bool {
        let sql = "SELECT 1 FROM accounts
             WHERE account_id = ?1 AND state = ?2 AND last_time IS ?3 AND steps = 0";
        let row = (opening.account_id, state_text(account), At(opening.time));
        let statement = self.journal.connection.prepare_cached(sql);
        statement
            .and_then(|mut statement| statement.exists(row))
            .unwrap_or_default()
    }

    /// Compares an opening with the account that its state makes, and with the kept rows.
    fn differs(
        &self,
        opening: &StoredOpening,
        account: &Account,
    ) -> Result<Option<&'static str>, StorageError> {
        let figures = (opening.available, opening.held, opening.entry, opening.time);
        let expected = (
            account.available().nanos(),
            account.held().nanos(),
            account.last().entry,
            account.last_time(),
        );
        if figures != expected || opening.state != state_text(account) {
            return Ok(Some("its figures are not those of its state"));
        }
        if opening.position.0 > self.floor
            || !(1..=self.archives_count()).contains(&opening.archive)
        {
            return Ok(Some("no archive ends there"));
        }
        let Some(newest) = self.journal.entry(opening.position)? else {
            return Ok(Some("the row at which it ends is missing"));
        };
        let row = ChainRow {
            position: newest.place.position,
            entry: &newest.entry,
            fingerprint: newest.fingerprint.as_ref(),
            answered: newest.told_otherwise(),
            seals: &newest.seals,
        };
        let hash = row.hash(&opening.previous_chain, &mut CanonicalForm::default());
        if newest.place.account_id != opening.account_id
            || newest.entry.create_time != opening.time
            || hash != Some(opening.chain)
            || newest.chain != hash
        {
            return Ok(Some(
                "the row at which it ends is not as it was written, or another one came before",
            ));
        }
        let labels = account.settings().map(|settings| settings.labels.clone());
        let labels = labels.unwrap_or_default();
        match self.labels_at(opening)? {
            Some(set) if set == labels => Ok(None),
            None if labels == Labels::default() => Ok(None),
            _ => Ok(Some("its labels are not those of its newest update")),
        }
    }

    /// The labels of the account by its newest archived update, if it has one.
    fn labels_at(&self, opening: &StoredOpening) -> Result<Option<Labels>, StorageError> {
        let Some(position) = opening.settings else {
            return Ok(None);
        };
        let stored = self.journal.entry(position)?;
        Ok(stored.and_then(|stored| {
            let own = stored.place.account_id == opening.account_id;
            match &stored.entry.kind {
                EntryKind::Update(update) if own => Some(update.settings.labels.clone()),
                _ => None,
            }
        }))
    }

    fn archives_count(&self) -> i64 {
        i64::try_from(self.archives.len()).unwrap_or(i64::MAX)
    }

    /// The rows that are kept of the archived ones: all that are needed, each as it was written,
    /// and no others once the rest is removed. The seal covers them and the openings.
    pub(super) fn check_kept(&mut self) -> Result<(), StorageError> {
        let Some(newest) = self.archives.last().cloned() else {
            if self.count("SELECT count(*) FROM openings")? != 0 {
                self.report
                    .add("there are openings of accounts, and no archive");
            }
            return Ok(());
        };
        let cut = Position(newest.position);
        let sealed = self.journal.sealed(cut);
        match sealed {
            Ok((seal, head)) if seal == newest.seal && head.to_string() == newest.head => {}
            Ok(_) => self.report.add(format!(
                "the seal of archive {} is not that of the openings and of the rows that were kept: one of them was changed, removed, added or exchanged",
                newest.number
            )),
            Err(StorageError(cause)) => self.report.add(format!(
                "the seal of archive {} cannot be compared: {cause}",
                newest.number
            )),
        }
        let Ok(kept) = self.journal.kept_rows(cut) else {
            return Ok(());
        };
        for position in &kept {
            self.check_kept_row(Position(*position))?;
        }
        let expected = i64::try_from(kept.len()).unwrap_or(i64::MAX);
        let there = self.count(&format!(
            "SELECT count(*) FROM entries WHERE position <= {}",
            cut.0
        ))?;
        if there != expected && (newest.is_finished || there < expected) {
            self.report.add(format!(
                "{there} rows are kept of those up to {}, and {expected} must be",
                cut.0
            ));
        }
        Ok(())
    }

    /// A kept row must be in the form in which creditd writes it, with all that is looked up of it.
    fn check_kept_row(&mut self, position: Position) -> Result<(), StorageError> {
        let Some(stored) = self.journal.entry(position)? else {
            return Ok(());
        };
        let row = ChainRow {
            position,
            entry: &stored.entry,
            fingerprint: stored.fingerprint.as_ref(),
            answered: stored.told_otherwise(),
            seals: &stored.seals,
        };
        if let Some(column) = self.odd_column(&stored, &row)? {
            self.report.add(format!(
                "the kept row at position {}: its {column} is not as creditd writes it",
                position.0
            ));
        }
        Ok(())
    }

    /// Archives count from 1, each ends after the one before it, and the trail names their seals.
    pub(super) fn check_archives(&mut self) -> Result<(), StorageError> {
        let (mut number, mut position) = (0_i64, 0_i64);
        let mut named = std::mem::take(&mut self.named_seals).into_iter();
        for archive in self.archives.clone() {
            number = number.saturating_add(1);
            let head: Result<JournalHead, _> = archive.head.parse();
            let head_fits = head.is_ok_and(|head| head.rows() == archive.position);
            if archive.number != number || archive.position <= position || !head_fits {
                self.report.add(format!(
                    "archive {}: its number, its position or its head is not as creditd writes it",
                    archive.number
                ));
            }
            position = archive.position;
            if named.next().as_deref() != Some(&*seal_text(&archive.seal)) {
                self.report.add(format!(
                    "archive {}: the trail names another seal, or none",
                    archive.number
                ));
            }
        }
        if named.next().is_some() {
            self.report
                .add("the trail names the seal of an archive that is not there");
        }
        let unfinished = "SELECT count(*) FROM archives WHERE finished NOT IN (0, 1)
             OR finished = 0 AND archive_id < (SELECT max(archive_id) FROM archives)";
        if self.count(unfinished)? != 0 {
            self.report
                .add("an archive is said to be unfinished, and there is a later one");
        }
        Ok(())
    }
}
