//! The cut of a journal: from one transaction on its old rows do not count, and each account
//! begins at its opening.

use rusqlite::params;

use super::seal::{Seal, SealHash, seal_text};
use crate::domain::{AccountName, Timestamp};
use crate::failpoint;
use crate::store::keys::AdminAction;
use crate::store::sqlite::chain::BEGINNING;
use crate::store::sqlite::chain::head::JournalHead;
use crate::store::sqlite::journal::{Journal, Position, StorageError};
use crate::store::sqlite::times::At;
use crate::store::sqlite::trail;

/// Accounts between two calls of `progress`.
const PROGRESS_ACCOUNTS: u64 = 1_000;

/// What is marked.
pub(super) struct Cut<'a> {
    pub(super) archive: i64,
    /// The newest row that is archived.
    pub(super) position: Position,
    /// The newest row of all, as the archive has it.
    pub(super) last: Position,
    pub(super) before: Timestamp,
    pub(super) now: Timestamp,
    /// The name of the archive's file.
    pub(super) file: &'a str,
}

/// The newest archived rows of an account.
struct Newest {
    account: i64,
    name: AccountName,
    row: Position,
    previous: Option<Position>,
    update: Option<Position>,
    /// The newest row that the account's own row has.
    flushed: Option<Position>,
}

impl Journal {
    /// Marks the rows as archived, in one transaction. Returns the seal, and the head of the journal
    /// at the cut.
    pub(super) fn mark(
        &self,
        cut: &Cut<'_>,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(Seal, JournalHead), StorageError> {
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        let marked = self.mark_all(cut, progress);
        match &marked {
            Ok(_) => {
                failpoint::pass("archive-marking");
                self.connection.execute_batch("COMMIT")?;
            }
            // What failed says more than that it cannot be rolled back.
            Err(_) => drop(self.connection.execute_batch("ROLLBACK")),
        }
        marked
    }

    fn mark_all(
        &self,
        cut: &Cut<'_>,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(Seal, JournalHead), StorageError> {
        if self.last_position()? != cut.last {
            let changed = "another program has written to the file meanwhile";
            return Err(StorageError(changed.to_owned()));
        }
        let newest = self.newest_rows(self.archived()?, cut.position)?;
        let total = u64::try_from(newest.len()).unwrap_or_default();
        for (done, account) in (1_u64..).zip(&newest) {
            self.open_at(cut, account)?;
            if done.is_multiple_of(PROGRESS_ACCOUNTS) || done == total {
                progress(done, total);
            }
        }
        self.remove_archived_lookups(cut.position)?;
        let (seal, head) = self.sealed(cut.position)?;
        self.connection.execute(
            "INSERT INTO archives VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0)",
            params![
                cut.archive,
                At(cut.now),
                At(cut.before),
                cut.position.0,
                head.to_string(),
                seal,
                cut.file,
            ],
        )?;
        let (action, subject) = (AdminAction::Archive, seal_text(&seal));
        trail::add(&self.connection, cut.now, None, action, &subject, cut.file)?;
        Ok((seal, head))
    }

    pub(super) fn last_position(&self) -> Result<Position, StorageError> {
        let last = "SELECT coalesce(max(position), 0) FROM entries";
        let last = self.connection.query_row(last, [], |row| row.get(0))?;
        Ok(Position(last))
    }

    /// The newest rows of each account that has any after the former cut and up to this one.
    fn newest_rows(&self, former: Position, cut: Position) -> Result<Vec<Newest>, StorageError> {
        let mut statement = self.connection.prepare(
            "SELECT newest.account_id, a.name, newest.row, e.previous, newest.settings, a.head
               FROM (SELECT account_id, max(position) AS row,
                            max(iif(kind = 'update', position, NULL)) AS settings
                       FROM entries WHERE position > ?1 AND position <= ?2
                      GROUP BY account_id) newest
               JOIN accounts a ON a.account_id = newest.account_id
               JOIN entries e ON e.position = newest.row",
        )?;
        let mut rows = statement.query([former.0, cut.0])?;
        let mut newest = Vec::new();
        while let Some(row) = rows.next()? {
            let account: i64 = row.get(0)?;
            let name: String = row.get(1)?;
            let position = |column| Ok::<_, StorageError>(row.get::<_, Option<i64>>(column)?);
            newest.push(Newest {
                account,
                name: AccountName::new(&name)
                    .map_err(|_| StorageError(format!("account {account} has no proper name")))?,
                row: Position(row.get(2)?),
                previous: position(3)?.map(Position),
                update: position(4)?.map(Position),
                flushed: position(5)?.map(Position),
            });
        }
        Ok(newest)
    }

    /// Writes the opening of an account, and its own row where that is older.
    fn open_at(&self, cut: &Cut<'_>, newest: &Newest) -> Result<(), StorageError> {
        let loaded = self.load_at(newest.account, &newest.name, newest.row)?;
        let previous_chain = match newest.previous {
            Some(previous) => self.chain_at(Some(previous))?,
            None => BEGINNING,
        };
        let settings = match newest.update {
            Some(update) => Some(update),
            None => (self.stored_opening(newest.account)?).and_then(|former| former.settings),
        };
        self.write_opening(cut.archive, &loaded, (&previous_chain, settings))?;
        if newest.flushed <= Some(newest.row) {
            self.flush(&loaded)?;
        }
        Ok(())
    }

    /// Removes what nobody looks for any more, and counts steps from the openings on.
    fn remove_archived_lookups(&self, cut: Position) -> Result<(), StorageError> {
        for sql in [
            "DELETE FROM snapshots WHERE position <= ?1",
            "DELETE FROM holds
              WHERE closed <= ?1 AND closed NOT IN (SELECT position FROM openings)",
            "DELETE FROM refunds WHERE ?1 > 0 AND entry_id <=
               (SELECT entry_id FROM openings o WHERE o.account_id = refunds.account_id)",
            "UPDATE file SET flushed = max(flushed, ?1)",
            "UPDATE accounts SET steps = counted.steps FROM (
               SELECT e.account_id AS id, count(*) AS steps
                 FROM entries e
                 JOIN accounts a USING (account_id)
                 JOIN openings o USING (account_id)
                 LEFT JOIN (SELECT account_id, min(position) AS oldest
                              FROM snapshots GROUP BY account_id) s USING (account_id)
                WHERE e.position > ?1 AND e.position <= a.head
                  AND (s.oldest IS NULL OR s.oldest > a.head)
                GROUP BY e.account_id) counted
              WHERE counted.id = accounts.account_id",
        ] {
            self.connection.execute(sql, [cut.0])?;
        }
        Ok(())
    }

    /// The seal over the openings that the file has, and the head of the journal at the cut.
    pub(in crate::store::sqlite) fn sealed(
        &self,
        position: Position,
    ) -> Result<(Seal, JournalHead), StorageError> {
        let mut hash = SealHash::new(position);
        let mut chains = Vec::new();
        self.each_opening(|name, opening| {
            hash.opening(name, &opening, &opening.text()?);
            chains.push((name.to_owned(), opening.chain));
            Ok(())
        })?;
        let chains = chains.iter().map(|(name, chain)| (name.as_str(), chain));
        let head = JournalHead::of(position.0, chains);
        Ok((hash.finish(self)?.0, head))
    }
}
