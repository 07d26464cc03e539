//! A rate card: what each service costs, as data.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::index::ByName;
use super::lines::Program;
use super::nearest::nearest;
use super::price::{Meter, Price};
use super::quote::Quote;
use super::usage::{Given, Usage};
use crate::domain::amount::{Credits, Rounding};
use crate::domain::names::repeated;
use crate::domain::time::Timestamp;
use crate::domain::violation::{FieldViolations, Violation};

/// Identifies the exact content of a card. Equal cards have equal revisions.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Revision(Arc<str>);

impl Revision {
    /// The revision with that text, which its maker derived from the content.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The text of the revision.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same, shared.
    #[must_use]
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One row: a service and its price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// The key by which callers name it.
    pub key: Arc<str>,
    /// The title for people.
    pub title: Box<str>,
    /// The rule in words.
    pub rule: Box<str>,
    /// What it costs.
    pub price: ServicePrice,
    /// How a cost is shown; None shows it exactly.
    pub shown: Option<Shown>,
}

/// How a service is priced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServicePrice {
    /// One price for one quantity.
    One(OnePrice),
    /// The sum of lines.
    Lines(Box<Program>),
}

/// One price for one quantity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnePrice {
    /// What the quantity measures.
    pub meter: Meter,
    /// The price.
    pub price: Price,
    /// The largest quantity of one usage, in atoms.
    pub quantity_max: Option<i128>,
}

/// How a cost is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// How many decimals are shown at most; up to 9.
    pub decimals: u32,
    /// How the other decimals are rounded.
    pub rounding: Rounding,
}

/// A rate card. Its content never changes; a change is another card.
#[derive(Clone, Debug)]
pub struct Card {
    name: Arc<str>,
    title: Box<str>,
    revision: Revision,
    effective_time: Option<Timestamp>,
    services: Vec<Service>,
    index: ByName<Arc<str>, usize>,
}

/// Why a card of these services is invalid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CardError {
    /// There are none.
    NoServices,
    /// Two have the same key; the position of the second.
    SameKey(usize),
}

impl Card {
    /// A card of these services.
    ///
    /// # Errors
    /// A [`CardError`].
    pub fn new(
        name: &str,
        title: &str,
        revision: Revision,
        effective_time: Option<Timestamp>,
        services: Vec<Service>,
    ) -> Result<Self, CardError> {
        if services.is_empty() {
            return Err(CardError::NoServices);
        }
        let mut index = ByName::default();
        for (position, service) in services.iter().enumerate() {
            if index.insert(service.key.clone(), position).is_some() {
                return Err(CardError::SameKey(position));
            }
        }
        Ok(Self {
            name: name.into(),
            title: title.into(),
            revision,
            effective_time,
            services,
            index,
        })
    }

    /// The name by which callers choose the card.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same, shared.
    #[must_use]
    pub fn shared_name(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    /// The title for people.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }

    /// The revision of this content.
    #[must_use]
    pub const fn revision(&self) -> &Revision {
        &self.revision
    }

    /// From when on the card is in force; None: always was.
    #[must_use]
    pub const fn effective_time(&self) -> Option<Timestamp> {
        self.effective_time
    }

    /// The rows, in the order of the price list.
    #[must_use]
    pub fn services(&self) -> &[Service] {
        &self.services
    }

    /// The row of that key.
    #[must_use]
    pub fn service(&self, key: &str) -> Option<&Service> {
        self.index
            .get(key)
            .and_then(|position| self.services.get(*position))
    }

    /// The violation of a key that is on no row, with the key that may have been meant.
    #[must_use]
    pub fn unknown_service(&self, key: &str) -> Violation {
        let keys = self.services.iter().map(|service| &*service.key);
        Violation::UnknownService {
            service: repeated(key),
            rate_card: (&*self.name).into(),
            nearest: nearest(key, keys).map(|(key, close)| (key.into(), close)),
        }
    }

    /// The same without a search for the key that may have been meant.
    #[must_use]
    pub fn unknown_service_unsearched(&self, key: &str) -> Violation {
        Violation::UnknownService {
            service: repeated(key),
            rate_card: (&*self.name).into(),
            nearest: None,
        }
    }

    /// What the usage costs.
    ///
    /// # Errors
    /// Everything that is wrong with the usage, by paths relative to it.
    pub fn price(&self, usage: &Usage<'_>) -> Result<Quote<'_>, FieldViolations> {
        self.price_or(usage, |service| self.unknown_service(service))
    }

    /// What the usage costs; `unknown` says what is wrong with a service that is
    /// not on the card.
    ///
    /// # Errors
    /// Everything that is wrong with the usage, by paths relative to it.
    pub fn price_or(
        &self,
        usage: &Usage<'_>,
        unknown: impl FnOnce(&str) -> Violation,
    ) -> Result<Quote<'_>, FieldViolations> {
        let mut violations = usage.own_violations();
        let Some(service) = self.service(usage.service) else {
            let mut all = FieldViolations::new();
            if !usage.service.is_empty() {
                all.add("service", unknown(usage.service));
            }
            all.merge(violations);
            return Err(all);
        };
        let one = match &service.price {
            ServicePrice::One(one) => one,
            ServicePrice::Lines(program) => {
                return program
                    .quote(&service.key, usage, violations)
                    .map(|credits| Quote::of_lines(service, credits));
            }
        };
        let atoms = match service.quantity(one, usage.quantity) {
            Ok(atoms) => Some(atoms),
            Err((field, violation)) => {
                // `own_violations` has what is wrong with it for every service.
                if usage.quantity.violation().is_none() {
                    violations.add(field, violation);
                }
                None
            }
        };
        service.add_unknown_pairs(usage, &mut violations);
        match atoms {
            Some(atoms) if violations.is_empty() => match one.price.cost(atoms) {
                Ok(cost) => Ok(Quote::new(service, atoms, cost)),
                Err(_) => Err(FieldViolations::of(
                    usage.quantity.field(),
                    Violation::CostTooLarge,
                )),
            },
            _ => Err(violations),
        }
    }
}

impl Service {
    /// The quantity in atoms, or the field that is bad.
    fn quantity(&self, one: &OnePrice, given: Given) -> Result<i128, (&'static str, Violation)> {
        let wrong = || Violation::WrongQuantity {
            service: (&*self.key).into(),
            meter: one.meter.name().into(),
        };
        let atoms = match (&one.meter, given) {
            (Meter::Duration, Given::Duration(nanos)) => nanos,
            (Meter::Count { .. }, Given::Count(count)) => i128::from(count),
            (Meter::Count { required, .. }, Given::Nothing) if !required => 1,
            (meter, Given::Nothing) => return Err((meter.name(), Violation::Required)),
            (Meter::Duration, Given::Count(_) | Given::NoDuration { .. })
            | (Meter::Count { .. }, Given::Duration(_) | Given::NoDuration { .. }) => {
                return Err((given.field(), wrong()));
            }
        };
        if let Some(limit) = one.quantity_max
            && atoms > limit
        {
            let violation = Violation::QuantityTooLarge {
                service: (&*self.key).into(),
                value: one.meter.quantity_text(atoms).into(),
                limit: one.meter.quantity_text(limit).into(),
            };
            return Err((given.field(), violation));
        }
        Ok(atoms)
    }

    /// The rule in words; where the count is required, with a note that says so.
    #[must_use]
    pub fn rule_in_words(&self) -> Cow<'_, str> {
        match &self.price {
            ServicePrice::One(OnePrice {
                meter: Meter::Count { required: true, .. },
                ..
            }) => format!("{}; count is required", self.rule).into(),
            ServicePrice::One(_) | ServicePrice::Lines(_) => (&*self.rule).into(),
        }
    }

    /// Adds a violation for attributes and one for meters: one price knows none. Each names the first key, and is left out where the field has
    /// another violation.
    fn add_unknown_pairs(&self, usage: &Usage<'_>, violations: &mut FieldViolations) {
        if let Some(key) = usage.attributes.keys().min()
            && !violations.has("attributes")
        {
            let violation = Violation::UnknownAttribute {
                attribute: repeated(key),
                service: (&*self.key).into(),
            };
            violations.add("attributes", violation);
        }
        if let Some(key) = usage.meters.keys().min()
            && !violations.has("meters")
        {
            let violation = Violation::UnknownMeter {
                meter: repeated(key),
                service: (&*self.key).into(),
            };
            violations.add("meters", violation);
        }
    }

    /// The cost as the price list would print it.
    #[must_use]
    pub fn show(&self, credits: Credits) -> Credits {
        self.shown.map_or(credits, |shown| {
            credits
                .rounded_to(shown.decimals, shown.rounding)
                .unwrap_or(credits)
        })
    }
}
