//! LiteLLM's price map as it is written: models, their fields, and numbers by their digits.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::domain::pricing::lines::Ratio;

/// The entry that explains the fields, and is no model.
const SAMPLE: &str = "sample_spec";

/// Fields by name, each as it is written.
pub(super) type Fields<'t> = BTreeMap<String, &'t RawValue>;

/// A model.
pub(super) struct Entry<'t> {
    pub(super) model: String,
    pub(super) provider: String,
    /// "chat", "embedding" and so on; empty where it is not said.
    pub(super) mode: String,
    pub(super) fields: Fields<'t>,
}

impl Entry<'_> {
    pub(super) fn has_prices(&self) -> bool {
        self.fields
            .keys()
            .any(|field| super::fields::is_price(field))
    }
}

/// The models of a map, in its order. Values that are no objects are no models.
pub(super) fn entries(json: &str) -> Result<Vec<Entry<'_>>, String> {
    let list: List<'_> = serde_json::from_str(json).map_err(|error| error.to_string())?;
    let mut entries = Vec::with_capacity(list.0.len());
    for (model, value) in list.0 {
        if model == SAMPLE || !value.get().starts_with('{') {
            continue;
        }
        let fields: Fields<'_> =
            serde_json::from_str(value.get()).map_err(|error| format!("{model}: {error}"))?;
        let word = |name: &str| {
            fields
                .get(name)
                .and_then(|value| text(value))
                .unwrap_or_default()
        };
        entries.push(Entry {
            provider: word("litellm_provider"),
            mode: word("mode"),
            model,
            fields,
        });
    }
    Ok(entries)
}

/// An object's members in their order, also those of one name.
struct List<'t>(Vec<(String, &'t RawValue)>);

impl<'de> Deserialize<'de> for List<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = List<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of models")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut list = Vec::new();
                while let Some(member) = map.next_entry()? {
                    list.push(member);
                }
                Ok(List(list))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// A text.
pub(super) fn text(value: &RawValue) -> Option<String> {
    serde_json::from_str(value.get()).ok()
}

/// An object's members.
pub(super) fn object(value: &RawValue) -> Option<Fields<'_>> {
    serde_json::from_str(value.get()).ok()
}

/// A list's members.
pub(super) fn list(value: &RawValue) -> Option<Vec<&RawValue>> {
    serde_json::from_str(value.get()).ok()
}

/// A price by its digits; None for null.
pub(super) fn price(field: &str, value: &RawValue) -> Result<Option<Ratio>, String> {
    let json = value.get();
    if json == "null" {
        return Ok(None);
    }
    let number = text(value).unwrap_or_else(|| json.to_owned());
    let price = decimal(&number).ok_or_else(|| {
        let shown: String = json.chars().take(40).collect();
        format!("{field} is {shown}, which is no number of at most 38 digits")
    })?;
    match price.is_negative() {
        true => Err(format!("{field} is {number}, less than nothing")),
        false => Ok(Some(price)),
    }
}

/// A number as JSON writes it, "3e-06" or "0.00025", exactly.
fn decimal(text: &str) -> Option<Ratio> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let unsigned = whole.strip_prefix('-').unwrap_or(whole);
    if unsigned.is_empty() || !is_digits(unsigned) || !is_digits(fraction) {
        return None;
    }
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let scale = i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
    let power = 10_i128.checked_pow(scale.unsigned_abs())?;
    match scale {
        0.. => Ratio::new(digits, power),
        _ => Ratio::whole(digits).times(Ratio::whole(power)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_by_their_digits() {
        for (text, expected) in [
            ("3e-06", Some("0.000003")),
            ("1.5E-7", Some("0.00000015")),
            ("2.9999900000000002e-06", Some("0.0000029999900000000002")),
            ("0.0002833333333333333", Some("0.0002833333333333333")),
            ("0.0", Some("0")),
            ("5", Some("5")),
            ("2e3", Some("2000")),
            ("-0.5", Some("-0.5")),
            ("1e-39", None),
            ("1e999999999999", None),
            (".5", None),
            ("", None),
            ("-", None),
            ("one", None),
        ] {
            let number = decimal(text).map(|number| number.to_string());
            assert_eq!(number.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn entries_keep_their_order_and_those_of_one_name() {
        let text =
            r#"{"b": {"mode": "chat"}, "updated": "now", "a": {}, "b": {}, "sample_spec": {}}"#;
        let entries = entries(text).unwrap();
        let models: Vec<_> = entries.iter().map(|entry| entry.model.as_str()).collect();
        assert_eq!(models, ["b", "a", "b"]);
        assert!(super::entries("[1]").is_err());
    }
}
