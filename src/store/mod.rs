//! What keeps credits: the contract between the use cases and the places where
//! accounts, entries and served rate cards are kept.
//!
//! A store is handed commands, never a transaction. It looks up the request_id,
//! lets `domain::ledger::decide` decide under its own lock, and answers only
//! once the result is durable. What it answers is all of one moment.
//!
//! # Promises of every store
//!
//! - A [`Store::write`] that answers `Ok` is on disk and is never lost or doubled.
//! - A known request_id with the same fingerprint gives the first answer again
//!   (`replayed`); with another one it is refused. Nothing else is looked at first.
//! - A refusal changes nothing and does not use the request_id up.
//! - Time never goes back: entries of one account are in order of time, but for
//!   those that date an expiry at its instant.
//! - A read sees all that was answered before it, and nothing that is not durable.

pub mod sqlite;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use crate::domain::ledger::{Account, Command, Entry};
use crate::domain::{AccountName, Refusal, Timestamp};

/// Where time comes from.
pub trait Clock: Send + Sync + 'static {
    /// What time it is.
    fn now(&self) -> Timestamp;
}

/// Keeps accounts and served rate cards.
pub trait Store: Send + Sync + 'static {
    /// Decides a command and makes it durable.
    fn write(&self, command: Command) -> Pending<Written>;

    /// The account now, or as it was: everything of one moment, what has
    /// expired by then gone.
    fn account(&self, name: AccountName, as_of: Option<Timestamp>) -> Pending<Reading>;

    /// Every rate card that was ever served, oldest first.
    ///
    /// # Errors
    /// Where it cannot be read.
    fn served_cards(&self) -> Result<Vec<ServedCard>, Unavailable>;

    /// Keeps the rate cards that are served from now on, for ever. Cards that were
    /// served and are not among them are noted as replaced now.
    ///
    /// # Errors
    /// Where it cannot be written, or where another content has that revision.
    fn serve_cards(&self, cards: &[ServedCard]) -> Result<(), Unavailable>;
}

/// What a write wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The entry.
    pub entry: Entry,
    /// Whether it was written by an earlier call with the same request_id.
    pub replayed: bool,
}

/// An account at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The account then.
    pub account: Account,
    /// The moment.
    pub time: Timestamp,
}

/// A rate card as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedCard {
    /// Its revision.
    pub revision: String,
    /// Its name.
    pub name: String,
    /// All of it, as text.
    pub content: String,
    /// When the server began to serve others; None where it is served.
    pub replaced: Option<Timestamp>,
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
    },
    /// It cannot be done now.
    Unavailable(Unavailable),
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

/// An answer that is on its way. To drop it changes nothing about the work.
#[derive(Debug)]
pub struct Pending<T>(oneshot::Receiver<Answer<T>>);

/// What a store answers.
pub type Answer<T> = Result<T, StoreRefusal>;

/// The other end of a [`Pending`].
pub type Promise<T> = oneshot::Sender<Answer<T>>;

impl<T> Pending<T> {
    /// An answer to come and the end by which to give it.
    #[must_use]
    pub fn new() -> (Promise<T>, Self) {
        let (promise, receiver) = oneshot::channel();
        (promise, Self(receiver))
    }

    /// An answer that is there already.
    #[must_use]
    pub fn ready(answer: Answer<T>) -> Self {
        let (promise, pending) = Self::new();
        // The receiver is alive: it is in `pending`.
        let _ = promise.send(answer);
        pending
    }
}

impl<T> Future for Pending<T> {
    type Output = Answer<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|received| {
            received.unwrap_or_else(|_| {
                Err(StoreRefusal::Unavailable(Unavailable {
                    operation: "write",
                    cause: "the store has stopped".to_owned(),
                }))
            })
        })
    }
}
