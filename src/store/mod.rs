//! What keeps credits: the contract between the use cases and the places where
//! accounts and entries are kept. [`cards`] is the contract for published rate cards.
//!
//! A store is handed commands, never a transaction. It looks up what
//! `domain::ledger::needs` names, lets `domain::ledger::decide` decide under its own lock,
//! and answers only once the result is durable. What it answers is all of one moment.
//!
//! # Promises of every store
//!
//! - A [`Store::write`] that answers `Ok` is on disk and is never lost or doubled.
//! - A known request_id with the same fingerprint gives the first answer again
//!   (`replayed`); with another one it is refused. Nothing else is looked at first.
//! - A refusal changes nothing and does not use the request_id up.
//! - Time never goes back: entries of one account are in order of time.
//! - While the clock is not believed nothing is written: a new command is refused, and
//!   reads are answered as of the time last believed.
//! - What ends by itself has ended, for every read and every decision.
//! - A read sees all that was answered before it, and nothing that is not durable.
//!
//! One suite of tests runs over every store, and over a plain one in memory that it compares
//! them with.

pub mod cards;
mod pending;
pub mod sqlite;

use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;

use crate::domain::clock::{ClockKnown, ClockMark, Disbelief};
use crate::domain::ledger::{Account, Command, Entry, EntryId, Hold, HoldId, Named};
use crate::domain::{AccountName, Refusal, Timestamp};

pub use crate::domain::ledger::Written;
pub use pending::{Answer, Pending, Promise};

/// Where time comes from.
pub trait Clock: Send + Sync + 'static {
    /// What time it is: where the clock is not believed, the time last believed.
    fn now(&self) -> Timestamp;

    /// What time it is, for those who would write it down.
    ///
    /// # Errors
    /// That the clock is not believed. Nothing is written by it then.
    fn believed(&self) -> Result<Timestamp, Disbelief> {
        Ok(self.now())
    }

    /// Hears what a store knows about time, before the store asks what time it is.
    fn start(&self, _known: &ClockKnown) {}

    /// What a store is to keep for the next start; None where there is nothing to keep.
    fn mark(&self) -> Option<ClockMark> {
        None
    }
}

/// Keeps accounts.
pub trait Store: Send + Sync + 'static {
    /// Decides a command and makes it durable.
    fn write(&self, command: Command) -> Pending<Box<Written>>;

    /// Decides commands one after another, each by itself, and makes them durable
    /// together. The entries of the answers are without their shares: there can be
    /// thousands for each.
    fn write_batch(&self, commands: Vec<Command>) -> Pending<Vec<Answer<Written>>>;

    /// The account as it is, or as it was.
    fn account(&self, name: AccountName, as_of: Option<Timestamp>) -> Pending<AccountSnapshot>;

    /// A hold of any status.
    fn hold(&self, name: AccountName, hold: Named<HoldId>) -> Pending<Arc<Hold>>;

    /// Some of the account's moves, newest first.
    fn entries(&self, name: AccountName, query: EntryQuery) -> Pending<EntryPage>;

    /// Tells of each change of the account from now on.
    fn watch(&self, name: AccountName) -> Pending<Changes>;

    /// Whether it can write, now and from now on.
    fn writable(&self) -> watch::Receiver<bool>;
}

/// Tells that an account has changed since somebody looked.
pub type Changes = watch::Receiver<()>;

/// An account at one moment. Readers share it, and it never changes: a later write to the
/// account makes another one.
#[derive(Clone, Debug)]
pub struct AccountSnapshot {
    /// The account then.
    pub account: Arc<Account>,
    /// The moment.
    pub time: Timestamp,
}

/// Which moves are asked for. All that is set must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntryQuery {
    /// Older than this one.
    pub before: Option<EntryId>,
    /// At most so many.
    pub limit: usize,
    /// Written then or later.
    pub start_time: Option<Timestamp>,
    /// Written before then.
    pub end_time: Option<Timestamp>,
    /// The words for their kinds; empty: all.
    pub kinds: Vec<&'static str>,
    /// For that service; empty: any.
    pub service: Box<str>,
    /// About that hold.
    pub hold: Option<Named<HoldId>>,
}

impl EntryQuery {
    /// Whether an entry is among those that are asked for, times aside.
    #[must_use]
    pub fn matches(&self, entry: &Entry) -> bool {
        let hold = self.hold.as_ref().map(Named::id);
        entry.kind.is_move()
            && (self.kinds.is_empty() || self.kinds.contains(&entry.kind.name()))
            && (self.service.is_empty() || entry.service.as_deref() == Some(&*self.service))
            && hold.is_none_or(|id| id.is_some() && entry.hold.as_ref().map(|h| h.id) == id)
            && self.end_time.is_none_or(|end| entry.create_time < end)
    }

    /// Whether this entry and all older ones lie before what is asked for.
    #[must_use]
    pub fn is_past(&self, entry: &Entry) -> bool {
        self.start_time
            .is_some_and(|start| entry.create_time < start)
    }
}

/// Some moves, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntryPage {
    /// The moves.
    pub entries: Vec<Entry>,
    /// Where to go on: below this one. None: there are no more.
    pub next: Option<EntryId>,
}

/// Why a store did not do what it was asked to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreRefusal {
    /// The rules refuse it.
    Refused(Refusal),
    /// More waits to be done than may wait. Nothing was done.
    Busy {
        /// How much may wait.
        limit: usize,
        /// Of what.
        queued: Queued,
    },
    /// It cannot be done now.
    Unavailable(Unavailable),
    /// The clock is not believed, so nothing is dated by it.
    ClockNotBelieved(Disbelief),
}

/// What waits in a store's queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queued {
    /// Writes and reads, each item of a batch by itself.
    Commands,
    /// Calls, a batch as one.
    Jobs,
    /// Reads of the past.
    Past,
}

/// The store cannot read or write now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unavailable {
    /// "read" or "write".
    pub operation: &'static str,
    /// Why, for the log.
    pub cause: String,
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}: {}", self.operation, self.cause)
    }
}

impl std::error::Error for Unavailable {}

impl From<Refusal> for StoreRefusal {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Disbelief> for StoreRefusal {
    fn from(disbelief: Disbelief) -> Self {
        Self::ClockNotBelieved(disbelief)
    }
}

impl From<Unavailable> for StoreRefusal {
    fn from(unavailable: Unavailable) -> Self {
        Self::Unavailable(unavailable)
    }
}
