//! The contract of a store of published rate cards. It stands beside the ledger's: the two
//! may lie in different places.
//!
//! A set of cards is in force at any moment, and publishing alone changes it. Several
//! servers may publish into one store and read from it: each is notified of every change, and
//! finds every card that another one published, by its revision.
//!
//! # Promises of every store
//!
//! - A [`RateCardStore::publish`] that answers `Ok` is on disk: all of its cards are in
//!   force, and no others. One that fails changes nothing.
//! - To publish what is in force already changes nothing and answers `Ok`.
//! - A card that was published is never changed and never removed: its revision finds it
//!   for ever.
//! - After `publish` has answered, every read sees what it did, and every receiver of
//!   [`RateCardStore::changes`] has been notified. A change by another process may be
//!   noticed later, but is noticed.

use futures_util::future::BoxFuture;

use super::{Changes, Unavailable};
use crate::domain::Timestamp;

/// The answer of a store of rate cards, which waits for a disk or a network.
pub type CardsAnswer<'a, T> = BoxFuture<'a, Result<T, Unavailable>>;

/// A store of rate cards: those in force, and all that ever were.
pub trait RateCardStore: Send + Sync + 'static {
    /// Puts exactly these cards in force. Those that were in force and are not among them
    /// are replaced from now on; one that was replaced and is among them is in force again.
    ///
    /// It fails where it cannot be written, and where a revision already names another content.
    fn publish(&self, cards: Vec<StoredCard>) -> CardsAnswer<'_, ()>;

    /// The published cards of these revisions. Those that were never published are left out.
    fn find(&self, revisions: Vec<Box<str>>) -> CardsAnswer<'_, Vec<PublishedCard>>;

    /// Every card that was ever published: first those that were replaced, in the order in
    /// which that happened, then those in force.
    fn list(&self) -> CardsAnswer<'_, Vec<PublishedCard>>;

    /// Notifies of each change of what is in force from now on.
    fn changes(&self) -> Changes;
}

/// A rate card in its stored form. The store does not read the content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCard {
    /// Derived from the content.
    pub revision: String,
    /// The card's name, which other cards may have too.
    pub name: String,
    /// All of the card, as text.
    pub content: String,
}

/// A rate card that was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedCard {
    /// The card.
    pub card: StoredCard,
    /// When others were published in its place; None while it is in force.
    pub replaced: Option<Timestamp>,
}
