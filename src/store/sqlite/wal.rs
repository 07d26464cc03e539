//! WAL checkpoints, beside the writer.
//!
//! SQLite's automatic checkpoint runs within a commit, every eight megabytes, and every
//! caller would wait for it. Here a thread with a connection of its own checkpoints nearly all
//! of the `-wal` while the writer goes on. The writer then checkpoints the few frames that
//! came meanwhile, between two groups, and SQLite resets the `-wal`.
//!
//! SQLite counts frames as checkpointed before the file is synced; the sync comes with the
//! writer's part. Where the sync fails it is unknown which pages are on disk, and SQLite
//! would not write them again. The `-wal`, which has all of them, is then kept: it is not
//! reset, not on closing either, and the next start checkpoints all of it.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::ffi::SQLITE_IOERR_FSYNC;

use super::open::skip_checkpoint_at_close;
use crate::failpoint;
use crate::store::metrics::StoreMetrics;

/// A checkpoint begins once the `-wal` has so many frames.
const CHECKPOINT_PAGES: i32 = 1_000;
/// If the writer adds more frames than this during one checkpoint, the thread cannot keep up:
/// the writer waits for it up to [`RESULT_WAIT`] after each group.
const CONCURRENT_PAGES_MAX: i32 = 16_000;
const RESULT_WAIT: Duration = Duration::from_millis(100);
/// Checkpoints in one run of the thread. The second one takes the frames that the writer added
/// during the first.
const PASSES: usize = 2;
/// A `-wal` of so many frames, and of each double, is logged: another connection prevents its
/// reset.
const WARN_PAGES: i32 = 32_768;

thread_local! {
    /// Frames in the `-wal` after this thread's newest commit. SQLite passes the number to a
    /// hook, which has no other state.
    static PAGES: Cell<i32> = const { Cell::new(0) };
    /// Whether this thread's newest commit found that another program had reset the `-wal`.
    static RESET_BY_OTHERS: Cell<bool> = const { Cell::new(false) };
}

/// The outcome of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Checkpoint {
    /// All frames are in the file.
    Complete,
    /// Some frames are not: another connection reads an older snapshot, or wrote meanwhile.
    Partial,
    /// The file could not be synced: it is unknown which pages are on disk.
    SyncFailed,
}

/// A request to the checkpoint thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Request {
    Checkpoint,
    /// Never reset the `-wal`, and skip the checkpoint on closing.
    KeepWal,
}

/// The checkpoint thread. Dropping it waits until the thread has ended and closed its
/// connection, which must be the last one: closing it checkpoints the rest.
pub(super) struct Wal {
    /// None once the thread has ended.
    requests: Option<SyncSender<Request>>,
    results: Receiver<Checkpoint>,
    thread: Option<JoinHandle<()>>,
    state: State,
    /// Frames at which the next checkpoint begins.
    checkpoint_at: i32,
    /// Frames at which the next warning is logged.
    warn_at: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    /// A checkpoint runs; the `-wal` had so many frames when it began.
    Running(i32),
    /// The `-wal` is kept until the next start.
    WalKept,
}

impl Wal {
    /// Starts the thread, and turns automatic checkpoints off on the writer's connection.
    pub(super) fn start(
        writer: &Connection,
        connection: Connection,
        (closing, metrics): (Arc<AtomicBool>, Arc<StoreMetrics>),
    ) -> std::io::Result<Self> {
        // This connection is closed last, which checkpoints the rest.
        skip_checkpoint_at_close(&connection, false).map_err(std::io::Error::other)?;
        // It replaces the hook by which SQLite starts automatic checkpoints.
        writer.wal_hook(Some(|_, pages| {
            if pages <= PAGES.replace(pages) {
                RESET_BY_OTHERS.set(true);
            }
            Ok(())
        }));
        let (requests, received) = sync_channel::<Request>(2);
        let (sender, results) = sync_channel::<Checkpoint>(1);
        let thread = std::thread::Builder::new()
            .name("wal-checkpoint".to_owned())
            .spawn(move || run_thread(&connection, &received, &sender, (&closing, &metrics)))?;
        Ok(Self {
            requests: Some(requests),
            results,
            thread: Some(thread),
            state: State::Idle,
            checkpoint_at: CHECKPOINT_PAGES,
            warn_at: WARN_PAGES,
        })
    }

    /// Whether a checkpoint runs in the thread.
    pub(super) fn is_running(&self) -> bool {
        matches!(self.state, State::Running(_))
    }

    /// Whether another program has reset the `-wal`, which now has `pages` frames.
    pub(super) fn was_reset_by_others(&self, pages: i64) -> bool {
        RESET_BY_OTHERS.get() || pages < i64::from(PAGES.get())
    }

    /// Accepts the number of frames that another program's reset left.
    pub(super) fn set_frames(&self, pages: i64) {
        RESET_BY_OTHERS.set(false);
        PAGES.set(i32::try_from(pages).unwrap_or(i32::MAX));
    }

    /// Begins a checkpoint if one is due, or completes the one that the thread has run. To be
    /// called between two groups. None: nothing was completed.
    pub(super) fn run(&mut self, writer: &Connection) -> Option<Checkpoint> {
        let pages = PAGES.get();
        match self.state {
            State::WalKept => None,
            State::Running(since) => {
                let is_behind = pages.saturating_sub(since) > CONCURRENT_PAGES_MAX;
                let checkpoint = self.take_result(is_behind)?;
                self.state = State::Idle;
                Some(self.finish(checkpoint, writer, pages))
            }
            State::Idle if pages < self.checkpoint_at => None,
            State::Idle => match self
                .requests
                .as_ref()
                .map(|requests| requests.try_send(Request::Checkpoint))
            {
                Some(Ok(())) => {
                    self.state = State::Running(pages);
                    None
                }
                Some(Err(_)) | None => Some(self.finish(Checkpoint::Partial, writer, pages)),
            },
        }
    }

    /// Checkpoints the whole `-wal`, however small; returns whether all frames are in the file.
    pub(super) fn checkpoint_all(&mut self, writer: &Connection) -> bool {
        if self.is_running() && self.take_result(true).is_some() {
            self.state = State::Idle;
        }
        self.state == State::Idle
            && self.finish(Checkpoint::Partial, writer, PAGES.get()) == Checkpoint::Complete
    }

    /// The outcome of the thread's checkpoint, once there is one; without a thread it is
    /// [`Checkpoint::Partial`].
    fn take_result(&mut self, wait: bool) -> Option<Checkpoint> {
        let result = match wait {
            true => self.results.recv_timeout(RESULT_WAIT),
            false => self.results.try_recv().map_err(|none| match none {
                TryRecvError::Empty => RecvTimeoutError::Timeout,
                TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
            }),
        };
        match result {
            Ok(checkpoint) => Some(checkpoint),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                tracing::error!("the thread for WAL checkpoints has ended; the writer runs them");
                self.requests = None;
                Some(Checkpoint::Partial)
            }
        }
    }

    /// Checkpoints the rest on the writer's connection.
    fn finish(&mut self, checkpoint: Checkpoint, writer: &Connection, pages: i32) -> Checkpoint {
        // A reset during this checkpoint was by this server.
        RESET_BY_OTHERS.set(false);
        let checkpoint = match checkpoint {
            Checkpoint::SyncFailed => checkpoint,
            Checkpoint::Complete | Checkpoint::Partial => passive_checkpoint(writer),
        };
        match checkpoint {
            // SQLite resets the -wal with the next commit.
            Checkpoint::Complete => {
                PAGES.set(0);
                (self.checkpoint_at, self.warn_at) = (CHECKPOINT_PAGES, WARN_PAGES);
            }
            // The next attempt is after as many frames again.
            Checkpoint::Partial => {
                self.checkpoint_at = pages.saturating_add(CHECKPOINT_PAGES);
                if pages >= self.warn_at {
                    self.warn_at = pages.saturating_mul(2);
                    tracing::warn!(
                        pages,
                        "the -wal cannot be emptied and grows: another program reads the data file all the time; end it"
                    );
                }
            }
            Checkpoint::SyncFailed => self.keep_unsynced(writer),
        }
        checkpoint
    }

    /// Keeps the `-wal`, for the next start to checkpoint, after a failed sync.
    fn keep_unsynced(&mut self, writer: &Connection) {
        tracing::error!(
            "the data file could not be synced: all since then stays in its -wal, which grows; \
             see to the disk and restart the server, while no other program has the file open"
        );
        self.keep_wal(writer);
    }

    /// Keeps the `-wal` as it is, also on closing.
    pub(super) fn keep_wal(&mut self, writer: &Connection) {
        self.state = State::WalKept;
        skip_at_close(writer);
        if let Some(requests) = &self.requests {
            let _ = requests.try_send(Request::KeepWal);
        }
    }
}

impl Drop for Wal {
    fn drop(&mut self) {
        if let Some(requests) = self.requests.take()
            && std::thread::panicking()
        {
            // After a panic the file is left as a kill would leave it.
            let _ = requests.send(Request::KeepWal);
        }
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread for WAL checkpoints ended by a panic");
        }
    }
}

fn run_thread(
    connection: &Connection,
    received: &Receiver<Request>,
    sender: &SyncSender<Checkpoint>,
    (closing, metrics): (&AtomicBool, &StoreMetrics),
) {
    while let Ok(request) = received.recv() {
        failpoint::pass("wal-checkpoint");
        let mut checkpoint = Checkpoint::Partial;
        for _ in 0..PASSES {
            let is_wanted = request == Request::Checkpoint && checkpoint != Checkpoint::SyncFailed;
            if is_wanted && !closing.load(Ordering::Relaxed) {
                let began = Instant::now();
                checkpoint = passive_checkpoint(connection);
                (metrics.checkpoint_seconds).observe(began.elapsed().as_secs_f64());
            }
        }
        // Done here, since the writer may end before it receives the outcome.
        if request == Request::KeepWal || checkpoint == Checkpoint::SyncFailed {
            skip_at_close(connection);
            block_reset_by_reading(connection);
        }
        if request == Request::Checkpoint && sender.send(checkpoint).is_err() {
            break;
        }
    }
}

/// Holds a read transaction open: SQLite does not reset a `-wal` that a reader uses.
fn block_reset_by_reading(connection: &Connection) {
    let reads = match connection.is_autocommit() {
        true => connection.execute_batch("BEGIN; SELECT count(*) FROM file"),
        false => Ok(()),
    };
    if let Err(error) = reads {
        tracing::error!(%error, "the -wal cannot be kept");
    }
}

/// Turns off the checkpoint that closing the last connection runs.
fn skip_at_close(connection: &Connection) {
    if let Err(error) = skip_checkpoint_at_close(connection, true) {
        tracing::error!(%error, "the -wal cannot be kept");
    }
}

/// Checkpoints as much as no reader prevents. The rest stays in the `-wal`, where it is as
/// durable, and is checkpointed later.
fn passive_checkpoint(connection: &Connection) -> Checkpoint {
    let counts = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
        Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
    });
    match counts {
        Ok((all, written)) if all >= 0 && all == written => Checkpoint::Complete,
        Ok(_) => Checkpoint::Partial,
        Err(error) => {
            tracing::warn!(%error, "the -wal could not be checkpointed");
            match error.sqlite_error().map(|error| error.extended_code) {
                Some(SQLITE_IOERR_FSYNC) => Checkpoint::SyncFailed,
                _ => Checkpoint::Partial,
            }
        }
    }
}
