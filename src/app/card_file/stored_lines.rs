//! The stored form of a service whose price is a sum of lines. What has its default is left
//! out; names are sorted; numbers, conditions and formulas have one spelling.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::duration::parse_nanos;
use super::stored::{rounding_of, rounding_word};
use super::stored_factors::{StoredAttribute, StoredFactor};
use crate::domain::pricing::lines::{
    Condition, Exchange, Formula, Is, LineSpec, MeterSpec, Program, QuantitySpec, Range, Ratio,
    RowSays, RowSpec, Spec, Step, StepRounding, TIME_DECIMALS, TIME_UNIT, TotalSpec,
};
use crate::domain::{Credits, Rounding};

pub type Texts = BTreeMap<String, Vec<String>>;

#[derive(Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct StoredMeter {
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decimals: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none", rename = "default")]
    default_value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredQuantity {
    of: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unit: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at_least: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    up_to: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    above: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    step: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rounding: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredLine {
    key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    #[serde(default, skip_serializing_if = "Texts::is_empty")]
    when: Texts,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    quantity: Option<StoredQuantity>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    per: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    price: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    price_min: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    price_max: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    decimals: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rounding: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredRow {
    #[serde(default, skip_serializing_if = "Texts::is_empty")]
    when: Texts,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    prices: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refuse: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    lines: Vec<String>,
}

#[derive(Serialize, Deserialize, Default, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct StoredTotal {
    #[serde(skip_serializing_if = "Option::is_none")]
    min: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decimals: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rounding: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredExchange {
    unit: String,
    credits: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    decimals: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rounding: Option<String>,
}

impl From<&Exchange> for StoredExchange {
    fn from(exchange: &Exchange) -> Self {
        let (decimals, rounding) = exchange.decimals.unzip();
        Self {
            unit: exchange.unit.to_string(),
            credits: exchange.credits.to_string(),
            decimals,
            rounding: rounding.map(|rounding| rounding_word(rounding).to_owned()),
        }
    }
}

impl StoredExchange {
    /// The exchange of this form.
    pub fn restore(self) -> Result<Exchange, String> {
        Ok(Exchange {
            unit: self.unit.into(),
            credits: number_of(&self.credits)?,
            decimals: self.decimals.zip(direction(self.rounding)?),
        })
    }
}

/// The fields of such a service beside those that every service has.
#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
pub struct StoredLines {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    meters: BTreeMap<String, StoredMeter>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    attributes: BTreeMap<String, StoredAttribute>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    quantities: BTreeMap<String, StoredQuantity>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lines: Vec<StoredLine>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    prices: Vec<StoredRow>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    factors: Vec<StoredFactor>,
    #[serde(skip_serializing_if = "is_default")]
    total: StoredTotal,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    may_fall: Vec<String>,
}

fn is_default(total: &StoredTotal) -> bool {
    *total == StoredTotal::default()
}

fn text<T: ToString>(value: Option<T>) -> Option<String> {
    value.map(|value| value.to_string())
}

impl From<&Program> for StoredLines {
    fn from(program: &Program) -> Self {
        let spec = &program.spec;
        let form = Form { program };
        Self {
            meters: spec
                .meters
                .iter()
                .map(|(name, meter)| (name.to_string(), form.meter(name, meter)))
                .collect(),
            attributes: spec
                .attributes
                .iter()
                .map(|(name, attribute)| (name.to_string(), attribute.into()))
                .collect(),
            quantities: spec
                .quantities
                .iter()
                .map(|(name, quantity)| {
                    let is_time = form.is_time(name);
                    (name.to_string(), form.quantity(quantity, is_time))
                })
                .collect(),
            lines: spec
                .lines
                .iter()
                .enumerate()
                .map(|(position, line)| form.line(position, line))
                .collect(),
            prices: spec.rows.iter().map(|row| form.row(row)).collect(),
            factors: spec
                .factors
                .iter()
                .map(|factor| StoredFactor::of(factor, form.conditions(&factor.when)))
                .collect(),
            total: StoredTotal {
                min: text(spec.total.min),
                max: text(spec.total.max),
                decimals: spec.total.decimals.map(|(decimals, _)| decimals),
                rounding: spec
                    .total
                    .decimals
                    .map(|(_, rounding)| rounding_word(rounding).to_owned()),
            },
            may_fall: spec.may_fall.iter().map(ToString::to_string).collect(),
        }
    }
}

/// Spells a program's figures.
struct Form<'a> {
    program: &'a Program,
}

impl Form<'_> {
    fn is_time(&self, name: &str) -> bool {
        let slot = self.program.named_slots.get(name);
        let number = slot.and_then(|slot| self.program.number(*slot));
        number.is_some_and(|number| number.is_time())
    }

    fn meter(&self, name: &str, meter: &MeterSpec) -> StoredMeter {
        let is_time = &*meter.unit == TIME_UNIT;
        let figure = |number: Option<Ratio>| number.map(|number| figure(number, is_time));
        let own = if is_time { TIME_DECIMALS } else { 0 };
        StoredMeter {
            unit: (name != "duration").then(|| meter.unit.to_string()),
            decimals: (meter.decimals != own).then_some(meter.decimals),
            default_value: figure(meter.default),
            min: figure(meter.min),
            max: figure(meter.max),
        }
    }

    fn quantity(&self, quantity: &QuantitySpec, is_time: bool) -> StoredQuantity {
        let figure = |number: Option<Ratio>| number.map(|number| figure(number, is_time));
        StoredQuantity {
            of: quantity.of.to_string(),
            unit: text(quantity.unit.as_ref()),
            at_least: figure(quantity.at_least),
            up_to: figure(quantity.up_to),
            above: figure(quantity.above),
            step: figure(quantity.step.map(|step| step.size)),
            rounding: quantity.step.map(|step| match step.rounding {
                StepRounding::To(rounding) => rounding_word(rounding).to_owned(),
                StepRounding::Next => "next".to_owned(),
            }),
        }
    }

    fn line(&self, position: usize, line: &LineSpec) -> StoredLine {
        let slot = self.program.lines.get(position).and_then(|line| line.slot);
        let number = slot.and_then(|slot| self.program.number(slot));
        let is_time = number.is_some_and(|number| number.is_time());
        let quantity = line.quantity.as_ref();
        StoredLine {
            key: line.key.to_string(),
            title: text(line.title.as_ref()),
            when: self.conditions(&line.when),
            quantity: quantity.map(|quantity| self.quantity(quantity, is_time)),
            per: (line.per != Ratio::ONE || is_time).then(|| figure(line.per, is_time)),
            price: text(line.price),
            price_min: text(line.price_min),
            price_max: text(line.price_max),
            decimals: line.decimals,
            rounding: line
                .rounding
                .map(|rounding| rounding_word(rounding).to_owned()),
        }
    }

    fn row(&self, row: &RowSpec) -> StoredRow {
        let (mut prices, mut refuse, mut lines) = (BTreeMap::new(), None, Vec::new());
        match &row.says {
            RowSays::Prices(of_lines) => {
                prices.extend(
                    of_lines
                        .iter()
                        .map(|(line, price)| (line.to_string(), price.to_string())),
                );
            }
            RowSays::Refuse { why, lines: about } => {
                refuse = Some(why.to_string());
                lines.extend(about.iter().map(ToString::to_string));
            }
        }
        StoredRow {
            when: self.conditions(&row.when),
            prices,
            refuse,
            lines,
        }
    }

    fn conditions(&self, conditions: &[Condition]) -> Texts {
        let texts = conditions.iter().map(|condition| {
            let texts = match &condition.is {
                Is::OneOf(words) => words.iter().map(ToString::to_string).collect(),
                Is::In(ranges) => {
                    let is_time = self.is_time(&condition.name);
                    let ranges = ranges.iter();
                    ranges
                        .map(|range| range.words(|number| figure(number, is_time)))
                        .collect()
                }
            };
            (condition.name.to_string(), texts)
        });
        texts.collect()
    }
}

/// A figure: "1.5s" for time, "1.5" otherwise.
fn figure(number: Ratio, is_time: bool) -> String {
    match is_time {
        true => format!("{number}s"),
        false => number.to_string(),
    }
}

impl StoredLines {
    /// The program of this form.
    pub fn restore(self, exchange: Option<&Exchange>) -> Result<Program, String> {
        let mut spec = Spec {
            exchange: exchange.cloned(),
            ..Spec::default()
        };
        for (name, meter) in self.meters {
            let unit = meter.unit.unwrap_or_else(|| TIME_UNIT.to_owned());
            let decimals = if unit == TIME_UNIT { TIME_DECIMALS } else { 0 };
            let restored = MeterSpec {
                decimals: meter.decimals.unwrap_or(decimals),
                unit: unit.into(),
                default: number(meter.default_value)?,
                min: number(meter.min)?,
                max: number(meter.max)?,
            };
            spec.meters.insert(name.into(), restored);
        }
        for (name, attribute) in self.attributes {
            spec.attributes.insert(name.into(), attribute.restore()?);
        }
        for (name, stored) in self.quantities {
            spec.quantities.insert(name.into(), quantity(stored)?);
        }
        for line in self.lines {
            let line = LineSpec {
                key: line.key.into(),
                title: line.title.map(Into::into),
                quantity: line.quantity.map(quantity).transpose()?,
                per: number(line.per)?.unwrap_or(Ratio::ONE),
                price: credits(line.price)?,
                when: conditions(line.when, &spec)?,
                price_min: credits(line.price_min)?,
                price_max: credits(line.price_max)?,
                decimals: line.decimals,
                rounding: direction(line.rounding)?,
            };
            spec.lines.push(line);
        }
        for row in self.prices {
            let when = conditions(row.when, &spec)?;
            let says = match row.refuse {
                Some(why) => RowSays::Refuse {
                    why: why.into(),
                    lines: row.lines.into_iter().map(Into::into).collect(),
                },
                None => {
                    let mut prices = Vec::with_capacity(row.prices.len());
                    for (line, price) in row.prices {
                        prices.push((line.into(), amount(&price)?));
                    }
                    RowSays::Prices(prices)
                }
            };
            spec.rows.push(RowSpec { when, says });
        }
        for factor in self.factors {
            spec.factors.push(factor.restore(&spec)?);
        }
        let rounding = direction(self.total.rounding)?;
        spec.total = TotalSpec {
            min: credits(self.total.min)?,
            max: credits(self.total.max)?,
            decimals: self.total.decimals.zip(rounding),
        };
        spec.may_fall = self.may_fall.into_iter().map(Into::into).collect();
        Program::compile(spec, None).map_err(|error| error.problem)
    }
}

pub fn number_of(text: &str) -> Result<Ratio, String> {
    let number = match text.strip_suffix('s') {
        Some(_) => Ratio::new(parse_nanos(text)?, 1_000_000_000),
        None => Ratio::parse(text),
    };
    number.ok_or_else(|| format!("number \"{text}\""))
}

fn number(text: Option<String>) -> Result<Option<Ratio>, String> {
    text.map(|text| number_of(&text)).transpose()
}

fn amount(text: &str) -> Result<Credits, String> {
    Credits::parse(text).map_err(|error| format!("{text}: {error:?}"))
}

fn credits(text: Option<String>) -> Result<Option<Credits>, String> {
    text.map(|text| amount(&text)).transpose()
}

fn direction(word: Option<String>) -> Result<Option<Rounding>, String> {
    let direction = |word: String| rounding_of(&word).ok_or_else(|| format!("rounding \"{word}\""));
    word.map(direction).transpose()
}

fn quantity(stored: StoredQuantity) -> Result<QuantitySpec, String> {
    let of = Formula::restore(&stored.of).map_err(|error| format!("{}: {error:?}", stored.of))?;
    let step = match (number(stored.step)?, stored.rounding) {
        (Some(size), Some(word)) => {
            let rounding = match word.as_str() {
                "next" => StepRounding::Next,
                word => StepRounding::To(rounding_of(word).ok_or_else(|| word.to_owned())?),
            };
            Some(Step { size, rounding })
        }
        _ => None,
    };
    Ok(QuantitySpec {
        of,
        unit: stored.unit.map(Into::into),
        at_least: number(stored.at_least)?,
        up_to: number(stored.up_to)?,
        above: number(stored.above)?,
        step,
    })
}

pub fn conditions(texts: Texts, spec: &Spec) -> Result<Vec<Condition>, String> {
    let conditions = texts.into_iter().map(|(name, texts)| {
        let is = match spec.attributes.contains_key(name.as_str()) {
            true => Is::OneOf(texts.into_iter().map(Into::into).collect()),
            false => {
                let ranges = texts.iter().map(|text| Range::parse(text, number_of));
                Is::In(ranges.collect::<Result<_, _>>()?)
            }
        };
        Ok(Condition {
            name: name.into(),
            is,
        })
    });
    conditions.collect()
}
