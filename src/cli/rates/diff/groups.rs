//! A service as groups of fields: its own, those of each meter, line, row and factor. They come
//! from the stored form, which has all that a revision is made of, so that no change is missed.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

/// Fields that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    /// Which list its order counts in; empty where it does not.
    pub(super) list: &'static str,
    /// What it is called, "line \"video\"".
    pub(super) name: String,
    /// Texts by field.
    pub(super) fields: BTreeMap<String, String>,
    /// Of a row: by what it is told from others when its ranges change, and its ranges.
    pub(super) ranges: Option<(String, String)>,
}

/// The groups of a service of the stored form.
pub(super) fn of_service(service: &Value) -> Vec<Group> {
    let mut service = service.clone();
    if let Some(fields) = service.as_object_mut() {
        fields.remove("key");
    }
    of_object(&service)
}

fn of_object(service: &Value) -> Vec<Group> {
    let empty = Map::new();
    let object = service.as_object().unwrap_or(&empty);
    let words: BTreeSet<&str> = object
        .get("attributes")
        .and_then(Value::as_object)
        .map(|attributes| attributes.keys().map(String::as_str).collect())
        .unwrap_or_default();
    let mut own = group("", String::new());
    let mut groups = Vec::new();
    for (field, value) in object {
        match (field.as_str(), value) {
            ("meters" | "attributes" | "quantities", Value::Object(named)) => {
                let kind = match field.as_str() {
                    "meters" => "meter",
                    "attributes" => "attribute",
                    _ => "quantity",
                };
                groups.extend(named.iter().map(|(name, value)| {
                    let mut group = group("", format!("{kind} {name}"));
                    add(&mut group.fields, "", value, &words);
                    group
                }));
            }
            ("lines", Value::Array(lines)) => {
                groups.extend(lines.iter().map(|line| of_line(line, &words)));
            }
            ("prices", Value::Array(rows)) => {
                groups.extend(rows.iter().flat_map(|row| of_row(row, &words)));
            }
            ("factors", Value::Array(factors)) => {
                groups.extend(factors.iter().map(|factor| of_factor(factor, &words)));
            }
            (field, value) => add(&mut own.fields, field, value, &words),
        }
    }
    groups.insert(0, own);
    // Several of one name are told apart by their number.
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for group in &mut groups {
        let count = counts.entry(group.name.clone()).or_default();
        *count = count.saturating_add(1);
        if *count > 1 {
            group.name = format!("{} ({count})", group.name);
        }
    }
    groups
}

/// The groups of what stands on a card beside its services.
pub(super) fn of_card(card: &Value) -> Vec<Group> {
    let mut card = card.clone();
    if let Some(fields) = card.as_object_mut() {
        fields.remove("services");
    }
    of_object(&card)
}

const fn group(list: &'static str, name: String) -> Group {
    Group {
        list,
        name,
        fields: BTreeMap::new(),
        ranges: None,
    }
}

/// Adds a value under a field, and what is in an object under names behind it.
fn add(fields: &mut BTreeMap<String, String>, field: &str, value: &Value, words: &BTreeSet<&str>) {
    match value {
        Value::Object(when) if field == "when" => {
            if !when.is_empty() {
                fields.insert("when".to_owned(), conditions(value, words));
            }
        }
        Value::Object(inner) => {
            for (name, value) in inner {
                let name = match field {
                    "" => name.clone(),
                    field => format!("{field} {name}"),
                };
                add(fields, &name, value, words);
            }
        }
        value => {
            let known = text(value);
            if !known.is_empty() {
                fields.insert(field.to_owned(), known);
            }
        }
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => list.iter().map(text).collect::<Vec<_>>().join(", "),
        value => value.to_string(),
    }
}

/// What must hold, "quality = hd, duration up to 60s".
fn conditions(when: &Value, words: &BTreeSet<&str>) -> String {
    let (mut all, ranges) = split(when, words);
    all.extend(ranges);
    all.join(", ")
}

/// The same, words and ranges apart.
fn split(when: &Value, words: &BTreeSet<&str>) -> (Vec<String>, Vec<String>) {
    let (mut of_words, mut of_ranges) = (Vec::new(), Vec::new());
    for (name, value) in when.as_object().into_iter().flatten() {
        let values = value.as_array().map(Vec::as_slice).unwrap_or_default();
        let values: Vec<_> = values.iter().map(text).collect();
        let values = values.join(" or ");
        match words.contains(name.as_str()) {
            true => of_words.push(format!("{name} = {values}")),
            false => {
                let is_word = values.starts_with(|c: char| c.is_ascii_alphabetic());
                let equals = if is_word { "" } else { "= " };
                of_ranges.push(format!("{name} {equals}{values}"));
            }
        }
    }
    (of_words, of_ranges)
}

fn of_line(line: &Value, words: &BTreeSet<&str>) -> Group {
    let key = line.get("key").map(text).unwrap_or_default();
    let mut group = group("lines", format!("line \"{key}\""));
    for (field, value) in line.as_object().into_iter().flatten() {
        if field != "key" {
            add(&mut group.fields, field, value, words);
        }
    }
    group
}

/// A group for each price of a row, or for its refusal.
fn of_row(row: &Value, words: &BTreeSet<&str>) -> Vec<Group> {
    let when = row.get("when").unwrap_or(&Value::Null);
    let (of_words, of_ranges) = split(when, words);
    let named = |what: String| {
        let place = |conditions: &[&String]| match conditions {
            [] => what.clone(),
            some => {
                let some: Vec<_> = some.iter().map(|text| text.as_str()).collect();
                format!("{what} where {}", some.join(", "))
            }
        };
        let all: Vec<_> = of_words.iter().chain(&of_ranges).collect();
        let mut group = group("prices", place(&all));
        if !of_ranges.is_empty() {
            let names = of_ranges.iter().filter_map(|range| range.split(' ').next());
            let names = names.collect::<Vec<_>>().join(", ");
            let words: Vec<_> = of_words.iter().collect();
            let kind = format!("{} by {names}", place(&words));
            group.ranges = Some((kind, of_ranges.join(", ")));
        }
        group
    };
    if let Some(why) = row.get("refuse") {
        let lines = row.get("lines").map(text).unwrap_or_default();
        let mut group = named(match lines.as_str() {
            "" => "refusal".to_owned(),
            lines => format!("refusal of {lines}"),
        });
        group.fields.insert("why".to_owned(), text(why));
        return vec![group];
    }
    let prices = row.get("prices").and_then(Value::as_object);
    let prices = prices.into_iter().flatten().map(|(line, price)| {
        let mut group = named(format!("price of \"{line}\""));
        group.fields.insert(String::new(), text(price));
        group
    });
    prices.collect()
}

fn of_factor(factor: &Value, words: &BTreeSet<&str>) -> Group {
    let when = conditions(factor.get("when").unwrap_or(&Value::Null), words);
    let place = if when.is_empty() { "always" } else { "where" };
    let lines = factor.get("lines").map(text).unwrap_or_default();
    let of = match lines.as_str() {
        "" => String::new(),
        lines => format!(" of {lines}"),
    };
    let name = format!("factor{of} {place} {when}");
    let mut group = group("factors", name.trim_end().to_owned());
    for (field, value) in factor.as_object().into_iter().flatten() {
        if field != "when" && field != "lines" {
            add(&mut group.fields, field, value, words);
        }
    }
    group
}
