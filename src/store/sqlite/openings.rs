//! Sealed opening balances in the file: what an account has instead of its archived rows.
//!
//! Rows of the journal up to the position of the newest archive do not count any more, whether
//! they are removed yet or not. Some of them are kept for what they say of grants and holds, and
//! the newest of each account, on which its next row follows.

use rusqlite::{OptionalExtension as _, Row, params};

use super::accounts::{Loaded, StoredState};
use super::chain::Chain;
use super::journal::{Journal, Position, StorageError};
use super::text::StateText;
use super::times::At;
use crate::domain::ledger::{Account, EntryId, HoldId, Opening};
use crate::domain::{AccountName, Credits, Timestamp};

/// A row of `openings`.
#[derive(Clone)]
pub(super) struct StoredOpening {
    pub(super) account_id: i64,
    pub(super) archive: i64,
    pub(super) position: Position,
    pub(super) entry: EntryId,
    pub(super) time: Timestamp,
    pub(super) available: i64,
    pub(super) held: i64,
    /// The newest archived update of the account.
    pub(super) settings: Option<Position>,
    /// The hash of the account's row before the one at `position`.
    pub(super) previous_chain: Chain,
    pub(super) chain: Chain,
    pub(super) state: String,
}

/// All columns, in the order of the schema.
const OPENING_OF: &str =
    "SELECT account_id, archive_id, position, entry_id, create_time, available, held,
            settings_position, previous_chain, chain, state
       FROM openings WHERE account_id = ?1";

fn read(row: &Row<'_>) -> rusqlite::Result<StoredOpening> {
    Ok(StoredOpening {
        account_id: row.get(0)?,
        archive: row.get(1)?,
        position: Position(row.get(2)?),
        entry: EntryId(row.get(3)?),
        time: row.get::<_, At>(4)?.0,
        available: row.get(5)?,
        held: row.get(6)?,
        settings: row.get::<_, Option<i64>>(7)?.map(Position),
        previous_chain: row.get(8)?,
        chain: row.get(9)?,
        state: row.get(10)?,
    })
}

impl StoredOpening {
    pub(super) fn text(&self) -> Result<StateText, StorageError> {
        serde_json::from_str(&self.state).map_err(|_| self.unreadable())
    }

    fn unreadable(&self) -> StorageError {
        StorageError(format!(
            "the opening of account {} cannot be read",
            self.account_id
        ))
    }

    /// What the rules know of it.
    pub(super) fn opening(&self) -> Result<Opening, StorageError> {
        let credits = |nanos| Credits::from_nanos(nanos).map_err(|_| self.unreadable());
        Ok(Opening {
            archive: self.archive,
            entry: self.entry,
            hold: self.text()?.last().hold,
            time: self.time,
            available: credits(self.available)?,
            held: credits(self.held)?,
        })
    }

    /// The same as a state from which an account is folded.
    pub(super) fn stored_state(&self) -> StoredState {
        StoredState {
            head: Some(self.position),
            time: self.time,
            state: self.state.clone(),
            steps: 0,
        }
    }
}

impl Journal {
    /// Up to which position rows are archived; 0 where none are.
    pub(super) fn archived(&self) -> Result<Position, StorageError> {
        let sql = "SELECT coalesce(max(position), 0) FROM archives";
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(Position(statement.query_row([], |row| row.get(0))?))
    }

    /// The opening of an account; None where no row of it is archived.
    pub(super) fn stored_opening(
        &self,
        account_id: i64,
    ) -> Result<Option<StoredOpening>, StorageError> {
        let mut statement = self.connection.prepare_cached(OPENING_OF)?;
        Ok(statement.query_row([account_id], read).optional()?)
    }

    /// The same, as far as the rules know of it.
    pub(super) fn opening(&self, account_id: i64) -> Result<Option<Opening>, StorageError> {
        let stored = self.stored_opening(account_id)?;
        stored.map(|stored| stored.opening()).transpose()
    }

    /// The opening, if it is of a hold that is not to be found: it was closed by then.
    pub(super) fn opening_of_hold(
        &self,
        account_id: i64,
        id: HoldId,
    ) -> Result<Option<Opening>, StorageError> {
        let opening = self.opening(account_id)?;
        Ok(opening.filter(|opening| opening.has_hold(id)))
    }

    /// Calls `show` with all openings and the names of their accounts, in the order of the names.
    pub(super) fn each_opening(
        &self,
        mut show: impl FnMut(&str, StoredOpening) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        let mut statement = self.connection.prepare(
            "SELECT o.account_id, archive_id, position, entry_id, create_time, available, held,
                    settings_position, previous_chain, chain, o.state, a.name
               FROM openings o JOIN accounts a USING (account_id) ORDER BY a.name",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let name: String = row.get(11)?;
            show(&name, read(row)?)?;
        }
        Ok(())
    }

    /// The account as it was at its opening.
    pub(super) fn account_at_opening(
        &self,
        name: &AccountName,
        opening: &StoredOpening,
    ) -> Result<Account, StorageError> {
        let base = Some(opening.stored_state());
        let (account, _) =
            self.restore_with_entries(opening.account_id, name, base, Some(opening.position))?;
        Ok(account)
    }

    /// Writes the opening of an account that was folded up to there. It replaces an older one.
    pub(super) fn write_opening(
        &self,
        archive: i64,
        loaded: &Loaded,
        (previous_chain, settings): (&Chain, Option<Position>),
    ) -> Result<(), StorageError> {
        let account = &loaded.account;
        self.connection
            .prepare_cached(
                "INSERT OR REPLACE INTO openings
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            )?
            .execute(params![
                loaded.id,
                archive,
                loaded.head.map(|head| head.0),
                account.last().entry.0,
                At(account.last_time()),
                account.available().nanos(),
                account.held().nanos(),
                settings.map(|position| position.0),
                previous_chain,
                loaded.chain,
                super::accounts::state_text(account),
            ])?;
        Ok(())
    }
}
