//! The embedded store: one SQLite file, one writer.
//!
//! A thread of its own owns the state in memory and the connection. It takes all
//! commands that wait, decides them one after another, writes what they wrote in
//! one transaction, and answers only after the commit: one fsync for many. Reads
//! are answered by the same thread between two groups, so they see exactly what
//! is durable; a balance as of an earlier time is walked by a second thread.

mod history;
mod open;
mod rows;
mod state;
mod writer;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::{Connection, TransactionBehavior, params};

use super::{
    Clock, Pending, Promise, Reading, ServedCard, Store, StoreRefusal, Unavailable, Written,
};
use crate::domain::ledger::Command;
use crate::domain::{AccountName, Timestamp};

pub use open::OpenError;

/// How many commands and reads may wait for the writer.
pub const QUEUE_LENGTH_MAX: usize = 16_384;

/// What the writer is asked to do.
enum Job {
    Write(Command, Promise<Written>),
    Read(AccountName, Option<Timestamp>, Promise<Reading>),
}

/// The embedded store.
pub struct SqliteStore {
    /// None once the store is closing.
    jobs: Option<SyncSender<Job>>,
    writer: Option<JoinHandle<()>>,
    cards: Mutex<Connection>,
    clock: Arc<dyn Clock>,
    closing: Arc<AtomicBool>,
    /// Held for as long as the store lives, so that no second server opens the
    /// file. It is the last to go: SQLite's own locks end with the first descriptor
    /// of the file that this process closes.
    _lock: open::Lock,
}

impl SqliteStore {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the file and what to do.
    pub fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let opened = open::open(path)?;
        let state = state::State::load(&opened.connection, path)?;
        let history = opened.another_connection()?;
        let cards = opened.another_connection()?;
        let (jobs, queue) = sync_channel(QUEUE_LENGTH_MAX);
        let closing = Arc::new(AtomicBool::new(false));
        let writer = writer::Writer::new(
            opened.connection,
            state,
            history,
            Arc::clone(&clock),
            Arc::clone(&closing),
        );
        let handle = std::thread::Builder::new()
            .name("ledger-writer".to_owned())
            .spawn(move || writer.run(&queue))
            .map_err(|error| OpenError::other(path, &error))?;
        Ok(Self {
            jobs: Some(jobs),
            writer: Some(handle),
            cards: Mutex::new(cards),
            clock,
            closing,
            _lock: opened.lock,
        })
    }

    fn submit<T>(
        &self,
        make: impl FnOnce(Promise<T>) -> Job,
        operation: &'static str,
    ) -> Pending<T> {
        let (promise, pending) = Pending::new();
        let stopped = || {
            Pending::ready(Err(StoreRefusal::Unavailable(Unavailable {
                operation,
                cause: "the writer has stopped".to_owned(),
            })))
        };
        let Some(jobs) = &self.jobs else {
            return stopped();
        };
        match jobs.try_send(make(promise)) {
            Ok(()) => pending,
            Err(TrySendError::Full(_)) => Pending::ready(Err(StoreRefusal::Busy {
                limit: QUEUE_LENGTH_MAX,
            })),
            Err(TrySendError::Disconnected(_)) => stopped(),
        }
    }
}

impl Store for SqliteStore {
    fn write(&self, command: Command) -> Pending<Written> {
        self.submit(|promise| Job::Write(command, promise), "write")
    }

    fn account(&self, name: AccountName, as_of: Option<Timestamp>) -> Pending<Reading> {
        self.submit(|promise| Job::Read(name, as_of, promise), "read")
    }

    fn served_cards(&self) -> Result<Vec<ServedCard>, Unavailable> {
        let connection = self.cards.lock().unwrap_or_else(PoisonError::into_inner);
        let read = || {
            connection
                .prepare("SELECT revision, name, content, replaced FROM rate_cards ORDER BY first_served")?
                .query_map([], |row| {
                    Ok(ServedCard {
                        revision: row.get(0)?,
                        name: row.get(1)?,
                        content: row.get(2)?,
                        replaced: row
                            .get::<_, Option<i64>>(3)?
                            .map(Timestamp::from_unix_nanos),
                    })
                })?
                .collect::<Result<Vec<_>, _>>()
        };
        read().map_err(|error| unavailable("read", &error))
    }

    fn serve_cards(&self, cards: &[ServedCard]) -> Result<(), Unavailable> {
        let mut connection = self.cards.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now().unix_nanos().unwrap_or(i64::MAX);
        let mut write = || -> rusqlite::Result<Option<String>> {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            transaction.execute(
                "UPDATE rate_cards SET replaced = ?1 WHERE replaced IS NULL",
                [now],
            )?;
            for card in cards {
                transaction.execute(
                    "INSERT INTO rate_cards (revision, name, content, first_served)
                     VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET replaced = NULL",
                    params![card.revision, card.name, card.content, now],
                )?;
                let kept: String = transaction.query_row(
                    "SELECT content FROM rate_cards WHERE revision = ?1",
                    [&card.revision],
                    |row| row.get(0),
                )?;
                if kept != card.content {
                    return Ok(Some(card.revision.clone()));
                }
            }
            transaction.commit().map(|()| None)
        };
        match write() {
            Ok(None) => Ok(()),
            Ok(Some(revision)) => Err(Unavailable {
                operation: "write",
                cause: format!("another rate card is kept under revision {revision}"),
            }),
            Err(error) => Err(unavailable("write", &error)),
        }
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        // Without senders the writer finishes the writes that wait, and stops.
        self.closing.store(true, Ordering::Relaxed);
        self.jobs = None;
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the ledger's writer ended by a panic");
        }
    }
}

fn unavailable(operation: &'static str, error: &rusqlite::Error) -> Unavailable {
    Unavailable {
        operation,
        cause: error.to_string(),
    }
}
