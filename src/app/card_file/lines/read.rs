//! Reads the specification of a service: its meters, attributes, quantities, lines, rows and
//! factors.

use std::ops::Range as Span;

use super::attribute::attribute;
use super::fields::{Fields, Read, Value, error, text_of};
use super::parts::{Units, decimals, factor, figure, line, quantity, rounding_field, row};
use crate::app::card_file::parse::{amount, check_text};
use crate::domain::amount::{DECIMALS_MAX, Rounding};
use crate::domain::pricing::lines::{MeterSpec, Ratio, Spec, TIME_DECIMALS, TIME_UNIT, TotalSpec};

/// Most meters, and most attributes, of a service: what a usage can carry.
const PAIRS_MAX: usize = 16;
/// Most quantities, lines and factors of a service.
pub const ENTRIES_MAX: usize = 32;
/// Most values of all attributes of a service.
pub const VALUES_MAX: usize = 1_024;
/// Most rows of prices of a service.
pub const ROWS_MAX: usize = 16_384;
/// Longest name.
const NAME_BYTES_MAX: usize = 64;
/// Fields of entries, which are no names.
const RESERVED: [&str; 7] = [
    "refuse", "lines", "times", "title", "costs", "refused", "total",
];
/// Fields of a service.
const FIELDS: [&str; 14] = [
    "key",
    "title",
    "rule",
    "shown",
    "meters",
    "attributes",
    "quantities",
    "lines",
    "prices",
    "factors",
    "total",
    "rounding",
    "may_fall",
    "examples",
];

/// The specification of a service.
pub fn spec(fields: &Fields<'_, '_>, card_rounding: Option<Rounding>) -> Read<Spec> {
    fields.only(&FIELDS)?;
    let mut spec = Spec::default();
    for (name, at, value) in limited(fields.table("meters")?, PAIRS_MAX, "meters")? {
        new_name(&spec, name, &at)?;
        spec.meters.insert(name.into(), meter(name, value)?);
    }
    if spec.meters.contains_key("duration") && spec.meters.contains_key("count") {
        return Err(error(
            &fields.at,
            "a usage carries a duration or a count, not both",
            "name the pieces, such as images",
        ));
    }
    for (name, at, value) in limited(fields.table("attributes")?, PAIRS_MAX, "attributes")? {
        new_name(&spec, name, &at)?;
        spec.attributes
            .insert(name.into(), attribute(name, &at, value)?);
    }
    let values = spec
        .attributes
        .values()
        .map(|attribute| attribute.values.len());
    if values.fold(0_usize, usize::saturating_add) > VALUES_MAX {
        let problem = format!("its attributes have more than {VALUES_MAX} values");
        return Err(error(&fields.at, problem, "split the service"));
    }
    // Units of quantities follow from what they rest on, which may stand after them.
    let quantities = limited(fields.table("quantities")?, ENTRIES_MAX, "quantities")?;
    for (name, at, _) in &quantities {
        new_name(&spec, name, at)?;
    }
    let units = Units::of(&spec, &quantities);
    for (name, _, value) in &quantities {
        let (read, _) = quantity(value, &units, &format!("quantity \"{name}\""))?;
        spec.quantities.insert((*name).into(), read);
    }
    let list = fields.list("lines")?;
    if list.is_empty() || list.len() > ENTRIES_MAX {
        let problem = format!("it has {} lines", list.len());
        return Err(error(
            &fields.at,
            problem,
            format!("write 1 to {ENTRIES_MAX} lines"),
        ));
    }
    for value in list {
        let line = line(value, &spec, &units)?;
        spec.lines.push(line);
    }
    let rows = fields.list("prices")?;
    if rows.len() > ROWS_MAX {
        let problem = format!("it has more than {ROWS_MAX} rows of prices");
        return Err(error(&fields.at, problem, "split the service"));
    }
    for (position, value) in rows.iter().enumerate() {
        let row = row(value, position, &spec, &units)?;
        spec.rows.push(row);
    }
    let factors = fields.list("factors")?;
    if factors.len() > ENTRIES_MAX {
        let problem = format!("it has more than {ENTRIES_MAX} factors");
        return Err(error(&fields.at, problem, "put them together"));
    }
    for (position, value) in factors.iter().enumerate() {
        let factor = factor(value, position, &spec, &units)?;
        spec.factors.push(factor);
    }
    spec.total = total(fields, card_rounding)?;
    for value in fields.list("may_fall")? {
        let (name, _) = text_of(value, "may_fall")?;
        spec.may_fall.insert(name.into());
    }
    Ok(spec)
}

pub type Entry<'a, 't> = (&'a str, Span<usize>, &'a Value<'t>);

fn limited<'a, 't>(
    entries: Vec<Entry<'a, 't>>,
    most: usize,
    what: &str,
) -> Read<Vec<Entry<'a, 't>>> {
    match entries.get(most) {
        None => Ok(entries),
        Some((_, at, _)) => Err(error(
            at,
            format!("it has more than {most} {what}"),
            "split the service",
        )),
    }
}

/// Checks a name, which must not be taken.
pub fn new_name(spec: &Spec, name: &str, at: &Span<usize>) -> Read<()> {
    if RESERVED.contains(&name) {
        let problem = format!("\"{name}\" is a word of the language");
        return Err(error(at, problem, "choose another name"));
    }
    let starts = name.starts_with(|c: char| c.is_ascii_lowercase());
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    if !starts || name.len() > NAME_BYTES_MAX || !name.bytes().all(allowed) {
        let problem = format!("\"{name}\" cannot be a name");
        let remedy = format!("use at most {NAME_BYTES_MAX} of a-z 0-9 _, a letter first");
        return Err(error(at, problem, remedy));
    }
    let is_taken = spec.meters.contains_key(name)
        || spec.attributes.contains_key(name)
        || spec.quantities.contains_key(name)
        || spec.lines.iter().any(|line| &*line.key == name);
    match is_taken {
        true => Err(error(
            at,
            format!("\"{name}\" stands here twice"),
            "give each its own name",
        )),
        false => Ok(()),
    }
}

fn meter(name: &str, value: &Value<'_>) -> Read<MeterSpec> {
    let fields = Fields::of(value, "a meter")?;
    fields.only(&["unit", "decimals", "default", "min", "max"])?;
    let unit = match (name, fields.text("unit")?) {
        ("duration", None) => TIME_UNIT,
        (_, Some((unit, at))) => check_text("unit", unit, &at)?,
        ("count", None) => "piece",
        _ => {
            let problem = format!("nobody knows what one of meter \"{name}\" is called");
            return Err(error(
                &fields.at,
                problem,
                "say it, such as unit = \"token\"",
            ));
        }
    };
    if (name == "duration") != (unit == TIME_UNIT) && matches!(name, "duration" | "count") {
        let problem = format!("meter \"{name}\" cannot have the unit \"{unit}\"");
        return Err(error(&fields.at, problem, "take the unit out"));
    }
    let is_time = unit == TIME_UNIT;
    let decimals = match fields.number("decimals")? {
        None if is_time => TIME_DECIMALS,
        None => 0,
        Some((decimals, _)) if decimals <= DECIMALS_MAX && !is_time && name != "count" => decimals,
        Some((_, at)) => {
            let problem = format!("meter \"{name}\" cannot have these decimals");
            return Err(error(
                &at,
                problem,
                format!("use at most {DECIMALS_MAX}; time has 9, count none"),
            ));
        }
    };
    let read = |field: &str| {
        let Some((text, at)) = fields.text(field)? else {
            return Ok(None);
        };
        let number = figure(text, is_time, &at, &format!("meter \"{name}\".{field}"))?;
        let scale = Ratio::whole(10_i128.checked_pow(decimals).unwrap_or(1));
        match number.times(scale).is_some_and(Ratio::is_whole) {
            true => Ok(Some(number)),
            false => Err(error(
                &at,
                format!("meter \"{name}\".{field} has more than {decimals} decimals"),
                "write fewer",
            )),
        }
    };
    let (default, min, max) = (read("default")?, read("min")?, read("max")?);
    if default.is_some_and(|default| {
        min.is_some_and(|min| default < min) || max.is_some_and(|max| default > max)
    }) {
        let problem = format!("the default of meter \"{name}\" is outside of its min and max");
        return Err(error(&fields.at, problem, "change one of them"));
    }
    Ok(MeterSpec {
        unit: unit.into(),
        decimals,
        default,
        min,
        max,
    })
}

fn total(service: &Fields<'_, '_>, card_rounding: Option<Rounding>) -> Read<TotalSpec> {
    let Some(value) = service.get("total") else {
        return Ok(TotalSpec::default());
    };
    let fields = Fields::of(value, "total")?;
    fields.only(&["min", "max", "decimals", "rounding"])?;
    let credits = |field: &str| {
        let text = fields.text(field)?;
        text.map(|(text, at)| amount(field, text, &at)).transpose()
    };
    let (min, max) = (credits("min")?, credits("max")?);
    if let (Some(min), Some(max)) = (min, max)
        && min > max
    {
        return Err(error(
            &fields.at,
            "total: its min is more than its max",
            "change one of them",
        ));
    }
    let own = rounding_field(&fields)?;
    let decimals = match (
        decimals(&fields)?,
        own.or(rounding_field(service)?).or(card_rounding),
    ) {
        (None, _) if own.is_some() => {
            return Err(error(
                &fields.at,
                "total: nothing is rounded here",
                "take rounding out",
            ));
        }
        (None, _) => None,
        (Some(decimals), Some(rounding)) => Some((decimals, rounding)),
        (Some(_), None) => {
            return Err(error(
                &fields.at,
                "a total that is rounded must say how",
                "add rounding = \"up\", \"down\", \"half_up\" or \"half_even\"",
            ));
        }
    };
    Ok(TotalSpec { min, max, decimals })
}
