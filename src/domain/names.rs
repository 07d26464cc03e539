//! Names that callers choose, checked once, where they come in.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::fault::{Fault, PairPart};

/// Largest length of an account's name.
pub const ACCOUNT_BYTES_MAX: usize = 128;
/// Largest length of a request_id.
pub const REQUEST_ID_BYTES_MAX: usize = 64;
/// Most labels, attributes or further meters of one thing.
pub const PAIRS_MAX: usize = 16;
/// Largest length of the key of a label, attribute or meter.
pub const KEY_BYTES_MAX: usize = 64;
/// Largest length of the value of a label, attribute or meter, or of a source.
pub const VALUE_BYTES_MAX: usize = 256;
/// How much of a caller's text an error repeats.
pub const REPEATED_BYTES_MAX: usize = 64;

/// Name of an account: 1 to 128 of `A-Z a-z 0-9 . _ : @ / -`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountName(Arc<str>);

impl AccountName {
    /// Checks the name.
    ///
    /// # Errors
    /// [`Fault::Required`] for no text, [`Fault::InvalidAccount`] for another.
    pub fn new(text: &str) -> Result<Self, Fault> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._:@/-".contains(&b);
        match text {
            "" => Err(Fault::Required),
            _ if text.len() <= ACCOUNT_BYTES_MAX && text.bytes().all(allowed) => {
                Ok(Self(text.into()))
            }
            _ => Err(Fault::InvalidAccount {
                value: repeated(text),
                length: text.len(),
            }),
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The caller's name of one write: 1 to 64 printable ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(Box<str>);

impl RequestId {
    /// Checks the name.
    ///
    /// # Errors
    /// [`Fault::Required`] for no text, [`Fault::InvalidRequestId`] for another.
    pub fn new(text: &str) -> Result<Self, Fault> {
        match text {
            "" => Err(Fault::Required),
            _ if is_request_id(text) => Ok(Self(text.into())),
            _ => Err(Fault::InvalidRequestId {
                value: repeated(text),
                length: text.len(),
            }),
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether the text is 1 to 64 printable ASCII characters.
#[must_use]
pub fn is_request_id(text: &str) -> bool {
    (1..=REQUEST_ID_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|b| (0x20..0x7f).contains(&b))
}

/// Pairs that a caller keeps with an entry, in the order of their keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels(BTreeMap<Box<str>, Box<str>>);

impl Labels {
    /// Checks number and lengths.
    ///
    /// # Errors
    /// The first thing that is over its limit.
    pub fn new<'a>(
        pairs: impl ExactSizeIterator<Item = (&'a String, &'a String)> + Clone,
    ) -> Result<Self, Fault> {
        check_pairs(pairs.clone())?;
        let kept = pairs.map(|(key, value)| (key.as_str().into(), value.as_str().into()));
        Ok(Self(kept.collect()))
    }

    /// The pairs, in the order of their keys.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (&**key, &**value))
    }
}

/// Checks number and lengths of labels, attributes or meters.
///
/// # Errors
/// The first thing that is over its limit.
pub fn check_pairs<'a>(
    pairs: impl ExactSizeIterator<Item = (&'a String, &'a String)>,
) -> Result<(), Fault> {
    if pairs.len() > PAIRS_MAX {
        return Err(Fault::TooManyItems {
            size: pairs.len(),
            limit: PAIRS_MAX,
        });
    }
    for (key, value) in pairs {
        for (part, text, min, max) in [
            (PairPart::Key, key, 1, KEY_BYTES_MAX),
            (PairPart::Value, value, 0, VALUE_BYTES_MAX),
        ] {
            if !(min..=max).contains(&text.len()) {
                return Err(Fault::InvalidPair {
                    key: repeated(key),
                    part,
                    length: text.len(),
                    min,
                    max,
                });
            }
        }
    }
    Ok(())
}

/// Checks the length of a text.
///
/// # Errors
/// [`Fault::InvalidLength`] where it is outside of the limits.
pub fn check_length(text: &str, min: usize, max: usize) -> Result<(), Fault> {
    if (min..=max).contains(&text.len()) {
        return Ok(());
    }
    Err(Fault::InvalidLength {
        length: text.len(),
        min,
        max,
    })
}

/// A caller's text as an error repeats it: at most 64 bytes of it.
#[must_use]
pub fn repeated(text: &str) -> Box<str> {
    let end = (0..=REPEATED_BYTES_MAX.min(text.len()))
        .rev()
        .find(|&end| text.is_char_boundary(end))
        .unwrap_or_default();
    text.get(..end).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_follow_the_grammar_and_nothing_else() {
        for good in ["a", "team-a", "user:1@x.y/z_A-9", &"a".repeat(128)] {
            assert_eq!(AccountName::new(good).unwrap().as_str(), good);
        }
        assert_eq!(AccountName::new(""), Err(Fault::Required));
        for bad in ["team a", "caf\u{e9}", "a\n", "a#b", &"a".repeat(129)] {
            assert!(matches!(
                AccountName::new(bad),
                Err(Fault::InvalidAccount { .. })
            ));
        }
    }

    #[test]
    fn request_ids_are_printable_ascii() {
        for good in ["1", "order 17 ~", &"x".repeat(64)] {
            assert!(RequestId::new(good).is_ok(), "{good}");
        }
        for bad in ["caf\u{e9}", "tab\t", "\u{7f}", &"x".repeat(65)] {
            assert!(RequestId::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn repeated_text_is_cut_between_characters() {
        assert_eq!(&*repeated("short"), "short");
        let cut = repeated(&"\u{e9}".repeat(40));
        assert_eq!(cut.len(), 64);
        assert_eq!(
            &*repeated(&format!("x{}", "\u{e9}".repeat(40))),
            format!("x{}", "\u{e9}".repeat(31))
        );
    }
}
