//! The one writer: groups, commits, answers.
//!
//! What a kill leaves behind, by the line after which it comes: before the
//! commit returns, the file is as it was and nobody was answered; after it, the
//! group is in the file and a caller who was not answered sends the same
//! request_id again and reads the answer.
//!
//! Where a commit fails, nobody in its group is told that anything moved, everything
//! is put back, and the server says that it cannot write. Reads go on. It tries again
//! with each write, and by itself every now and then, until the fault has ended.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::watch;

use super::books::Books;
use super::history::History;
use super::journal::BadRow;
use super::replies::Replies;
use super::wal::Wal;
use super::watchers::Watchers;
use super::{Job, SqliteSettings, start};
use crate::domain::ledger::Command;
use crate::domain::{AccountName, Timestamp};
use crate::store::{Answer, Clock, Fits, StoreRefusal, Unavailable, Written};

/// Most commands and reads in one group; a batch is never split.
const GROUP_LENGTH_MAX: usize = 1_024;
/// After so many shares in the answers to a batch, and twice as many each time, it is asked
/// whether they still fit.
const SHARES_UNASKED_MAX: usize = 16_384;
/// How often a store that cannot write tries whether it can again.
const PROBE_INTERVAL: Duration = Duration::from_millis(500);
/// The longest sleep: the system's clock can be set meanwhile.
const SLEEP_MAX: Duration = Duration::from_secs(30);
const SLEEP_MIN: Duration = Duration::from_millis(1);

pub(super) struct Writer {
    pub(super) books: Books,
    pub(super) history: History,
    // After the others: its connection is to be closed last.
    wal: Wal,
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
    probed: Instant,
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
        (history, wal): (History, Wal),
        surroundings: Surroundings,
        settings: SqliteSettings,
    ) -> Result<Self, BadRow> {
        let (books, last_time) = start::books(connection, settings)?;
        let Surroundings {
            clock,
            closing,
            writable,
        } = surroundings;
        Ok(Self {
            books,
            history,
            wal,
            watchers: Watchers::default(),
            clock,
            waiting: Arc::default(),
            last_time,
            closing,
            writable,
            probed: Instant::now(),
        })
    }

    /// Works until there is nobody left who could ask.
    pub(super) fn run(mut self, queue: &Receiver<Job>) {
        loop {
            let first = match queue.try_recv() {
                Ok(job) => Some(job),
                Err(_) => match queue.recv_timeout(self.sleep()) {
                    Ok(job) => Some(job),
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(RecvTimeoutError::Disconnected) => break,
                },
            };
            if !*self.writable.borrow() && self.probed.elapsed() >= PROBE_INTERVAL {
                self.probe();
            }
            self.group(first, queue);
            self.wal.tend(&self.books.journal.connection);
        }
        let now = self.now();
        if let Err(BadRow(cause)) = self.books.close(now) {
            // The next start reads the rest of the journal instead.
            tracing::warn!(cause, "the data file was not brought up to date at the end");
            self.books.roll_back();
        }
    }

    /// How long there is nothing to do unless somebody asks.
    fn sleep(&self) -> Duration {
        if !*self.writable.borrow() {
            return PROBE_INTERVAL;
        }
        let Some(due) = self.watchers.next_due() else {
            return SLEEP_MAX;
        };
        // What is due since ever is due now.
        let due = due.unix_nanos().unwrap_or_default();
        let now = self.clock.now().unix_nanos().unwrap_or(due);
        let nanos = u64::try_from(due.saturating_sub(now)).unwrap_or_default();
        Duration::from_nanos(nanos).clamp(SLEEP_MIN, SLEEP_MAX)
    }

    /// What time it is since the group began. All that is written from now on is later.
    pub(super) fn time_by_now(&mut self) -> Timestamp {
        self.last_time = self.last_time.max(self.clock.now().whole_micros());
        self.last_time
    }

    fn now(&mut self) -> Timestamp {
        self.last_time = self.last_time.next_micro(self.clock.now());
        self.last_time
    }

    /// Takes what waits as one group, makes it durable, answers everybody in it.
    fn group(&mut self, first: Option<Job>, queue: &Receiver<Job>) {
        let now = self.now();
        let due = self.watchers.due(now);
        let (mut replies, mut reads) = (Replies::default(), Vec::new());
        let mut broken = due.iter().find_map(|name| self.touch(name, now).err());
        let mut length = 0_usize;
        let mut next = first;
        while let Some(job) = next {
            length = length.saturating_add(job.length());
            match job {
                Job::Write(command, caller) => {
                    let answer = or_broken(&mut broken, || self.books.write(command, now));
                    replies.one(caller, answer.map(Box::new));
                }
                Job::Batch(commands, fits, promise) => {
                    let answers = or_broken(&mut broken, || self.batch(commands, fits, now));
                    replies.batch(promise, answers);
                }
                Job::Read(read) => {
                    if broken.is_none() && read.wanted() {
                        broken = self.touch(read.name(), now).err();
                    }
                    reads.push(read);
                }
            }
            next = match length < GROUP_LENGTH_MAX {
                true => queue.try_recv().ok(),
                false => None,
            };
        }
        self.waiting.fetch_sub(length, Ordering::Relaxed);
        let changed = self.finish(broken, replies, now);
        for read in reads {
            self.read(read, now);
        }
        self.tell(changed.into_iter().chain(due), now);
    }

    /// Makes the group durable and answers everybody in it, or puts everything back and
    /// tells everybody. The accounts that changed.
    fn finish(
        &mut self,
        broken: Option<BadRow>,
        replies: Replies,
        now: Timestamp,
    ) -> Vec<AccountName> {
        let committed = match broken {
            Some(cause) => Err(cause),
            None => self.books.commit(now),
        };
        match committed {
            Ok(committed) => {
                replies.send();
                if committed.wrote {
                    self.set_writable(true);
                }
                match self.watchers.is_empty() {
                    true => Vec::new(),
                    false => committed.changed().collect(),
                }
            }
            Err(cause) => {
                let cause_text = &cause.0;
                tracing::error!(cause_text, "a group of writes could not be made durable");
                self.books.roll_back();
                // Whoever is told that it failed and asks for health hears the same.
                self.set_writable(false);
                replies.fail(&cause);
                Vec::new()
            }
        }
    }

    /// A batch, whose answers must fit before any of them counts.
    fn batch(
        &mut self,
        commands: Vec<Command>,
        mut fits: Fits,
        now: Timestamp,
    ) -> Result<Answer<Vec<Answer<Written>>>, BadRow> {
        let mark = self.books.mark()?;
        let mut answers = Vec::with_capacity(commands.len());
        let (mut shares, mut ask_at, mut fitting) = (0_usize, SHARES_UNASKED_MAX, Ok(()));
        for command in commands {
            let answer = self.books.write(command, now)?;
            let entry = answer.as_ref().ok().map(|written| &written.entry);
            shares = shares.saturating_add(entry.map_or(0, |entry| entry.shares.len()));
            answers.push(answer);
            // An answer can have thousands of shares, and the first answers be too many.
            if shares > ask_at {
                ask_at = shares.saturating_mul(2);
                fitting = fits(&answers);
            }
            if fitting.is_err() {
                break;
            }
        }
        match fitting.and_then(|()| fits(&answers)) {
            Ok(()) => self.books.keep(mark).map(|()| Ok(answers)),
            Err(refusal) => self.books.take_back(mark).map(|()| Err(refusal.into())),
        }
    }

    /// What has ended leaves once, with the group, and not anew at each read.
    fn touch(&mut self, name: &AccountName, now: Timestamp) -> Result<(), BadRow> {
        if !*self.writable.borrow() {
            return Ok(());
        }
        self.books.settle(name, now)
    }

    fn set_writable(&mut self, writable: bool) {
        if *self.writable.borrow() == writable {
            return;
        }
        if writable {
            tracing::info!("the data file can be written again");
            // Nothing was told of what ended meanwhile.
            self.watchers.look_again();
        } else {
            tracing::error!("the data file cannot be written; reads go on, writes are tried again");
        }
        self.writable.send_replace(writable);
    }

    /// Tries whether the file can be written again.
    fn probe(&mut self) {
        self.probed = Instant::now();
        match self.books.probe() {
            Ok(()) => self.set_writable(true),
            Err(BadRow(cause)) => {
                tracing::debug!(cause, "the data file still cannot be written");
                self.books.roll_back();
            }
        }
    }

    /// Tells those who watch these accounts.
    fn tell(&mut self, changed: impl Iterator<Item = AccountName>, now: Timestamp) {
        if self.watchers.is_empty() {
            return;
        }
        let changed: HashSet<_> = changed.collect();
        for name in changed {
            if self.watchers.has(&name) {
                let account = self.books.account(&name).ok().flatten();
                // What could not be written is not told again and again.
                let due = account.and_then(|loaded| loaded.account.next_due_after(now));
                self.watchers.tell(&name, due);
            }
        }
    }
}

/// Does it, unless the group is broken already; what fails breaks the group. The
/// answer of a broken group is replaced when it ends.
fn or_broken<T>(
    broken: &mut Option<BadRow>,
    done: impl FnOnce() -> Result<Answer<T>, BadRow>,
) -> Answer<T> {
    if broken.is_none() {
        match done() {
            Ok(answer) => return answer,
            Err(cause) => *broken = Some(cause),
        }
    }
    Err(StoreRefusal::Unavailable(Unavailable {
        operation: "write",
        cause: "the group failed".to_owned(),
    }))
}
