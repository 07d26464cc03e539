//! Published rate cards in the data file.

mod table;

use rusqlite::Transaction;

use super::SqliteStore;
use super::admin::{Changed, Dated};
use crate::domain::keys::KeyId;
use crate::domain::schedule::{Placed, Schedule};
use crate::store::Changes;
use crate::store::cards::{CardsAnswer, CardsChange, NewCard, PublishedCard, RateCardStore};

pub(super) use table::each;

impl RateCardStore for SqliteStore {
    fn publish(&self, cards: Vec<NewCard>) -> CardsChange<'_, ()> {
        let publish = move |transaction: &Transaction<'_>, now| {
            Ok(Changed {
                is_new: table::publish_files(transaction, &cards, now)?,
                answer: (),
            })
        };
        Box::pin(self.administer(Dated::Anyway, &self.card_changes, publish))
    }

    fn publish_one(&self, card: NewCard, by: Option<KeyId>) -> CardsChange<'_, Placed> {
        let publish = move |transaction: &Transaction<'_>, now| {
            let placed = table::publish_one(transaction, &card, by.as_ref(), now)?;
            Ok(Changed {
                is_new: !placed.unchanged,
                answer: placed,
            })
        };
        Box::pin(self.administer(Dated::ByClock, &self.card_changes, publish))
    }

    fn withdraw(&self, revision: Box<str>, by: Option<KeyId>) -> CardsChange<'_, ()> {
        let withdraw = move |transaction: &Transaction<'_>, now| {
            Ok(Changed {
                is_new: table::withdraw(transaction, &revision, by.as_ref(), now)?,
                answer: (),
            })
        };
        Box::pin(self.administer(Dated::ByClock, &self.card_changes, withdraw))
    }

    fn find(&self, revisions: Vec<Box<str>>) -> CardsAnswer<'_, Vec<PublishedCard>> {
        let now = self.clock.now();
        Box::pin(self.read_admin(move |connection| table::find(connection, &revisions, now)))
    }

    fn text(&self, revision: Box<str>) -> CardsAnswer<'_, Option<String>> {
        Box::pin(self.read_admin(move |connection| table::text(connection, &revision)))
    }

    fn list(&self) -> CardsAnswer<'_, Schedule> {
        let now = self.clock.now();
        Box::pin(self.read_admin(move |connection| table::schedule(connection, None, now)))
    }

    fn changes(&self) -> Changes {
        self.card_changes.subscribe()
    }
}
