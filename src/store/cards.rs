//! The contract of a store of rate cards. It stands beside the ledger's: the two may lie in
//! different places.
//!
//! Cards come into it in two ways. Those of a server's files are in force as a set, which
//! [`RateCardStore::publish`] replaces. Others are published one by one, each from a time on,
//! while servers run. A name comes from one of the two and never from both. Several servers
//! may publish into one store and read from it: each is notified of every change, and finds
//! every card that another one published, by its revision.
//!
//! [`Schedule`] has the rules; a store asks it within its transaction and writes down what it
//! says.
//!
//! # Promises of every store
//!
//! - What was answered with `Ok` is on disk. What fails changes nothing.
//! - Of the cards of files exactly those that were published last are in force.
//! - To publish what is in force or scheduled already changes nothing and answers `Ok`.
//! - A card that was published is never changed and never removed: its revision finds it
//!   for ever, also where it was withdrawn.
//! - After an answer, every read sees what was done, and every receiver of
//!   [`RateCardStore::changes`] has been notified. A change by another process may be
//!   noticed later, but is noticed.

use futures_util::future::BoxFuture;

use super::{Changes, StoreError, Unavailable};
use crate::domain::Timestamp;
use crate::domain::keys::KeyId;
use crate::domain::schedule::{NewPublication, Origin, Placed, Schedule};

/// The answer of a store of rate cards, which waits for a disk or a network.
pub type CardsAnswer<'a, T> = BoxFuture<'a, Result<T, Unavailable>>;
/// The same where a rule may refuse what was asked.
pub type CardsChange<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// A store of rate cards: those in force, and all that ever were.
pub trait RateCardStore: Send + Sync + 'static {
    /// Puts exactly these cards of files in force. Those that were in force and are not among
    /// them are replaced from now on; one that was replaced and is among them is in force
    /// again. Cards that were published one by one stay as they are.
    ///
    /// It fails where it cannot be written, where a revision already names another content,
    /// and where a name was published.
    fn publish(&self, cards: Vec<NewCard>) -> CardsChange<'_, ()>;

    /// Puts one card in force from its time on, or from now on where that has passed or it has
    /// none. Where another card of its name waits for the same time, it takes its place.
    ///
    /// It fails where it cannot be written, where the revision already names another content,
    /// and where [`Schedule::publish`] refuses it. The trail of [`KeyStore`] says that `by`
    /// did it, where it changed anything.
    ///
    /// [`KeyStore`]: super::keys::KeyStore
    fn publish_one(&self, card: NewCard, by: Option<KeyId>) -> CardsChange<'_, Placed>;

    /// Takes a published card out of the schedule before its time has come. One that was taken
    /// out already stays so. The trail says who did it, as above.
    ///
    /// It fails where it cannot be written and where [`Schedule::withdraw`] refuses it.
    fn withdraw(&self, revision: Box<str>, by: Option<KeyId>) -> CardsChange<'_, ()>;

    /// The published cards of these revisions. Those that were never published are left out.
    fn find(&self, revisions: Vec<Box<str>>) -> CardsAnswer<'_, Vec<PublishedCard>>;

    /// The text of a card as it was written. None where the revision was never published, or
    /// by a creditd that kept no texts.
    fn text(&self, revision: Box<str>) -> CardsAnswer<'_, Option<String>>;

    /// Every card that was ever published, without its content, and when each is in force.
    fn list(&self) -> CardsAnswer<'_, Schedule>;

    /// Notifies of each change of what is in force or scheduled from now on.
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

/// A rate card on its way into the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCard {
    /// The card.
    pub card: StoredCard,
    /// The name that people read.
    pub title: String,
    /// The time that the card says.
    pub effective_time: Option<Timestamp>,
    /// Where it comes from.
    pub origin: Origin,
    /// Its text as it was written.
    pub toml: String,
}

impl NewCard {
    /// What is asked of a schedule where the card is published.
    #[must_use]
    pub fn publication(&self) -> NewPublication<'_> {
        NewPublication {
            revision: &self.card.revision,
            name: &self.card.name,
            effective_time: self.effective_time,
        }
    }
}

/// A rate card that was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedCard {
    /// The card.
    pub card: StoredCard,
    /// When others were published in its place, or will take it; None while none is known.
    pub replaced: Option<Timestamp>,
}
