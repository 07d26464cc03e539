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

use std::collections::{HashSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::watch;

use super::admission::Admission;
use super::clock::{self, SampleTimes};
use super::file_watch::FileWatch;
use super::history::History;
use super::journal::StorageError;
use super::ledger::{Ledger, Shares};
use super::overload::Overload;
use super::pace::{GroupWork, Pace};
use super::replies::Replies;
use super::settings::KnownSettings;
use super::slices::{Batch, SettingsRead};
use super::wal::Wal;
use super::watchers::Watchers;
use super::write_access::{
    DeferredWrites, FailedGroups, PROBE_INTERVAL, RETRY_INTERVAL, WriteAccess,
};
use super::{Job, SqliteSettings, Submitted, start};
use crate::domain::{AccountName, Timestamp};
use crate::failpoint;
use crate::store::metrics::StoreMetrics;
use crate::store::{Answer, Clock, Group, Stages, StoreError, Unavailable};

/// How many commands and reads are taken for one group, slices of batches apart.
pub const GROUP_LENGTH_MAX: usize = 1_024;
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
    /// What is queued.
    pub(super) admission: Arc<Admission>,
    pub(super) pace: Pace,
    pub(super) overload: Overload,
    /// Batches that wait for their next slice.
    pub(super) batches: VecDeque<Batch>,
    pub(super) settings_reads: VecDeque<SettingsRead>,
    /// A job that was received and has to wait for the next group.
    next: Option<Submitted>,
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
    /// How many groups wrote.
    groups: u64,
    failed_groups: FailedGroups,
}

/// What the writer shares with the store.
pub(super) struct WriterContext {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) closing: Arc<AtomicBool>,
    pub(super) writable: watch::Sender<bool>,
    pub(super) known_settings: Arc<KnownSettings>,
    pub(super) metrics: Arc<StoreMetrics>,
}

impl Writer {
    /// A writer over an open file.
    pub(super) fn open(
        connection: Connection,
        (history, wal, file): (History, Wal, FileWatch),
        context: WriterContext,
        settings: SqliteSettings,
    ) -> Result<Self, StorageError> {
        let (mut ledger, last_write) = start::load(connection, settings)?;
        // A wait within SQLite would delay reads too.
        ledger.journal.connection.busy_timeout(Duration::ZERO)?;
        let WriterContext {
            clock,
            closing,
            writable,
            known_settings,
            metrics,
        } = context;
        ledger.metrics = metrics;
        clock.start(&clock::read(&ledger.journal.connection, last_write)?);
        ledger.measure();
        Ok(Self {
            ledger,
            history,
            wal,
            file,
            deferred: DeferredWrites::default(),
            watchers: Watchers::default(),
            clock,
            admission: Arc::default(),
            pace: Pace::default(),
            overload: Overload::default(),
            batches: VecDeque::new(),
            settings_reads: VecDeque::new(),
            next: None,
            last_time: last_write.unwrap_or(Timestamp::from_unix_nanos(0)),
            closing,
            writable,
            known_settings,
            probed: Instant::now(),
            clock_samples: SampleTimes::default(),
            groups: 0,
            failed_groups: FailedGroups::default(),
        })
    }

    /// Runs until all senders of jobs are gone, no write is deferred and no batch is under way.
    pub(super) fn run(mut self, queue: &Receiver<Submitted>) {
        // So that a later start compares with this boot, and with an accepted clock.
        self.write_clock_sample_alone();
        loop {
            let first = match self.next.take().ok_or(()).or_else(|()| queue.try_recv()) {
                Ok(job) => Some(job),
                Err(_) => match queue.recv_timeout(self.sleep()) {
                    Ok(job) => Some(job),
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(RecvTimeoutError::Disconnected) if self.is_idle() => break,
                    Err(RecvTimeoutError::Disconnected) => {
                        std::thread::sleep(self.sleep().min(RETRY_INTERVAL));
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
                // It is not part of a group and does not advance the ledger's time.
                Some(Submitted {
                    job: Job::Admin(job),
                    ..
                }) => {
                    self.admission.reads.leave(1);
                    self.administer(job);
                }
                first => {
                    self.next = first;
                    self.run_group(queue);
                }
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
        let sample = self.clock.sample();
        let connection = &self.ledger.journal.connection;
        let closed = (connection.busy_timeout(CLOSE_WAIT_MAX))
            .map_err(StorageError::from)
            .and_then(|()| self.ledger.close(sample.as_ref()));
        if let Err(StorageError(cause)) = closed {
            // The next start reads the entries that were not flushed from the journal.
            tracing::warn!(cause, "the data file was not brought up to date at the end");
            self.ledger.roll_back();
            self.wal.keep_wal(&self.ledger.journal.connection);
        }
    }

    /// Whether there is nothing to do without a new job.
    fn is_idle(&self) -> bool {
        self.deferred.jobs.is_empty() && self.batches.is_empty() && self.settings_reads.is_empty()
    }

    /// How long until there is something to do without a new job.
    fn sleep(&self) -> Duration {
        if let Some(wait) = self.deferred.retry_in() {
            return wait;
        }
        if !self.batches.is_empty() || !self.settings_reads.is_empty() {
            return Duration::ZERO;
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

    /// Takes queued jobs as one group, makes it durable and answers its callers.
    fn run_group(&mut self, queue: &Receiver<Submitted>) {
        let now = self.now();
        let due = self.watchers.due(now);
        let (mut replies, mut reads) = (Replies::default(), Vec::new());
        let (mut admin, mut names) = (Vec::new(), Vec::new());
        let mut failure = due
            .iter()
            .find_map(|name| self.expire_before_read(name, now).err());
        // The transaction begins with the first write, or at once if writes were deferred.
        let mut access = None;
        if failure.is_none() && self.deferred.retry_in().is_some() {
            access = self.write_access_or_fail(&mut failure);
        }
        let (mut length, mut writes_done, mut reads_done) = (0_usize, 0_usize, 0_usize);
        let (began, deciding_max) = (Instant::now(), self.pace.deciding_max());
        let mut at = began;
        while length < GROUP_LENGTH_MAX && at.saturating_duration_since(began) < deciding_max {
            // Deferred writes come first, once they can be written or refused.
            let next = match access {
                Some(WriteAccess::Granted | WriteAccess::Refused(_)) => {
                    self.deferred.jobs.pop_front()
                }
                Some(WriteAccess::Locked) | None => None,
            };
            let job = match next {
                Some(job) => job,
                None => {
                    let next = self.next.take().or_else(|| queue.try_recv().ok());
                    let Some(Submitted { job, at: since }) = next else {
                        break;
                    };
                    let waited = at.saturating_duration_since(since);
                    (self.ledger.metrics.queue_seconds).observe(waited.as_secs_f64());
                    match self.refuse_if_late(job, waited, at) {
                        Some(job) => match self.take_sliced(job, since) {
                            Some(job) => job,
                            None => continue,
                        },
                        None => continue,
                    }
                }
            };
            let taken = at;
            length = length.saturating_add(1);
            let is_write = matches!(job, Job::Write(..));
            if is_write && access.is_none() && failure.is_none() {
                access = self.write_access_or_fail(&mut failure);
            }
            writes_done = writes_done.saturating_add(usize::from(is_write));
            match (job, &access) {
                (Job::Read(read), _) => {
                    reads_done = reads_done.saturating_add(1);
                    if failure.is_none() && read.is_awaited() {
                        failure = self.expire_before_read(read.name(), now).err();
                    }
                    reads.push(read);
                }
                (Job::Names(query, promise), _) => {
                    reads_done = reads_done.saturating_add(1);
                    names.push((query, promise));
                }
                (Job::Admin(job), _) => {
                    reads_done = reads_done.saturating_add(1);
                    admin.push(job);
                }
                (job, Some(access @ (WriteAccess::Locked | WriteAccess::Refused(_)))) => {
                    if !self.defer_or_refuse(job, access, &mut replies) {
                        writes_done = writes_done.saturating_sub(1);
                    }
                }
                (Job::Write(command, promise), _) => {
                    let answer = unless_failed(&mut failure, || {
                        self.ledger.write(&command, Shares::Answered, now)
                    });
                    replies.single(promise, answer.map(Box::new));
                }
                // They were taken to be done in slices.
                (job @ (Job::Batch(..) | Job::Settings(..)), _) => {
                    drop(self.take_sliced(job, at));
                }
            }
            at = Instant::now();
            replies.note_times(taken, at);
        }
        self.admission.writes.leave(writes_done);
        self.admission.reads.leave(reads_done);
        let (items, slices) =
            self.decide_batches(length, &mut access, &mut failure, &mut replies, now);
        let work = GroupWork {
            writes: writes_done,
            deciding: at.saturating_duration_since(began),
            items,
            slices,
        };
        let failure = failure.or_else(|| self.write_clock_sample().err());
        let changed = self.finish(failure, replies, (began, work), now);
        self.set_queue_limits();
        for job in admin {
            self.administer(job);
        }
        self.read_settings();
        for (query, promise) in names {
            let taken = Instant::now();
            let names = self.account_names(&query);
            let stages = Stages::taken(taken).decided(Instant::now());
            promise.send_after(stages, names);
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
        mut replies: Replies,
        (began, work): (Instant, GroupWork),
        now: Timestamp,
    ) -> Vec<AccountName> {
        let committed = match failure {
            Some(cause) => Err(cause),
            None => self.ledger.commit(now),
        };
        let commands = work.writes.saturating_add(work.items);
        failpoint::pass("ledger-writer-committed");
        match committed {
            Ok(committed) => {
                let took = committed.wrote.then_some(committed.took);
                let group = took.map(|took| self.group(began, commands, Some(took)));
                if committed.wrote {
                    self.pace.note(work, committed.took);
                    (self.ledger.metrics).committed(commands, committed.took, &committed.moved);
                    self.ledger.measure();
                    match self.check_path() {
                        Ok(()) => self.resume_writing(),
                        // The group is in a file that is not at its path any more.
                        Err(cause) => {
                            let lost = self.group(began, commands, None);
                            self.refuse_slice(&mut replies, &cause, &lost);
                            replies.fail(&cause, &lost);
                            return committed.changed().collect();
                        }
                    }
                }
                for (name, settings) in replies.settings() {
                    self.known_settings.add(name, settings);
                }
                if let Some(batch) = replies.slice.take() {
                    self.put_back(batch, group.as_ref());
                }
                replies.send(group.as_ref());
                match self.watchers.is_empty() {
                    true => Vec::new(),
                    false => committed.changed().collect(),
                }
            }
            Err(cause) => {
                self.failed_groups.log(&cause);
                self.ledger.metrics.failed_commits.inc();
                self.ledger.roll_back();
                // Before the answers, so that a caller that then checks health sees it too.
                self.stop_writing(&cause.0);
                let group = self.group(began, commands, None);
                self.refuse_slice(&mut replies, &cause, &group);
                replies.fail(&cause, &group);
                Vec::new()
            }
        }
    }

    /// What is told of a group that has ended now: that it took so long to write its rows and to
    /// be on disk, or that it is not.
    fn group(
        &mut self,
        began: Instant,
        commands: usize,
        took: Option<[Duration; 2]>,
    ) -> Arc<Group> {
        self.groups = self.groups.saturating_add(1);
        let ended = Instant::now();
        let [writing, committing] = took.unwrap_or_default();
        let before = |end: Instant, took| end.checked_sub(took).unwrap_or(end).max(began);
        let written = before(ended, committing);
        Arc::new(Group {
            number: self.groups,
            began,
            decided: before(written, writing),
            written,
            ended,
            commands,
            is_durable: took.is_some(),
        })
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
