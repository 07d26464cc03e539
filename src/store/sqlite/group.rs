//! The SQLite transaction of a group, and the columns of the table `file` that it maintains.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::ErrorCode;

use super::clock;
use super::dirty::{DIRTY_POSITIONS_MAX, FLUSH_TIME_MAX, FLUSHED_PER_GROUP};
use super::journal::StorageError;
use super::ledger::{Committed, Ledger, Shares, Undo};
use crate::domain::Timestamp;
use crate::domain::clock::ClockSample;
use crate::domain::ledger::{self, Account, Command, Decision, Inconsistent, LookedUp};
use crate::failpoint;
use crate::store::{Answer, Written};

/// Why nothing can be written while another program holds the file's write lock.
pub(super) const LOCKED: &str =
    "another program is writing to the data file, or holds a transaction open";

impl Ledger {
    /// Begins the transaction of the group, unless it has begun. False: another program holds
    /// the write lock.
    pub(super) fn try_begin(&mut self) -> Result<bool, StorageError> {
        if !self.group.is_open {
            match self.journal.connection.execute_batch("BEGIN IMMEDIATE") {
                Ok(()) => self.group.is_open = true,
                Err(error) if is_busy(&error) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }

    pub(super) fn begin(&mut self) -> Result<(), StorageError> {
        match self.try_begin()? {
            true => Ok(()),
            false => Err(StorageError(LOCKED.to_owned())),
        }
    }

    /// The answer to a command whose request_id is known, without a write. None if it is not
    /// known, or cannot be read.
    pub(super) fn known(&mut self, command: &Command) -> Option<Answer<Written>> {
        let slot = self.load(&command.account).ok()??;
        let id = self.cache.at(slot)?.id;
        let key = self.requests.key(id, &command.request.id);
        let earlier = self
            .earlier_write(id, key, command, Shares::Answered)
            .ok()??;
        self.metrics.replays.inc();
        Some(ledger::replay(command, earlier).map_err(Into::into))
    }

    /// Flushes all dirty accounts and clears `in_use`, so that the next start has nothing to
    /// read of the journal.
    pub(super) fn close(&mut self, sample: Option<&ClockSample>) -> Result<(), StorageError> {
        self.begin()?;
        if let Some(sample) = sample {
            clock::write(&self.journal.connection, sample)?;
        }
        self.flush_some(usize::MAX, 0, Duration::MAX)?;
        (self.journal.connection).execute("UPDATE file SET in_use = 0", [])?;
        // Without maintenance of the request_ids, for which this group has no time.
        self.commit_written(Instant::now()).map(|_| ())
    }

    /// Notes that a checkpoint was complete: the file itself has all that was committed.
    pub(super) fn note_checkpoint(&mut self) {
        self.checkpointed = Some(self.next_position.previous());
    }

    /// Writes into the new `-wal` up to which entry the file itself has the journal.
    pub(super) fn write_checkpointed(&self) -> Result<(), StorageError> {
        if let Some(position) = self.checkpointed {
            (self.journal.connection)
                .prepare_cached("UPDATE file SET checkpointed = ?1, probes = probes + 1")?
                .execute([position.0])?;
        }
        Ok(())
    }

    /// The same in a transaction of its own, before a write that is not a group.
    pub(super) fn commit_checkpointed(&mut self) -> Result<(), StorageError> {
        if self.checkpointed.is_none() {
            return Ok(());
        }
        let written = self.probe();
        if written.is_err() {
            self.roll_back();
        }
        written
    }

    /// Makes the group durable.
    pub(super) fn commit(&mut self, now: Timestamp) -> Result<Committed, StorageError> {
        let began = Instant::now();
        if self.group.is_open && !self.group.undo.is_empty() {
            self.flush_some(FLUSHED_PER_GROUP, DIRTY_POSITIONS_MAX, FLUSH_TIME_MAX)?;
            let undo = &self.group.undo;
            let is_request = |step: &Undo| matches!(step, Undo::Request { .. });
            let now = undo.iter().any(is_request).then_some(now);
            let progress = (self.requests).advance(&self.journal.connection, now, undo.len());
            self.group.progress = progress?;
        }
        self.commit_written(began)
    }

    /// Makes durable what the transaction of the group has.
    fn commit_written(&mut self, began: Instant) -> Result<Committed, StorageError> {
        let mut written = began;
        if self.group.is_open {
            self.journal.finish_group()?;
            if !self.group.undo.is_empty() {
                self.write_checkpointed()?;
            }
            written = Instant::now();
            self.journal.connection.execute_batch("COMMIT")?;
            if !self.group.undo.is_empty() {
                self.checkpointed = None;
            }
        }
        let group = std::mem::take(&mut self.group);
        let last = self.next_position.previous();
        self.requests.committed(group.progress, last);
        Ok(Committed {
            wrote: !group.undo.is_empty(),
            took: [written.saturating_duration_since(began), written.elapsed()],
            steps: group.undo,
            moved: group.moved,
        })
    }

    /// Tries to write to the file.
    pub(super) fn probe(&mut self) -> Result<(), StorageError> {
        (self.journal.connection)
            .execute_batch("BEGIN IMMEDIATE; UPDATE file SET probes = probes + 1")?;
        self.write_checkpointed()?;
        self.journal.connection.execute_batch("COMMIT")?;
        self.checkpointed = None;
        Ok(())
    }
}

pub(super) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}

/// Decides a command. A panic counts as [`Inconsistent`]: the command is refused, nothing of
/// it was written, and the account is removed from memory.
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
