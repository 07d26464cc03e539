//! All cards of a server, and which of them a request means.

use std::collections::HashMap;
use std::sync::Arc;

use super::card::{Card, Revision};
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

/// The cards that are in force at one time or another, and every card that was
/// ever served, by its revision.
#[derive(Clone, Debug)]
pub struct Catalog {
    default: Box<str>,
    /// By name; each list is in order of effective_time.
    in_force: HashMap<Box<str>, Vec<Arc<Card>>>,
    by_revision: HashMap<Box<str>, Arc<Card>>,
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
    ///
    /// # Errors
    /// What is wrong with the cards.
    pub fn new(cards: Vec<Arc<Card>>) -> Result<Self, CatalogFault> {
        let Some(first) = cards.first() else {
            return Err(CatalogFault::NoCards);
        };
        let default = first.name().into();
        let mut in_force: HashMap<Box<str>, Vec<Arc<Card>>> = HashMap::new();
        let mut by_revision = HashMap::new();
        for (position, card) in cards.iter().enumerate() {
            let same = |other: &Arc<Card>| {
                other.name() == card.name() && other.effective_time() == card.effective_time()
            };
            let earlier = cards.iter().take(position).position(same);
            if let Some(earlier) = earlier {
                return Err(CatalogFault::SameTime(earlier, position));
            }
            by_revision.insert(card.revision().as_str().into(), Arc::clone(card));
            in_force
                .entry(card.name().into())
                .or_default()
                .push(Arc::clone(card));
        }
        for cards in in_force.values_mut() {
            cards.sort_by_key(|card| card.effective_time());
        }
        Ok(Self {
            default,
            in_force,
            by_revision,
        })
    }

    /// Also keeps a card that was served once, for requests by its revision.
    pub fn remember(&mut self, card: Arc<Card>) {
        self.by_revision
            .entry(card.revision().as_str().into())
            .or_insert(card);
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
        if cards.any(|card| card.service(key).is_some()) {
            return None;
        }
        let default = self.in_force.get(&self.default)?.last()?;
        Some(default.unknown_service(key))
    }

    /// The card of that revision.
    #[must_use]
    pub fn by_revision(&self, revision: &Revision) -> Option<&Arc<Card>> {
        self.by_revision.get(revision.as_str())
    }

    /// The card that a request means.
    ///
    /// # Errors
    /// [`Refusal::RevisionNotFound`] or [`Refusal::RateCardNotFound`].
    pub fn select(&self, selector: &Selector<'_>, now: Timestamp) -> Result<&Arc<Card>, Refusal> {
        if !selector.revision.is_empty() {
            return self
                .by_revision
                .get(selector.revision)
                .filter(|card| selector.rate_card.is_empty() || card.name() == selector.rate_card)
                .ok_or_else(|| Refusal::RevisionNotFound {
                    revision: repeated(selector.revision),
                });
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
}
