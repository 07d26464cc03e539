//! Reads of the past, on threads of their own, so that the read of a long history delays
//! neither writes nor other reads.

mod queue;
mod scan;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use rusqlite::Connection;

use self::queue::{Limits, Queue, Refused};
pub use self::scan::SCAN_SLICE_TIME_MAX;
pub(super) use self::scan::Scan;
use super::journal::{Journal, Position, StorageError};
use super::ledger::unavailable;
use crate::domain::ledger::{Entry, EntryId};
use crate::domain::{AccountName, Timestamp};
use crate::failpoint;
use crate::store::{
    AccountSnapshot, Answer, EntryPage, Promise, Queued, Stages, StoreError, Unavailable,
};

/// How many threads there are, each with a connection of its own.
pub(super) const THREADS: usize = 4;
/// Limits of the queue.
const LIMITS: Limits = Limits {
    queued_max: 1_024,
    queued_per_account_max: 256,
    running_per_account_max: THREADS / 2,
};

/// How many long reads may run at once: half of the processors, so that others have one too.
fn long_running_max() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    processors.div_euclid(2).clamp(1, THREADS / 2)
}
/// The account of a read, and its head when the read was submitted.
pub(super) struct AccountHead {
    pub(super) id: i64,
    pub(super) name: AccountName,
    pub(super) position: Option<Position>,
    /// The newest entry in the file.
    pub(super) last: EntryId,
    /// Lapses that are due and could not be written.
    pub(super) unwritten: Vec<Entry>,
}

/// A read of the past, and where to send its answer.
pub(super) enum HistoryRead {
    AsOf(Timestamp, Promise<AccountSnapshot>),
    Entries(Box<Scan>, Promise<EntryPage>),
}

impl HistoryRead {
    fn is_awaited(&self) -> bool {
        match self {
            Self::AsOf(_, promise) => !promise.is_closed(),
            Self::Entries(_, promise) => !promise.is_closed(),
        }
    }

    fn refuse(self, refusal: StoreError) {
        match self {
            Self::AsOf(_, promise) => drop(promise.send(Err(refusal))),
            Self::Entries(_, promise) => {
                let _ = promise.send(Err(refusal));
            }
        }
    }
}

/// A read that waits, and when it was first taken, where it goes on.
type QueuedRead = (AccountHead, HistoryRead, Option<Instant>);

/// The threads and their queue. Dropping it waits until the threads have ended and closed
/// their connections.
pub(super) struct History {
    queue: Arc<Queue<QueuedRead>>,
    threads: Vec<JoinHandle<()>>,
}

impl History {
    /// Starts a thread for each connection.
    pub(super) fn start(
        connections: Vec<Connection>,
        closing: &Arc<AtomicBool>,
    ) -> std::io::Result<Self> {
        let mut history = Self {
            queue: Arc::new(Queue::new(LIMITS, long_running_max())),
            threads: Vec::with_capacity(connections.len()),
        };
        for (number, connection) in connections.into_iter().enumerate() {
            let (queue, closing) = (Arc::clone(&history.queue), Arc::clone(closing));
            let thread = std::thread::Builder::new()
                .name(format!("history-{number}"))
                .spawn(move || run(&Journal::new(connection), &queue, &closing))?;
            history.threads.push(thread);
        }
        Ok(history)
    }

    /// Queues a read, or refuses it at once.
    pub(super) fn submit(&self, head: AccountHead, read: HistoryRead) {
        let refused = self.queue.push(head.id, (head, read, None));
        if let Err(((_, read, _), refused)) = refused {
            read.refuse(match refused {
                Refused::Full(limit) => StoreError::Busy {
                    limit,
                    queued: Queued::Past,
                },
                Refused::Closed => ended(),
            });
        }
    }
}

fn ended() -> StoreError {
    StoreError::Unavailable(Unavailable {
        operation: "read",
        cause: "the threads for questions about the past have ended".to_owned(),
    })
}

fn run(journal: &Journal, queue: &Queue<QueuedRead>, closing: &AtomicBool) {
    while let Some(mut running) = queue.pop() {
        let Some((head, read, taken)) = running.take() else {
            continue;
        };
        let taken = taken.unwrap_or_else(Instant::now);
        // The caller is gone, or the store is closing.
        if !read.is_awaited() || closing.load(Ordering::Relaxed) {
            continue;
        }
        if let Some(rest) = answer(journal, &head, read, taken) {
            running.put_back((head, rest, Some(taken)));
        }
    }
}

/// Answers one read, or returns it if it is to go on after others. A panic ends that read alone:
/// its caller gets an error, and the connection, which is between two calls of SQLite, is used on.
fn answer(
    journal: &Journal,
    head: &AccountHead,
    read: HistoryRead,
    taken: Instant,
) -> Option<HistoryRead> {
    let stages = || Stages::taken(taken).decided(Instant::now());
    let answered = catch_unwind(AssertUnwindSafe(|| {
        failpoint::pass("ledger-history");
        match read {
            HistoryRead::AsOf(as_of, promise) => {
                let snapshot = account_as_of(journal, head, as_of);
                let snapshot = snapshot.unwrap_or_else(|cause| Err(unreadable(head, &cause)));
                promise.send_after(stages(), snapshot);
                None
            }
            HistoryRead::Entries(mut scan, promise) => {
                let page = match scan.advance(journal, head) {
                    Ok(Some(page)) => page,
                    Ok(None) => return Some(HistoryRead::Entries(scan, promise)),
                    Err(cause) => Err(unreadable(head, &cause)),
                };
                promise.send_after(stages(), page);
                None
            }
        }
    }));
    answered.unwrap_or_else(|_| {
        tracing::error!("a defect ended a question about the past; the panic is logged beside it");
        None
    })
}

fn unreadable(head: &AccountHead, cause: &StorageError) -> StoreError {
    tracing::error!(
        account_id = head.id,
        cause = cause.0,
        "the past of an account cannot be read"
    );
    unavailable("read", cause)
}

fn account_as_of(
    journal: &Journal,
    head: &AccountHead,
    as_of: Timestamp,
) -> Result<Answer<AccountSnapshot>, StorageError> {
    if let Some(opening) = journal.opening(head.id)?
        && opening.is_before(as_of)
    {
        return Ok(Err(opening.refusal(&head.name).into()));
    }
    let mut account = journal.load_as_of(head.id, &head.name, head.position, as_of)?;
    // Lapses that were due then can have been written later.
    account
        .lapse(as_of)
        .map_err(super::ledger::does_not_follow)?;
    Ok(Ok(AccountSnapshot {
        account: Arc::new(account),
        time: as_of,
    }))
}

impl Drop for History {
    fn drop(&mut self) {
        self.queue.close();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("one of the ledger's history threads ended by a panic");
            }
        }
    }
}
