//! Names that callers choose. They are checked once, on construction.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::violation::{PairPart, Violation};

/// Largest length of an account's name.
pub const ACCOUNT_BYTES_MAX: usize = 128;
/// Largest length of a request_id. Workflow engines make theirs of several ids.
pub const REQUEST_ID_BYTES_MAX: usize = 256;
/// Largest length of a service's key.
pub const SERVICE_BYTES_MAX: usize = 128;
/// Most labels, attributes or further meters of one thing.
pub const PAIRS_MAX: usize = 16;
/// Largest length of the key of a label, attribute or meter.
pub const KEY_BYTES_MAX: usize = 64;
/// Largest length of the value of a label, attribute or meter, or of a source.
pub const VALUE_BYTES_MAX: usize = 256;
/// Largest length of an `x-request-id`, which is written to the log.
pub const X_REQUEST_ID_BYTES_MAX: usize = 64;
/// How much of a caller's text an error repeats.
pub const REPEATED_BYTES_MAX: usize = 64;

/// What a service's key is made of, in words.
pub const SERVICE_GRAMMAR: &str = "1 to 128 of A-Z a-z 0-9 . _ - / : @ + ~";

/// Name of an account: 1 to 128 printable ASCII characters but space, `"` and `\`. It
/// can then be written in quotes or between spaces without escaping.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountName(Arc<str>);

impl AccountName {
    /// Checks the name.
    ///
    /// # Errors
    /// [`Violation::Required`] for no text, [`Violation::InvalidAccount`] for another.
    pub fn new(text: &str) -> Result<Self, Violation> {
        let allowed = |b: u8| b.is_ascii_graphic() && b != b'"' && b != b'\\';
        match text {
            "" => Err(Violation::Required),
            _ if text.len() <= ACCOUNT_BYTES_MAX && text.bytes().all(allowed) => {
                Ok(Self(text.into()))
            }
            _ => Err(Violation::InvalidAccount {
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

/// The idempotency key of a write: 1 to 256 printable ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// Checks the name.
    ///
    /// # Errors
    /// [`Violation::Required`] for no text, [`Violation::InvalidRequestId`] for another.
    pub fn new(text: &str) -> Result<Self, Violation> {
        match text {
            "" => Err(Violation::Required),
            _ if is_printable(text, REQUEST_ID_BYTES_MAX) => Ok(Self(text.into())),
            _ => Err(Violation::InvalidRequestId {
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

/// Whether the text is 1 to so many printable ASCII characters.
#[must_use]
pub fn is_printable(text: &str, bytes_max: usize) -> bool {
    (1..=bytes_max).contains(&text.len()) && text.bytes().all(|b| (0x20..0x7f).contains(&b))
}

/// Whether the text can be the key of a service.
#[must_use]
pub fn is_service_key(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-/:@+~".contains(&b);
    (1..=SERVICE_BYTES_MAX).contains(&text.len()) && text.bytes().all(allowed)
}

/// A caller's labels for an entry, sorted by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels(BTreeMap<Box<str>, Box<str>>);

impl Labels {
    /// Checks number and lengths.
    ///
    /// # Errors
    /// The first thing that is over its limit.
    pub fn new<'a>(
        pairs: impl ExactSizeIterator<Item = (&'a String, &'a String)> + Clone,
    ) -> Result<Self, Violation> {
        check_pairs(pairs.clone())?;
        let owned = pairs.map(|(key, value)| (key.as_str().into(), value.as_str().into()));
        Ok(Self(owned.collect()))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether all of the other's pairs are among these.
    #[must_use]
    pub fn have_all_of(&self, others: &Self) -> bool {
        let mut others = others.0.iter();
        others.all(|(key, value)| self.0.get(key) == Some(value))
    }

    /// The pairs, sorted by key.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (&**key, &**value))
    }
}

/// Checks number and lengths of labels, attributes or meters.
///
/// # Errors
/// The first thing that is over its limit.
pub fn check_pairs<'a, T: AsRef<str> + ?Sized + 'a>(
    pairs: impl ExactSizeIterator<Item = (&'a T, &'a T)>,
) -> Result<(), Violation> {
    if pairs.len() > PAIRS_MAX {
        return Err(Violation::TooManyItems {
            size: pairs.len(),
            limit: PAIRS_MAX,
        });
    }
    for (key, value) in pairs {
        let (key, value) = (key.as_ref(), value.as_ref());
        for (part, text, min, max) in [
            (PairPart::Key, key, 1, KEY_BYTES_MAX),
            (PairPart::Value, value, 0, VALUE_BYTES_MAX),
        ] {
            if !(min..=max).contains(&text.len()) {
                return Err(Violation::InvalidPair {
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
/// [`Violation::InvalidLength`] where it is outside of the limits.
pub fn check_length(text: &str, min: usize, max: usize) -> Result<(), Violation> {
    if (min..=max).contains(&text.len()) {
        return Ok(());
    }
    Err(Violation::InvalidLength {
        length: text.len(),
        min,
        max,
    })
}

/// A caller's text as an error repeats it: at most 64 bytes of it.
#[must_use]
pub fn repeated(text: &str) -> Box<str> {
    cut(text, REPEATED_BYTES_MAX).into()
}

/// The beginning of a text, at most so many bytes, of whole characters.
#[must_use]
pub fn cut(text: &str, bytes_max: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes_max))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_follow_the_grammar_and_nothing_else() {
        for good in [
            "a",
            "user:1@x.y/z_A-9",
            "auth0|5f7c",
            "a+b@example.com",
            "!#$%&'()*+,-./0:;<=>?@A[]^_`a{|}~",
            &"a".repeat(128),
        ] {
            assert_eq!(AccountName::new(good).unwrap().as_str(), good);
        }
        assert_eq!(AccountName::new(""), Err(Violation::Required));
        for bad in [
            "team a",
            "caf\u{e9}",
            "a\n",
            "a\"b",
            "a\\b",
            "a\u{7f}",
            "\0",
            &"a".repeat(129),
        ] {
            assert!(matches!(
                AccountName::new(bad),
                Err(Violation::InvalidAccount { .. })
            ));
        }
    }

    #[test]
    fn request_ids_are_printable_ascii() {
        for good in ["1", "order 17 ~", "\"\\", &"x".repeat(256)] {
            assert!(RequestId::new(good).is_ok(), "{good}");
        }
        for bad in ["caf\u{e9}", "tab\t", "\u{7f}", &"x".repeat(257)] {
            assert!(RequestId::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn keys_of_services_take_the_names_of_models() {
        for good in [
            "a",
            "lip_sync_video",
            "openai/gpt-4o-2024-08-06",
            "bedrock/us.anthropic.claude-3-5-sonnet-20241022-v2:0",
            "vertex_ai/claude-3-5-sonnet@20240620",
            "a+b~c",
            &"k".repeat(128),
        ] {
            assert!(is_service_key(good), "{good}");
        }
        for bad in [
            "",
            "a b",
            "a,b",
            "caf\u{e9}",
            "a\n",
            "a\"",
            &"k".repeat(129),
        ] {
            assert!(!is_service_key(bad), "{bad}");
        }
    }

    #[test]
    fn the_grammar_of_keys_says_what_is_checked() {
        assert!(SERVICE_GRAMMAR.starts_with(&format!("1 to {SERVICE_BYTES_MAX} of ")));
        let listed = SERVICE_GRAMMAR.rsplit("0-9 ").next().unwrap();
        for byte in (0..=0x7f_u8).filter(|b| !b.is_ascii_alphanumeric()) {
            let text = char::from(byte).to_string();
            let said = listed.split(' ').any(|word| word == text);
            assert_eq!(is_service_key(&text), said, "{text:?}");
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
