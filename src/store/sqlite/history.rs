//! Reads of the past, on threads of their own, so that the read of a long history delays
//! neither writes nor other reads.

mod queue;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension as _, params};

use self::queue::{Limits, Queue, Refused};
use super::journal::{Journal, Position, StorageError};
use super::ledger::unavailable;
use super::times::At;
use crate::domain::ledger::{AccountId as _, Entry, EntryId, HoldId, Named};
use crate::domain::{AccountName, Refusal, Timestamp, Violation};
use crate::failpoint;
use crate::store::{
    AccountSnapshot, Answer, EntryPage, EntryQuery, Promise, Queued, StoreError, Unavailable,
};

/// How many threads there are, each with a connection of its own.
pub(super) const THREADS: usize = 4;
/// Limits of the queue.
const LIMITS: Limits = Limits {
    queued_max: 1_024,
    queued_per_account_max: 256,
    running_per_account_max: THREADS / 2,
};
/// How many entries the scan for one page may read, and for how long.
const SCANNED_MAX: usize = 10_000;
const SCAN_TIME_MAX: Duration = Duration::from_millis(50);
/// How many entries one statement reads.
const ROWS_MIN: usize = 16;
const ROWS_MAX: usize = 256;

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
    Entries(EntryQuery, Promise<EntryPage>),
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

/// The threads and their queue. Dropping it waits until the threads have ended and closed
/// their connections.
pub(super) struct History {
    queue: Arc<Queue<(AccountHead, HistoryRead)>>,
    threads: Vec<JoinHandle<()>>,
}

impl History {
    /// Starts a thread for each connection.
    pub(super) fn start(
        connections: Vec<Connection>,
        closing: &Arc<AtomicBool>,
    ) -> std::io::Result<Self> {
        let mut history = Self {
            queue: Arc::new(Queue::new(LIMITS)),
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
        let refused = self.queue.push(head.id, (head, read));
        if let Err(((_, read), refused)) = refused {
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

fn run(journal: &Journal, queue: &Queue<(AccountHead, HistoryRead)>, closing: &AtomicBool) {
    while let Some(mut running) = queue.pop() {
        let Some((head, read)) = running.take() else {
            continue;
        };
        // The caller is gone, or the store is closing.
        if !read.is_awaited() || closing.load(Ordering::Relaxed) {
            continue;
        }
        answer(journal, &head, read);
    }
}

/// Answers one read. A panic ends that read alone: its caller gets an error, and the
/// connection, which is between two calls of SQLite, is used on.
fn answer(journal: &Journal, head: &AccountHead, read: HistoryRead) {
    let answered = catch_unwind(AssertUnwindSafe(|| {
        failpoint::pass("ledger-history");
        match read {
            HistoryRead::AsOf(as_of, promise) => {
                let snapshot = account_as_of(journal, head, as_of);
                let _ = promise.send(snapshot.map_err(|cause| unreadable(head, &cause)));
            }
            HistoryRead::Entries(query, promise) => {
                let page = entries(journal, head, &query);
                let _ = promise.send(page.unwrap_or_else(|cause| Err(unreadable(head, &cause))));
            }
        }
    }));
    if answered.is_err() {
        tracing::error!("a defect ended a question about the past; the panic is logged beside it");
    }
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
) -> Result<AccountSnapshot, StorageError> {
    let mut account = journal.load_as_of(head.id, &head.name, head.position, as_of)?;
    // Lapses that were due then can have been written later.
    account
        .lapse(as_of)
        .map_err(super::ledger::does_not_follow)?;
    Ok(AccountSnapshot {
        account: Arc::new(account),
        time: as_of,
    })
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

/// Scans back from the first entry of the page, over a bounded number of entries.
fn entries(
    journal: &Journal,
    head: &AccountHead,
    query: &EntryQuery,
) -> Result<Answer<EntryPage>, StorageError> {
    let (oldest, mut next) = match begin(journal, head, query)? {
        Ok(range) => range,
        Err(refusal) => return Ok(Err(refusal.into())),
    };
    let mut page = EntryPage::default();
    let mut last_scanned = None;
    let mut stored = VecDeque::new();
    let unwritten = head.unwritten.iter().rev();
    let mut unwritten = unwritten.skip_while(|e| query.before.is_some_and(|b| e.id >= b));
    let began = Instant::now();
    for scanned in 0..SCANNED_MAX {
        if scanned.is_multiple_of(64) && began.elapsed() > SCAN_TIME_MAX {
            break;
        }
        let entry = match unwritten.next() {
            Some(entry) => entry.clone(),
            None => {
                if stored.is_empty()
                    && let Some(from) = next
                {
                    let wanted = query.limit.saturating_sub(page.entries.len());
                    let wanted = wanted.clamp(ROWS_MIN, ROWS_MAX);
                    stored = journal.entries_back(head.id, from, wanted)?.into();
                }
                let Some(next_stored) = stored.pop_front() else {
                    return Ok(Ok(page));
                };
                next = next_stored.place.previous;
                next_stored.entry
            }
        };
        if query.is_past(&entry) || Some(entry.id) < oldest {
            return Ok(Ok(page));
        }
        // The next page begins below it.
        last_scanned = Some(match entry.kind.is_move() {
            true => entry.id,
            false => entry.id.next(),
        });
        if query.matches(&entry) {
            if page.entries.len() == query.limit {
                // There is one more match: the next page begins below this page's last entry.
                page.next = page.entries.last().map(|entry| entry.id);
                return Ok(Ok(page));
            }
            page.entries.push(entry);
        }
    }
    page.next = last_scanned.or(query.before);
    Ok(Ok(page))
}

/// The oldest entry that can match, and the position at which the scan begins.
type Range = (Option<EntryId>, Option<Position>);

fn begin(
    journal: &Journal,
    head: &AccountHead,
    query: &EntryQuery,
) -> Result<Result<Range, Refusal>, StorageError> {
    let mut newest = head.position;
    let mut oldest = None;
    if let Some(named) = &query.hold {
        let Some((made, closed)) = hold_range(journal, head, named)? else {
            return Ok(Err(Refusal::HoldNotFound { hold: named.text() }));
        };
        oldest = Some(made);
        newest = closed.or(newest);
    }
    if let Some(before) = query.before {
        let last = head.unwritten.last().map_or(head.last, |entry| entry.id);
        if before.0 < 1 || before > last.next() {
            return Ok(Err(Refusal::invalid(
                "page_token",
                Violation::InvalidPageToken,
            )));
        }
        // Unwritten lapses are newer than all entries in the file. Rows that are no entries for
        // callers can be many, behind the newest entry too, and are passed over.
        let below = EntryId(before.0.saturating_sub(1));
        if below <= head.last {
            newest = journal.position_of(head.id, newest, below)?;
        }
    } else if let Some(end) = query.end_time {
        // The scan can begin at the first snapshot that is not before the end.
        let snapshot: Option<i64> = journal
            .connection
            .prepare_cached(
                "SELECT position FROM snapshots
                 WHERE account_id = ?1 AND create_time >= ?2
                 ORDER BY entry_id, position LIMIT 1",
            )?
            .query_row(params![head.id, At(end)], |row| row.get(0))
            .optional()?;
        if let Some(snapshot) = snapshot.map(Position)
            && Some(snapshot) < newest
        {
            newest = Some(snapshot);
        }
    }
    Ok(Ok((oldest, newest)))
}

/// The entry that made a hold, and the position of the entry that closed it.
fn hold_range(
    journal: &Journal,
    head: &AccountHead,
    named: &Named<HoldId>,
) -> Result<Option<(EntryId, Option<Position>)>, StorageError> {
    let Some(id) = named.id() else {
        return Ok(None);
    };
    Ok(journal
        .connection
        .prepare_cached(
            "SELECT e.entry_id, h.closed FROM holds h JOIN entries e ON e.position = h.made
              WHERE h.account_id = ?1 AND h.hold_id = ?2",
        )?
        .query_row([head.id, id.0], |row| {
            let closed: Option<i64> = row.get(1)?;
            Ok((EntryId(row.get(0)?), closed.map(Position)))
        })
        .optional()?)
}
