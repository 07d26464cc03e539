//! A card as its TOML says it, and how to read the fields.

use toml::{Table, Value};

use super::number::{self, Number};

/// A rate card.
#[derive(Debug)]
pub struct Card {
    pub(crate) card: Value,
}

impl Card {
    /// Reads a card, which must be valid, and must not extend another.
    #[must_use]
    pub fn read(toml: &str) -> Self {
        let table: Table = toml.parse().expect("a card is TOML");
        assert!(
            !table.contains_key("extends"),
            "the model reads resolved cards"
        );
        let card = Value::Table(table);
        Self { card }
    }
}

/// The text of a field.
pub fn text<'a>(value: &'a Value, field: &str) -> Option<&'a str> {
    value.get(field).and_then(Value::as_str)
}

/// The number of a field; a duration in seconds.
pub fn number(value: &Value, field: &str) -> Option<Number> {
    text(value, field).map(number::number)
}

/// The field `decimals`.
pub fn decimals(value: &Value) -> Option<u32> {
    let decimals = value.get("decimals").and_then(Value::as_integer)?;
    Some(u32::try_from(decimals).expect("decimals are from 0 to 9"))
}

/// The first `rounding` that is written, of these tables from the nearest to the card.
pub fn rounding<'a>(nearest_first: &[&'a Value]) -> Option<&'a str> {
    nearest_first
        .iter()
        .find_map(|value| text(value, "rounding"))
}

/// The entries of a list; none where the field is left out.
pub fn list<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    let list = value.get(field).and_then(Value::as_array);
    list.into_iter().flatten()
}

/// The names of a table with their values; none where the field is left out.
pub fn names<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = (&'a str, &'a Value)> {
    value.get(field).into_iter().flat_map(fields)
}

/// The fields of a table with their values.
pub fn fields(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let table = value.as_table().into_iter().flatten();
    table.map(|(name, value)| (name.as_str(), value))
}

/// Whether the text is the value, or one of the list that it is.
pub fn is_one_of(text: &str, value: &Value) -> bool {
    match value {
        Value::Array(values) => values.iter().any(|value| value.as_str() == Some(text)),
        _ => value.as_str() == Some(text),
    }
}

/// Whether a row or a factor is about the line of that key: about all where it names none.
pub fn is_about(value: &Value, key: &str) -> bool {
    value.get("lines").is_none_or(|lines| is_one_of(key, lines))
}

/// Whether the number is in the range, such as "5s", "from 200000" or "above 30 up to 60", or
/// in one of a list of them.
pub fn is_in_range(number: &Number, range: &Value) -> bool {
    match range {
        Value::Array(ranges) => ranges.iter().any(|range| is_in_range(number, range)),
        _ => is_within(number, range.as_str().expect("a range is a text")),
    }
}

fn is_within(number: &Number, range: &str) -> bool {
    let range = range.replace("up to", "up_to");
    let words: Vec<&str> = range.split_whitespace().collect();
    words.chunks(2).all(|words| match words {
        [exactly] => number == &number::number(exactly),
        ["from", end] => number >= &number::number(end),
        ["above", end] => number > &number::number(end),
        ["below", end] => number < &number::number(end),
        ["up_to", end] => number <= &number::number(end),
        _ => panic!("{range:?} is no range"),
    })
}
