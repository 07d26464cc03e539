//! Ids of entries, grants and holds: one sequence of numbers, a letter before
//! each kind. They are opaque to callers, and one that names nothing is not found,
//! whatever it looks like.

use std::fmt;

use crate::domain::names::repeated;

/// Identifies an entry; entries are numbered in the order of their writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId(pub i64);

/// Identifies a grant by the entry that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GrantId(pub EntryId);

/// Identifies a hold by the entry that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HoldId(pub EntryId);

impl EntryId {
    /// The one after it.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "e{}", self.0)
    }
}

impl fmt::Display for GrantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "g{}", self.0.0)
    }
}

impl fmt::Display for HoldId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "h{}", self.0.0)
    }
}

/// What a caller names: an id, or a text that is none and names nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named<T> {
    /// An id; whether there is such a thing is still to be seen.
    Id(T),
    /// The text, cut.
    Nothing(Box<str>),
}

impl<T: fmt::Display> Named<T> {
    /// As a refusal repeats it.
    #[must_use]
    pub fn text(&self) -> Box<str> {
        match self {
            Self::Id(id) => id.to_string().into(),
            Self::Nothing(text) => text.clone(),
        }
    }
}

impl<T: Copy> Named<T> {
    /// The id, where it is one.
    #[must_use]
    pub const fn id(&self) -> Option<T> {
        match self {
            Self::Id(id) => Some(*id),
            Self::Nothing(_) => None,
        }
    }
}

fn read<T: fmt::Display>(text: &str, letter: char, make: impl FnOnce(EntryId) -> T) -> Named<T> {
    let number = text.strip_prefix(letter).and_then(|n| n.parse().ok());
    match number.map(|number| make(EntryId(number))) {
        // Only the text that was given out: no leading zeros, no sign.
        Some(id) if id.to_string() == text => Named::Id(id),
        _ => Named::Nothing(repeated(text)),
    }
}

/// The entry that a caller names.
#[must_use]
pub fn entry_named(text: &str) -> Named<EntryId> {
    read(text, 'e', |id| id)
}

/// The grant that a caller names.
#[must_use]
pub fn grant_named(text: &str) -> Named<GrantId> {
    read(text, 'g', GrantId)
}

/// The hold that a caller names.
#[must_use]
pub fn hold_named(text: &str) -> Named<HoldId> {
    read(text, 'h', HoldId)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_given_out_is_an_id() {
        assert_eq!(hold_named("h12"), Named::Id(HoldId(EntryId(12))));
        for text in [
            "",
            "h",
            "12",
            "e12",
            "h012",
            "h+12",
            "h12 ",
            "H12",
            "h-0",
            "h9999999999999999999",
        ] {
            assert!(matches!(hold_named(text), Named::Nothing(_)), "{text}");
        }
    }
}
