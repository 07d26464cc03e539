//! A rate card: what each service costs, as data.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use super::context::PriceContext;
use super::index::ByName;
use super::lines::{AttributeSpec, CardFactors, Program, Source, unit_of_totals};
use super::nearest::nearest;
use super::pairs::Pairs;
use super::price::{Meter, Price};
use super::quote::Quote;
use super::terms::Pricing;
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
    /// In which direction its cost is rounded where factors of the card make it longer than 9
    /// decimals; None where they cannot.
    pub rounding: Option<Rounding>,
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
    title: Box<str>,
    revision: Revision,
    /// With the name and the revision.
    pricing: Arc<Pricing>,
    effective_time: Option<Timestamp>,
    services: Vec<Service>,
    index: ByName<Arc<str>, usize>,
    factors: Option<Box<CardFactors>>,
    /// The values of attributes that callers cannot send.
    values_not_sent: BTreeMap<Box<str>, BTreeSet<Box<str>>>,
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
            title: title.into(),
            pricing: Arc::new(Pricing {
                rate_card: name.into(),
                revision: Arc::clone(&revision.0),
                values: Pairs::new(),
                time: None,
            }),
            revision,
            effective_time,
            services,
            index,
            factors: None,
            values_not_sent: BTreeMap::new(),
        }
        .with_factors(None))
    }

    /// The same with factors, which apply to the cost of every service.
    #[must_use]
    pub fn with_factors(mut self, factors: Option<CardFactors>) -> Self {
        self.factors = factors.map(Box::new);
        let mut values: BTreeMap<Box<str>, BTreeSet<Box<str>>> = BTreeMap::new();
        for service in &self.services {
            for (name, attribute) in self.attributes_not_sent(service) {
                let known = values.entry(name.into()).or_default();
                known.extend(attribute.values.iter().cloned());
            }
        }
        self.values_not_sent = values;
        self
    }

    /// The factors that apply to the cost of every service.
    #[must_use]
    pub fn factors(&self) -> Option<&CardFactors> {
        self.factors.as_deref()
    }

    /// The name by which callers choose the card.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.pricing.rate_card
    }

    /// By what a usage is priced where neither account nor clock has a part, for the ledger.
    #[must_use]
    pub const fn pricing(&self) -> &Arc<Pricing> {
        &self.pricing
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
            rate_card: self.name().into(),
            nearest: nearest(key, keys).map(|(key, close)| (key.into(), close)),
        }
    }

    /// The same without a search for the key that may have been meant.
    #[must_use]
    pub fn unknown_service_unsearched(&self, key: &str) -> Violation {
        Violation::UnknownService {
            service: repeated(key),
            rate_card: self.name().into(),
            nearest: None,
        }
    }

    /// What the usage costs.
    ///
    /// # Errors
    /// Everything that is wrong with the usage, by paths relative to it.
    pub fn price(
        &self,
        usage: &Usage<'_>,
        context: &PriceContext<'_>,
    ) -> Result<Quote<'_>, FieldViolations> {
        self.price_or(usage, context, |service| self.unknown_service(service))
    }

    /// What the usage costs; `unknown` says what is wrong with a service that is
    /// not on the card.
    ///
    /// # Errors
    /// Everything that is wrong with the usage, by paths relative to it.
    pub fn price_or(
        &self,
        usage: &Usage<'_>,
        context: &PriceContext<'_>,
        unknown: impl FnOnce(&str) -> Violation,
    ) -> Result<Quote<'_>, FieldViolations> {
        let violations = usage.own_violations();
        let Some(service) = self.service(usage.service) else {
            let mut all = FieldViolations::new();
            if !usage.service.is_empty() {
                all.add("service", unknown(usage.service));
            }
            all.merge(violations);
            return Err(all);
        };
        let quote = match &service.price {
            ServicePrice::One(one) => service.price(one, usage, violations)?,
            ServicePrice::Lines(program) => {
                let credits = program.quote(&service.key, usage, context, violations)?;
                Quote::of_lines(service, credits)
            }
        };
        match &self.factors {
            None => Ok(quote),
            Some(factors) => quote.times(factors, usage, context),
        }
    }

    /// The attributes by which a service is priced that callers cannot send, and their values.
    /// Empty for most services.
    #[must_use]
    pub fn values(&self, service: &Service, context: &PriceContext<'_>) -> Pairs {
        let mut values = Pairs::new();
        for (name, attribute) in self.attributes_not_sent(service) {
            let value = context.value(name, attribute).unwrap_or_default();
            values.insert(name.to_owned(), value.to_owned());
        }
        values
    }

    /// Whether callers send all by which a service is priced, as for most services.
    #[inline]
    #[must_use]
    pub fn all_are_sent(&self, service: &Service) -> bool {
        let by_service = match &service.price {
            ServicePrice::One(_) => true,
            ServicePrice::Lines(program) => program.index.all_are_sent(),
        };
        by_service && self.factors.is_none()
    }

    /// The attributes by which a service is priced that callers cannot send.
    pub fn attributes_not_sent<'a>(
        &'a self,
        service: &'a Service,
    ) -> impl Iterator<Item = (&'a str, &'a AttributeSpec)> {
        let own = match &service.price {
            ServicePrice::One(_) => None,
            ServicePrice::Lines(program) if program.index.all_are_sent() => None,
            ServicePrice::Lines(program) => Some(&program.spec.attributes),
        };
        let of_card = self.factors.as_ref().map(|factors| &factors.attributes);
        let attributes = own.into_iter().chain(of_card).flatten();
        let attributes = attributes.filter(|(_, attribute)| !attribute.source.is_caller());
        attributes.map(|(name, attribute)| (&**name, attribute))
    }

    /// These values with the defaults of all other attributes that callers cannot send.
    #[must_use]
    pub fn with_defaults(&self, service: &Service, mut values: Pairs) -> Pairs {
        for (name, attribute) in self.attributes_not_sent(service) {
            let default = attribute.default.as_deref().unwrap_or_default();
            let value = values.entry(name.to_owned());
            value.or_insert_with(|| default.to_owned());
        }
        values
    }

    /// All attributes by which a service is priced, by name.
    #[must_use]
    pub fn attributes_of<'a>(
        &'a self,
        service: &'a Service,
    ) -> BTreeMap<&'a str, &'a AttributeSpec> {
        let own = match &service.price {
            ServicePrice::One(_) => None,
            ServicePrice::Lines(program) => Some(&program.spec.attributes),
        };
        let own = own.into_iter().flatten();
        let own = own.map(|(name, attribute)| (&**name, attribute));
        own.chain(self.attributes_not_sent(service)).collect()
    }

    /// Whether an attribute that callers cannot send can have that value on this card.
    #[must_use]
    pub fn has_value(&self, name: &str, value: &str) -> bool {
        let values = self.values_not_sent.get(name);
        values.is_some_and(|values| values.contains(value))
    }

    /// The values that attributes of the account can have on this card.
    pub fn account_values(&self) -> impl Iterator<Item = (&str, &AttributeSpec)> {
        let services = self.services.iter();
        let attributes = services.flat_map(|service| self.attributes_not_sent(service));
        attributes.filter(|(_, attribute)| attribute.source == Source::Account)
    }
}

impl Service {
    /// What the usage costs by one price for one quantity.
    fn price<'card>(
        &'card self,
        one: &OnePrice,
        usage: &Usage<'_>,
        mut violations: FieldViolations,
    ) -> Result<Quote<'card>, FieldViolations> {
        let atoms = match self.quantity(one, usage.quantity) {
            Ok(atoms) => Some(atoms),
            Err((field, violation)) => {
                // `own_violations` has what is wrong with it for every service.
                if usage.quantity.violation().is_none() {
                    violations.add(field, violation);
                }
                None
            }
        };
        self.add_unknown_pairs(usage, &mut violations);
        match atoms {
            Some(atoms) if violations.is_empty() => match one.price.cost(atoms) {
                Ok(cost) => Ok(Quote::new(self, atoms, cost)),
                Err(_) => Err(usage.too_expensive()),
            },
            _ => Err(violations),
        }
    }

    /// Billionths of which every cost is a multiple.
    #[must_use]
    pub fn unit_of_costs(&self) -> i128 {
        match &self.price {
            ServicePrice::One(one) => one.price.unit_of_costs(),
            ServicePrice::Lines(program) => unit_of_totals(program),
        }
    }

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

    /// Adds a violation for attributes and one for meters: one price knows none. Each names the
    /// first key, and is left out where the field has another violation.
    fn add_unknown_pairs(&self, usage: &Usage<'_>, violations: &mut FieldViolations) {
        if let Some(key) = usage.attributes.first_name()
            && !violations.has("attributes")
        {
            let violation = Violation::UnknownAttribute {
                attribute: repeated(key),
                service: (&*self.key).into(),
                known: "".into(),
            };
            violations.add("attributes", violation);
        }
        if let Some(key) = usage.meters.first_name()
            && !violations.has("meters")
        {
            let violation = Violation::UnknownMeter {
                meter: repeated(key),
                service: (&*self.key).into(),
                known: "".into(),
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
