//! Attributes and meters as a caller sent them, wherever they stand: names and texts, sorted by
//! name.

use std::collections::{BTreeMap, btree_map};
use std::fmt;
use std::slice;

/// Attributes or meters that are kept.
pub type Pairs = BTreeMap<String, String>;

/// A name and a text.
pub type Pair<'a> = (&'a str, &'a str);

/// Attributes or meters of a usage. Most usages have none.
#[derive(Clone, Copy, Default)]
pub enum PairsRef<'a> {
    /// None.
    #[default]
    Nothing,
    /// Kept ones.
    Map(&'a Pairs),
    /// As they stand in a request.
    List(&'a PairList<'a>),
}

/// Pairs that stand in a request.
#[derive(Clone, Copy, Debug)]
pub struct PairList<'a>(&'a [Pair<'a>]);

impl<'a> PairList<'a> {
    /// Sorts the pairs. None where two have the same name.
    #[must_use]
    pub fn sorted(pairs: &'a mut [Pair<'a>]) -> Option<Self> {
        pairs.sort_unstable_by_key(|(name, _)| *name);
        let mut next = pairs.iter().skip(1);
        let is_repeated = |(name, _): &Pair<'_>| next.next().is_some_and(|(next, _)| name == next);
        match pairs.iter().any(is_repeated) {
            true => None,
            false => Some(Self(pairs)),
        }
    }
}

impl<'a> PairsRef<'a> {
    /// How many there are.
    #[inline]
    #[must_use]
    pub fn len(self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Map(map) => map.len(),
            Self::List(list) => list.0.len(),
        }
    }

    /// Whether there are none.
    #[inline]
    #[must_use]
    pub fn is_empty(self) -> bool {
        match self {
            Self::Nothing => true,
            Self::Map(_) | Self::List(_) => self.len() == 0,
        }
    }

    /// The first name.
    #[inline]
    #[must_use]
    pub fn first_name(self) -> Option<&'a str> {
        match self {
            Self::Nothing => None,
            Self::Map(_) | Self::List(_) => self.iter().next().map(|(name, _)| name),
        }
    }

    /// The pairs, sorted by name.
    #[must_use]
    pub fn iter(self) -> PairsIter<'a> {
        match self {
            Self::Nothing => PairsIter::List([].iter()),
            Self::Map(map) => PairsIter::Map(map.iter()),
            Self::List(list) => PairsIter::List(list.0.iter()),
        }
    }

    /// The pairs, to be kept.
    #[must_use]
    pub fn to_pairs(self) -> Pairs {
        match self {
            Self::Nothing => Pairs::new(),
            Self::Map(map) => map.clone(),
            Self::List(list) => {
                let pairs = list.0.iter();
                let pairs = pairs.map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
                pairs.collect()
            }
        }
    }
}

/// The pairs, wherever they stand.
impl fmt::Debug for PairsRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<'a> From<&'a Pairs> for PairsRef<'a> {
    fn from(map: &'a Pairs) -> Self {
        match map.is_empty() {
            true => Self::Nothing,
            false => Self::Map(map),
        }
    }
}

/// Names and texts, sorted by name.
#[derive(Clone, Debug)]
pub enum PairsIter<'a> {
    /// Of kept ones.
    Map(btree_map::Iter<'a, String, String>),
    /// Of a request.
    List(slice::Iter<'a, Pair<'a>>),
}

impl<'a> Iterator for PairsIter<'a> {
    type Item = Pair<'a>;

    fn next(&mut self) -> Option<Pair<'a>> {
        match self {
            Self::Map(map) => map.next().map(|(name, text)| (&**name, &**text)),
            Self::List(list) => list.next().copied(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match self {
            Self::Map(map) => map.size_hint(),
            Self::List(list) => list.size_hint(),
        }
    }
}

impl ExactSizeIterator for PairsIter<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_sorted_and_has_each_name_once() {
        // As sent, as read.
        let cases: &[(&[Pair<'_>], Option<&[Pair<'_>]>)] = &[
            (&[], Some(&[])),
            (&[("b", "2"), ("a", "1")], Some(&[("a", "1"), ("b", "2")])),
            (&[("b", "2"), ("a", "1"), ("b", "2")], None),
            (&[("", ""), ("", "1")], None),
        ];
        for (sent, read) in cases {
            let mut pairs = sent.to_vec();
            let list = PairList::sorted(&mut pairs);
            assert_eq!(list.map(|list| list.0), *read, "{sent:?}");
            let Some(list) = list else { continue };
            let kept = PairsRef::List(&list).to_pairs();
            let kept = PairsRef::from(&kept);
            assert!(kept.iter().eq(list.0.iter().copied()), "{sent:?}");
            assert_eq!(kept.len(), sent.len(), "{sent:?}");
        }
    }
}
