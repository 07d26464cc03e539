//! Whether the writer may write now: not while another program is writing to the file,
//! and not while the file is not where it was.
//!
//! The writer never waits within SQLite, since all reads would wait with it. Where another
//! program holds the file's write lock, writes are put aside and tried again every few
//! milliseconds, while reads go on. Where that lasts they are refused, and from then on
//! every write is refused at once, until one attempt succeeds.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Job;
use super::books::unavailable;
use super::group::LOCKED;
use super::journal::BadRow;
use super::present::Loss;
use super::replies::Replies;
use super::wal::Moved;
use super::writer::Writer;
use crate::domain::{AccountName, Timestamp};

/// How long writes wait for another program, before they are refused.
const WAIT_MAX: Duration = Duration::from_millis(400);
/// How often they are tried meanwhile.
pub(super) const RETRY_INTERVAL: Duration = Duration::from_millis(5);
/// How often a store that cannot write tries whether it can again.
pub(super) const PROBE_INTERVAL: Duration = Duration::from_millis(500);

/// Writes that wait for another program.
#[derive(Default)]
pub(super) struct Aside {
    pub(super) jobs: VecDeque<Job>,
    /// Since when the other program has been writing; None: it is not.
    since: Option<Instant>,
}

impl Aside {
    /// How long the writer may sleep until it tries them again; None: there are none.
    pub(super) fn wait(&self) -> Option<Duration> {
        match self.since {
            Some(_) => Some(RETRY_INTERVAL),
            None if self.jobs.is_empty() => None,
            // More than one group.
            None => Some(Duration::ZERO),
        }
    }
}

/// What a group may do about a write.
pub(super) enum Gate {
    /// Write: the transaction is open.
    Open,
    /// Put it aside.
    Wait,
    /// Refuse it.
    Closed(BadRow),
}

impl Writer {
    /// Opens the group's transaction, or says why there is none. Err: it is broken.
    pub(super) fn gate(&mut self) -> Result<Gate, BadRow> {
        if let Some(loss) = self.file.lost() {
            self.aside.since = None;
            return Ok(Gate::Closed(BadRow(loss.what().to_owned())));
        }
        if self.books.try_begin()? {
            self.aside.since = None;
            return Ok(Gate::Open);
        }
        if *self.writable.borrow() {
            let since = *self.aside.since.get_or_insert_with(Instant::now);
            if since.elapsed() < WAIT_MAX {
                return Ok(Gate::Wait);
            }
            self.stop_writing(LOCKED);
        }
        self.aside.since = None;
        Ok(Gate::Closed(BadRow(LOCKED.to_owned())))
    }

    /// Puts a write aside, or refuses it. One that was answered before needs no writing, and
    /// is answered again; but not where the file is gone: what was refused for that stands in
    /// what is open, and an answer now would promise that it stays.
    pub(super) fn turn_away(&mut self, job: Job, gate: &Gate, replies: &mut Replies) -> bool {
        let job = match job {
            Job::Write(command, caller) if self.file.lost().is_none() => {
                match self.books.known(&command) {
                    Some(answer) => {
                        replies.one(caller, answer.map(Box::new));
                        return true;
                    }
                    None => Job::Write(command, caller),
                }
            }
            job => job,
        };
        match gate {
            Gate::Closed(cause) => {
                job.refuse(unavailable("write", cause));
                true
            }
            Gate::Open | Gate::Wait => {
                self.aside.jobs.push_back(job);
                false
            }
        }
    }

    /// [`Self::gate`]; what fails breaks the group, and refuses what was put aside: it would
    /// wait for a lock that is not what is wrong.
    pub(super) fn gate_or(&mut self, broken: &mut Option<BadRow>) -> Option<Gate> {
        match self.gate() {
            Ok(gate) => Some(gate),
            Err(cause) => {
                self.aside.since = None;
                for job in std::mem::take(&mut self.aside.jobs) {
                    self.waiting.fetch_sub(job.length(), Ordering::Relaxed);
                    job.refuse(unavailable("write", &cause));
                }
                *broken = Some(cause);
                None
            }
        }
    }

    /// Whether what is open can be read.
    pub(super) fn can_read(&self) -> bool {
        self.file.lost().is_none_or(Loss::is_readable)
    }

    /// What has ended leaves once, with the group, and not anew at each read; while it cannot
    /// be written, reads answer as if it were.
    pub(super) fn touch(&mut self, name: &AccountName, now: Timestamp) -> Result<(), BadRow> {
        let believed = self.books.disbelief.is_none();
        if !*self.writable.borrow() || self.aside.since.is_some() || !believed {
            return Ok(());
        }
        if !self.books.settle(name, now)? {
            self.aside.since = Some(Instant::now());
        }
        Ok(())
    }

    /// Tries whether the file can be written again.
    pub(super) fn probe(&mut self) {
        if let Some(loss) = self.file.lost() {
            self.move_all(loss);
            return;
        }
        match self.books.probe() {
            Ok(()) => self.go_on_writing(),
            Err(BadRow(cause)) => {
                tracing::debug!(cause, "the data file still cannot be written");
                self.books.roll_back();
            }
        }
    }

    /// Looks whether all that is open is where it was.
    pub(super) fn look_at_file(&mut self) {
        let before = self.file.lost();
        (self.file).look(&self.books.journal.connection, &self.wal);
        self.lost_since(before);
    }

    /// Whether the file still has its path, after a commit and before its answers.
    pub(super) fn at_its_place(&mut self) -> Result<(), BadRow> {
        let before = self.file.lost();
        let loss = (self.file).at_its_place(&self.books.journal.connection, &self.wal);
        self.lost_since(before);
        match loss {
            None => Ok(()),
            Some(loss) => Err(BadRow(loss.what().to_owned())),
        }
    }

    /// Says what has happened to the file, where that is news.
    fn lost_since(&mut self, before: Option<Loss>) {
        let Some(loss) = self.file.lost().filter(|loss| before != Some(*loss)) else {
            return;
        };
        let path = self.file.path().display();
        let pid = std::process::id();
        match (loss, self.file.rescue()) {
            (Loss::Missing | Loss::Replaced, Some(copy)) => tracing::error!(
                "data file {path}: {}; put it back, with its -wal, or copy what is open before you stop process {pid}: {copy}",
                loss.what()
            ),
            (Loss::Missing | Loss::Replaced, None) => tracing::error!(
                "data file {path}: {}; put it back, with its -wal, before you stop process {pid}: then it goes on",
                loss.what()
            ),
            (Loss::WalMissing | Loss::ShmMissing, _) => tracing::error!(
                "data file {path}: {}; nothing is lost: what was answered is moved into the data file; restart the server",
                loss.what()
            ),
            (Loss::Changed | Loss::WalChanged, _) => tracing::error!(
                "data file {path}: {}; stop the server, keep the file and its -wal to find out what they still hold, and restore a backup",
                loss.what()
            ),
        }
        self.stop_writing(loss.what());
        self.move_all(loss);
    }

    /// Where the file itself is sound, all that was answered is brought into it.
    fn move_all(&mut self, loss: Loss) {
        if loss.has_file() {
            let moved = self.wal.move_all(&self.books.journal.connection);
            self.file.note(&self.books.journal.connection);
            if moved {
                self.books.all_moved();
            }
        }
    }

    /// Has what the `-wal` holds moved into the file, while that is sound.
    pub(super) fn tend_wal(&mut self) {
        if self.file.lost().is_some() {
            return;
        }
        if let Some(moved) = self.wal.tend(&self.books.journal.connection) {
            self.file.note(&self.books.journal.connection);
            if moved == Moved::All {
                self.books.all_moved();
            }
        }
    }

    pub(super) fn stop_writing(&mut self, cause: &str) {
        if self.change_writable(false) {
            self.probed = Instant::now();
            tracing::error!(
                cause,
                "the data file cannot be written; reads go on, writes are tried again"
            );
        }
    }

    /// Whether that is news. Nobody is woken where it is none: this is asked after each commit.
    fn change_writable(&self, writable: bool) -> bool {
        self.writable.send_if_modified(|before| {
            let is_news = *before != writable;
            *before = writable;
            is_news
        })
    }

    pub(super) fn go_on_writing(&mut self) {
        if self.change_writable(true) {
            tracing::info!("the data file can be written again");
            // Nothing was told of what ended meanwhile.
            self.watchers.look_again();
        }
    }
}
