//! The fields of a TOML table, each with its place.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::app::card_file::parse::SpannedError;

/// A value and where it stands.
pub type Value<'t> = Spanned<DeValue<'t>>;
pub type Read<T> = Result<T, SpannedError>;

/// An error at a place.
pub fn error(
    at: &Range<usize>,
    problem: impl Into<String>,
    remedy: impl Into<String>,
) -> SpannedError {
    SpannedError::new(at.clone(), problem, remedy)
}

/// A table whose fields are taken one by one.
pub struct Fields<'a, 't> {
    table: &'a DeTable<'t>,
    /// Where the table stands.
    pub at: Range<usize>,
    /// What it is, for messages.
    what: &'static str,
}

impl<'a, 't> Fields<'a, 't> {
    /// The table that a value is.
    pub fn of(value: &'a Value<'t>, what: &'static str) -> Read<Self> {
        match value.get_ref().as_table() {
            Some(table) => Ok(Self {
                table,
                at: value.span(),
                what,
            }),
            None => Err(error(
                &value.span(),
                format!("{what} is no table"),
                "docs/rate-cards.md shows the format",
            )),
        }
    }

    /// A field's value.
    pub fn get(&self, name: &str) -> Option<&'a Value<'t>> {
        self.table.get(name)
    }

    /// Whether there is such a field.
    pub fn has(&self, name: &str) -> bool {
        self.table.contains_key(name)
    }

    /// A text; None where it is left out.
    pub fn text(&self, name: &str) -> Read<Option<(&'a str, Range<usize>)>> {
        self.get(name).map(|value| text_of(value, name)).transpose()
    }

    /// A text that must be there.
    pub fn required(&self, name: &str) -> Read<(&'a str, Range<usize>)> {
        self.text(name)?.ok_or_else(|| {
            error(
                &self.at,
                format!("{} has no {name}", self.what),
                format!("add {name}"),
            )
        })
    }

    /// A whole number of few digits.
    pub fn number(&self, name: &str) -> Read<Option<(u32, Range<usize>)>> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let number = value.get_ref().as_integer();
        let number = number.filter(|number| number.radix() == 10);
        let number = number.and_then(|number| number.as_str().parse().ok());
        match number {
            Some(number) => Ok(Some((number, value.span()))),
            None => Err(error(
                &value.span(),
                format!("{name} is no whole number"),
                "write it without quotes, such as 2",
            )),
        }
    }

    /// The entries in the order in which they are written.
    pub fn entries(&self) -> Vec<(&'a str, Range<usize>, &'a Value<'t>)> {
        let entries = self.table.iter();
        let mut entries: Vec<_> = entries
            .map(|(key, value)| (&**key.get_ref(), key.span(), value))
            .collect();
        entries.sort_by_key(|(_, at, _)| at.start);
        entries
    }

    /// The entries of a table in this one.
    pub fn table(&self, name: &'static str) -> Read<Vec<(&'a str, Range<usize>, &'a Value<'t>)>> {
        match self.get(name) {
            None => Ok(Vec::new()),
            Some(value) => Ok(Fields::of(value, name)?.entries()),
        }
    }

    /// The entries of a list in this table.
    pub fn list(&self, name: &str) -> Read<&'a [Value<'t>]> {
        match self.get(name) {
            None => Ok(&[]),
            Some(value) => match value.get_ref().as_array() {
                Some(list) => Ok(list),
                None => Err(error(
                    &value.span(),
                    format!("{name} is no list"),
                    format!("write {name} = [...]"),
                )),
            },
        }
    }

    /// Refuses every field but these.
    pub fn only(&self, known: &[&str]) -> Read<()> {
        for (key, at, _) in self.entries() {
            if !known.contains(&key) {
                let remedy =
                    crate::domain::pricing::lines::did_you_mean(key, known.iter().copied());
                return Err(error(
                    &at,
                    format!("{} has no field `{key}`", self.what),
                    remedy,
                ));
            }
        }
        Ok(())
    }
}

/// The text that a value is.
pub fn text_of<'a>(value: &'a Value<'_>, name: &str) -> Read<(&'a str, Range<usize>)> {
    match value.get_ref().as_str() {
        Some(text) => Ok((text, value.span())),
        None if value.get_ref().is_integer() || value.get_ref().is_float() => Err(error(
            &value.span(),
            format!("{name} is not in quotes"),
            format!("write amounts and quantities as text, such as {name} = \"0.25\" or \"30s\""),
        )),
        None => Err(error(
            &value.span(),
            format!("{name} is no text"),
            format!("write it in quotes, such as {name} = \"...\""),
        )),
    }
}

/// A text, or a list of texts.
pub fn texts_of<'a>(value: &'a Value<'_>, name: &str) -> Read<Vec<(&'a str, Range<usize>)>> {
    match value.get_ref().as_array() {
        Some(list) => list.iter().map(|value| text_of(value, name)).collect(),
        None => Ok(vec![text_of(value, name)?]),
    }
}
