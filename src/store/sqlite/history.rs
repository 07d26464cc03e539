//! Questions about the past, answered by threads of their own so that a long history
//! keeps neither the writer from writing nor others from being answered.

mod queue;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension as _, params};

use self::queue::{Limits, Queue, Refused};
use super::journal::{BadRow, Journal, Position};
use super::ledger::unavailable;
use super::times::At;
use crate::domain::ledger::{AccountId as _, Entry, EntryId, HoldId, Named};
use crate::domain::{AccountName, Fault, Refusal, Timestamp};
use crate::failpoint;
use crate::store::{
    AccountSnapshot, Answer, EntryPage, EntryQuery, Promise, Queued, StoreRefusal, Unavailable,
};

/// How many threads answer, each with a connection of its own.
pub(super) const THREADS: usize = 4;
/// How many questions may wait, and how many of one account.
const LIMITS: Limits = Limits {
    waiting_max: 1_024,
    waiting_of_one_max: 256,
    working_of_one_max: THREADS / 2,
};
/// How many entries one page may look at, and for how long.
const SCANNED_MAX: usize = 10_000;
const SCAN_TIME_MAX: Duration = Duration::from_millis(50);
/// How many of them are read with one statement.
const READ_AT_ONCE_MIN: usize = 16;
const READ_AT_ONCE_MAX: usize = 256;

/// Whose past it is, as it stood when the question was asked.
pub(super) struct Whose {
    pub(super) id: i64,
    pub(super) name: AccountName,
    pub(super) head: Option<Position>,
    /// Its newest entry in the file.
    pub(super) last: EntryId,
    /// What has ended since and could not be written.
    pub(super) unwritten: Vec<Entry>,
}

/// A question.
pub(super) enum Question {
    AsOf(Timestamp, Promise<AccountSnapshot>),
    Entries(EntryQuery, Promise<EntryPage>),
}

impl Question {
    fn wanted(&self) -> bool {
        match self {
            Self::AsOf(_, promise) => !promise.is_closed(),
            Self::Entries(_, promise) => !promise.is_closed(),
        }
    }

    fn refuse(self, refusal: StoreRefusal) {
        match self {
            Self::AsOf(_, promise) => drop(promise.send(Err(refusal))),
            Self::Entries(_, promise) => {
                let _ = promise.send(Err(refusal));
            }
        }
    }
}

/// The threads, and their queue. Dropping it waits until they have ended and closed
/// their connections.
pub(super) struct History {
    queue: Arc<Queue<(Whose, Question)>>,
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

    /// Has the question answered, or refuses it at once.
    pub(super) fn ask(&self, whose: Whose, question: Question) {
        let refused = self.queue.put(whose.id, (whose, question));
        if let Err(((_, question), refused)) = refused {
            question.refuse(match refused {
                Refused::Full(limit) => StoreRefusal::Busy {
                    limit,
                    queued: Queued::Past,
                },
                Refused::Closed => gone(),
            });
        }
    }
}

fn gone() -> StoreRefusal {
    StoreRefusal::Unavailable(Unavailable {
        operation: "read",
        cause: "the threads for questions about the past have ended".to_owned(),
    })
}

fn run(journal: &Journal, queue: &Queue<(Whose, Question)>, closing: &AtomicBool) {
    while let Some(mut turn) = queue.take() {
        let Some((whose, question)) = turn.take() else {
            continue;
        };
        // Nobody waits for it, or nobody may.
        if !question.wanted() || closing.load(Ordering::Relaxed) {
            continue;
        }
        answer(journal, &whose, question);
    }
}

/// Answers one question. A panic is the end of that question and of no other: whoever waits
/// for it hears that there is no answer, and the connection, which is between two calls of
/// SQLite, goes on.
fn answer(journal: &Journal, whose: &Whose, question: Question) {
    let answered = catch_unwind(AssertUnwindSafe(|| {
        failpoint::pass("ledger-history");
        match question {
            Question::AsOf(as_of, promise) => {
                let snapshot = as_of_then(journal, whose, as_of);
                let _ = promise.send(snapshot.map_err(|cause| unread(whose, &cause)));
            }
            Question::Entries(query, promise) => {
                let page = entries(journal, whose, &query);
                let _ = promise.send(page.unwrap_or_else(|cause| Err(unread(whose, &cause))));
            }
        }
    }));
    if answered.is_err() {
        tracing::error!("a defect ended a question about the past; the panic is logged beside it");
    }
}

fn unread(whose: &Whose, cause: &BadRow) -> StoreRefusal {
    tracing::error!(
        account_id = whose.id,
        cause = cause.0,
        "the past of an account cannot be read"
    );
    unavailable("read", cause)
}

fn as_of_then(
    journal: &Journal,
    whose: &Whose,
    as_of: Timestamp,
) -> Result<AccountSnapshot, BadRow> {
    let mut account = journal.load_as_of(whose.id, &whose.name, whose.head, as_of)?;
    // What had expired by then and was not written by then.
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

/// Walks back from where the page begins, over a bounded number of entries.
fn entries(
    journal: &Journal,
    whose: &Whose,
    query: &EntryQuery,
) -> Result<Answer<EntryPage>, BadRow> {
    let (oldest, mut next) = match begin(journal, whose, query)? {
        Ok(range) => range,
        Err(refusal) => return Ok(Err(refusal.into())),
    };
    let mut page = EntryPage::default();
    let mut last_scanned = None;
    let mut read = VecDeque::new();
    let unwritten = whose.unwritten.iter().rev();
    let mut unwritten = unwritten.skip_while(|e| query.before.is_some_and(|b| e.id >= b));
    let began = Instant::now();
    for scanned in 0..SCANNED_MAX {
        if scanned.is_multiple_of(64) && began.elapsed() > SCAN_TIME_MAX {
            break;
        }
        let entry = match unwritten.next() {
            Some(entry) => entry.clone(),
            None => {
                if read.is_empty()
                    && let Some(from) = next
                {
                    let wanted = query.limit.saturating_sub(page.entries.len());
                    let wanted = wanted.clamp(READ_AT_ONCE_MIN, READ_AT_ONCE_MAX);
                    read = journal.entries_back(whose.id, from, wanted)?.into();
                }
                let Some(stored) = read.pop_front() else {
                    return Ok(Ok(page));
                };
                next = stored.place.previous;
                stored.entry
            }
        };
        if query.is_past(&entry) || Some(entry.id) < oldest {
            return Ok(Ok(page));
        }
        // The page goes on below it.
        last_scanned = Some(match entry.kind.is_move() {
            true => entry.id,
            false => entry.id.next(),
        });
        if query.matches(&entry) {
            if page.entries.len() == query.limit {
                // There is one more: the page goes on below its last one.
                page.next = page.entries.last().map(|entry| entry.id);
                return Ok(Ok(page));
            }
            page.entries.push(entry);
        }
    }
    page.next = last_scanned.or(query.before);
    Ok(Ok(page))
}

/// The oldest entry that can be on the list, and where the newest one of the page stands.
type Range = (Option<EntryId>, Option<Position>);

fn begin(
    journal: &Journal,
    whose: &Whose,
    query: &EntryQuery,
) -> Result<Result<Range, Refusal>, BadRow> {
    let mut newest = whose.head;
    let mut oldest = None;
    if let Some(named) = &query.hold {
        let Some((made, closed)) = hold_range(journal, whose, named)? else {
            return Ok(Err(Refusal::HoldNotFound { hold: named.text() }));
        };
        oldest = Some(made);
        newest = closed.or(newest);
    }
    if let Some(before) = query.before {
        let last = whose.unwritten.last().map_or(whose.last, |entry| entry.id);
        if before.0 < 1 || before > last.next() {
            return Ok(Err(Refusal::invalid("page_token", Fault::InvalidPageToken)));
        }
        // What has not been written is newer than all that has.
        if before <= whose.last {
            let below = EntryId(before.0.saturating_sub(1));
            newest = journal.position_of(whose.id, newest, below)?;
        }
    } else if let Some(end) = query.end_time {
        // A snapshot that is not before the end saves the walk down to it.
        let snapshot: Option<i64> = journal
            .connection
            .prepare_cached(
                "SELECT position FROM snapshots
                 WHERE account_id = ?1 AND create_time >= ?2
                 ORDER BY entry_id, position LIMIT 1",
            )?
            .query_row(params![whose.id, At(end)], |row| row.get(0))
            .optional()?;
        if let Some(snapshot) = snapshot.map(Position)
            && Some(snapshot) < newest
        {
            newest = Some(snapshot);
        }
    }
    Ok(Ok((oldest, newest)))
}

/// The entry that made a hold, and where the one stands that closed it.
fn hold_range(
    journal: &Journal,
    whose: &Whose,
    named: &Named<HoldId>,
) -> Result<Option<(EntryId, Option<Position>)>, BadRow> {
    let Some(id) = named.id() else {
        return Ok(None);
    };
    Ok(journal
        .connection
        .prepare_cached(
            "SELECT e.entry_id, h.closed FROM holds h JOIN entries e ON e.position = h.made
              WHERE h.account_id = ?1 AND h.hold_id = ?2",
        )?
        .query_row([whose.id, id.0], |row| {
            let closed: Option<i64> = row.get(1)?;
            Ok((EntryId(row.get(0)?), closed.map(Position)))
        })
        .optional()?)
}
