//! Keys: who calls, and what callers may do.

use std::fmt;
use std::sync::Arc;

/// Largest length of a key's id.
pub const KEY_ID_BYTES_MAX: usize = 64;

/// Names a key, or whoever else a caller is known as. Entries carry it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(Arc<str>);

impl KeyId {
    /// None for a text that is no id: one has 1 to 64 printable ASCII characters but space.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let is_id = (1..=KEY_ID_BYTES_MAX).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic());
        is_id.then(|| Self(text.into()))
    }

    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
