//! All cards of a server, and which of them a request means.

use std::collections::{HashSet, VecDeque};
use std::hash::BuildHasherDefault;
use std::sync::Arc;

use super::card::Card;
use super::index::{ByName, NameHasher};
use super::usage::Pairs;
use crate::domain::names::repeated;
use crate::domain::refusal::Refusal;
use crate::domain::time::Timestamp;
use crate::domain::violation::Violation;

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

impl<'a> Selector<'a> {
    /// The revision of the card that is asked for, or "". An estimate's revision has more,
    /// where the account or the clock had a part.
    #[must_use]
    pub fn card_revision(&self) -> &'a str {
        let parts = self.revision.split_once('.');
        parts.map_or(self.revision, |(card, _)| card)
    }

    /// The values of the account and the clock in an estimate's revision.
    #[must_use]
    pub fn quoted(&self) -> Option<&'a str> {
        self.revision.split_once('.').map(|(_, values)| values)
    }

    /// Whether it names the card, by name or by revision.
    #[must_use]
    pub const fn names_card(&self) -> bool {
        !self.rate_card.is_empty() || !self.revision.is_empty()
    }

    /// Whether it asks for nothing but the default.
    #[must_use]
    pub const fn is_default(&self) -> bool {
        self.rate_card.is_empty() && self.revision.is_empty() && self.price_time.is_none()
    }
}

/// How many services all replaced cards of a catalog may have. Those that were added first
/// are removed; the cards in force are always there.
pub const REPLACED_SERVICES_MAX: usize = 65_536;

/// The rate cards that are in force at one time or another, and cards that were replaced, by
/// their revision.
#[derive(Clone, Debug)]
pub struct Catalog {
    default: Box<str>,
    /// By name; each list is in order of effective_time.
    in_force: ByName<Box<str>, Vec<Arc<Card>>>,
    by_revision: ByName<Box<str>, KnownCard>,
    /// Those of `by_revision` that are not in force, in the order in which they were added.
    replaced: VecDeque<Arc<Card>>,
    /// How many services those have.
    replaced_services: usize,
    /// The keys of all services that are or were on a card.
    services: HashSet<Arc<str>, BuildHasherDefault<NameHasher>>,
    revision_age_days_max: Option<u32>,
}

/// A card that is or was in force.
#[derive(Clone, Debug)]
pub struct KnownCard {
    /// The card.
    pub card: Arc<Card>,
    /// When another card took its place; None while it is in force.
    pub replaced: Option<Timestamp>,
}

/// Why a catalog of these cards is invalid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CatalogError {
    /// There are none.
    NoCards,
    /// Two cards of one name begin at the same time; positions of both.
    SameTime(usize, usize),
}

impl Catalog {
    /// A catalog of the cards in force. The first one's name is the default. Revisions that
    /// were replaced at least that many days ago are refused.
    ///
    /// # Errors
    /// A [`CatalogError`].
    pub fn new(
        cards: Vec<Arc<Card>>,
        revision_age_days_max: Option<u32>,
    ) -> Result<Self, CatalogError> {
        let Some(first) = cards.first() else {
            return Err(CatalogError::NoCards);
        };
        let mut catalog = Self {
            default: first.name().into(),
            in_force: ByName::default(),
            by_revision: ByName::default(),
            replaced: VecDeque::new(),
            replaced_services: 0,
            services: HashSet::default(),
            revision_age_days_max,
        };
        for (position, card) in cards.iter().enumerate() {
            let same = |other: &Arc<Card>| {
                other.name() == card.name() && other.effective_time() == card.effective_time()
            };
            let earlier = cards.iter().take(position).position(same);
            if let Some(earlier) = earlier {
                return Err(CatalogError::SameTime(earlier, position));
            }
            catalog.add_services(card);
            catalog
                .in_force
                .entry(card.name().into())
                .or_default()
                .push(Arc::clone(card));
        }
        for cards in catalog.in_force.values_mut() {
            cards.sort_by_key(|card| card.effective_time());
            // Each is replaced when the next of its name comes into force.
            let ends = cards.iter().skip(1).map(|card| card.effective_time());
            for (card, replaced) in cards.iter().zip(ends.chain([None])) {
                let card = Arc::clone(card);
                let revision = card.revision().as_str().into();
                catalog
                    .by_revision
                    .insert(revision, KnownCard { card, replaced });
            }
        }
        Ok(catalog)
    }

    /// The same with another name as the default. There need not be a card of that name.
    #[must_use]
    pub fn with_default(mut self, name: &str) -> Self {
        self.default = name.into();
        self
    }

    /// Adds a card for requests by its revision, unless it is there. Those that were added
    /// long ago may be removed for it.
    pub fn remember(&mut self, known: KnownCard) {
        let revision = known.card.revision().as_str();
        if self.by_revision.contains_key(revision) {
            return;
        }
        self.replaced.push_back(Arc::clone(&known.card));
        let length = known.card.services().len();
        self.replaced_services = self.replaced_services.saturating_add(length);
        self.add(known);
        while self.replaced_services > REPLACED_SERVICES_MAX
            && self.replaced.len() > 1
            && let Some(oldest) = self.replaced.pop_front()
        {
            let length = oldest.services().len();
            self.replaced_services = self.replaced_services.saturating_sub(length);
            self.by_revision.remove(oldest.revision().as_str());
        }
    }

    /// Adds a card for requests by its revision, and removes none for it.
    pub fn add(&mut self, known: KnownCard) {
        self.add_services(&known.card);
        let revision = known.card.revision().as_str().into();
        self.by_revision.entry(revision).or_insert(known);
    }

    /// Adds the known services of another catalog.
    pub fn remember_services(&mut self, of: &Self) {
        self.services.extend(of.services.iter().cloned());
    }

    fn add_services(&mut self, card: &Card) {
        let keys = card.services().iter().map(|service| &service.key);
        self.services.extend(keys.cloned());
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

    /// When another card of its name takes the place of a card that is in force then, where one
    /// is known.
    #[must_use]
    pub fn next_effective_time(&self, card: &Card) -> Option<Timestamp> {
        let cards = self.in_force.get(card.name())?;
        let at = (cards.iter()).position(|known| known.revision() == card.revision())?;
        cards.get(at.checked_add(1)?)?.effective_time()
    }

    /// For how many days a revision is honoured after it was replaced; None: for ever.
    #[must_use]
    pub const fn revision_age_days_max(&self) -> Option<u32> {
        self.revision_age_days_max
    }

    /// The violation of a service that is and was on no card. The key that may have been meant is
    /// searched on the default card.
    #[must_use]
    pub fn unknown_service(&self, key: &str) -> Option<Violation> {
        if self.services.contains(key) {
            return None;
        }
        let default = self.in_force.get(&self.default);
        let cards = default.or_else(|| self.in_force.values().next())?;
        Some(cards.last()?.unknown_service(key))
    }

    /// Whether there is a card of that name, in force now or at another time.
    #[must_use]
    pub fn has_card(&self, name: &str) -> bool {
        self.in_force.contains_key(name)
    }

    /// The violation of attributes of an account: no card in force knows one of them, or none
    /// has such a value of it.
    #[must_use]
    pub fn account_attribute_violation(&self, attributes: &Pairs) -> Option<Violation> {
        attributes.iter().find_map(|(name, value)| {
            let cards = self.in_force.values().flatten();
            let known = cards.clone().flat_map(|card| card.account_values());
            let mut known = known.filter(|(known, _)| known == name).peekable();
            if known.peek().is_none() {
                let attribute = repeated(name);
                return Some(Violation::NoAccountAttribute { attribute });
            }
            let mut values = Vec::new();
            for value in known.flat_map(|(_, attribute)| &attribute.values) {
                if !values.contains(&&**value) {
                    values.push(&**value);
                }
            }
            (!values.contains(&value.as_str())).then(|| Violation::NoAccountValue {
                attribute: repeated(name),
                value: repeated(value),
                values: values.join(", ").into(),
            })
        })
    }

    /// The card of a revision, however long ago it was replaced.
    #[must_use]
    pub fn card_of_revision(&self, revision: &str) -> Option<&Arc<Card>> {
        self.by_revision.get(revision).map(|known| &known.card)
    }

    /// The same with when it was replaced.
    #[must_use]
    pub fn known(&self, revision: &str) -> Option<&KnownCard> {
        self.by_revision.get(revision)
    }

    /// Whether it has the card of the revision that is asked for, where one is.
    #[must_use]
    pub fn has_revision_of(&self, selector: &Selector<'_>) -> bool {
        selector.revision.is_empty() || self.by_revision.contains_key(selector.card_revision())
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
        let KnownCard { card, replaced } = self
            .by_revision
            .get(selector.card_revision())
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
