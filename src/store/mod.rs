//! The contract of a store of accounts and their entries. [`cards`] is the contract of a store
//! of published rate cards.
//!
//! Use cases pass commands to a store and never hold a transaction. The store looks up what
//! `domain::ledger::needs` names, calls `domain::ledger::decide` under its own lock, and
//! answers once the result is durable. All of an answer is of one moment.
//!
//! # Promises of every store
//!
//! - A [`Store::write`] that answers `Ok` is on disk and is never lost or doubled. Of a
//!   [`Store::write_batch`] that fails, some commands may be on disk: each is found by its
//!   request_id.
//! - A known request_id with the same fingerprint gives the first answer again
//!   (`replayed`); with another one it is refused. This comes before every other rule.
//! - A refusal changes nothing, and its request_id can be used again.
//! - The entries of one account are in order of time.
//! - A command whose cost assumes settings of its account, and whose request_id is new, is
//!   answered by [`StoreError::OtherSettings`] where the account has others that can change a
//!   price. What [`Store::known_settings`] tells as current is not older than any answer that
//!   was given.
//! - While the clock is not believed nothing is written: a new command is refused, and
//!   reads are answered as of the time last believed.
//! - For every read and decision, holds and grants have lapsed at the instant they expire.
//! - A read sees all that was answered before it, and nothing that is not durable.
//!
//! One suite of tests runs over every store, and compares it with a simple store in memory.

pub mod cards;
mod controlled_delay;
pub mod keys;
pub mod metrics;
mod pending;
pub mod sqlite;
mod stages;

use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;

use crate::domain::clock::{ClockNotBelieved, ClockSample, StoredClock};
use crate::domain::keys::KeyId;
use crate::domain::ledger::{
    Account, AccountSettings, Command, Entry, EntryId, Hold, HoldId, Named, Opening,
};
use crate::domain::{AccountName, Refusal, Timestamp};

use self::metrics::StoreMetrics;
pub use crate::domain::ledger::Written;
pub use pending::{Answer, Pending, Promise};
pub use stages::{GROUPS_NAMED_MAX, Group, Groups, Stages, StoreCall};

/// The source of time.
pub trait Clock: Send + Sync + 'static {
    /// The time now; while the clock is not believed, the time last believed.
    fn now(&self) -> Timestamp;

    /// The time now, to date an entry by.
    ///
    /// # Errors
    /// [`ClockNotBelieved`] while the clock is not believed: nothing may be written then.
    fn believed(&self) -> Result<Timestamp, ClockNotBelieved> {
        Ok(self.now())
    }

    /// Receives the newest times in a store, before the store first reads the clock.
    fn start(&self, _stored: &StoredClock) {}

    /// A sample for the store to write, for the next start to compare with; None while the clock
    /// is not believed.
    fn sample(&self) -> Option<ClockSample> {
        None
    }
}

/// A store of accounts.
pub trait Store: Send + Sync + 'static {
    /// Decides a command and makes it durable.
    fn write(&self, command: Command) -> Pending<Box<Written>>;

    /// Decides commands one after another, each on its own, and answers when all are durable;
    /// other commands can come between two of them. The entries of the answers are without their
    /// shares: there can be thousands for each.
    fn write_batch(&self, commands: Vec<Command>) -> Pending<Vec<Answer<Written>>>;

    /// The settings of an account, where they can be told at once.
    fn known_settings(&self, name: &AccountName) -> KnownSettings;

    /// The settings of accounts, in the same order, each as it is when it is read; None also where
    /// there is no such account.
    fn settings(&self, names: Vec<AccountName>) -> Pending<Vec<Option<Arc<AccountSettings>>>>;

    /// The account as it is, or as it was.
    fn account(&self, name: AccountName, as_of: Option<Timestamp>) -> Pending<AccountSnapshot>;

    /// A hold of any status.
    fn hold(&self, name: AccountName, hold: Named<HoldId>) -> Pending<Arc<Hold>>;

    /// A page of the account's entries, newest first.
    fn entries(&self, name: AccountName, query: EntryQuery) -> Pending<EntryPage>;

    /// Names of accounts, in ascending order of their bytes.
    fn account_names(&self, query: NameQuery) -> Pending<Vec<AccountName>>;

    /// Notifies of each change of the account from now on.
    fn watch(&self, name: AccountName) -> Pending<Changes>;

    /// Which queue would refuse a single write that came now, as [`StoreError::Busy`] says it. It
    /// counts as refused: the caller does not send it.
    fn refuses_writes(&self) -> Option<(usize, Queued)>;

    /// Whether the store can write; the receiver is notified of changes.
    fn writable(&self) -> watch::Receiver<bool>;

    /// What the store counts and measures of itself.
    fn metrics(&self) -> Arc<StoreMetrics>;

    /// How many commands wait for the ledger.
    fn queued_commands(&self) -> usize;
}

/// Is notified of changes; they are not counted.
pub type Changes = watch::Receiver<()>;

/// An account at one moment. Readers share it, and it never changes: a later write to the
/// account makes another one.
#[derive(Clone, Debug)]
pub struct AccountSnapshot {
    /// The account at that moment.
    pub account: Arc<Account>,
    /// The moment.
    pub time: Timestamp,
}

/// A query of names of accounts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameQuery {
    /// Names that begin so.
    pub prefix: Box<str>,
    /// Names behind this one.
    pub after: Option<AccountName>,
    /// The largest number of names.
    pub limit: usize,
}

/// A query of entries. They match if all conditions hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntryQuery {
    /// Entries older than this one.
    pub before: Option<EntryId>,
    /// The largest number of entries in the page.
    pub limit: usize,
    /// Entries written then or later.
    pub start_time: Option<Timestamp>,
    /// Entries written before then.
    pub end_time: Option<Timestamp>,
    /// Entries of these kinds, by name; empty: of all kinds.
    pub kinds: Vec<&'static str>,
    /// Entries for that service; empty: for any.
    pub service: Box<str>,
    /// Entries of that hold.
    pub hold: Option<Named<HoldId>>,
    /// Entries of what that key did; empty: of any.
    pub key_id: Box<str>,
}

impl EntryQuery {
    /// Whether an entry matches, `start_time` and `before` aside.
    #[must_use]
    pub fn matches(&self, entry: &Entry) -> bool {
        let hold = self.hold.as_ref().map(Named::id);
        entry.kind.is_move()
            && (self.kinds.is_empty() || self.kinds.contains(&entry.kind.name()))
            && (self.service.is_empty() || entry.service.as_deref() == Some(&*self.service))
            && (self.key_id.is_empty()
                || entry.key_id.as_ref().map(KeyId::as_str) == Some(&*self.key_id))
            && hold.is_none_or(|id| id.is_some() && entry.hold.as_ref().map(|h| h.id) == id)
            && self.end_time.is_none_or(|end| entry.create_time < end)
    }

    /// Whether this entry and all older ones are before `start_time`.
    #[must_use]
    pub fn is_past(&self, entry: &Entry) -> bool {
        self.start_time
            .is_some_and(|start| entry.create_time < start)
    }
}

/// A page of entries, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntryPage {
    /// The entries.
    pub entries: Vec<Entry>,
    /// The next page has the entries older than this one. None: there are no more.
    pub next: Option<EntryId>,
    /// What stands for older entries that are archived, where they could match and no page of
    /// newer ones follows.
    pub opening: Option<Opening>,
}

/// Why a store did not do what was requested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// A rule refuses it.
    Refused(Refusal),
    /// A queue is full, or what it has would wait too long. Nothing was done.
    Busy {
        /// How much may be queued.
        limit: usize,
        /// In what.
        queued: Queued,
    },
    /// The store cannot read or write now.
    Unavailable(Unavailable),
    /// The clock is not believed, so nothing is written.
    ClockNotBelieved(ClockNotBelieved),
    /// The command was priced as for an account with certain settings, and the account has
    /// others. Nothing was done: it is to be priced again.
    OtherSettings(Box<OtherSettings>),
}

/// A command that is to be priced again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherSettings {
    /// The command.
    pub command: Command,
    /// The settings of its account; None where nothing is set.
    pub settings: Option<Arc<AccountSettings>>,
}

/// What a store can tell at once of the settings of an account: None where nothing is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KnownSettings {
    /// As they are: all that was answered before is in them.
    Current(Option<Arc<AccountSettings>>),
    /// As they were lately. What is priced by them says so, and the store compares.
    Lately(Option<Arc<AccountSettings>>),
    /// Nothing: they have to be read.
    None,
}

/// What a store's queue counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queued {
    /// Writes and reads, each item of a batch as one.
    Commands,
    /// Calls, a whole batch as one.
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

impl From<Refusal> for StoreError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<ClockNotBelieved> for StoreError {
    fn from(not_believed: ClockNotBelieved) -> Self {
        Self::ClockNotBelieved(not_believed)
    }
}

impl From<Unavailable> for StoreError {
    fn from(unavailable: Unavailable) -> Self {
        Self::Unavailable(unavailable)
    }
}
