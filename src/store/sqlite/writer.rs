//! The writer: groups, commits, answers.
//!
//! A kill before the commit returns leaves the file as it was, and no caller was answered.
//! After a kill later the group is on disk, and a caller that was not answered sends the same
//! request_id again and gets the answer.
//!
//! If a commit fails, every caller of the group gets a failure, the group is undone, and the
//! health check says that the server cannot write. Reads go on. Each write tries again, and
//! so does the writer by itself, until one succeeds. `write_access.rs` says when no write is
//! tried.
//!
//! A panic in the decision over a command or in a read fails that call alone. Any other ends
//! this thread, and with it the server: the state in memory may be wrong, and the next start
//! reads the file.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::watch;

use super::cards::{Changed, Publish};
use super::clock::{self, SampleTimes};
use super::file_watch::FileWatch;
use super::history::History;
use super::journal::StorageError;
use super::ledger::{Ledger, Shares};
use super::replies::Replies;
use super::settings::KnownSettings;
use super::wal::Wal;
use super::watchers::Watchers;
use super::write_access::{DeferredWrites, PROBE_INTERVAL, RETRY_INTERVAL, WriteAccess};
use super::{Job, SqliteSettings, start};
use crate::domain::{AccountName, Timestamp};
use crate::failpoint;
use crate::store::{Answer, Clock, StoreError, Unavailable};

/// How many commands and reads are taken for one group. A batch is never split, so that a group
/// can have more.
const GROUP_LENGTH_MAX: usize = 1_024;
/// The longest sleep, since the clock can be set meanwhile and the file deleted.
const SLEEP_MAX: Duration = Duration::from_millis(500);
/// How long closing waits for another program to release the write lock.
const CLOSE_WAIT_MAX: Duration = Duration::from_secs(1);
const SLEEP_MIN: Duration = Duration::from_millis(1);

pub(super) struct Writer {
    pub(super) ledger: Ledger,
    pub(super) history: History,
    // Declared last of those with connections: its connection must be closed last.
    pub(super) wal: Wal,
    pub(super) file: FileWatch,
    pub(super) deferred: DeferredWrites,
    pub(super) watchers: Watchers,
    pub(super) clock: Arc<dyn Clock>,
    /// How many commands and reads are queued.
    pub(super) waiting: Arc<AtomicUsize>,
    /// The time of the newest group: no later one is dated before it.
    pub(super) last_time: Timestamp,
    /// Set when the store is closing: queued writes are done, queued reads are refused.
    pub(super) closing: Arc<AtomicBool>,
    pub(super) writable: watch::Sender<bool>,
    /// Changed after each commit.
    pub(super) known_settings: Arc<KnownSettings>,
    /// When it last tried to write while it could not.
    pub(super) probed: Instant,
    clock_samples: SampleTimes,
}

/// What the writer shares with the store.
pub(super) struct WriterContext {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) closing: Arc<AtomicBool>,
    pub(super) writable: watch::Sender<bool>,
    pub(super) known_settings: Arc<KnownSettings>,
}

impl Writer {
    /// A writer over an open file.
    pub(super) fn open(
        connection: Connection,
        (history, wal, file): (History, Wal, FileWatch),
        context: WriterContext,
        settings: SqliteSettings,
    ) -> Result<Self, StorageError> {
        let (ledger, last_write) = start::load(connection, settings)?;
        // A wait within SQLite would delay reads too.
        ledger.journal.connection.busy_timeout(Duration::ZERO)?;
        let WriterContext {
            clock,
            closing,
            writable,
            known_settings,
        } = context;
        clock.start(&clock::read(&ledger.journal.connection, last_write)?);
        Ok(Self {
            ledger,
            history,
            wal,
            file,
            deferred: DeferredWrites::default(),
            watchers: Watchers::default(),
            clock,
            waiting: Arc::default(),
            last_time: last_write.unwrap_or(Timestamp::from_unix_nanos(0)),
            closing,
            writable,
            known_settings,
            probed: Instant::now(),
            clock_samples: SampleTimes::default(),
        })
    }

    /// Runs until all senders of jobs are gone and no write is deferred.
    pub(super) fn run(mut self, queue: &Receiver<Job>) {
        // So that a later start compares with this boot, and with an accepted clock.
        self.write_clock_sample_alone();
        loop {
            let first = match queue.try_recv() {
                Ok(job) => Some(job),
                Err(_) => match queue.recv_timeout(self.sleep()) {
                    Ok(job) => Some(job),
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(RecvTimeoutError::Disconnected) if self.deferred.jobs.is_empty() => break,
                    Err(RecvTimeoutError::Disconnected) => {
                        std::thread::sleep(RETRY_INTERVAL);
                        None
                    }
                },
            };
            failpoint::pass("ledger-writer");
            if self.file.is_due() {
                self.check_file();
            }
            if !*self.writable.borrow() && self.probed.elapsed() >= PROBE_INTERVAL {
                self.probed = Instant::now();
                self.probe();
            }
            match first {
                // Publishing is not part of a group and does not advance the ledger's time.
                Some(Job::Cards(publish)) => {
                    self.waiting.fetch_sub(1, Ordering::Relaxed);
                    self.publish_cards(publish);
                }
                first => self.run_group(first, queue),
            }
            self.write_clock_sample_alone();
            self.run_checkpoint();
        }
        self.close();
    }

    /// Flushes all that is dirty, if the file can still be written.
    fn close(mut self) {
        self.check_file();
        if let Some(loss) = self.file.loss().filter(|loss| !loss.has_file()) {
            let loss = loss.description();
            tracing::error!("{loss}, and is still so: what was open is closed as it is");
            return self.wal.keep_wal(&self.ledger.journal.connection);
        }
        let now = self.now();
        let sample = self.clock.sample();
        let connection = &self.ledger.journal.connection;
        let closed = (connection.busy_timeout(CLOSE_WAIT_MAX))
            .map_err(StorageError::from)
            .and_then(|()| self.ledger.close(now, sample.as_ref()));
        if let Err(StorageError(cause)) = closed {
            // The next start reads the entries that were not flushed from the journal.
            tracing::warn!(cause, "the data file was not brought up to date at the end");
            self.ledger.roll_back();
            self.wal.keep_wal(&self.ledger.journal.connection);
        }
    }

    /// How long until there is something to do without a new job.
    fn sleep(&self) -> Duration {
        if let Some(wait) = self.deferred.retry_in() {
            return wait;
        }
        if !*self.writable.borrow() || self.ledger.not_believed.is_some() {
            return PROBE_INTERVAL;
        }
        let due = self.watchers.next_due();
        let due = due.map_or(SLEEP_MAX, |due| due.since(self.clock.now()));
        due.min(self.clock_samples.due_alone_in())
            .clamp(SLEEP_MIN, SLEEP_MAX)
    }

    /// The time now, which may be later than that of the group. Later groups are dated after it.
    pub(super) fn current_time(&mut self) -> Timestamp {
        self.last_time = self.last_time.max(self.clock.now().whole_micros());
        self.last_time
    }

    fn now(&mut self) -> Timestamp {
        let believed = self.clock.believed();
        if believed.is_ok() && self.ledger.not_believed.is_some() {
            // Watchers were not notified of what lapsed meanwhile.
            self.watchers.make_all_due();
        }
        self.ledger.not_believed = believed.err();
        let now = believed.unwrap_or_else(|not| not.believed_time);
        self.last_time = self.last_time.next_micro(now);
        self.last_time
    }

    /// Writes a clock sample with a group that writes, if one is due.
    fn write_clock_sample(&mut self) -> Result<(), StorageError> {
        if self.ledger.writes()
            && self.clock_samples.is_due_with_group()
            && let Some(sample) = self.clock.sample()
        {
            clock::write(&self.ledger.journal.connection, &sample)?;
            self.clock_samples.set_written();
        }
        Ok(())
    }

    /// Writes a clock sample in a transaction of its own, if one is due.
    fn write_clock_sample_alone(&mut self) {
        let may_write = *self.writable.borrow() && self.ledger.not_believed.is_none();
        if !may_write || !self.clock_samples.due_alone_in().is_zero() {
            return;
        }
        let written = self.clock.sample().map(|sample| {
            self.ledger.commit_checkpointed()?;
            clock::write(&self.ledger.journal.connection, &sample)
        });
        match written {
            None | Some(Ok(())) => self.clock_samples.set_written(),
            Some(Err(StorageError(cause))) => {
                tracing::debug!(cause, "a clock sample was not written");
                self.clock_samples.set_failed();
            }
        }
    }

    /// Takes the queued jobs as one group, makes it durable and answers its callers.
    fn run_group(&mut self, first: Option<Job>, queue: &Receiver<Job>) {
        let now = self.now();
        let due = self.watchers.due(now);
        let (mut replies, mut reads) = (Replies::default(), Vec::new());
        let (mut cards, mut names, mut settings) = (Vec::new(), Vec::new(), Vec::new());
        let mut failure = due
            .iter()
            .find_map(|name| self.expire_before_read(name, now).err());
        // The transaction begins with the first write, or at once if writes were deferred.
        let mut access = None;
        if failure.is_none() && self.deferred.retry_in().is_some() {
            access = self.write_access_or_fail(&mut failure);
        }
        let (mut length, mut done) = (0_usize, 0_usize);
        let mut first = first;
        while length < GROUP_LENGTH_MAX {
            // Deferred writes come first, once they can be written or refused.
            let next = match access {
                Some(WriteAccess::Granted | WriteAccess::Refused(_)) => {
                    self.deferred.jobs.pop_front()
                }
                Some(WriteAccess::Locked) | None => None,
            };
            let next = next.or_else(|| first.take());
            let Some(job) = next.or_else(|| queue.try_recv().ok()) else {
                break;
            };
            let job_length = job.length();
            length = length.saturating_add(job_length);
            done = done.saturating_add(job_length);
            if job.writes() && access.is_none() && failure.is_none() {
                access = self.write_access_or_fail(&mut failure);
            }
            match (job, &access) {
                (Job::Read(read), _) => {
                    if failure.is_none() && read.is_awaited() {
                        failure = self.expire_before_read(read.name(), now).err();
                    }
                    reads.push(read);
                }
                (Job::Settings(names, promise), _) => settings.push((names, promise)),
                (Job::Names(query, promise), _) => names.push((query, promise)),
                (Job::Cards(publish), _) => cards.push(publish),
                (job, Some(access @ (WriteAccess::Locked | WriteAccess::Refused(_)))) => {
                    if !self.defer_or_refuse(job, access, &mut replies) {
                        done = done.saturating_sub(job_length);
                    }
                }
                (Job::Write(command, promise), _) => {
                    let answer = unless_failed(&mut failure, || {
                        self.ledger.write(&command, Shares::Answered, now)
                    });
                    replies.single(promise, answer.map(Box::new));
                }
                (Job::Batch(commands, promise), _) => {
                    let answers = unless_failed(&mut failure, || {
                        let write = |command| self.ledger.write(command, Shares::Omitted, now);
                        commands.iter().map(write).collect::<Result<_, _>>().map(Ok)
                    });
                    replies.batch(promise, answers);
                }
            }
        }
        // A job that did not fit is deferred to the next group; a read is answered now.
        match first {
            Some(Job::Read(read)) => {
                done = done.saturating_add(1);
                reads.push(read);
            }
            Some(Job::Settings(names, promise)) => {
                done = done.saturating_add(names.len());
                settings.push((names, promise));
            }
            Some(Job::Names(query, promise)) => {
                done = done.saturating_add(1);
                names.push((query, promise));
            }
            first => self.deferred.jobs.extend(first),
        }
        self.waiting.fetch_sub(done, Ordering::Relaxed);
        let failure = failure.or_else(|| self.write_clock_sample().err());
        let changed = self.finish(failure, replies, now);
        for publish in cards {
            self.publish_cards(publish);
        }
        for (names, promise) in settings {
            // The caller may be gone.
            let _ = promise.send(self.settings(&names));
        }
        for (query, promise) in names {
            // The caller may be gone.
            let _ = promise.send(self.account_names(&query));
        }
        for read in reads {
            // A panic fails this read alone.
            if catch_unwind(AssertUnwindSafe(|| self.read(read, now))).is_err() {
                tracing::error!("a defect ended a read; the panic is logged beside it");
            }
        }
        self.notify(changed.into_iter().chain(due), now);
    }

    /// Commits the group and answers its callers, or undoes it and answers with failures.
    /// Returns the accounts that changed.
    fn finish(
        &mut self,
        failure: Option<StorageError>,
        replies: Replies,
        now: Timestamp,
    ) -> Vec<AccountName> {
        let committed = match failure {
            Some(cause) => Err(cause),
            None => self.ledger.commit(now),
        };
        failpoint::pass("ledger-writer-committed");
        match committed {
            Ok(committed) => {
                if committed.wrote {
                    match self.check_path() {
                        Ok(()) => self.resume_writing(),
                        // The group is in a file that is not at its path any more.
                        Err(cause) => {
                            replies.fail(&cause);
                            return committed.changed().collect();
                        }
                    }
                }
                for (name, settings) in replies.settings() {
                    self.known_settings.add(name, settings);
                }
                replies.send();
                match self.watchers.is_empty() {
                    true => Vec::new(),
                    false => committed.changed().collect(),
                }
            }
            Err(cause) => {
                let cause_text = &cause.0;
                tracing::error!(cause_text, "a group of writes could not be made durable");
                self.ledger.roll_back();
                // Before the answers, so that a caller that then checks health sees it too.
                self.stop_writing(cause_text);
                replies.fail(&cause);
                Vec::new()
            }
        }
    }

    /// Changes rate cards, between two groups.
    fn publish_cards(&mut self, publish: Publish) {
        let now = match self.clock.believed() {
            Err(not) if publish.change.is_dated() => {
                return publish.answer(Changed::NotBelieved(not));
            }
            // From now on, for whoever reads the same clock.
            Ok(now) if publish.change.is_dated() => now,
            _ => self.last_time.max(self.clock.now()),
        };
        let changed = match (self.file.loss(), self.ledger.commit_checkpointed()) {
            (Some(loss), _) => Changed::failed(loss.description().to_owned()),
            // If that fails, the change fails with the same cause.
            (None, _) => {
                let connection = &mut self.ledger.journal.connection;
                super::cards::apply(connection, &publish.change, now)
            }
        };
        let changed = match (changed, self.check_path()) {
            (Changed::Yes(_) | Changed::No(_), Err(StorageError(cause))) => Changed::failed(cause),
            (changed, _) => changed,
        };
        publish.answer(changed);
    }

    /// Notifies the watchers of these accounts.
    fn notify(&mut self, changed: impl Iterator<Item = AccountName>, now: Timestamp) {
        if self.watchers.is_empty() {
            return;
        }
        let changed: HashSet<_> = changed.collect();
        for name in changed {
            if self.watchers.has(&name) {
                let account = self.ledger.account(&name).ok().flatten();
                // Only what expires later is due: a lapse that cannot be written would
                // otherwise notify again and again.
                let due = account.and_then(|loaded| loaded.account.next_due_after(now));
                self.watchers.notify(&name, due);
            }
        }
    }
}

/// Calls `write`, unless the group has failed; an error fails it. The answers of a failed
/// group are replaced at its end.
fn unless_failed<T>(
    failure: &mut Option<StorageError>,
    write: impl FnOnce() -> Result<Answer<T>, StorageError>,
) -> Answer<T> {
    if failure.is_none() {
        match write() {
            Ok(answer) => return answer,
            Err(cause) => *failure = Some(cause),
        }
    }
    Err(StoreError::Unavailable(Unavailable {
        operation: "write",
        cause: "the group failed".to_owned(),
    }))
}
