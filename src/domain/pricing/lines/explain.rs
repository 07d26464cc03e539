//! How a cost adds up, in words and in figures.

use std::collections::BTreeSet;

use super::card_factors::factor_words;
use super::formula::Formula;
use super::number::{Number, with_unit};
use super::program::Program;
use super::ratio::Ratio;
use super::run::{ATTRIBUTES_MAX, Amount, Inputs, LineCost, Record, Stop, TotalCost, credits_of};
use super::spec::{Condition, Is, LineSpec, QuantitySpec, StepRounding};
use crate::domain::amount::{Credits, DECIMALS_MAX};
use crate::domain::pricing::quote::{Line, rounding_words};

/// The lines of an estimate.
pub struct Explanation<'a> {
    program: &'a Program,
    /// The values of attributes.
    attributes: [u16; ATTRIBUTES_MAX],
    /// Numbers as measured and as billed, by slot; None for what is no quantity.
    quantities: Vec<Option<(i128, i128)>>,
    lines: Vec<Line>,
}

impl<'a> Explanation<'a> {
    /// Prices a usage once more and writes down how.
    ///
    /// # Errors
    /// Why it has no price.
    pub fn of(program: &'a Program, inputs: &mut Inputs<'_>) -> Result<Vec<Line>, Stop> {
        let mut explanation = Self {
            program,
            attributes: inputs.attributes,
            quantities: vec![None; program.numbers.len()],
            lines: Vec::new(),
        };
        program.price(inputs, &mut explanation)?;
        Ok(explanation.lines)
    }

    /// "61 s, billed 90 s (steps of 30 s, up)".
    fn billed(&self, spec: &'a LineSpec, slot: usize, grains: i128) -> String {
        let Some(number) = self.program.number(slot) else {
            return String::new();
        };
        let said = self.said(spec).zip(self.quantity_of(slot));
        let Some((said, (measured, billed))) = said else {
            return number.text(grains);
        };
        let mut text = with_unit(measured, &number.unit);
        let is_sum = said.of.names().count() > 1;
        let mut made_of: Vec<String> = is_sum.then(|| said.of.to_string()).into_iter().collect();
        self.changed_within(&said.of, &mut BTreeSet::new(), &mut made_of);
        if !made_of.is_empty() {
            text.push_str(&format!(" ({})", made_of.join("; ")));
        }
        text.push_str(&changed(said, number, measured, billed));
        text
    }

    /// What the card says of the quantity of a line.
    fn said(&self, spec: &'a LineSpec) -> Option<&'a QuantitySpec> {
        let own = spec.quantity.as_ref()?;
        let named = own.of.as_name().filter(|_| own.is_plain());
        let named = named.and_then(|name| self.program.spec.quantities.get(name));
        Some(named.unwrap_or(own))
    }

    /// A quantity as measured and as billed, in units.
    fn quantity_of(&self, slot: usize) -> Option<(Ratio, Ratio)> {
        let (measured, billed) = self.quantities.get(slot).copied().flatten()?;
        let mut quantities = self.program.quantities.iter();
        let (_, quantity) = quantities.find(|(at, _)| *at == slot)?;
        let measured = quantity.measured_grain.times(Ratio::whole(measured));
        let billed = self.program.number(slot)?.units(billed);
        Some((measured.unwrap_or(Ratio::ZERO), billed))
    }

    /// The named quantities of a formula that are billed as another number than was measured,
    /// each after those that it is made of: "seconds: 6 s, billed 9 s (at least 9 s)".
    fn changed_within<'f>(
        &'f self,
        formula: &'f Formula,
        known: &mut BTreeSet<&'f str>,
        texts: &mut Vec<String>,
    ) {
        for name in formula.names() {
            let Some(said) = self.program.spec.quantities.get(name) else {
                continue;
            };
            if !known.insert(name) {
                continue;
            }
            self.changed_within(&said.of, known, texts);
            let slot = self.program.named_slots.get(name).copied();
            let number = self.program.by_name(name);
            let both = slot.and_then(|slot| self.quantity_of(slot));
            if let (Some(number), Some((measured, billed))) = (number, both)
                && measured != billed
            {
                let from = with_unit(measured, &number.unit);
                let change = changed(said, number, measured, billed);
                texts.push(format!("{name}: {from}{change}"));
            }
        }
    }

    /// " for model gen4_image, resolution 1080p".
    fn row(&self, row: Option<usize>) -> String {
        let row = row.and_then(|row| self.program.spec.rows.get(row));
        let conditions = row.map_or(&[][..], |row| &row.when);
        match conditions {
            [] => String::new(),
            conditions => format!(" for {}", self.conditions(conditions)),
        }
    }

    fn conditions(&self, conditions: &[Condition]) -> String {
        let words = conditions.iter().map(|condition| match &condition.is {
            Is::OneOf(words) => {
                // Of several words the one that the usage has.
                let has = self
                    .value(&condition.name)
                    .filter(|has| words.iter().any(|word| &**word == *has));
                format!(
                    "{} {}",
                    condition.name,
                    has.map_or_else(|| words.join(" or "), ToOwned::to_owned)
                )
            }
            Is::In(ranges) => {
                let number = self.program.by_name(&condition.name);
                let ranges = ranges.iter().map(|range| {
                    range.words(|units| match number {
                        Some(number) => number.figure(units),
                        None => units.to_string(),
                    })
                });
                let ranges: Vec<_> = ranges.collect();
                format!("{} {}", condition.name, ranges.join(" or "))
            }
        });
        let words: Vec<_> = words.collect();
        words.join(", ")
    }

    /// The value of an attribute.
    fn value(&self, name: &str) -> Option<&str> {
        let attributes = &self.program.spec.attributes;
        let position = attributes.keys().position(|known| &**known == name)?;
        let value = usize::from(*self.attributes.get(position)?);
        attributes
            .get(name)?
            .values
            .get(value)
            .map(|value| &**value)
    }

    fn factors(&self, bits: u64) -> String {
        let factors = self.program.spec.factors.iter().enumerate();
        let factors = factors.filter(|(at, _)| bits >> at & 1 == 1);
        factors
            .map(|(_, factor)| format!(", {}", factor_words(factor)))
            .collect()
    }
}

impl Record for Explanation<'_> {
    fn quantity(&mut self, slot: usize, measured: i128, billed: i128) {
        if let Some(place) = self.quantities.get_mut(slot) {
            *place = Some((measured, billed));
        }
    }

    fn line(&mut self, position: usize, cost: &LineCost<'_>) {
        let program = self.program;
        let Some(spec) = program.spec.lines.get(position) else {
            return;
        };
        let number = cost.line.slot.and_then(|slot| program.number(slot));
        let exchange = program.spec.exchange.as_ref();
        let credits_each = exchange.map_or(Ratio::ONE, |exchange| exchange.credits);
        let price = match exchange {
            Some(exchange) => format!("{} {}", cost.rate.price, exchange.unit),
            None => credits_text(cost.rate.price),
        };
        let mut text = format!("{}: ", spec.title());
        match (cost.line.slot, number) {
            (Some(slot), Some(number)) => {
                text.push_str(&self.billed(spec, slot, cost.quantity));
                text.push_str(&format!(" at {price} per {}", per_text(spec.per, number)));
            }
            _ => text.push_str(&price),
        }
        text.push_str(&self.row(cost.rate.row));
        text.push_str(&self.factors(cost.rate.factors));
        let limit = |words: &str, limit: Option<Credits>| {
            limit.map_or_else(String::new, |limit| format!(", {words} {limit}"))
        };
        text.push_str(&limit("at least", cost.min));
        text.push_str(&limit("at most", cost.max));
        let credits = credits_of_nanos(cost.nanos);
        let own = cost.line.rounding.map_or("", rounding_words);
        if let Some((before, after)) = cost.rounded {
            text.push_str(&rounded(before, own, after.exact, spec.decimals));
        }
        if let Some(exchange) = exchange {
            if let (Some((before, after)), Some((decimals, direction))) =
                (cost.exchanged, exchange.decimals)
            {
                let direction = rounding_words(direction);
                text.push_str(&rounded(before, direction, after.exact, Some(decimals)));
            }
            text.push_str(&format!(
                ", at {} credits a {}",
                exchange.credits, exchange.unit
            ));
        }
        if let Some(before) = cost.last {
            text.push_str(&rounded(before, own, cost.nanos, None));
        }
        let (quantity, unit, unit_credits) = figures(spec, cost, number, credits, credits_each);
        self.lines.push(Line {
            key: (*spec.key).to_owned(),
            description: text,
            quantity,
            unit,
            unit_credits,
            credits,
        });
    }

    fn total(&mut self, sum: i128, total: &TotalCost) {
        if sum == total.nanos {
            return;
        }
        let (before, after) = (credits_of_nanos(sum), credits_of_nanos(total.nanos));
        let mut words = Vec::new();
        words.extend(total.min.map(|min| format!("at least {min}")));
        words.extend(total.max.map(|max| format!("at most {max}")));
        let rounding = total.rounding.map(rounding_words);
        words.extend(rounding.map(|direction| format!("rounded {direction} to {after}")));
        let words = words.join(", ");
        let difference = credits_of_nanos(total.nanos.saturating_sub(sum));
        self.lines.push(Line {
            key: "total".to_owned(),
            description: format!("total: {before} {words}"),
            quantity: "1".to_owned(),
            unit: "total".to_owned(),
            unit_credits: difference,
            credits: difference,
        });
    }
}

impl Program {
    /// The number of a meter or a named quantity.
    fn by_name(&self, name: &str) -> Option<&Number> {
        self.number(*self.named_slots.get(name)?)
    }
}

/// Quantity, unit and price of a unit. Where the price of a unit has too many decimals, it is
/// that of as much as the card's price is for; where that has too, the line is one.
fn figures(
    spec: &LineSpec,
    cost: &LineCost<'_>,
    number: Option<&Number>,
    credits: Credits,
    credits_each: Ratio,
) -> (String, String, Credits) {
    let nanos = cost.rate.nanos.times(credits_each);
    let Some(number) = number else {
        let unit_credits = nanos.and_then(whole).unwrap_or(credits);
        return ("1".to_owned(), "usage".to_owned(), unit_credits);
    };
    let of_unit = nanos.and_then(|nanos| nanos.over(number.grain));
    if let Some(unit_credits) = of_unit.and_then(whole) {
        let quantity = number.units(cost.quantity).to_string();
        return (quantity, number.unit.to_string(), unit_credits);
    }
    let of_per = of_unit.and_then(|nanos| nanos.times(spec.per));
    let quantity = number.units(cost.quantity).over(spec.per);
    match (of_per.and_then(whole), quantity) {
        (Some(unit_credits), Some(quantity)) => {
            let unit = with_unit(spec.per, &number.unit);
            (quantity.to_string(), unit, unit_credits)
        }
        _ => ("1".to_owned(), number.text(cost.quantity), credits),
    }
}

/// ", 0.248987654312 rounded up to 0.248987655".
fn rounded(before: Amount, direction: &str, after: i128, decimals: Option<u32>) -> String {
    let exact = credits_of(before.exact, before.per);
    let exact = exact.map(|exact| exact.to_string());
    let exact = exact.filter(|exact| !exact.contains('/'));
    let exact =
        exact.unwrap_or_else(|| format!("more than {} decimals", decimals.unwrap_or(DECIMALS_MAX)));
    format!(
        ", {exact} rounded {direction} to {}",
        credits_of_nanos(after)
    )
}

/// A whole number of billionths.
fn whole(nanos: Ratio) -> Option<Credits> {
    let nanos = nanos.is_whole().then(|| nanos.numerator())?;
    Credits::from_nanos(i64::try_from(nanos).ok()?).ok()
}

fn credits_of_nanos(nanos: i128) -> Credits {
    let nanos = i64::try_from(nanos).ok();
    let credits = nanos.and_then(|nanos| Credits::from_nanos(nanos).ok());
    credits.unwrap_or(Credits::MAX)
}

fn credits_text(credits: Credits) -> String {
    let plural = if credits == Credits::ONE { "" } else { "s" };
    format!("{credits} credit{plural}")
}

/// "image", "60 s", "1000000 tokens".
fn per_text(per: Ratio, number: &Number) -> String {
    match per == Ratio::ONE && !number.is_time() {
        true => number.unit.to_string(),
        false => with_unit(per, &number.unit),
    }
}

/// ", billed 9 s (at least 9 s)", where it is another number than was measured.
fn changed(said: &QuantitySpec, number: &Number, measured: Ratio, billed: Ratio) -> String {
    if measured == billed {
        return String::new();
    }
    let billed = with_unit(billed, &number.unit);
    format!(", billed {billed} ({})", shapes(said, number))
}

fn shapes(said: &QuantitySpec, number: &Number) -> String {
    let figure = |size: Ratio| with_unit(size, &number.unit);
    let mut shapes = Vec::new();
    for (words, size) in [
        ("at least", said.at_least),
        ("up to", said.up_to),
        ("above", said.above),
    ] {
        shapes.extend(size.map(|size| format!("{words} {}", figure(size))));
    }
    if let Some(step) = said.step {
        let direction = match step.rounding {
            StepRounding::To(rounding) => rounding_words(rounding),
            StepRounding::Next => "to the next, also from a full one",
        };
        shapes.push(format!("steps of {}, {direction}", figure(step.size)));
    }
    shapes.join(", ")
}
