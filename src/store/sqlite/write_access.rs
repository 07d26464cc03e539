//! Whether the writer may write now: not while another program holds the file's write lock,
//! and not after the file was lost (`file_watch.rs`).
//!
//! The writer never waits within SQLite, since all reads would wait with it. While another
//! program holds the write lock, writes are deferred and tried again every few
//! milliseconds, and reads go on. After [`WAIT_MAX`] they are refused, and from then on
//! every write is refused at once, until one attempt succeeds.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::Job;
use super::file_watch::FileLoss;
use super::group::LOCKED;
use super::journal::StorageError;
use super::ledger::unavailable;
use super::replies::Replies;
use super::wal::Checkpoint;
use super::writer::Writer;
use crate::domain::{AccountName, Timestamp};
use crate::line_rate::LineRate;

/// How long writes are deferred before they are refused.
const WAIT_MAX: Duration = Duration::from_millis(400);
/// Time between two attempts at deferred writes.
pub(super) const RETRY_INTERVAL: Duration = Duration::from_millis(5);
/// Time between two attempts to write while the store cannot.
pub(super) const PROBE_INTERVAL: Duration = Duration::from_millis(500);

/// Writes that wait for another program to release the write lock.
#[derive(Default)]
pub(super) struct DeferredWrites {
    pub(super) jobs: VecDeque<Job>,
    /// When the lock was first found taken; None if it is free.
    since: Option<Instant>,
}

impl DeferredWrites {
    /// How long the writer may sleep before it tries them again; None if there are none.
    pub(super) fn retry_in(&self) -> Option<Duration> {
        match self.since {
            Some(_) => Some(RETRY_INTERVAL),
            None if self.jobs.is_empty() => None,
            // There were more than fit into one group.
            None => Some(Duration::ZERO),
        }
    }
}

/// Whether a group may write.
pub(super) enum WriteAccess {
    /// It may: the transaction is open.
    Granted,
    /// Another program holds the write lock: writes are deferred.
    Locked,
    /// Writes are refused.
    Refused(StorageError),
}

/// What the log says of groups that failed: a few lines a second, since a full disk fails one for
/// each call.
pub(super) struct FailedGroups {
    rate: LineRate,
    /// From when on seconds count.
    start: Instant,
}

impl Default for FailedGroups {
    fn default() -> Self {
        Self {
            rate: LineRate::default(),
            start: Instant::now(),
        }
    }
}

impl FailedGroups {
    pub(super) fn log(&self, StorageError(cause): &StorageError) {
        if self.rate.permit(self.start, Instant::now()) {
            let left_out = self.rate.take_left_out();
            tracing::error!(
                cause,
                left_out,
                "a group of writes could not be made durable"
            );
        }
    }
}

impl Writer {
    /// Opens the group's transaction if that is possible. Err fails the group.
    pub(super) fn write_access(&mut self) -> Result<WriteAccess, StorageError> {
        if let Some(loss) = self.file.loss() {
            self.deferred.since = None;
            return Ok(WriteAccess::Refused(StorageError(
                loss.description().to_owned(),
            )));
        }
        if self.ledger.try_begin()? {
            self.deferred.since = None;
            return Ok(WriteAccess::Granted);
        }
        if *self.writable.borrow() {
            let since = *self.deferred.since.get_or_insert_with(Instant::now);
            if since.elapsed() < WAIT_MAX {
                return Ok(WriteAccess::Locked);
            }
            self.stop_writing(LOCKED);
        }
        self.deferred.since = None;
        Ok(WriteAccess::Refused(StorageError(LOCKED.to_owned())))
    }

    /// Defers a write, or refuses it; returns whether it was answered. A write whose request_id
    /// is known is answered again, since that writes nothing. Not so after the file was lost:
    /// a group can be in the open file although its callers were told that it failed, and it
    /// will not last.
    pub(super) fn defer_or_refuse(
        &mut self,
        job: Job,
        access: &WriteAccess,
        replies: &mut Replies,
    ) -> bool {
        let job = match job {
            Job::Write(command, promise) if self.file.loss().is_none() => {
                match self.ledger.known(&command) {
                    Some(answer) => {
                        replies.single(promise, answer.map(Box::new));
                        return true;
                    }
                    None => Job::Write(command, promise),
                }
            }
            job => job,
        };
        match access {
            WriteAccess::Refused(cause) => {
                job.refuse(unavailable("write", cause));
                true
            }
            WriteAccess::Granted | WriteAccess::Locked => {
                self.deferred.jobs.push_back(job);
                false
            }
        }
    }

    /// [`Self::write_access`]. An error is put into `failure` and fails the group. It also
    /// refuses the deferred writes, since the lock is not what prevents them.
    pub(super) fn write_access_or_fail(
        &mut self,
        failure: &mut Option<StorageError>,
    ) -> Option<WriteAccess> {
        match self.write_access() {
            Ok(access) => Some(access),
            Err(cause) => {
                self.deferred.since = None;
                for job in std::mem::take(&mut self.deferred.jobs) {
                    self.admission.of(&job).leave(job.length());
                    job.refuse(unavailable("write", &cause));
                }
                *failure = Some(cause);
                None
            }
        }
    }

    /// Whether the open files can still be read.
    pub(super) fn can_read(&self) -> bool {
        self.file.loss().is_none_or(FileLoss::is_readable)
    }

    /// Writes the lapses that are due before a read, so that they are computed once and not
    /// for each read. While they cannot be written, each read computes them for itself.
    pub(super) fn expire_before_read(
        &mut self,
        name: &AccountName,
        now: Timestamp,
    ) -> Result<(), StorageError> {
        let believed = self.ledger.not_believed.is_none();
        if !*self.writable.borrow() || self.deferred.since.is_some() || !believed {
            return Ok(());
        }
        if !self.ledger.expire_due(name, now)? {
            self.deferred.since = Some(Instant::now());
        }
        Ok(())
    }

    /// Tries to write to the file.
    pub(super) fn probe(&mut self) {
        if let Some(loss) = self.file.loss() {
            self.checkpoint_all(loss);
            return;
        }
        match self.ledger.probe() {
            Ok(()) => self.resume_writing(),
            Err(StorageError(cause)) => {
                tracing::debug!(cause, "the data file still cannot be written");
                self.ledger.roll_back();
            }
        }
    }

    /// Makes a full check of the open files.
    pub(super) fn check_file(&mut self) {
        let before = self.file.loss();
        (self.file).check(&self.ledger.journal.connection, &self.wal);
        self.handle_loss(before);
    }

    /// Whether the path still leads to the open file, after a commit and before its answers.
    pub(super) fn check_path(&mut self) -> Result<(), StorageError> {
        let before = self.file.loss();
        let loss = (self.file).check_path(&self.ledger.journal.connection, &self.wal);
        self.handle_loss(before);
        match loss {
            None => Ok(()),
            Some(loss) => Err(StorageError(loss.description().to_owned())),
        }
    }

    /// Logs a loss of the file that was not logged before, and stops writing.
    fn handle_loss(&mut self, before: Option<FileLoss>) {
        let Some(loss) = self.file.loss().filter(|loss| before != Some(*loss)) else {
            return;
        };
        let path = self.file.path().display();
        let pid = std::process::id();
        match (loss, self.file.rescue_command()) {
            (FileLoss::Missing | FileLoss::Replaced, Some(copy)) => tracing::error!(
                "data file {path}: {}; put it back, with its -wal, or copy what is open before you stop process {pid}: {copy}",
                loss.description()
            ),
            (FileLoss::Missing | FileLoss::Replaced, None) => tracing::error!(
                "data file {path}: {}; put it back, with its -wal, before you stop process {pid}: then it goes on",
                loss.description()
            ),
            (FileLoss::WalMissing | FileLoss::ShmMissing, _) => tracing::error!(
                "data file {path}: {}; nothing is lost: what was answered is moved into the data file; restart the server",
                loss.description()
            ),
            (FileLoss::Changed | FileLoss::WalChanged, _) => tracing::error!(
                "data file {path}: {}; stop the server, keep the file and its -wal to find out what they still hold, and restore a backup",
                loss.description()
            ),
        }
        self.stop_writing(loss.description());
        self.checkpoint_all(loss);
    }

    /// Checkpoints the whole `-wal` if the data file itself is sound.
    fn checkpoint_all(&mut self, loss: FileLoss) {
        if loss.has_file() {
            let complete = self.wal.checkpoint_all(&self.ledger.journal.connection);
            self.file.record_contents(&self.ledger.journal.connection);
            if complete {
                self.ledger.note_checkpoint();
            }
        }
    }

    /// Runs the checkpoint that is due, unless the file was lost.
    pub(super) fn run_checkpoint(&mut self) {
        if self.file.loss().is_some() {
            return;
        }
        if let Some(checkpoint) = self.wal.run(&self.ledger.journal.connection) {
            self.file.record_contents(&self.ledger.journal.connection);
            if checkpoint == Checkpoint::Complete {
                self.ledger.note_checkpoint();
            }
        }
    }

    pub(super) fn stop_writing(&mut self, cause: &str) {
        if self.set_writable(false) {
            self.probed = Instant::now();
            tracing::error!(
                cause,
                "the data file cannot be written; reads go on, writes are tried again"
            );
        }
    }

    /// Sets whether the store can write; returns whether that changed. Receivers are woken only
    /// by a change, since this is called after each commit.
    fn set_writable(&self, writable: bool) -> bool {
        self.writable.send_if_modified(|before| {
            let is_change = *before != writable;
            *before = writable;
            is_change
        })
    }

    pub(super) fn resume_writing(&mut self) {
        if self.set_writable(true) {
            tracing::info!("the data file can be written again");
            // Watchers were not notified of what lapsed meanwhile.
            self.watchers.make_all_due();
        }
    }
}
