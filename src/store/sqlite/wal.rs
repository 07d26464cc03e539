//! Moving what the `-wal` holds into the file, beside the writer.
//!
//! SQLite would do it within a commit, every eight megabytes, and everybody would wait
//! for it. Here a thread with a connection of its own moves nearly all of it while the
//! writer goes on; the writer moves the little that came meanwhile, between two groups,
//! and SQLite begins the `-wal` anew.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rusqlite::Connection;

/// At so many pages it is begun.
const PAGES_BEGUN: i32 = 1_000;
/// With so many the writer waits for the thread: the `-wal` must not grow without end.
const PAGES_MAX: i32 = 16_000;
/// How often the thread goes over it: the second time finds what came in the first.
const PASSES: usize = 2;

thread_local! {
    /// Pages in the `-wal` after the newest commit of this thread. SQLite tells it to a
    /// function that knows nothing else.
    static PAGES: Cell<i32> = const { Cell::new(0) };
}

/// The thread that moves. Dropping it waits until the thread has ended and closed its
/// connection.
pub(super) struct Wal {
    asks: Option<SyncSender<()>>,
    answers: Receiver<()>,
    thread: Option<JoinHandle<()>>,
    /// Whether the thread is at it.
    moving: bool,
    /// Pages with which it is begun next.
    begun_at: i32,
}

impl Wal {
    /// Starts the thread, and takes the work off the writer's own connection.
    pub(super) fn start(
        writer: &Connection,
        connection: Connection,
        closing: Arc<AtomicBool>,
    ) -> std::io::Result<Self> {
        // In place of SQLite's own.
        writer.wal_hook(Some(|_, pages| {
            PAGES.set(pages);
            Ok(())
        }));
        let (asks, asked) = sync_channel::<()>(1);
        let (done, answers) = sync_channel::<()>(1);
        let run = move || {
            while asked.recv().is_ok() {
                for _ in 0..PASSES {
                    if !closing.load(Ordering::Relaxed) {
                        move_pages(&connection);
                    }
                }
                if done.send(()).is_err() {
                    break;
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("ledger-wal".to_owned())
            .spawn(run)?;
        Ok(Self {
            asks: Some(asks),
            answers,
            thread: Some(thread),
            moving: false,
            begun_at: PAGES_BEGUN,
        })
    }

    /// Between two groups: does what is due.
    pub(super) fn tend(&mut self, writer: &Connection) {
        let pages = PAGES.get();
        if self.moving {
            let done = match pages > PAGES_MAX {
                true => self.answers.recv().is_ok(),
                false => self.answers.try_recv().is_ok(),
            };
            if done {
                self.moving = false;
                move_pages(writer);
                // Where a reader holds it up, it is tried again after as much more.
                self.begun_at = pages.saturating_add(PAGES_BEGUN);
            }
            return;
        }
        if pages < PAGES_BEGUN {
            self.begun_at = PAGES_BEGUN;
        }
        if pages >= self.begun_at
            && let Some(asks) = &self.asks
        {
            self.moving = asks.try_send(()).is_ok();
        }
    }
}

impl Drop for Wal {
    fn drop(&mut self) {
        self.asks = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that moves what the -wal holds ended by a panic");
        }
    }
}

/// Moves as much as can be moved now. What cannot stays in the `-wal`, where it is as
/// durable, and is moved later.
fn move_pages(connection: &Connection) {
    let moved = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
    if let Err(error) = moved {
        tracing::debug!(%error, "what the -wal holds could not be moved into the file");
    }
}
