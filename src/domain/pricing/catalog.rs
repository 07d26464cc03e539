//! All cards of a server, and which of them a request means.

use std::sync::Arc;

use super::card::Card;
use super::index::ByName;
use crate::domain::fault::Fault;
use crate::domain::names::repeated;
use crate::domain::refusal::Refusal;
use crate::domain::time::Timestamp;

/// Which prices a request asks for. Empty means the default.
#[derive(Clone, Copy, Debug, Default)]
pub struct Selector<'a> {
    /// Name of a card, or "".
    pub rate_card: &'a str,
    /// A revision, or "".
    pub revision: &'a str,
    /// Prices in force then; None: now.
    pub price_time: Option<Timestamp>,
}

impl Selector<'_> {
    /// Whether it asks for nothing but the default.
    #[must_use]
    pub const fn is_default(&self) -> bool {
        self.rate_card.is_empty() && self.revision.is_empty() && self.price_time.is_none()
    }
}

/// The cards that are in force at one time or another, and every card that was
/// ever served, by its revision.
#[derive(Clone, Debug)]
pub struct Catalog {
    default: Box<str>,
    /// By name; each list is in order of effective_time.
    in_force: ByName<Box<str>, Vec<Arc<Card>>>,
    by_revision: ByName<Box<str>, Known>,
    revision_age_days_max: Option<u32>,
}

/// A card that is or was served.
#[derive(Clone, Debug)]
struct Known {
    card: Arc<Card>,
    /// When another card took its place; None where it is still served.
    replaced: Option<Timestamp>,
}

/// Why cards make no catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CatalogFault {
    /// There are none.
    NoCards,
    /// Two cards of one name begin at the same time; positions of both.
    SameTime(usize, usize),
}

impl Catalog {
    /// A catalog of the cards in force. The first one's name is the default.
    /// Revisions that were replaced so many days ago are not honoured any more.
    ///
    /// # Errors
    /// What is wrong with the cards.
    pub fn new(
        cards: Vec<Arc<Card>>,
        revision_age_days_max: Option<u32>,
    ) -> Result<Self, CatalogFault> {
        let Some(first) = cards.first() else {
            return Err(CatalogFault::NoCards);
        };
        let default = first.name().into();
        let mut in_force: ByName<Box<str>, Vec<Arc<Card>>> = ByName::default();
        let mut by_revision = ByName::default();
        for (position, card) in cards.iter().enumerate() {
            let same = |other: &Arc<Card>| {
                other.name() == card.name() && other.effective_time() == card.effective_time()
            };
            let earlier = cards.iter().take(position).position(same);
            if let Some(earlier) = earlier {
                return Err(CatalogFault::SameTime(earlier, position));
            }
            in_force
                .entry(card.name().into())
                .or_default()
                .push(Arc::clone(card));
        }
        for cards in in_force.values_mut() {
            cards.sort_by_key(|card| card.effective_time());
            // Each is replaced when the next of its name comes into force.
            let ends = cards.iter().skip(1).map(|card| card.effective_time());
            for (card, replaced) in cards.iter().zip(ends.chain([None])) {
                let card = Arc::clone(card);
                by_revision.insert(card.revision().as_str().into(), Known { card, replaced });
            }
        }
        Ok(Self {
            default,
            in_force,
            by_revision,
            revision_age_days_max,
        })
    }

    /// Also keeps a card that was served until it was replaced, for requests by
    /// its revision.
    pub fn remember(&mut self, card: Arc<Card>, replaced: Option<Timestamp>) {
        self.by_revision
            .entry(card.revision().as_str().into())
            .or_insert(Known { card, replaced });
    }

    /// The name of the card that is meant where none is named.
    #[must_use]
    pub fn default_name(&self) -> &str {
        &self.default
    }

    /// The cards in force at one time or another, by name and time.
    #[must_use]
    pub fn cards(&self) -> Vec<&Arc<Card>> {
        let mut cards: Vec<_> = self.in_force.values().flatten().collect();
        cards.sort_by_key(|card| (card.name(), card.effective_time()));
        cards
    }

    /// What is wrong with a service that is on no card, in force or remembered.
    /// The default card says which key may have been meant.
    #[must_use]
    pub fn unknown_service(&self, key: &str) -> Option<Fault> {
        let mut cards = self.by_revision.values();
        if cards.any(|known| known.card.service(key).is_some()) {
            return None;
        }
        let default = self.in_force.get(&self.default)?.last()?;
        Some(default.unknown_service(key))
    }

    /// The card of a revision, however long ago it was replaced.
    #[must_use]
    pub fn ever_served(&self, revision: &str) -> Option<&Arc<Card>> {
        self.by_revision.get(revision).map(|known| &known.card)
    }

    /// The card that a request means.
    ///
    /// # Errors
    /// [`Refusal::RevisionNotFound`], [`Refusal::RevisionTooOld`] or
    /// [`Refusal::RateCardNotFound`].
    pub fn select(&self, selector: &Selector<'_>, now: Timestamp) -> Result<&Arc<Card>, Refusal> {
        if !selector.revision.is_empty() {
            return self.select_revision(selector, now);
        }
        let name = match selector.rate_card {
            "" => &self.default,
            name => name,
        };
        let at = selector.price_time.unwrap_or(now);
        self.in_force
            .get(name)
            .and_then(|cards| {
                let in_force = |card: &&Arc<Card>| card.effective_time().is_none_or(|t| t <= at);
                cards.iter().rev().find(in_force)
            })
            .ok_or_else(|| Refusal::RateCardNotFound {
                rate_card: repeated(name),
                at,
            })
    }

    fn select_revision(
        &self,
        selector: &Selector<'_>,
        now: Timestamp,
    ) -> Result<&Arc<Card>, Refusal> {
        let Known { card, replaced } = self
            .by_revision
            .get(selector.revision)
            .filter(|known| {
                selector.rate_card.is_empty() || known.card.name() == selector.rate_card
            })
            .ok_or_else(|| Refusal::RevisionNotFound {
                revision: repeated(selector.revision),
            })?;
        match (replaced, self.revision_age_days_max) {
            (Some(replaced), Some(days_max))
                if now.days_since(*replaced) >= i64::from(days_max) =>
            {
                // One that is replaced only in the future has a negative age.
                Err(Refusal::RevisionTooOld {
                    revision: repeated(selector.revision),
                    replaced: *replaced,
                    days_max,
                })
            }
            _ => Ok(card),
        }
    }
}
