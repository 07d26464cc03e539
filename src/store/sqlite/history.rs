//! Balances as of an earlier time, walked on a thread of their own so that a
//! long history does not keep the writer from writing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use std::thread::JoinHandle;

use rusqlite::Connection;

use super::rows::{BadRow, entry_by_id};
use crate::domain::ledger::{Account, EntryId};
use crate::domain::{AccountName, Timestamp};
use crate::store::{Promise, Reading, StoreRefusal, Unavailable};

/// How many walks may wait.
const QUEUE_LENGTH_MAX: usize = 1_024;

/// A walk to be done.
pub(super) struct Walk {
    pub(super) name: AccountName,
    /// The account's newest entry when the question was asked.
    pub(super) newest: EntryId,
    pub(super) as_of: Timestamp,
    pub(super) promise: Promise<Reading>,
}

/// The thread, and its queue. Dropping it waits until the thread has ended and
/// closed its connection.
pub(super) struct History {
    queue: Option<SyncSender<Walk>>,
    thread: Option<JoinHandle<()>>,
}

impl History {
    /// Starts the thread.
    pub(super) fn start(connection: Connection, closing: Arc<AtomicBool>) -> Self {
        let (sender, queue) = sync_channel(QUEUE_LENGTH_MAX);
        let started = std::thread::Builder::new()
            .name("ledger-history".to_owned())
            .spawn(move || run(&connection, &queue, &closing));
        match started {
            Ok(thread) => Self {
                queue: Some(sender),
                thread: Some(thread),
            },
            Err(error) => {
                tracing::error!(%error, "no thread for balances as of earlier times");
                Self {
                    queue: None,
                    thread: None,
                }
            }
        }
    }

    /// Has the walk done, or refuses it at once.
    pub(super) fn walk(&self, walk: Walk) {
        let rest = match self.queue.as_ref().map(|queue| queue.try_send(walk)) {
            // Without a thread the promise is dropped, which the caller is told.
            None | Some(Ok(())) => return,
            Some(Err(TrySendError::Full(walk) | TrySendError::Disconnected(walk))) => walk,
        };
        // A caller that is gone does not matter.
        let _ = rest.promise.send(Err(StoreRefusal::Busy {
            limit: QUEUE_LENGTH_MAX,
        }));
    }
}

fn run(connection: &Connection, queue: &Receiver<Walk>, closing: &AtomicBool) {
    while let Ok(walk) = queue.recv() {
        // Nobody waits for it, or nobody may.
        let given_up = || walk.promise.is_closed() || closing.load(Ordering::Relaxed);
        let answer = match account_as_of(connection, &walk, given_up).transpose() {
            Some(answer) => answer,
            None => continue,
        };
        let answer = answer.map_err(|BadRow(cause)| {
            tracing::error!(account = %walk.name, cause, "a balance of an earlier time cannot be read");
            StoreRefusal::Unavailable(Unavailable {
                operation: "read",
                cause,
            })
        });
        let _ = walk.promise.send(answer);
    }
}

impl Drop for History {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the ledger's history thread ended by a panic");
        }
    }
}

/// Walks back from the newest entry, then folds forward what was at that time.
///
/// None where it was given up on the way.
fn account_as_of(
    connection: &Connection,
    walk: &Walk,
    given_up: impl Fn() -> bool,
) -> Result<Option<Reading>, BadRow> {
    let mut entries = Vec::new();
    let mut next = Some(walk.newest);
    while let Some(id) = next {
        if given_up() {
            return Ok(None);
        }
        let entry = entry_by_id(connection, id)?.entry;
        next = entry.previous;
        if entry.create_time <= walk.as_of {
            entries.push(entry);
        }
    }
    let mut account = Account::new(walk.name.clone());
    for entry in entries.iter().rev() {
        account
            .apply(entry)
            .map_err(|_| BadRow(format!("entry {} does not follow", entry.id.0)))?;
    }
    account
        .expire(walk.as_of, EntryId(i64::MAX))
        .map_err(|_| BadRow("an expiry does not follow".to_owned()))?;
    Ok(Some(Reading {
        account,
        time: walk.as_of,
    }))
}
