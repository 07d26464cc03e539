//! All cards of a server, and which of them a request means.

use std::collections::{HashSet, VecDeque};
use std::hash::BuildHasherDefault;
use std::sync::Arc;

use super::card::Card;
use super::index::{ByName, NameHasher};
use super::pairs::Pairs;
use crate::domain::names::repeated;
use crate::domain::refusal::{CardNamedBy, Refusal};
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
    /// By name; each list is in order of time.
    periods: ByName<Box<str>, Vec<Period>>,
    by_revision: ByName<Box<str>, KnownCard>,
    /// Those of `by_revision` that are not in force, in the order in which they were added.
    replaced: VecDeque<Arc<Card>>,
    /// How many services those have.
    replaced_services: usize,
    /// The keys of all services that are or were on a card.
    services: HashSet<Arc<str>, BuildHasherDefault<NameHasher>>,
    revision_age_days_max: Option<u32>,
}

/// From when on a card is in force, until the next one of its name is.
#[derive(Clone, Debug)]
pub struct Period {
    /// When it begins; None: always was.
    pub since: Option<Timestamp>,
    /// The card's revision.
    pub revision: Box<str>,
    /// The card; None for one that is over, which is looked up where somebody asks for its
    /// time.
    pub card: Option<Arc<Card>>,
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
        let mut catalog = Self::empty(first.name(), revision_age_days_max);
        let mut periods: ByName<Box<str>, Vec<Period>> = ByName::default();
        for (position, card) in cards.iter().enumerate() {
            let same = |other: &Arc<Card>| {
                other.name() == card.name() && other.effective_time() == card.effective_time()
            };
            let earlier = cards.iter().take(position).position(same);
            if let Some(earlier) = earlier {
                return Err(CatalogError::SameTime(earlier, position));
            }
            let of_name = periods.entry(card.name().into()).or_default();
            of_name.push(Period {
                since: card.effective_time(),
                revision: card.revision().as_str().into(),
                card: Some(Arc::clone(card)),
            });
        }
        for (name, periods) in periods {
            catalog = catalog.with_periods(&name, periods);
        }
        Ok(catalog)
    }

    /// A catalog without cards.
    #[must_use]
    pub fn empty(default: &str, revision_age_days_max: Option<u32>) -> Self {
        Self {
            default: default.into(),
            periods: ByName::default(),
            by_revision: ByName::default(),
            replaced: VecDeque::new(),
            replaced_services: 0,
            services: HashSet::default(),
            revision_age_days_max,
        }
    }

    /// The same with the cards of one more name. Of two periods that begin at the same time
    /// the later one in the list counts.
    #[must_use]
    pub fn with_periods(mut self, name: &str, mut periods: Vec<Period>) -> Self {
        periods.sort_by_key(|period| period.since);
        // Each is replaced when the next of its name comes into force.
        let ends = periods.iter().skip(1).map(|period| period.since);
        for (period, replaced) in periods.iter().zip(ends.chain([None])) {
            let Some(card) = &period.card else { continue };
            self.add_services(card);
            let card = Arc::clone(card);
            let revision = period.revision.clone();
            self.by_revision
                .insert(revision, KnownCard { card, replaced });
        }
        self.periods.insert(name.into(), periods);
        self
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

    /// The cards in force at one time or another, by name and time; those that are over only
    /// where they come from files.
    #[must_use]
    pub fn cards(&self) -> Vec<&Arc<Card>> {
        let cards = self.periods().into_iter();
        cards
            .filter_map(|(_, period)| period.card.as_ref())
            .collect()
    }

    /// When which card is in force, by name and time.
    #[must_use]
    pub fn periods(&self) -> Vec<(&str, &Period)> {
        let names = self.periods.iter();
        let mut periods: Vec<_> = names
            .flat_map(|(name, periods)| periods.iter().map(|period| (&**name, period)))
            .collect();
        // Those of a name are in order.
        periods.sort_by_key(|(name, _)| *name);
        periods
    }

    /// Whether it has cards of that name.
    #[must_use]
    pub fn has_name(&self, name: &str) -> bool {
        self.periods.contains_key(name)
    }

    /// Since when a card is in force, and when another of its name takes its place, where that
    /// is known. Of a card that was in force more than once it is the last time.
    #[must_use]
    pub fn times_of(&self, card: &Card) -> (Option<Timestamp>, Option<Timestamp>) {
        let revision = card.revision().as_str();
        let periods = self.periods.get(card.name()).map_or(&[][..], Vec::as_slice);
        let at = (periods.iter()).rposition(|period| *period.revision == *revision);
        let Some((period, later)) = at.and_then(|at| periods.get(at..)?.split_first()) else {
            return (card.effective_time(), None);
        };
        (period.since, later.first().and_then(|next| next.since))
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
        let default = self.periods.get(&self.default);
        let periods = default.or_else(|| self.periods.values().next())?;
        let card = periods.iter().rev().find_map(|period| period.card.as_ref());
        Some(card?.unknown_service(key))
    }

    /// The violations of attributes of an account, in order of their names: no card in force
    /// knows one of them, or none has such a value of it.
    #[must_use]
    pub fn account_attribute_violations(&self, attributes: &Pairs) -> Vec<Violation> {
        let violations = attributes.iter().filter_map(|(name, value)| {
            let cards = self.periods.values().flatten();
            let cards = cards.filter_map(|period| period.card.as_deref());
            let known = cards.flat_map(Card::account_values);
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
        });
        violations.collect()
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

    /// The revision that a request means and whose card it does not have, where that can be
    /// said: one that the request names, or one that was in force at its time.
    #[must_use]
    pub fn missing_revision<'a>(&'a self, selector: &Selector<'a>) -> Option<&'a str> {
        let revision = match (selector.revision, selector.price_time) {
            ("", None) => return None,
            ("", Some(at)) => {
                let (period, _) = self.period(selector.rate_card, at)?;
                match period.card {
                    Some(_) => return None,
                    None => &*period.revision,
                }
            }
            _ => selector.card_revision(),
        };
        (!self.by_revision.contains_key(revision)).then_some(revision)
    }

    /// The name that a request means: "" is the default.
    fn name_of<'a>(&'a self, rate_card: &'a str) -> &'a str {
        match rate_card {
            "" => &self.default,
            name => name,
        }
    }

    /// The period of a name at a time, and those after it.
    fn period(&self, rate_card: &str, at: Timestamp) -> Option<(&Period, &[Period])> {
        let periods = self.periods.get(self.name_of(rate_card))?;
        let begun = |period: &Period| period.since.is_none_or(|time| time <= at);
        let position = periods.iter().rposition(begun)?;
        let (period, later) = periods.get(position..)?.split_first()?;
        Some((period, later))
    }

    /// The card that a request means.
    ///
    /// # Errors
    /// [`Refusal::RevisionNotFound`], [`Refusal::RevisionOfAnother`],
    /// [`Refusal::RevisionTooOld`] or [`Refusal::RateCardNotFound`].
    pub fn select(&self, selector: &Selector<'_>, now: Timestamp) -> Result<&Arc<Card>, Refusal> {
        if !selector.revision.is_empty() {
            return self.select_revision(selector, now);
        }
        let at = selector.price_time.unwrap_or(now);
        let found = self.period(selector.rate_card, at);
        let found = found.and_then(|(period, later)| {
            let known = || Some(&self.by_revision.get(&period.revision)?.card);
            // A clock that was set back a little is still in the period that was current.
            let next = || match selector.price_time {
                None => later.iter().find_map(|period| period.card.as_ref()),
                Some(_) => None,
            };
            period.card.as_ref().or_else(known).or_else(next)
        });
        found.ok_or_else(|| Refusal::RateCardNotFound {
            rate_card: repeated(self.name_of(selector.rate_card)),
            at,
            named_by: CardNamedBy::Request,
        })
    }

    fn select_revision(
        &self,
        selector: &Selector<'_>,
        now: Timestamp,
    ) -> Result<&Arc<Card>, Refusal> {
        let known = self.by_revision.get(selector.card_revision());
        let KnownCard { card, replaced } = known.ok_or_else(|| Refusal::RevisionNotFound {
            revision: repeated(selector.revision),
        })?;
        if !selector.rate_card.is_empty() && card.name() != selector.rate_card {
            return Err(Refusal::RevisionOfAnother {
                revision: repeated(selector.revision),
                rate_card: repeated(selector.rate_card),
            });
        }
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
