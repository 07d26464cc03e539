//! A group as the file sees it: its transaction, and what the row about the file says of it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use rusqlite::ErrorCode;

use super::books::{Books, Shares};
use super::clock;
use super::journal::BadRow;
use crate::domain::Timestamp;
use crate::domain::clock::ClockMark;
use crate::domain::ledger::{self, Account, Command, Decision, Inconsistent, LookedUp};
use crate::failpoint;
use crate::store::{Answer, Written};

/// Why nothing can be written while somebody else has the file's write lock.
pub(super) const LOCKED: &str =
    "another program is writing to the data file, or holds a transaction open";

impl Books {
    /// Begins the transaction of a group, where it has not begun. False: another program is
    /// writing to the file.
    pub(super) fn try_begin(&mut self) -> Result<bool, BadRow> {
        if !self.group.is_open {
            match self.journal.connection.execute_batch("BEGIN IMMEDIATE") {
                Ok(()) => self.group.is_open = true,
                Err(error) if is_busy(&error) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }

    pub(super) fn begin(&mut self) -> Result<(), BadRow> {
        match self.try_begin()? {
            true => Ok(()),
            false => Err(BadRow(LOCKED.to_owned())),
        }
    }

    /// The first answer to a command whose request_id is known: it needs no writing. None
    /// also where it cannot be read.
    pub(super) fn known(&mut self, command: &Command) -> Option<Answer<Written>> {
        let slot = self.bring(&command.account).ok()??;
        let id = self.cache.at(slot)?.id;
        let key = self.requests.key(id, &command.request.id);
        let earlier = self
            .earlier_write(id, key, command, Shares::Answered)
            .ok()??;
        Some(ledger::replay(command, earlier).map_err(Into::into))
    }

    /// At the end: brings all rows of accounts up, so that the next start has nothing to
    /// catch up with.
    pub(super) fn close(&mut self, now: Timestamp, mark: Option<&ClockMark>) -> Result<(), BadRow> {
        self.begin()?;
        if let Some(mark) = mark {
            clock::keep(&self.journal.connection, mark)?;
        }
        self.save_some(usize::MAX, 0)?;
        (self.journal.connection).execute("UPDATE file SET in_use = 0", [])?;
        self.commit(now).map(|_| ())
    }

    /// All that was committed is in the file itself now.
    pub(super) fn all_moved(&mut self) {
        self.moved = Some(self.next_position.previous());
    }

    /// Says in the `-wal`, which is begun anew, from where it goes on.
    pub(super) fn write_moved(&self) -> Result<(), BadRow> {
        if let Some(moved) = self.moved {
            (self.journal.connection)
                .prepare_cached("UPDATE file SET checkpointed = ?1, probes = probes + 1")?
                .execute([moved.0])?;
        }
        Ok(())
    }

    /// The same, where something is written that is no group.
    pub(super) fn note_moved(&mut self) -> Result<(), BadRow> {
        if self.moved.is_none() {
            return Ok(());
        }
        let noted = self.probe();
        if noted.is_err() {
            self.roll_back();
        }
        noted
    }

    /// Tries whether the file can be written.
    pub(super) fn probe(&mut self) -> Result<(), BadRow> {
        (self.journal.connection)
            .execute_batch("BEGIN IMMEDIATE; UPDATE file SET probes = probes + 1")?;
        self.write_moved()?;
        self.journal.connection.execute_batch("COMMIT")?;
        self.moved = None;
        Ok(())
    }
}

pub(super) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}

/// Decides. A panic there is a defect as any other: that command is refused, and what is in
/// memory of its account is forgotten. Nothing of it was written.
pub(super) fn decide(
    account: &mut Arc<Account>,
    command: &Command,
    looked_up: LookedUp,
    now: Timestamp,
) -> Result<Decision, Inconsistent> {
    let last = account.last().entry;
    let decided = catch_unwind(AssertUnwindSafe(|| {
        failpoint::pass("decide");
        ledger::decide(account, command, looked_up, now)
    }));
    decided.unwrap_or(Err(Inconsistent(last)))
}
