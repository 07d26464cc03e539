//! Reads quantities, lines, rows and factors.

use std::collections::BTreeMap;
use std::ops::Range as Span;

use super::fields::{Fields, Read, Value, error, text_of, texts_of};
use super::read::{Entry, new_name};
use crate::app::card_file::duration::parse_nanos;
use crate::app::card_file::parse::{amount, check_text};
use crate::app::card_file::stored::rounding_of;
use crate::domain::amount::DECIMALS_MAX;
use crate::domain::pricing::lines::{
    Condition, FactorSpec, Formula, FormulaError, Is, LineSpec, QuantitySpec, Range, Ratio,
    RowSays, RowSpec, Spec, Step, StepRounding, TIME_UNIT, did_you_mean,
};
use crate::domain::{Credits, Rounding};

/// Which names are time, so that their figures are written as durations.
pub struct Units {
    is_time: BTreeMap<String, bool>,
}

impl Units {
    pub fn of(spec: &Spec, quantities: &[Entry<'_, '_>]) -> Self {
        let meters = spec.meters.iter();
        let is_time = meters.map(|(name, meter)| (name.to_string(), &*meter.unit == TIME_UNIT));
        let mut units = Self {
            is_time: is_time.collect(),
        };
        let quantities = quantities.iter().map(|(name, _, value)| {
            let (of, unit) = of_and_unit(value);
            let of = of.filter(|_| unit.is_none());
            (*name, unit, of.and_then(|of| Formula::parse(of).ok()))
        });
        let quantities: Vec<_> = quantities.collect();
        // As often as one can rest on another.
        for _ in &quantities {
            for (name, unit, formula) in &quantities {
                if let Some(is_time) = units.of_formula(*unit, formula.as_ref()) {
                    units.is_time.insert((*name).to_owned(), is_time);
                }
            }
        }
        units
    }

    /// Whether a quantity is time, where that can be told yet.
    fn of_formula(&self, unit: Option<&str>, formula: Option<&Formula>) -> Option<bool> {
        match unit {
            Some(unit) => Some(unit == TIME_UNIT),
            None => formula?
                .names()
                .find_map(|name| self.is_time.get(name).copied()),
        }
    }
}

/// The formula of a quantity and its unit.
fn of_and_unit<'a>(value: &'a Value<'_>) -> (Option<&'a str>, Option<&'a str>) {
    match value.get_ref().as_table() {
        None => (value.get_ref().as_str(), None),
        Some(table) => {
            let text = |name: &str| table.get(name).and_then(|text| text.get_ref().as_str());
            (text("of"), text("unit"))
        }
    }
}

/// A figure of a number: a duration where the number is time.
pub fn figure(text: &str, is_time: bool, at: &Span<usize>, name: &str) -> Read<Ratio> {
    if is_time {
        let nanos = parse_nanos(text).map_err(|problem| {
            let (problem, remedy) = problem.split_once("; ").unwrap_or((&problem, ""));
            error(at, format!("{name}: {problem}"), remedy)
        })?;
        return Ratio::new(nanos, 1_000_000_000)
            .filter(|ratio| !ratio.is_negative())
            .ok_or_else(|| {
                error(
                    at,
                    format!("{name}: \"{text}\" is less than 0"),
                    "write 0s or more",
                )
            });
    }
    Ratio::parse(text).ok_or_else(|| {
        error(
            at,
            format!("{name}: \"{text}\" is no number"),
            "write digits and at most one point, such as \"1000\" or \"0.5\"",
        )
    })
}

/// A quantity, which is a formula or a table with one; and whether it is time.
pub fn quantity(value: &Value<'_>, units: &Units, name: &str) -> Read<(QuantitySpec, bool)> {
    if !value.get_ref().is_table() {
        let (text, at) = text_of(value, "quantity")?;
        let formula = formula(text, &at, name)?;
        let is_time = units.of_formula(None, Some(&formula)).unwrap_or(false);
        return Ok((QuantitySpec::of(formula), is_time));
    }
    let fields = Fields::of(value, "a quantity")?;
    if let Some(counted) = fields.get("counted") {
        return Err(error(
            &counted.span(),
            format!("{name}: counted quantities are not built yet"),
            "take counted out",
        ));
    }
    fields.only(&[
        "of", "unit", "at_least", "up_to", "above", "step", "rounding",
    ])?;
    let (text, at) = fields.required("of")?;
    let formula = formula(text, &at, name);
    let (_, unit) = of_and_unit(value);
    let is_time = units
        .of_formula(unit, formula.as_ref().ok())
        .unwrap_or(false);
    let size = |field: &str| match fields.text(field)? {
        None => Ok(None),
        Some((text, at)) => {
            let size = figure(text, is_time, &at, &format!("{name}.{field}"))?;
            match size == Ratio::ZERO {
                true => Err(error(
                    &at,
                    format!("{name}.{field} is 0"),
                    "take it out, or write more",
                )),
                false => Ok(Some(size)),
            }
        }
    };
    let unit = match fields.text("unit")? {
        Some((unit, at)) => Some(check_text("unit", unit, &at)?.into()),
        None => None,
    };
    let step = match (size("step")?, fields.text("rounding")?) {
        (Some(size), Some((word, at))) => {
            let rounding = match word {
                "next" => StepRounding::Next,
                word => StepRounding::To(direction(word, &at)?),
            };
            Some(Step { size, rounding })
        }
        (Some(_), None) => {
            return Err(error(
                &fields.at,
                format!("{name}: step stands without rounding"),
                "add rounding",
            ));
        }
        (None, Some((_, at))) => {
            return Err(error(
                &at,
                format!("{name}: rounding stands without step"),
                "add step",
            ));
        }
        (None, None) => None,
    };
    let quantity = QuantitySpec {
        of: formula?,
        unit,
        at_least: size("at_least")?,
        up_to: size("up_to")?,
        above: size("above")?,
        step,
    };
    Ok((quantity, is_time))
}

fn formula(text: &str, at: &Span<usize>, name: &str) -> Read<Formula> {
    let grammar = "use names, numbers, + - * and brackets, and / by a number";
    Formula::parse(text).map_err(|problem| match problem {
        FormulaError::Unexpected(token) => error(
            at,
            format!("{name}: a formula cannot have {token} here"),
            grammar,
        ),
        FormulaError::Division => error(
            at,
            format!("{name}: a formula divides by numbers only"),
            "bill the ratio as a meter of its own",
        ),
        FormulaError::TooLarge => {
            error(at, format!("{name}: the formula is too large"), "split it")
        }
        FormulaError::Number(number) => {
            error(at, format!("{name}: \"{number}\" is no number"), grammar)
        }
    })
}

pub fn line(value: &Value<'_>, spec: &Spec, units: &Units) -> Read<LineSpec> {
    let fields = Fields::of(value, "a line")?;
    fields.only(&[
        "key",
        "title",
        "quantity",
        "per",
        "price",
        "when",
        "price_min",
        "price_max",
        "decimals",
        "rounding",
    ])?;
    let (key, key_at) = fields.required("key")?;
    new_name(spec, key, &key_at)?;
    let name = format!("line \"{key}\"");
    let title = match fields.text("title")? {
        Some((title, at)) => Some(check_text("title", title, &at)?.into()),
        None => None,
    };
    let quantity_value = fields.get("quantity");
    let quantity = quantity_value
        .map(|value| quantity(value, units, &name))
        .transpose()?;
    let (quantity, is_time) = quantity.unzip();
    let is_time = is_time.unwrap_or(false);
    let per = match (fields.text("per")?, &quantity) {
        (None, Some(_)) if is_time => {
            return Err(error(
                &fields.at,
                format!("{name}: a price of time needs per"),
                "say for how long, such as per = \"1m\"",
            ));
        }
        (None, _) => Ratio::ONE,
        (Some((_, at)), None) => {
            return Err(error(
                &at,
                format!("{name}: per stands without a quantity"),
                "take it out",
            ));
        }
        (Some((text, at)), Some(_)) => match figure(text, is_time, &at, &format!("{name}.per"))? {
            Ratio::ZERO => return Err(error(&at, format!("{name}: per is 0"), "write more")),
            per => per,
        },
    };
    let credits = |field: &str| {
        let text = fields.text(field)?;
        text.map(|(text, at)| amount(field, text, &at)).transpose()
    };
    let (price_min, price_max) = (credits("price_min")?, credits("price_max")?);
    if let (Some(min), Some(max)) = (price_min, price_max)
        && min > max
    {
        let problem = format!("{name}: its price_min is more than its price_max");
        return Err(error(&fields.at, problem, "change one of them"));
    }
    let decimals = decimals(&fields)?;
    let rounding = rounding_field(&fields)?;
    let when = match fields.get("when") {
        None => Vec::new(),
        Some(value) => {
            let entries = Fields::of(value, "when")?.entries();
            conditions(entries, spec, units, &name)?
        }
    };
    Ok(LineSpec {
        key: key.into(),
        title,
        quantity,
        per,
        price: credits("price")?,
        when,
        price_min,
        price_max,
        decimals,
        rounding,
    })
}

pub fn decimals(fields: &Fields<'_, '_>) -> Read<Option<u32>> {
    match fields.number("decimals")? {
        Some((decimals, at)) if decimals >= DECIMALS_MAX => Err(error(
            &at,
            format!("{decimals} decimals are as many as amounts have, or more"),
            format!("use less than {DECIMALS_MAX}, or take it out"),
        )),
        decimals => Ok(decimals.map(|(decimals, _)| decimals)),
    }
}

/// The direction of rounding that a table says.
pub fn rounding_field(fields: &Fields<'_, '_>) -> Read<Option<Rounding>> {
    let text = fields.text("rounding")?;
    text.map(|(word, at)| direction(word, &at)).transpose()
}

fn direction(word: &str, at: &Span<usize>) -> Read<Rounding> {
    rounding_of(word).ok_or_else(|| {
        error(
            at,
            format!("rounding \"{word}\" is not known"),
            "use \"up\", \"down\", \"half_up\" or \"half_even\"",
        )
    })
}

/// Lines have their conditions in a table of their own; rows and factors do not.
pub const WHEN_BESIDE: &str =
    "its conditions stand beside its other keys, such as { plan = \"pro\", times = \"0.8\" }";

fn conditions(
    entries: Vec<Entry<'_, '_>>,
    spec: &Spec,
    units: &Units,
    name: &str,
) -> Read<Vec<Condition>> {
    let conditions = entries.into_iter().map(|(key, at, value)| {
        let problem = || {
            format!("{name}: \"{key}\" is no attribute, meter, quantity or line of this service")
        };
        if key == "when" {
            return Err(error(&at, problem(), WHEN_BESIDE.to_owned()));
        }
        let texts = texts_of(value, key)?;
        if texts.is_empty() {
            let problem = format!("{name}: \"{key}\" has an empty list, so it never holds");
            let remedy = "name what it is about, or take it out";
            return Err(error(&at, problem, remedy.to_owned()));
        }
        let is = if spec.attributes.contains_key(key) {
            Is::OneOf(texts.into_iter().map(|(text, _)| text.into()).collect())
        } else if spec.meters.contains_key(key) || spec.quantities.contains_key(key) {
            let is_time = units.is_time.get(key).copied().unwrap_or(false);
            let ranges = texts.into_iter().map(|(text, at)| {
                let number =
                    |figures: &str| figure(figures, is_time, &at, &format!("{name}.{key}"));
                Range::parse(text, number)
            });
            Is::In(ranges.collect::<Read<_>>()?)
        } else {
            let known = spec.attributes.keys().chain(spec.meters.keys());
            let known = known.chain(spec.quantities.keys());
            let known = known.chain(spec.lines.iter().map(|line| &line.key));
            let remedy = did_you_mean(key, known.map(|name| &**name));
            return Err(error(&at, problem(), remedy));
        };
        Ok(Condition {
            name: key.into(),
            is,
        })
    });
    conditions.collect()
}

pub fn row(value: &Value<'_>, position: usize, spec: &Spec, units: &Units) -> Read<RowSpec> {
    let name = format!("prices, row {}", position.saturating_add(1));
    let fields = Fields::of(value, "a row of prices")?;
    let is_line = |key: &str| spec.lines.iter().any(|line| &*line.key == key);
    let mut when = Vec::new();
    let mut prices: Vec<(Box<str>, Credits)> = Vec::new();
    for entry in fields.entries() {
        let (key, _, value) = &entry;
        match *key {
            "refuse" | "lines" => {}
            key if is_line(key) => {
                let (text, at) = text_of(value, key)?;
                prices.push((key.into(), amount(key, text, &at)?));
            }
            _ => when.push(entry),
        }
    }
    let when = conditions(when, spec, units, &name)?;
    let says = match (fields.text("refuse")?, prices.is_empty()) {
        (Some((why, at)), true) => RowSays::Refuse {
            why: check_text("refuse", why, &at)?.into(),
            lines: keys(&fields)?,
        },
        (None, false) if !fields.has("lines") => RowSays::Prices(prices),
        (None, true) => {
            return Err(error(
                &fields.at,
                format!("{name} has no price"),
                "name a line and its price, or write refuse = \"why\"",
            ));
        }
        _ => {
            return Err(error(
                &fields.at,
                format!("{name} has a price and refuse or lines"),
                "a row says either prices of lines, or refuse and the lines that it is about",
            ));
        }
    };
    Ok(RowSpec { when, says })
}

/// The keys of lines in a list, or one.
fn keys(fields: &Fields<'_, '_>) -> Read<Vec<Box<str>>> {
    let texts = fields.get("lines").map(|value| texts_of(value, "lines"));
    let texts = texts.transpose()?;
    if let (Some(value), Some([])) = (fields.get("lines"), texts.as_deref()) {
        let remedy = "name some, or leave lines out where it is about all";
        return Err(error(&value.span(), "lines names no line", remedy));
    }
    let texts = texts.unwrap_or_default();
    Ok(texts.into_iter().map(|(text, _)| text.into()).collect())
}

pub fn factor(value: &Value<'_>, position: usize, spec: &Spec, units: &Units) -> Read<FactorSpec> {
    let name = format!("factors, entry {}", position.saturating_add(1));
    let fields = Fields::of(value, "a factor")?;
    let (text, at) = fields.required("times")?;
    let times = figure(text, false, &at, &format!("{name}.times"))?;
    let title = match fields.text("title")? {
        Some((title, at)) => Some(check_text("title", title, &at)?.into()),
        None => None,
    };
    let mut entries = fields.entries();
    entries.retain(|(key, _, _)| !matches!(*key, "times" | "title" | "lines"));
    Ok(FactorSpec {
        when: conditions(entries, spec, units, &name)?,
        times,
        lines: keys(&fields)?,
        title,
    })
}
