//! The one writer: groups, commits, answers.
//!
//! What a kill leaves behind, by the line after which it comes: before the
//! commit returns, the file is as it was and nobody was answered; after it, the
//! group is in the file and a caller who was not answered sends the same
//! request_id again and reads the answer.
//!
//! Where a commit fails, nobody in its group is told that anything moved, everything
//! is put back, and the server says that it cannot write. Reads go on. It tries again
//! with each write, and by itself every now and then, until the fault has ended. Where it
//! may not write now, nothing is tried: `access.rs` says when.
//!
//! A panic over one account's rules or over one read is that call's; any other ends this
//! thread, and with it the server: what is in memory cannot be trusted any more, and the
//! next start reads what is on disk.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::watch;

use super::cards::{Publish, Published};
use super::clock::{self, Marks};
use super::file_watch::FileWatch;
use super::history::History;
use super::journal::BadRow;
use super::ledger::{Ledger, Shares};
use super::replies::Replies;
use super::wal::Wal;
use super::watchers::Watchers;
use super::write_access::{DeferredWrites, PROBE_INTERVAL, RETRY_INTERVAL, WriteAccess};
use super::{Job, SqliteSettings, start};
use crate::domain::{AccountName, Timestamp};
use crate::failpoint;
use crate::store::{Answer, Clock, StoreRefusal, Unavailable};

/// Most commands and reads in one group; a batch is never split.
const GROUP_LENGTH_MAX: usize = 1_024;
/// The longest sleep: the system's clock can be set meanwhile, and the file taken away.
const SLEEP_MAX: Duration = Duration::from_millis(500);
/// How long a writer that ends waits for another program that is writing.
const CLOSE_WAIT_MAX: Duration = Duration::from_secs(1);
const SLEEP_MIN: Duration = Duration::from_millis(1);

pub(super) struct Writer {
    pub(super) ledger: Ledger,
    pub(super) history: History,
    // After the others: its connection is to be closed last.
    pub(super) wal: Wal,
    /// Whether what is open is still what has the path.
    pub(super) file: FileWatch,
    /// Writes that wait for another program.
    pub(super) deferred: DeferredWrites,
    pub(super) watchers: Watchers,
    pub(super) clock: Arc<dyn Clock>,
    /// How many commands and reads wait.
    pub(super) waiting: Arc<AtomicUsize>,
    /// No later write is dated before it.
    pub(super) last_time: Timestamp,
    /// Set when the store is being closed: writes that wait are done, reads not.
    pub(super) closing: Arc<AtomicBool>,
    pub(super) writable: watch::Sender<bool>,
    /// When it last tried whether it can write again.
    pub(super) probed: Instant,
    marks: Marks,
}

/// What the writer is given by those who start it.
pub(super) struct Surroundings {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) closing: Arc<AtomicBool>,
    pub(super) writable: watch::Sender<bool>,
}

impl Writer {
    /// A writer over an open file.
    pub(super) fn open(
        connection: Connection,
        (history, wal, file): (History, Wal, FileWatch),
        surroundings: Surroundings,
        settings: SqliteSettings,
    ) -> Result<Self, BadRow> {
        let (ledger, last_write) = start::ledger(connection, settings)?;
        // Reads would wait too.
        ledger.journal.connection.busy_timeout(Duration::ZERO)?;
        let Surroundings {
            clock,
            closing,
            writable,
        } = surroundings;
        clock.start(&clock::known(&ledger.journal.connection, last_write)?);
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
            probed: Instant::now(),
            marks: Marks::default(),
        })
    }

    /// Works until there is nobody left who could ask.
    pub(super) fn run(mut self, queue: &Receiver<Job>) {
        // From the start on the file knows this boot, and what was accepted.
        self.keep_mark_alone();
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
                // It is no part of the ledger, whose time it does not move.
                Some(Job::Cards(publish)) => {
                    self.waiting.fetch_sub(1, Ordering::Relaxed);
                    self.publish_cards(publish);
                }
                first => self.group(first, queue),
            }
            self.keep_mark_alone();
            self.run_checkpoint();
        }
        self.close();
    }

    /// Leaves the file as whole as it can be.
    fn close(mut self) {
        self.check_file();
        if let Some(loss) = self.file.loss().filter(|loss| !loss.has_file()) {
            let what = loss.description();
            tracing::error!("{what}, and is still so: what was open is closed as it is");
            return self.wal.keep(&self.ledger.journal.connection);
        }
        let now = self.now();
        let mark = self.clock.mark();
        let connection = &self.ledger.journal.connection;
        let closed = (connection.busy_timeout(CLOSE_WAIT_MAX))
            .map_err(BadRow::from)
            .and_then(|()| self.ledger.close(now, mark.as_ref()));
        if let Err(BadRow(cause)) = closed {
            // The next start reads the rest of the journal instead.
            tracing::warn!(cause, "the data file was not brought up to date at the end");
            self.ledger.roll_back();
            self.wal.keep(&self.ledger.journal.connection);
        }
    }

    /// How long there is nothing to do unless somebody asks.
    fn sleep(&self) -> Duration {
        if let Some(wait) = self.deferred.retry_in() {
            return wait;
        }
        if !*self.writable.borrow() || self.ledger.disbelief.is_some() {
            return PROBE_INTERVAL;
        }
        let due = self.watchers.next_due();
        let due = due.map_or(SLEEP_MAX, |due| due.since(self.clock.now()));
        due.min(self.marks.alone_in()).clamp(SLEEP_MIN, SLEEP_MAX)
    }

    /// What time it is since the group began. All that is written from now on is later.
    pub(super) fn time_by_now(&mut self) -> Timestamp {
        self.last_time = self.last_time.max(self.clock.now().whole_micros());
        self.last_time
    }

    fn now(&mut self) -> Timestamp {
        let believed = self.clock.believed();
        if believed.is_ok() && self.ledger.disbelief.is_some() {
            // Nothing was told of what ended meanwhile.
            self.watchers.look_again();
        }
        self.ledger.disbelief = believed.err();
        let now = believed.unwrap_or_else(|not| not.believed_time);
        self.last_time = self.last_time.next_micro(now);
        self.last_time
    }

    /// Keeps what the clock says along with a group that writes.
    fn keep_mark(&mut self) -> Result<(), BadRow> {
        if self.ledger.writes()
            && self.marks.with_group()
            && let Some(mark) = self.clock.mark()
        {
            clock::keep(&self.ledger.journal.connection, &mark)?;
            self.marks.done();
        }
        Ok(())
    }

    /// Keeps what the clock says where nothing else was written for a while.
    fn keep_mark_alone(&mut self) {
        let may_write = *self.writable.borrow() && self.ledger.disbelief.is_none();
        if !may_write || !self.marks.alone_in().is_zero() {
            return;
        }
        let kept = self.clock.mark().map(|mark| {
            self.ledger.commit_checkpointed()?;
            clock::keep(&self.ledger.journal.connection, &mark)
        });
        match kept {
            None | Some(Ok(())) => self.marks.done(),
            Some(Err(BadRow(cause))) => {
                tracing::debug!(cause, "what the clock says was not kept");
                self.marks.failed();
            }
        }
    }

    /// Takes what waits as one group, makes it durable, answers everybody in it.
    fn group(&mut self, first: Option<Job>, queue: &Receiver<Job>) {
        let now = self.now();
        let due = self.watchers.due(now);
        let (mut replies, mut reads) = (Replies::default(), Vec::new());
        let mut cards = Vec::new();
        let mut failure = due
            .iter()
            .find_map(|name| self.expire_before_read(name, now).err());
        // Whether it can be written is asked for the first write, and for those put deferred.
        let mut access = None;
        if failure.is_none() && self.deferred.retry_in().is_some() {
            access = self.write_access_or_fail(&mut failure);
        }
        let (mut length, mut done) = (0_usize, 0_usize);
        let mut first = first;
        while length < GROUP_LENGTH_MAX {
            // Those that wait already come first, once they can be written or refused.
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
                    if failure.is_none() && read.wanted() {
                        failure = self.expire_before_read(read.name(), now).err();
                    }
                    reads.push(read);
                }
                (Job::Cards(publish), _) => cards.push(publish),
                (job, Some(access @ (WriteAccess::Locked | WriteAccess::Refused(_)))) => {
                    if !self.defer_or_refuse(job, access, &mut replies) {
                        done = done.saturating_sub(job_length);
                    }
                }
                (Job::Write(command, caller), _) => {
                    let answer = unless_failed(&mut failure, || {
                        self.ledger.write(&command, Shares::Answered, now)
                    });
                    replies.one(caller, answer.map(Box::new));
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
        // What was not taken yet comes first next time. A read waits for nobody.
        match first {
            Some(Job::Read(read)) => {
                done = done.saturating_add(1);
                reads.push(read);
            }
            first => self.deferred.jobs.extend(first),
        }
        self.waiting.fetch_sub(done, Ordering::Relaxed);
        let failure = failure.or_else(|| self.keep_mark().err());
        let changed = self.finish(failure, replies, now);
        for publish in cards {
            self.publish_cards(publish);
        }
        for read in reads {
            // What a reader's function does to itself is nobody else's affair.
            if catch_unwind(AssertUnwindSafe(|| self.read(read, now))).is_err() {
                tracing::error!("a defect ended a read; the panic is logged beside it");
            }
        }
        self.tell(changed.into_iter().chain(due), now);
    }

    /// Makes the group durable and answers everybody in it, or puts everything back and
    /// tells everybody. The accounts that changed.
    fn finish(
        &mut self,
        failure: Option<BadRow>,
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
                        // It is in a file that nobody may find again.
                        Err(cause) => {
                            replies.fail(&cause);
                            return committed.changed().collect();
                        }
                    }
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
                // Whoever is told that it failed and asks for health hears the same.
                self.stop_writing(cause_text);
                replies.fail(&cause);
                Vec::new()
            }
        }
    }

    /// Publishes rate cards, between two groups.
    fn publish_cards(&mut self, publish: Publish) {
        let now = self.last_time.max(self.clock.now());
        let published = match (self.file.loss(), self.ledger.commit_checkpointed()) {
            (Some(loss), _) => Published::failed(loss.description().to_owned()),
            // Where that cannot be written, neither can the cards.
            (None, _) => {
                let connection = &mut self.ledger.journal.connection;
                super::cards::publish(connection, &publish.cards, now)
            }
        };
        let published = match (published, self.check_path()) {
            (Published::Changed | Published::Unchanged, Err(BadRow(cause))) => {
                Published::failed(cause)
            }
            (published, _) => published,
        };
        publish.answer(published);
    }

    /// Tells those who watch these accounts.
    fn tell(&mut self, changed: impl Iterator<Item = AccountName>, now: Timestamp) {
        if self.watchers.is_empty() {
            return;
        }
        let changed: HashSet<_> = changed.collect();
        for name in changed {
            if self.watchers.has(&name) {
                let account = self.ledger.account(&name).ok().flatten();
                // What could not be written is not told again and again.
                let due = account.and_then(|loaded| loaded.account.next_due_after(now));
                self.watchers.tell(&name, due);
            }
        }
    }
}

/// Does it, unless the group is failure already; what fails breaks the group. The
/// answer of a failure group is replaced when it ends.
fn unless_failed<T>(
    failure: &mut Option<BadRow>,
    done: impl FnOnce() -> Result<Answer<T>, BadRow>,
) -> Answer<T> {
    if failure.is_none() {
        match done() {
            Ok(answer) => return answer,
            Err(cause) => *failure = Some(cause),
        }
    }
    Err(StoreRefusal::Unavailable(Unavailable {
        operation: "write",
        cause: "the group failed".to_owned(),
    }))
}
