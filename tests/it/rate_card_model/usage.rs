//! Steps 1 and 2: reads the meters and attributes of a usage by what its service says. All
//! faults are collected.

use std::collections::{BTreeMap, BTreeSet};

use num_traits::Zero;
use toml::{Table, Value};

use super::card::{decimals, is_one_of, names, number, text};
use super::number::{Number, decimal, duration, whole};
use super::{Texts, Usage};

/// Reasons to refuse a usage.
pub type Reasons = BTreeSet<&'static str>;

/// The meters that a usage carries in fields of their own.
const OWN_FIELDS: [&str; 2] = ["duration", "count"];
/// The largest number of seconds: a duration may have billionths beyond it, a meter may not.
const DURATION_MAX: i64 = 315_576_000_000;
/// The largest count.
const COUNT_MAX: i64 = i64::MAX;

/// The quantity that the usage has in a field of its own.
///
/// # Errors
/// INVALID_QUANTITY for one that no usage can have, whatever the service is.
fn own_quantity(usage: &Usage, field: &str) -> Result<Option<Number>, &'static str> {
    let is_whole = |value: &Number, grains| (value * whole(grains)).is_integer();
    let value = match (field, &usage.duration, &usage.count) {
        ("duration", Some(text), _) => duration(text)
            .filter(|value| is_whole(value, 1_000_000_000) && value < &whole(DURATION_MAX + 1)),
        ("count", _, Some(text)) => decimal(text)
            .filter(|(value, decimals)| *decimals == 0 && value <= &whole(COUNT_MAX))
            .map(|(value, _)| value),
        _ => return Ok(None),
    };
    let positive = value.filter(|value| value > &Number::zero());
    positive.map(Some).ok_or("INVALID_QUANTITY")
}

/// What is wrong with a usage whatever the service is.
pub fn own_faults(usage: &Usage) -> Reasons {
    let faults = OWN_FIELDS
        .iter()
        .filter_map(|field| own_quantity(usage, field).err());
    let is_unnamed = usage.service.is_empty();
    faults
        .chain(is_unnamed.then_some("FIELD_REQUIRED"))
        .collect()
}

/// The meters of a service. The meter of a service of format 1 is written as one of format 2.
fn meters_of(service: &Value) -> Table {
    let Some(meter) = text(service, "meter") else {
        return names(service, "meters")
            .map(|(name, value)| (name.to_owned(), value.clone()))
            .collect();
    };
    let mut rules = Table::new();
    if meter == "count" && text(service, "quantity") != Some("required") {
        rules.insert("default".to_owned(), "1".into());
    }
    if let Some(max) = service.get("quantity_max") {
        rules.insert("max".to_owned(), max.clone());
    }
    Table::from_iter([(meter.to_owned(), Value::Table(rules))])
}

/// The meters, sent or default. Reasons are added to those that are there.
pub fn read_meters(
    usage: &Usage,
    service: &Value,
    reasons: &mut Reasons,
) -> BTreeMap<String, Number> {
    let meters = meters_of(service);
    let is_own = |name: &str| OWN_FIELDS.contains(&name);
    // A usage that has the other quantity is not asked for the right one, too.
    let mut has_other = false;
    for field in OWN_FIELDS
        .into_iter()
        .filter(|field| !meters.contains_key(*field))
    {
        match own_quantity(usage, field) {
            Ok(None) => continue,
            Ok(Some(_)) => reasons.insert("WRONG_QUANTITY"),
            Err(reason) => reasons.insert(reason),
        };
        has_other = true;
    }
    if usage
        .meters
        .keys()
        .any(|name| is_own(name) || !meters.contains_key(name))
    {
        reasons.insert("UNKNOWN_METER");
    }
    let mut values = BTreeMap::new();
    for (name, meter) in &meters {
        match read_meter(usage, name, meter, service.get("lines").is_some()) {
            Ok(Some(value)) => {
                values.insert(name.clone(), value);
            }
            Ok(None) if is_own(name) && has_other => {}
            Ok(None) => {
                reasons.insert("FIELD_REQUIRED");
            }
            Err(reason) => {
                reasons.insert(reason);
            }
        }
    }
    values
}

/// A meter, sent or default; None where there is neither.
fn read_meter(
    usage: &Usage,
    name: &str,
    meter: &Value,
    has_lines: bool,
) -> Result<Option<Number>, &'static str> {
    let is_time = name == "duration" || text(meter, "unit") == Some("s");
    let max = (has_lines && is_time).then(|| whole(DURATION_MAX));
    let sent = if OWN_FIELDS.contains(&name) {
        own_quantity(usage, name)?
    } else {
        let is_time = text(meter, "unit") == Some("s");
        let decimals_max = if is_time {
            9
        } else {
            decimals(meter).unwrap_or(0)
        };
        match usage.meters.get(name).map(|text| decimal(text)) {
            None => None,
            Some(Some((value, written))) if written <= decimals_max => Some(value),
            Some(_) => return Err("INVALID_QUANTITY"),
        }
    };
    match sent {
        None => Ok(number(meter, "default")),
        Some(value) if number(meter, "min").is_some_and(|min| value < min) => {
            Err("QUANTITY_TOO_SMALL")
        }
        Some(value) if number(meter, "max").or(max).is_some_and(|max| value > max) => {
            Err("QUANTITY_TOO_LARGE")
        }
        value => Ok(value),
    }
}

/// The attributes, sent, given or default. Reasons are added to those that are there.
pub fn read_attributes(
    usage: &Usage,
    given: &Texts,
    service: &Value,
    reasons: &mut Reasons,
) -> Texts {
    let mut values = Texts::new();
    let mut from_caller = BTreeSet::new();
    for (name, attribute) in names(service, "attributes") {
        let source = if attribute.get("from").is_some() {
            given
        } else {
            from_caller.insert(name);
            &usage.attributes
        };
        let default = text(attribute, "default");
        match source.get(name).map(String::as_str).or(default) {
            None => {
                reasons.insert("FIELD_REQUIRED");
            }
            Some(value) if !is_one_of(value, attribute.get("values").unwrap_or(attribute)) => {
                reasons.insert("UNKNOWN_ATTRIBUTE_VALUE");
            }
            Some(value) => {
                values.insert(name.to_owned(), value.to_owned());
            }
        }
    }
    if usage
        .attributes
        .keys()
        .any(|name| !from_caller.contains(name.as_str()))
    {
        reasons.insert("UNKNOWN_ATTRIBUTE");
    }
    values
}
