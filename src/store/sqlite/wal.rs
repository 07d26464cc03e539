//! Moving what the `-wal` holds into the file, beside the writer.
//!
//! SQLite would do it within a commit, every eight megabytes, and everybody would wait
//! for it. Here a thread with a connection of its own moves nearly all of it while the
//! writer goes on; the writer moves the little that came meanwhile, between two groups,
//! and SQLite begins the `-wal` anew.
//!
//! What is moved while the writer goes on counts as moved before it is synced: the sync
//! comes with the writer's part. Where that fails nobody knows what of it is on disk, and
//! SQLite would not move it again. Then the `-wal`, which has all of it, is kept as it is:
//! it is not begun anew, not at the end either, and the next start moves all of it.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::ffi::SQLITE_IOERR_FSYNC;

use super::open::leave_wal;
use crate::failpoint;

/// Pages with which it is begun.
const PAGES_BEGUN: i32 = 1_000;
/// Where so many more come in one time, the thread cannot keep up: the writer waits a
/// little with each group.
const PAGES_MEANWHILE_MAX: i32 = 16_000;
const WAIT: Duration = Duration::from_millis(100);
/// How often the thread goes over it: the second time finds what came in the first.
const PASSES: usize = 2;
/// A `-wal` of so many pages, and again of twice as many, is told of: somebody keeps it
/// from being emptied.
const PAGES_TOLD: i32 = 32_768;

thread_local! {
    /// Pages in the `-wal` after the newest commit of this thread. SQLite tells it to a
    /// function that knows nothing else.
    static PAGES: Cell<i32> = const { Cell::new(0) };
    /// Whether a commit of this thread has found it begun anew, and not by this server.
    static EMPTIED: Cell<bool> = const { Cell::new(false) };
}

/// What came of moving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moved {
    /// All of it.
    All,
    /// What could be moved: somebody reads the rest, or writes more.
    Some,
    /// Nobody knows what of it is on disk.
    Unsynced,
}

/// What the thread is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ask {
    Move,
    /// To see to it that the `-wal` stays.
    Keep,
}

/// The thread that moves. Dropping it waits until the thread has ended and closed its
/// connection, which must be the last one: it moves the rest.
pub(super) struct Wal {
    /// None where there is no thread any more.
    asks: Option<SyncSender<Ask>>,
    answers: Receiver<Moved>,
    thread: Option<JoinHandle<()>>,
    state: State,
    /// Pages with which it is begun next.
    begun_at: i32,
    /// With how many pages it is told of next.
    told_at: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    /// The thread moves, since there were so many pages.
    Moving(i32),
    /// What is in the `-wal` stays there until the next start.
    Kept,
}

impl Wal {
    /// Starts the thread, and takes the work off the writer's own connection.
    pub(super) fn start(
        writer: &Connection,
        connection: Connection,
        closing: Arc<AtomicBool>,
    ) -> std::io::Result<Self> {
        // Its connection is the last one to be closed, and moves the rest.
        leave_wal(&connection, false).map_err(std::io::Error::other)?;
        // In place of SQLite's own.
        writer.wal_hook(Some(|_, pages| {
            if pages <= PAGES.replace(pages) {
                EMPTIED.set(true);
            }
            Ok(())
        }));
        let (asks, asked) = sync_channel::<Ask>(2);
        let (done, answers) = sync_channel::<Moved>(1);
        let thread = std::thread::Builder::new()
            .name("ledger-wal".to_owned())
            .spawn(move || run(&connection, &asked, &done, &closing))?;
        Ok(Self {
            asks: Some(asks),
            answers,
            thread: Some(thread),
            state: State::Idle,
            begun_at: PAGES_BEGUN,
            told_at: PAGES_TOLD,
        })
    }

    /// Whether the thread is moving something.
    pub(super) fn is_moving(&self) -> bool {
        matches!(self.state, State::Moving(_))
    }

    /// Whether another program has moved all that the `-wal` held, of which so many pages are
    /// left.
    pub(super) fn was_emptied(&self, pages: i64) -> bool {
        EMPTIED.get() || pages < i64::from(PAGES.get())
    }

    /// From now on it holds so many pages, of which this server knows.
    pub(super) fn holds(&self, pages: i64) {
        EMPTIED.set(false);
        PAGES.set(i32::try_from(pages).unwrap_or(i32::MAX));
    }

    /// Between two groups: does what is due. What came of it, where something was moved.
    pub(super) fn tend(&mut self, writer: &Connection) -> Option<Moved> {
        let pages = PAGES.get();
        match self.state {
            State::Kept => None,
            State::Moving(since) => {
                let late = pages.saturating_sub(since) > PAGES_MEANWHILE_MAX;
                let moved = self.answer(late)?;
                self.state = State::Idle;
                Some(self.finish(moved, writer, pages))
            }
            State::Idle if pages < self.begun_at => None,
            State::Idle => match self.asks.as_ref().map(|asks| asks.try_send(Ask::Move)) {
                Some(Ok(())) => {
                    self.state = State::Moving(pages);
                    None
                }
                Some(Err(_)) | None => Some(self.finish(Moved::Some, writer, pages)),
            },
        }
    }

    /// Moves all there is, however few pages there are. Whether it did.
    pub(super) fn move_all(&mut self, writer: &Connection) -> bool {
        if self.is_moving() && self.answer(true).is_some() {
            self.state = State::Idle;
        }
        self.state == State::Idle && self.finish(Moved::Some, writer, PAGES.get()) == Moved::All
    }

    /// What came of the thread's part, if it is done. Without a thread nothing came of it.
    fn answer(&mut self, wait: bool) -> Option<Moved> {
        let answer = match wait {
            true => self.answers.recv_timeout(WAIT),
            false => self.answers.try_recv().map_err(|none| match none {
                TryRecvError::Empty => RecvTimeoutError::Timeout,
                TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
            }),
        };
        match answer {
            Ok(moved) => Some(moved),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                tracing::error!(
                    "the thread that moves what the -wal holds has ended; the writer does it"
                );
                self.asks = None;
                Some(Moved::Some)
            }
        }
    }

    /// The writer's part.
    fn finish(&mut self, moved: Moved, writer: &Connection, pages: i32) -> Moved {
        // Where it was begun anew meanwhile, that was by this server.
        EMPTIED.set(false);
        let moved = match moved {
            Moved::Unsynced => moved,
            Moved::All | Moved::Some => move_pages(writer),
        };
        match moved {
            // SQLite begins the -wal anew.
            Moved::All => {
                PAGES.set(0);
                (self.begun_at, self.told_at) = (PAGES_BEGUN, PAGES_TOLD);
            }
            // It is tried again after as much more.
            Moved::Some => {
                self.begun_at = pages.saturating_add(PAGES_BEGUN);
                if pages >= self.told_at {
                    self.told_at = pages.saturating_mul(2);
                    tracing::warn!(
                        pages,
                        "the -wal cannot be emptied and grows: another program reads the data file all the time; end it"
                    );
                }
            }
            Moved::Unsynced => self.keep(writer),
        }
        moved
    }

    /// Sees to it that all that is in the `-wal` is moved by the next start.
    fn keep(&mut self, writer: &Connection) {
        tracing::error!(
            "the data file could not be synced: all since then stays in its -wal, which grows; \
             see to the disk and restart the server, while no other program has the file open"
        );
        self.leave(writer);
    }

    /// Leaves what is in the `-wal` where it is, also when all is closed.
    pub(super) fn leave(&mut self, writer: &Connection) {
        self.state = State::Kept;
        keep_at_close(writer);
        if let Some(asks) = &self.asks {
            let _ = asks.try_send(Ask::Keep);
        }
    }
}

impl Drop for Wal {
    fn drop(&mut self) {
        if let Some(asks) = self.asks.take()
            && std::thread::panicking()
        {
            // As a kill leaves it: the next start takes up from there.
            let _ = asks.send(Ask::Keep);
        }
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that moves what the -wal holds ended by a panic");
        }
    }
}

fn run(
    connection: &Connection,
    asked: &Receiver<Ask>,
    done: &SyncSender<Moved>,
    closing: &AtomicBool,
) {
    while let Ok(ask) = asked.recv() {
        failpoint::pass("ledger-wal");
        let mut moved = Moved::Some;
        for _ in 0..PASSES {
            let goes_on = ask == Ask::Move && moved != Moved::Unsynced;
            if goes_on && !closing.load(Ordering::Relaxed) {
                moved = move_pages(connection);
            }
        }
        // At once: the writer may end before it hears of it.
        if ask == Ask::Keep || moved == Moved::Unsynced {
            keep_at_close(connection);
            keep_by_reading(connection);
        }
        if ask == Ask::Move && done.send(moved).is_err() {
            break;
        }
    }
}

/// While somebody reads what is in the `-wal`, it is not begun anew.
fn keep_by_reading(connection: &Connection) {
    let reads = match connection.is_autocommit() {
        true => connection.execute_batch("BEGIN; SELECT count(*) FROM file"),
        false => Ok(()),
    };
    if let Err(error) = reads {
        tracing::error!(%error, "the -wal cannot be kept");
    }
}

/// A connection that is closed last moves the rest, but for this.
fn keep_at_close(connection: &Connection) {
    if let Err(error) = leave_wal(connection, true) {
        tracing::error!(%error, "the -wal cannot be kept");
    }
}

/// Moves as much as can be moved now. What cannot stays in the `-wal`, where it is as
/// durable, and is moved later.
fn move_pages(connection: &Connection) -> Moved {
    let moved = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
        Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
    });
    match moved {
        Ok((all, moved)) if all >= 0 && all == moved => Moved::All,
        Ok(_) => Moved::Some,
        Err(error) => {
            tracing::warn!(%error, "what the -wal holds could not be moved into the file");
            match error.sqlite_error().map(|error| error.extended_code) {
                Some(SQLITE_IOERR_FSYNC) => Moved::Unsynced,
                _ => Moved::Some,
            }
        }
    }
}
