//! One spelling of a service: what can be written in several ways without a difference, such as
//! the order of words in a condition or a default, is written in one. So cards that say the same
//! have one revision, and a card that comes from a store is explained as it was before.

use std::collections::{BTreeMap, HashMap};

use super::hours::Window;
use super::number::unit_of_formula;
use super::order;
use super::ratio::Ratio;
use super::spec::{AttributeSpec, Condition, FactorSpec, Is, RowSays, Source, Spec};
use crate::domain::amount::Credits;

impl Spec {
    /// The same service in its one spelling.
    #[must_use]
    pub fn normal(mut self) -> Self {
        for meter in self.meters.values_mut() {
            meter.min = meter.min.filter(|min| *min != Ratio::ZERO);
        }
        for attribute in self.attributes.values_mut() {
            if let Source::Clock(hours) = &mut attribute.source {
                for (_, windows) in &mut hours.windows {
                    windows.sort_by_cached_key(Window::words);
                    windows.dedup();
                }
            }
        }
        self.take_out_units();
        let values = Positions::of_values(&self.attributes);
        let keys: Vec<Box<str>> = self.lines.iter().map(|line| line.key.clone()).collect();
        let keys = Positions::of(&keys);
        let more_than_nothing = |limit: &Credits| *limit != Credits::ZERO;
        for line in &mut self.lines {
            let by_key = line.key.replace('_', " ");
            line.title = line.title.take().filter(|title| **title != *by_key);
            line.price_min = line.price_min.filter(more_than_nothing);
            normal_conditions(&mut line.when, &values);
        }
        for row in &mut self.rows {
            normal_conditions(&mut row.when, &values);
            match &mut row.says {
                RowSays::Prices(prices) => prices.sort_by(|(one, _), (other, _)| one.cmp(other)),
                RowSays::Refuse { lines, .. } => keys.normal_lines(lines),
            }
        }
        for factor in &mut self.factors {
            normal_conditions(&mut factor.when, &values);
            keys.normal_lines(&mut factor.lines);
        }
        self.total.min = self.total.min.filter(more_than_nothing);
        self
    }

    /// Takes the units of quantities out that are what their formulas say.
    fn take_out_units(&mut self) {
        // What is wrong with them is said where they are compiled.
        let Ok((names, _)) = order::numbers(self) else {
            return;
        };
        let slot = |name: &str| names.slots.get(name).copied();
        let of_lines = self.lines.iter_mut();
        let of_lines = of_lines.filter_map(|line| line.quantity.as_mut());
        for quantity in self.quantities.values_mut().chain(of_lines) {
            let unit = unit_of_formula(&quantity.of, &slot, &names.numbers);
            quantity.unit = quantity.unit.take().filter(|said| Some(&**said) != unit);
        }
    }
}

impl FactorSpec {
    /// A factor of a card in its one spelling.
    #[must_use]
    pub fn normal(mut self, attributes: &BTreeMap<Box<str>, AttributeSpec>) -> Self {
        normal_conditions(&mut self.when, &Positions::of_values(attributes));
        self
    }
}

/// Conditions by name; their words in the order of the attribute, ranges from below, each once.
fn normal_conditions(conditions: &mut [Condition], values: &BTreeMap<&str, Positions<'_>>) {
    conditions.sort_by(|one, other| one.name.cmp(&other.name));
    for condition in conditions {
        match (&mut condition.is, values.get(&*condition.name)) {
            (Is::OneOf(words), Some(values)) => values.put_in_order(words),
            (Is::In(ranges), _) => {
                ranges.sort_by_key(super::range::Range::ends);
                ranges.dedup_by_key(|range| range.ends());
            }
            (Is::OneOf(_), None) => {}
        }
    }
}

/// Words that can be said, each with its place among them.
struct Positions<'a>(HashMap<&'a str, usize>);

impl<'a> Positions<'a> {
    fn of(words: &'a [Box<str>]) -> Self {
        Self(words.iter().map(|word| &**word).zip(0..).collect())
    }

    /// Those of each attribute, by its name.
    fn of_values(attributes: &'a BTreeMap<Box<str>, AttributeSpec>) -> BTreeMap<&'a str, Self> {
        let attributes = attributes.iter();
        attributes
            .map(|(name, attribute)| (&**name, Self::of(&attribute.values)))
            .collect()
    }

    /// Puts words in this order, each once; unknown ones come last.
    fn put_in_order(&self, words: &mut Vec<Box<str>>) {
        if words.len() > 1 {
            let position = |word: &str| self.0.get(word).copied();
            words.sort_by_key(|word| position(word).unwrap_or(usize::MAX));
            words.dedup();
        }
    }

    /// The same of the lines that something is about: all of them are as none.
    fn normal_lines(&self, lines: &mut Vec<Box<str>>) {
        self.put_in_order(lines);
        if lines.len() == self.0.len() && lines.iter().all(|line| self.0.contains_key(&**line)) {
            lines.clear();
        }
    }
}
