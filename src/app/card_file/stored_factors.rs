//! The stored form of attributes and factors, which services have and cards.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::stored_lines::{Texts, conditions, number_of};
use crate::domain::pricing::lines::{
    AttributeSpec, CardFactors, Condition, FactorSpec, Hours, Is, Source, Spec, Window,
};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredAttribute {
    values: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "default")]
    default_value: Option<String>,
    /// "account" or "clock"; None: callers send it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    /// By value, in which windows the clock says it.
    #[serde(default, skip_serializing_if = "Texts::is_empty")]
    windows: Texts,
}

impl From<&AttributeSpec> for StoredAttribute {
    fn from(attribute: &AttributeSpec) -> Self {
        let (from, windows) = match &attribute.source {
            Source::Caller => (None, Texts::new()),
            Source::Account => (Some("account"), Texts::new()),
            Source::Clock(hours) => {
                let windows = hours.windows.iter().map(|(value, windows)| {
                    let windows = windows.iter().map(Window::words);
                    (value.to_string(), windows.collect())
                });
                (Some("clock"), windows.collect())
            }
        };
        Self {
            values: attribute.values.iter().map(ToString::to_string).collect(),
            default_value: attribute.default.as_ref().map(ToString::to_string),
            from: from.map(ToOwned::to_owned),
            windows,
        }
    }
}

impl StoredAttribute {
    /// The attribute of this form.
    pub fn restore(self) -> Result<AttributeSpec, String> {
        let values: Vec<Box<str>> = self.values.into_iter().map(Into::into).collect();
        let default: Option<Box<str>> = self.default_value.map(Into::into);
        let source = match self.from.as_deref() {
            None => Source::Caller,
            Some("account") => Source::Account,
            Some("clock") => {
                let mut windows = Vec::with_capacity(self.windows.len());
                // In the order of the values, as they were read.
                for value in &values {
                    let Some(texts) = self.windows.get(&**value) else {
                        continue;
                    };
                    let of_value = texts.iter().map(|text| {
                        Window::parse(text).ok_or_else(|| format!("window \"{text}\""))
                    });
                    windows.push((value.clone(), of_value.collect::<Result<_, _>>()?));
                }
                let at = values
                    .iter()
                    .position(|value| Some(value) == default.as_ref());
                let at = at.and_then(|at| u16::try_from(at).ok()).unwrap_or_default();
                let hours = Hours::new(&values, at, windows);
                Source::Clock(hours.map_err(|overlap| format!("{overlap:?}"))?)
            }
            Some(other) => return Err(format!("from \"{other}\"")),
        };
        Ok(AttributeSpec {
            values,
            default,
            source,
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredFactor {
    #[serde(default, skip_serializing_if = "Texts::is_empty")]
    when: Texts,
    times: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    lines: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    title: Option<String>,
}

impl StoredFactor {
    /// The stored form of a factor with these conditions.
    pub fn of(factor: &FactorSpec, when: Texts) -> Self {
        Self {
            when,
            times: factor.times.to_string(),
            lines: factor.lines.iter().map(ToString::to_string).collect(),
            title: factor.title.as_ref().map(ToString::to_string),
        }
    }

    /// The factor of this form; `spec` has the names.
    pub fn restore(self, spec: &Spec) -> Result<FactorSpec, String> {
        Ok(FactorSpec {
            when: conditions(self.when, spec)?,
            times: number_of(&self.times)?,
            lines: self.lines.into_iter().map(Into::into).collect(),
            title: self.title.map(Into::into),
        })
    }
}

/// The attributes by which factors of a card are chosen.
pub fn stored_attributes(factors: &CardFactors) -> BTreeMap<String, StoredAttribute> {
    let attributes = factors.attributes.iter();
    attributes
        .map(|(name, attribute)| (name.to_string(), attribute.into()))
        .collect()
}

/// The factors of a card.
pub fn stored_factors(factors: &CardFactors) -> Vec<StoredFactor> {
    let words = |condition: &Condition| match &condition.is {
        Is::OneOf(words) => words.iter().map(ToString::to_string).collect(),
        // Factors of a card know no numbers.
        Is::In(_) => Vec::new(),
    };
    let stored = |factor: &FactorSpec| {
        let when = factor.when.iter();
        let when = when.map(|condition| (condition.name.to_string(), words(condition)));
        StoredFactor::of(factor, when.collect())
    };
    factors.factors.iter().map(stored).collect()
}

/// The factors of a card of this form.
pub fn restore_card_factors(
    attributes: BTreeMap<String, StoredAttribute>,
    factors: Vec<StoredFactor>,
) -> Result<Option<CardFactors>, String> {
    if factors.is_empty() {
        return Ok(None);
    }
    let mut spec = Spec::default();
    for (name, attribute) in attributes {
        spec.attributes.insert(name.into(), attribute.restore()?);
    }
    let factors = factors.into_iter().map(|factor| factor.restore(&spec));
    let factors = factors.collect::<Result<Vec<_>, _>>()?;
    let compiled = CardFactors::compile(spec.attributes, factors);
    compiled.map(Some).map_err(|error| error.problem)
}
